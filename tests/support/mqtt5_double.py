"""An MQTT 5 broker and store in one, for tests: it checks the client, and it can be told to misbehave.

It notes as ``violations`` whatever a board must not do: a packet before CONNACK, more unanswered QoS 1
messages than the receive maximum, a record that overtakes an older one, a DUP flag (nothing of an earlier
connection may come by itself), a session that is kept, a will that is missing. Frames are kept like a store
keeps them: by (epoch, seq), acked cumulatively. Everything runs on one asyncio loop in a thread of its own.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from firmware.wire.acks import Ack
from firmware.wire.records import parse_frame
from firmware.wire.topics import StoreTopics

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 14


def varint(value: int) -> bytes:
    out = b""
    while True:
        value, low = divmod(value, 128)
        out += bytes([low | (128 if value else 0)])
        if not value:
            return out


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def publish(topic: str, payload: bytes, *, retain: bool = False, mid: int = 0) -> bytes:
    """A PUBLISH of the broker; ``mid`` 0 = QoS 0."""
    head = text(topic) + (struct.pack(">H", mid) if mid else b"") + b"\0"
    return packet(PUBLISH, head + payload, (2 if mid else 0) | int(retain))


class _Reader:
    """A packet's body, front to back."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        assert self.at + count <= len(self.data), "packet too short"
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self) -> str:
        return self.take(self.number(2)).decode()

    def blob(self) -> bytes:
        return self.take(self.number(2))

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return value

    def properties(self) -> bytes:
        return self.take(self.varint())

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)


@dataclass
class Connection:
    """What one connection of the board showed."""

    number: int
    client: str = ""
    will_topic: str = ""
    connacked: bool = False
    subscribed: list[str] = field(default_factory=list)
    unanswered: int = 0
    most_unanswered: int = 0
    seqs: list[tuple[int, int]] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)
    topics: list[tuple[str, bytes, bool]] = field(default_factory=list)
    ended: str = ""


class Double:
    """``with Double() as broker:``. Change the attributes before or while a board is connected:

    ``answer(frame_key, attempt)`` → PUBACK reason code, None = no PUBACK, "drop" = cut the connection.
    ``acking``: whether the store acks. ``on_subscribed(send)`` is called on the loop after each SUBACK.
    """

    def __init__(self, *, receive_max: int = 20, store: str = "demo", board: str = "entry-1") -> None:
        self.receive_max = receive_max
        self.max_packet: int | None = None
        self.connack_delay_s = 0.0
        self.connack_code = 0
        self.puback_delay_s = 0.0
        self.answer: Callable[[tuple[int, int], int], int | str | None] = lambda _key, _attempt: 0
        self.acking = True
        self.on_subscribed: Callable[[Callable[[bytes], None], Connection], None] = lambda _send, _conn: None
        self.topics = StoreTopics(store).of(board)
        self.connections: list[Connection] = []
        self.violations: list[str] = []
        self.ledger: dict[tuple[int, int], bytes] = {}
        self.arrived: list[tuple[int, int]] = []
        self.attempts: dict[tuple[int, int], int] = {}
        self.through: dict[int, int] = {}
        self._open: dict[asyncio.StreamWriter, Connection] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="double", daemon=True)
        self.port = 0

    def __enter__(self) -> Double:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def send(self, data: bytes) -> None:
        """To every board that is connected; from any thread."""

        def write() -> None:
            for writer in self._open:
                writer.write(data)

        self._loop.call_soon_threadsafe(write)

    def drop(self) -> None:
        """Cut every connection."""

        def cut() -> None:
            for writer in list(self._open):
                writer.transport.abort()

        self._loop.call_soon_threadsafe(cut)

    def bodies(self) -> list[bytes]:
        return [self.ledger[key] for key in sorted(self.ledger)]

    # -- inside --------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for writer in list(self._open):
            writer.transport.abort()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    def _violation(self, conn: Connection, what: str) -> None:
        self.violations.append(f"connection {conn.number}: {what}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conn = Connection(len(self.connections))
        self.connections.append(conn)
        self._open[writer] = conn
        try:
            while True:
                first = (await reader.readexactly(1))[0]
                length = shift = 0
                while True:
                    byte = (await reader.readexactly(1))[0]
                    length |= (byte & 127) << shift
                    shift += 7
                    if not byte & 128:
                        break
                body = _Reader(await reader.readexactly(length))
                self._packet(conn, writer, first >> 4, first & 15, body)
        except (asyncio.IncompleteReadError, ConnectionError):
            conn.ended = conn.ended or "cut"
        except AssertionError as error:
            self._violation(conn, f"malformed packet: {error}")
        finally:
            self._open.pop(writer, None)
            writer.close()

    def _packet(
        self, conn: Connection, writer: asyncio.StreamWriter, kind: int, flags: int, body: _Reader
    ) -> None:
        if kind == CONNECT:
            self._connect(conn, writer, body)
        elif not conn.connacked and kind != DISCONNECT:
            self._violation(conn, f"packet type {kind} before CONNACK")
        elif kind == PUBLISH:
            self._publish(conn, writer, flags, body)
        elif kind == SUBSCRIBE:
            mid = body.take(2)
            body.properties()
            count = 0
            while body.at < len(body.data):
                conn.subscribed.append(body.text())
                body.take(1)
                count += 1
            writer.write(packet(SUBACK, mid + b"\0" + b"\1" * count))
            self.on_subscribed(writer.write, conn)
        elif kind == PINGREQ:
            writer.write(packet(13, b""))
        elif kind == DISCONNECT:
            conn.ended = "disconnect"

    def _connect(self, conn: Connection, writer: asyncio.StreamWriter, body: _Reader) -> None:
        if body.text() != "MQTT" or body.number(1) != 5:
            self._violation(conn, "not MQTT 5")
        flags = body.number(1)
        body.number(2)
        properties = _Reader(body.properties())
        if properties.number(1) != 0x11 or not 5 <= properties.number(4) <= 60:
            self._violation(conn, "no session expiry: the will would not wait")
        conn.client = body.text()
        if not flags & 2:
            self._violation(conn, "no clean start")
        if flags & 0x24 != 0x24:
            self._violation(conn, "no retained will")
        else:
            will = _Reader(body.properties())
            if will.number(1) != 0x18 or not 5 <= will.number(4) <= 30:
                self._violation(conn, "no will delay of 5 to 30 s")
            conn.will_topic = body.text()
            body.blob()

        def connack() -> None:
            if self.connack_code:
                writer.write(packet(CONNACK, bytes([0, self.connack_code, 0])))
                writer.close()
                return
            conn.connacked = True
            properties = b"\x21" + struct.pack(">H", self.receive_max)
            if self.max_packet is not None:
                properties += b"\x27" + struct.pack(">I", self.max_packet)
            writer.write(packet(CONNACK, b"\0\0" + varint(len(properties)) + properties))

        self._loop.call_later(self.connack_delay_s, connack)

    def _publish(self, conn: Connection, writer: asyncio.StreamWriter, flags: int, body: _Reader) -> None:
        topic = body.text()
        qos = flags >> 1 & 3
        mid = body.take(2) if qos else b""
        body.properties()
        payload = body.rest()
        conn.topics.append((topic, payload, bool(flags & 1)))
        if flags & 8:
            self._violation(conn, "DUP flag: something of an earlier connection was resent by itself")
        if qos == 0:
            return
        conn.unanswered += 1
        conn.most_unanswered = max(conn.most_unanswered, conn.unanswered)
        if conn.unanswered > self.receive_max:
            self._violation(conn, f"{conn.unanswered} unanswered, the receive maximum is {self.receive_max}")
        code: int | str | None = 0
        if topic == self.topics.rec:
            if qos != 1 or flags & 1:
                self._violation(conn, "a record must be QoS 1 and not retained")
            code = self._record(conn, payload)
        if code == "drop":
            writer.transport.abort()
            raise ConnectionAbortedError
        if isinstance(code, int):
            self._loop.call_later(self.puback_delay_s, self._puback, conn, writer, mid, code)

    def _puback(self, conn: Connection, writer: asyncio.StreamWriter, mid: bytes, code: int) -> None:
        conn.unanswered -= 1
        if not writer.is_closing():
            writer.write(packet(PUBACK, mid + (bytes([code, 0]) if code else b"")))

    def _record(self, conn: Connection, payload: bytes) -> int | str | None:
        frame = parse_frame(payload)
        key = (frame.epoch, frame.seq)
        self.arrived.append(key)
        conn.seqs.append(key)
        conn.seen.add(key)
        settled = self.through.get(frame.epoch, 0)
        missing = [seq for seq in range(settled + 1, frame.seq) if (frame.epoch, seq) not in conn.seen]
        if missing:
            self._violation(conn, f"record {frame.seq} overtook {missing[:5]}")
        self.attempts[key] = self.attempts.get(key, 0) + 1
        code = self.answer(key, self.attempts[key])
        if code == 0 or code is None:
            if self.ledger.setdefault(key, frame.body) != frame.body:
                self._violation(conn, f"record {frame.seq} came twice with different bytes")
            self._loop.call_soon(self._ack, frame.epoch)
        return code

    def _ack(self, epoch: int) -> None:
        through = self.through.get(epoch, 0)
        while (epoch, through + 1) in self.ledger:
            through += 1
        if self.acking and through:  # a duplicate is answered too: that is what ends the resending
            self.through[epoch] = through
            for writer in self._open:
                writer.write(publish(self.topics.ack, Ack(epoch, through).encode()))

    def ack_now(self) -> None:
        """The store is back: it acks what it has, to whoever is connected."""
        self.acking = True

        def acks() -> None:
            for epoch in {key[0] for key in self.ledger}:
                self._ack(epoch)

        self._loop.call_soon_threadsafe(acks)


def broken_packets(double: Double) -> dict[str, bytes]:
    """What a broker must never send, and what a hostile one would."""
    topics = double.topics
    ack = topics.ack
    bad_utf8 = packet(PUBLISH, b"\0\x03\xff\xfe\xfd\0hello")
    many: dict[str, Any] = {
        "no MQTT at all": b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "zeros": bytes(64),
        "ones": b"\xff" * 64,
        "a length of five bytes": b"\x30\xff\xff\xff\xff\xff\x01",
        "an endless PUBLISH": b"\x30\xff\xff\xff\x7f" + b"x" * 100,
        "a PUBLISH without a topic": packet(PUBLISH, b""),
        "a PUBLISH cut short": packet(PUBLISH, b"\0\x20abc"),
        "a topic that is not UTF-8": bad_utf8,
        "QoS 3": packet(PUBLISH, text(ack) + b"\0\1\0x", 6),
        "QoS 2": packet(PUBLISH, text(ack) + b"\0\1\0x", 4),
        "properties that do not end": packet(PUBLISH, text(ack) + b"\x7f\x01"),
        "an unknown property": packet(PUBLISH, text(ack) + b"\x02\x7e\x01x"),
        "a second CONNACK": packet(CONNACK, b"\0\0\0"),
        "a second SUBACK": packet(SUBACK, b"\0\1\0\1"),
        "an empty SUBACK": packet(SUBACK, b""),
        "a PUBACK nobody waits for": packet(PUBACK, b"\xff\xfe"),
        "a PUBACK of one byte": packet(PUBACK, b"\0"),
        "a PUBACK with an unknown code": packet(PUBACK, b"\0\2\x7b\0"),
        "a PUBREC": packet(5, b"\0\2"),
        "a PUBREL": packet(6, b"\0\2", 2),
        "packet type 15": packet(15, b"\0"),
        "packet type 0": packet(0, b"\0"),
        "a DISCONNECT": packet(DISCONNECT, b"\x8e\0"),
        "an ack that is not JSON": publish(ack, b"\xff\xfe{"),
        "an ack that is a list": publish(ack, b"[1,2]"),
        "an ack of nothing": publish(ack, b""),
        "an ack with a huge number": publish(
            ack, b'{"epoch":"0000000000000001","through":1' + b"0" * 400 + b"}"
        ),
        "an ack of 60 KB": publish(ack, b'{"epoch":"' + b"0" * 60_000 + b'"}'),
        "deep JSON": publish(ack, b'{"a":' + b"[" * 20_000),
        "acks of made-up epochs": b"".join(publish(ack, Ack(n, 2**32 - 1).encode()) for n in range(500)),
        "a nack that is not JSON": publish(topics.nack, b"\0"),
        "a status that is not JSON": publish(topics.store.status("w1"), b"online"),
        "a status that says maybe": publish(topics.store.status("w1"), b'{"online":"maybe"}'),
        "a foreign topic": publish("tallygate/1/other/entry-1/ack", Ack(1, 1).encode()),
        "no topic of ours": publish("$SYS/x", b"1"),
        "another board's ack": publish("tallygate/1/demo/entry-9/ack", Ack(1, 1).encode()),
        "a flood": publish(topics.store.table("prices"), b"x" * 50) * 5000,
    }
    return many
