"""Bytes that one visit costs on the wire, beside the same records as JSON. Prints a markdown table.

A visit at the entry gate is two records, admitted and passed. Each visit is sent and settled before the next
begins, as in a quiet shop: nothing is batched. The bytes are those inside TCP, both directions, counted by a
proxy on the loopback; set-up and keep-alive are left out, TLS adds about 44 bytes a record.

python benchmarks/bench_wire_bytes.py [VISITS]
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import threading
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from firmware.wire.records import Admitted, Kind, Passed, Record, Stamp
from firmware.wire.topics import StoreTopics
from tests.support.broker import Mosquitto
from tests.support.linkboard import LinkBoard, until
from tests.support.storeproc import ConsumerProcess

BOOT = bytes.fromhex("5f0e21aa")


class CountingProxy:
    """Forwards TCP to ``port`` and counts the bytes of each direction."""

    def __init__(self, port: int) -> None:
        self.up = self.down = 0
        self.port = 0
        self._target = port
        self._ready = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        assert self._ready.wait(10)

    @property
    def total(self) -> int:
        return self.up + self.down

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(self._pump(reader, back, "up"), self._pump(there, writer, "down"))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        try:
            while data := await reader.read(65536):
                setattr(self, way, getattr(self, way) + len(data))
                writer.write(data)
        except ConnectionError:
            pass
        writer.close()


def visit(number: int) -> tuple[Admitted, Passed]:
    """The records of one visit, with the values that a real one has."""
    wall, mono = 1_795_309_000_000 + number * 9000, 7_000_000 + number * 9000
    code = (0x9E3779B97F4A7C15 * (number + 1) % 2**64).to_bytes(8, "big")
    at, later = Stamp(wall, mono, BOOT, "synced"), Stamp(wall + 2300, mono + 2300, BOOT, "synced")
    return Admitted(at, code, "in", 1, "entry", 70_001, 12), Passed(later, code, "in", 2 * number + 1)


def as_json(epoch: int, seq: int, record: Record) -> bytes:
    """The same facts with names, compact."""
    fields = {"type": record.KIND.name.lower(), "epoch": f"{epoch:016x}", "seq": seq}
    fields |= {name: getattr(record.stamp, name) for name in ("wall_ms", "mono_ms", "boot", "quality")}
    fields |= {field.name: getattr(record, field.name) for field in record.FIELDS}
    fields = {name: value.hex() if isinstance(value, bytes) else value for name, value in fields.items()}
    return json.dumps({k: v for k, v in fields.items() if v is not None}, separators=(",", ":")).encode()


def ours(folder: Path, broker: Mosquitto, visits: int) -> float:
    """Bytes a visit, receipts included, over the product's own link."""
    proxy = CountingProxy(broker.port)
    with ConsumerProcess(folder, broker.port) as store, LinkBoard(folder / "board", proxy.port) as board:
        store.connected()
        board.link_up()
        board.record(1)
        board.drained()
        before = proxy.total
        for number in range(visits):
            for record in visit(number):
                body, kind = record.body(), Kind(record.KIND)
                board.disk(lambda body=body, kind=kind: board.journal.append(body, kind))  # type: ignore[misc]
                board.loop.call_soon_threadsafe(board.link.appended)
                board.drained()
        return (proxy.total - before) / visits


def with_json(broker: Mosquitto, visits: int) -> float:
    """Bytes a visit for the same records as JSON, QoS 1, no receipt of the store."""
    proxy = CountingProxy(broker.port)
    topic = StoreTopics("demo").of("entry-2").rec
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="json", protocol=mqtt.MQTTv5)
    client.username_pw_set("entry-2")
    client.connect("127.0.0.1", proxy.port)
    client.loop_start()
    until(client.is_connected)
    before = proxy.total
    for number in range(visits):
        for place, record in enumerate(visit(number)):
            client.publish(topic, as_json(1 << 60, 2 * number + place + 1, record), 1).wait_for_publish(10)
    took = (proxy.total - before) / visits
    client.disconnect()
    client.loop_stop()
    return took


def main() -> None:
    visits = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    admitted, passed = visit(1)
    frames = sum(19 + len(record.body()) for record in (admitted, passed))
    texts = sum(len(as_json(1 << 60, 3 + place, record)) for place, record in enumerate((admitted, passed)))
    with tempfile.TemporaryDirectory(prefix="tallygate-bench-") as name:
        folder = Path(name)
        (folder / "broker").mkdir()
        with Mosquitto(folder / "broker") as broker:
            own, other = ours(folder / "one", broker, visits), with_json(broker, visits)
    print(f"One visit (admitted, passed), mean of {visits} ({os.cpu_count()} cores, {date.today()})\n")
    print("| way | payload, bytes | on the wire, both directions, bytes |")
    print("|---|---|---|")
    print(f"| frame + CBOR with the store's acks | {frames} | {own:.0f} |")
    print(f"| JSON, no ack of the store | {texts} | {other:.0f} |")
    print(f"| ratio | {frames / texts:.2f} | {own / other:.2f} |")


if __name__ == "__main__":
    main()
