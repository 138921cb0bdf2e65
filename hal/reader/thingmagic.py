"""ThingMagic / JADAK "Mercury serial" modules (M6E Nano, M7E, Silion) on a UART: bytes in, events out.

Host to module: ``FF LEN OP DATA[LEN] CRC16``; module to host: ``FF LEN OP STATUS16 DATA[LEN] CRC16``. LEN is
that of DATA, all numbers are big-endian, nothing is escaped. Nothing here may hold a port, a clock or a
thread, or raise on any input. Layouts: the vendor's public API and module guides.
"""

from __future__ import annotations

from typing import Literal

from hal.reader import crc
from hal.reader.events import (
    CONDITIONS,
    Alive,
    Command,
    Condition,
    Counters,
    ErrorReply,
    Event,
    Response,
    RoundEnd,
    Tag,
)
from hal.reader.thingmagic_ops import (
    CONDITION_OF,
    GEN2,
    MULTI_START,
    MULTI_WRAPPED,
    NO_TAG,
    OK,
    STATS_TEMPERATURE,
    Meta,
    Op,
    Search,
    status_text,
)
from hal.reader.thingmagic_tags import Extras, read_record, write_record

HEADER = 0xFF
MAX_COMMAND, MAX_ANSWER = 250, 248
"""Longest DATA each way: no frame is longer than 255 bytes, so a larger LEN is noise and never waited for."""

ALL_METADATA = Meta(0x01FF)
STREAM_SEARCH = Search.ANTENNA_LIST | Search.STREAM | Search.LARGE
OPTION_METADATA, OPTION_MULTI_SELECT = 0x10, 0x88
_TAG, _STATS, _END = 1, 2, 0


class Codec:
    """One side's frames to events. After a failed check it advances by one byte, so an intact frame behind
    noise is never lost; call ``idle`` when the line has been quiet for longer than a frame can pause."""

    def __init__(self, direction: Literal["module", "host"] = "module") -> None:
        self.counters = Counters()
        self._module = direction == "module"
        self._longest = MAX_ANSWER if self._module else MAX_COMMAND
        self._around = 7 if self._module else 5
        self._buffer = bytearray()
        self._doubtful = False  # the last frame ended in what looks like a header
        self._spare = 0  # so many of the next bytes were counted in a frame already

    @property
    def pending(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        self._buffer += data
        return self._scan(final=False)

    def idle(self) -> list[Event]:
        return self._scan(final=True)

    def reset(self) -> None:
        self._buffer.clear()
        self._doubtful, self._spare = False, 0

    def _scan(self, final: bool) -> list[Event]:
        events: list[Event] = []
        buffer, counters = self._buffer, self.counters
        longest, around, at, size = self._longest, self._around, 0, len(self._buffer)
        while at < size:
            header = buffer.find(HEADER, at)
            if header != at:
                if self._doubtful:
                    # The frame before may have lost its last byte and taken this one's header for it.
                    self._doubtful, self._spare = False, 1
                    if at:
                        at -= 1
                    else:
                        buffer.insert(0, HEADER)
                        size += 1
                    continue
                skipped = header if header >= 0 else size
                self._skip(skipped - at)
                at = skipped
                continue
            end = at + around + buffer[at + 1] if at + 1 < size else size + 1
            if at + 1 < size and buffer[at + 1] > longest:
                self._skip(1)
                at += 1
            elif end > size:
                if not final:
                    break
                self._skip(1)
                at += 1
            elif crc.thingmagic(buffer[at + 1 : end - 2]) != buffer[end - 2] << 8 | buffer[end - 1]:
                counters.bad_checks += 1
                self._skip(1)
                at += 1
            else:
                counters.frames += 1
                if self._module:
                    status = buffer[at + 3] << 8 | buffer[at + 4]
                    self._answer(buffer[at + 2], status, bytes(buffer[at + 5 : end - 2]), events)
                else:
                    events.append(Command(buffer[at + 2], bytes(buffer[at + 3 : end - 2])))
                at = end
                self._doubtful, self._spare = buffer[end - 1] == HEADER, 0
        if final:
            self._doubtful, self._spare = False, 0
        del buffer[:at]
        return events

    def _skip(self, count: int) -> None:
        self.counters.junk += count - self._spare
        self._doubtful, self._spare = False, 0

    # -- what the module says ----------------------------------------------------------------------

    def _answer(self, op: int, status: int, data: bytes, events: list[Event]) -> None:
        name = CONDITION_OF.get(status)
        if name is not None:
            events.append(Condition(name, CONDITIONS[name]))
            if op == Op.READ_MULTIPLE:
                self._end(data, events)
                return
        if op == Op.READ_MULTIPLE and status in (OK, NO_TAG):
            self._search(status, data, events)
        elif status != OK:
            events.append(ErrorReply(op, status, status_text(status), data))
        elif op == Op.BOOT:
            # Its answer to "boot" looks the same: whoever sent that knows.
            events.append(Condition("reset", CONDITIONS["reset"]))
        elif op == Op.GET_BUFFER:
            self._buffer_read(data, events)
        elif op == Op.MULTI and data[:1] == bytes((MULTI_WRAPPED,)) and 5 <= len(data) == data[1] + 5:
            self._answer(data[2], data[3] << 8 | data[4], data[5:], events)
        else:
            events.append(Response(op, data))

    def _search(self, status: int, data: bytes, events: list[Event]) -> None:
        """A frame of a running search, or the answer to a search with an end."""
        if not data:
            events.append(Alive("keep-alive" if status == NO_TAG else "empty-round"))
            return
        search, metadata, at = _header(data)
        if at < 0:
            self._unknown(data, events)
        elif not search & Search.STREAM:
            self._end(data, events)
        elif data[at] == _TAG:
            tag, end = read_record(data, at + 1, metadata)
            if tag is None or end != len(data):
                self.counters.dropped_tags += 1
            else:
                events.append(tag)
        elif data[at] == _STATS:
            self._stats(search, data[at + 1 :], events, data)
        elif data[at] == _END:
            self._end(data, events)
        else:
            self._unknown(data, events)

    def _end(self, data: bytes, events: list[Event]) -> None:
        """How many tags a search found: u8 or u32; behind a type byte in a stream; more may follow it."""
        if not data:
            return
        search, _, at = _header(data)
        if at >= 0 and search & Search.STREAM:
            at += 1
        rest = data[at:] if at >= 0 else b""
        if not rest:
            self._unknown(data, events)
            return
        count = int.from_bytes(rest[:4] if len(rest) >= 4 else rest[:1], "big")
        events.append(RoundEnd(Op.READ_MULTIPLE, count))

    def _stats(self, search: int, content: bytes, events: list[Event], data: bytes) -> None:
        """Which figures follow (EBV), then each as number (EBV), length, value. Only °C is of use here."""
        before = len(events)
        if search & Search.STATS:
            at = _ebv(content, 0)[1]
            while at < len(content):
                key, at = _ebv(content, at)
                value = content[at + 1 : at + 1 + content[at]] if at < len(content) else b""
                at += 1 + len(value)
                if key == STATS_TEMPERATURE and len(value) == 1:
                    celsius = float(int.from_bytes(value, "big", signed=True))
                    events.append(Condition("temperature", CONDITIONS["temperature"], celsius))
        if len(events) == before:
            events.append(Alive("heartbeat", data))

    def _buffer_read(self, data: bytes, events: list[Event]) -> None:
        """Op 29: metadata u16, 00, count, records; then the answer itself, without them."""
        at = 4
        for _ in range(data[3] if len(data) > 3 else 0):
            tag, at = read_record(data, at, data[0] << 8 | data[1])
            if tag is None:
                self.counters.dropped_tags += 1
            else:
                events.append(tag)
            if at < 0:
                break
        events.append(Response(Op.GET_BUFFER, data[:4]))

    def _unknown(self, data: bytes, events: list[Event]) -> None:
        self.counters.unknown += 1
        events.append(Response(Op.READ_MULTIPLE, data))


def _header(data: bytes) -> tuple[int, int, int]:
    """Search flags, metadata flags and where the content begins (-1: nowhere)."""
    shift = 1 if data[0] == OPTION_MULTI_SELECT else 0
    if len(data) < 4 + shift:
        return 0, 0, -1
    search = data[shift + 1] << 8 | data[shift + 2]
    if not data[shift] & OPTION_METADATA:
        return search, 0, 3 + shift
    if len(data) < 6 + shift:
        return search, 0, -1
    return search, data[shift + 3] << 8 | data[shift + 4], 5 + shift


def _ebv(data: bytes, at: int) -> tuple[int, int]:
    """The extensible bit vector (7 bits a byte, top bit = more) at ``at``, and where it ends."""
    value = 0
    while at < len(data):
        value = value << 7 | data[at] & 0x7F
        at += 1
        if not data[at - 1] & 0x80:
            break
    return value, at


# -- making frames ---------------------------------------------------------------------------------


def encode(cmd: int, data: bytes = b"") -> bytes:
    """A command. Raises ValueError for more than 250 data bytes."""
    if len(data) > MAX_COMMAND:
        raise ValueError(f"command {cmd:#04x}: {len(data)} data bytes; at most {MAX_COMMAND} fit")
    return _frame(bytes((len(data), cmd)) + data)


def encode_answer(cmd: int, data: bytes = b"", status: int = OK) -> bytes:
    """What a module answers, or says by itself. Raises ValueError for more than 248 data bytes."""
    if len(data) > MAX_ANSWER:
        raise ValueError(f"answer {cmd:#04x}: {len(data)} data bytes; at most {MAX_ANSWER} fit")
    return _frame(bytes((len(data), cmd)) + status.to_bytes(2, "big") + data)


def start_search(
    *, on_ms: int = 1000, metadata: int = ALL_METADATA, search: int = STREAM_SEARCH, stats: int = 0
) -> bytes:
    """Starts continuous reading. ``stats``: the figures wanted each cycle, where ``search`` has ``STATS``."""
    body = bytes((OPTION_METADATA,)) + search.to_bytes(2, "big") + on_ms.to_bytes(2, "big")
    body += metadata.to_bytes(2, "big")
    if search & Search.STATS:
        body += stats.to_bytes(2, "big")
    head = bytes((0, 0, MULTI_START, Op.READ_MULTIPLE, 0, 0, GEN2, len(body), Op.READ_MULTIPLE))
    return encode(Op.MULTI, head + body)


def wrapped(cmd: int, data: bytes = b"") -> bytes:
    """A command for a module that is reading continuously (Nano from firmware 1.7.0.14 on)."""
    return encode(Op.MULTI, bytes((0, 0, MULTI_WRAPPED, len(data), cmd)) + data)


def encode_wrapped_answer(cmd: int, data: bytes = b"", status: int = OK) -> bytes:
    """The answer to a ``wrapped`` command."""
    head = bytes((MULTI_WRAPPED, len(data), cmd)) + status.to_bytes(2, "big")
    return encode_answer(Op.MULTI, head + data)


def encode_tag(
    tag: Tag,
    metadata: int = ALL_METADATA,
    search: int = STREAM_SEARCH,
    extras: Extras | None = None,
    xpc: bytes = b"",
) -> bytes:
    """The stream frame a module sends for ``tag``."""
    head = bytes((OPTION_METADATA,)) + search.to_bytes(2, "big") + metadata.to_bytes(2, "big")
    record = write_record(tag, metadata, extras, xpc)
    return encode_answer(Op.READ_MULTIPLE, head + bytes((_TAG,)) + record)


def encode_temperature(celsius: int, search: int = STREAM_SEARCH | Search.STATS) -> bytes:
    """The stream's statistics frame with the module's temperature."""
    body = bytes((0,)) + search.to_bytes(2, "big") + bytes((_STATS, 0x82, 0, 0x82, 0, 1, celsius & 0xFF))
    return encode_answer(Op.READ_MULTIPLE, body)


def encode_cycle_end(count: int, search: int = STREAM_SEARCH) -> bytes:
    """The end of a stream's cycle (M7E) with the tags in it, or the answer to a search with an end."""
    kind = bytes((_END,)) if search & Search.STREAM else b""
    body = bytes((0,)) + search.to_bytes(2, "big") + kind + count.to_bytes(4, "big")
    return encode_answer(Op.READ_MULTIPLE, body)


def _frame(body: bytes) -> bytes:
    return bytes((HEADER,)) + body + crc.thingmagic(body).to_bytes(2, "big")
