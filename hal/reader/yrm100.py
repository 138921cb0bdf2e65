"""YRM100 / R200 / JRD-4035 / QM100 modules (M100 chip) on a UART: bytes in, events out. Pure.

Frame: ``HDR TYPE CMD PLhi PLlo PARAMS[PL] CK END``; HDR/END is BB/7E or AA/DD (both accepted), CK the low
byte of the sum from TYPE to the last parameter. A frame is cut by its length, never by END: 7E, BB and DD
are ordinary bytes inside an EPC. Layout after the vendor's protocol document and captured frames. Nothing
here may hold a port, a clock or a thread, or raise on any input.
"""

from __future__ import annotations

import re
from binascii import crc_hqx
from collections.abc import Iterator
from enum import IntEnum

from hal.reader.crc import genibus
from hal.reader.events import Command, Counters, ErrorReply, Event, Response, Tag

MAX_PARAMS = 512
MAX_FRAME = MAX_PARAMS + 7
END = {0xBB: 0x7E, 0xAA: 0xDD}
"""Header to end byte of the two framings in the field."""
COMMAND, RESPONSE, NOTICE = 0, 1, 2
MULTI_POLL_MAX = 0xFFFF


class Cmd(IntEnum):
    """Command numbers, as the vendor's documents name them."""

    INFO = 0x03
    IDLE = 0x04
    SET_REGION = 0x07
    GET_REGION = 0x08
    GET_SELECT = 0x0B
    SET_SELECT = 0x0C
    GET_QUERY = 0x0D
    SET_QUERY = 0x0E
    SET_BAUD = 0x11
    SELECT_MODE = 0x12
    SLEEP = 0x17
    GPIO = 0x1A
    IDLE_SLEEP = 0x1D
    SINGLE_POLL = 0x22
    MULTI_POLL = 0x27
    STOP = 0x28
    READ = 0x39
    WRITE = 0x49
    KILL = 0x65
    LOCK = 0x82
    INSERT_CHANNELS = 0xA9
    GET_CHANNEL = 0xAA
    SET_CHANNEL = 0xAB
    SET_HOPPING = 0xAD
    CARRIER = 0xB0
    SET_POWER = 0xB6
    GET_POWER = 0xB7
    SET_DEMOD = 0xF0
    GET_DEMOD = 0xF1
    SCAN_JAMMER = 0xF2
    SCAN_RSSI = 0xF3
    ERROR = 0xFF


NO_TAG = 0x15
BAD_COMMAND = 0x17
ERRORS = {
    0x09: "reading the tag failed",
    0x10: "writing the tag failed",
    0x12: "killing the tag failed",
    0x13: "locking the tag failed",
    0x14: "locking the tag's blocks failed",
    NO_TAG: "no tag answered",
    0x16: "the tag refused access",
    BAD_COMMAND: "the module does not know this command",
    0x1A: "changing the tag's configuration failed",
    0x1B: "changing the tag's alarm failed",
    0x1D: "no tag with an alarm answered",
    0x20: "no free channel was found",
    0x2A: "protecting the tag from reading failed",
    0x2B: "ending the tag's read protection failed",
    0x2E: "the tag's QT command failed",
}
_TAG_SAYS = {
    0xA0: "reading",
    0xB0: "writing",
    0xC0: "locking",
    0xD0: "killing",
    0xE0: "locking the blocks of",
}
_GEN2 = {0: "other error", 3: "no such memory", 4: "memory locked", 11: "too little power", 15: "no reason"}


class Codec:
    """Frames of one side to events, with the second check that a tag carries itself.

    ``direction``: whose frames come in. ``headers``: the framings it takes. After a failed check it
    advances by one byte, so an intact frame behind noise is never lost; the buffer never holds more than
    one longest frame. ``header`` is the framing of the last good frame: answer in that one.
    """

    def __init__(self, direction: str = "module", headers: tuple[int, ...] = tuple(END)) -> None:
        self.counters = Counters()
        self.header = headers[0]
        self._host = direction == "host"
        self._headers = frozenset(headers)
        self._header = re.compile(b"[" + re.escape(bytes(headers)) + b"]")
        self._buffer = b""

    @property
    def pending(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        self._buffer = self._buffer + data if self._buffer else bytes(data)
        return list(self._scan(final=False))

    def idle(self) -> list[Event]:
        return list(self._scan(final=True))

    def reset(self) -> None:
        self._buffer = b""

    def _scan(self, final: bool) -> Iterator[Event]:
        buffer, counters, at = self._buffer, self.counters, 0
        size = len(buffer)
        while at < size:
            header = buffer[at]
            if header not in self._headers:
                found = self._header.search(buffer, at)
                skipped = found.start() if found is not None else size
                counters.junk += skipped - at
                at = skipped
                continue
            length = self._length(buffer, at, size)
            if not length or (final and at + length > size):
                counters.junk += 1
                at += 1
                continue
            end = at + length
            if end > size:
                break
            if buffer[end - 1] != END[header] or sum(buffer[at + 1 : end - 2]) & 0xFF != buffer[end - 2]:
                counters.bad_checks += 1
                counters.junk += 1
                at += 1
                continue
            counters.frames += 1
            event = self._event(buffer[at + 1], buffer[at + 2], buffer[at + 5 : end - 2])
            at = end
            if event is None:
                continue
            self.header = header
            yield event
        self._buffer = buffer[at:]

    @staticmethod
    def _length(buffer: bytes, at: int, size: int) -> int:
        """Whole length of the frame that may begin at ``at`` (at least 7), or 0: none begins here."""
        if size - at < 5:
            return 0 if size - at > 1 and buffer[at + 1] > NOTICE else 7
        length = (buffer[at + 3] << 8 | buffer[at + 4]) + 7
        return length if buffer[at + 1] <= NOTICE and length <= MAX_FRAME else 0

    def _event(self, kind: int, cmd: int, params: bytes) -> Event | None:
        if kind == NOTICE and not self._host and cmd in (Cmd.SINGLE_POLL, Cmd.MULTI_POLL):
            # Multi poll's notices carry 22; one document prints 27: both are taken.
            tag = parse_tag(params)
            self.counters.dropped_tags += tag is None
            return tag
        if self._host and kind == COMMAND:
            return Command(cmd, params)
        if not self._host and kind == RESPONSE:
            if cmd != Cmd.ERROR:
                return Response(cmd, params)
            if params:
                return ErrorReply(None, params[0], error_text(params[0]), params[1:])
        self.counters.unknown += 1  # among them our own commands on wires that loop back
        return None


def encode(cmd: int, params: bytes = b"", *, type: int = COMMAND, header: int = 0xBB) -> bytes:
    """One frame. Raises ValueError for parameters longer than 512 bytes or an unknown header."""
    if len(params) > MAX_PARAMS:
        raise ValueError(f"command {cmd:#04x}: {len(params)} parameter bytes; at most {MAX_PARAMS} fit")
    if header not in END:
        raise ValueError(f"header {header:#04x} is not one of this protocol's (BB, AA)")
    body = bytes((type, cmd)) + len(params).to_bytes(2, "big") + params
    return bytes((header,)) + body + bytes((sum(body) & 0xFF, END[header]))


def parse_tag(params: bytes) -> Tag | None:
    """RSSI s8 dBm, PC u16, EPC, CRC u16; None unless the PC's length and the tag's CRC-16 both hold.

    The RSSI is at the chip's input: antenna and coupler are not in it."""
    size = len(params) - 5
    if size < 0 or (params[1] >> 3) * 2 != size:
        return None
    if crc_hqx(params[1:], 0xFFFF) != 0x1D0F:  # what is left when the inverted CRC itself is run through
        return None
    raw = params[0]
    return Tag(params[3:-2], params[1] << 8 | params[2], raw, 1, float(raw - 256 if raw > 127 else raw))


def encode_tag(epc: bytes, pc: int, rssi_dbm: int, *, header: int = 0xBB) -> bytes:
    """The notice a module sends for one tag: what ``parse_tag`` reads."""
    body = pc.to_bytes(2, "big") + epc
    params = bytes((rssi_dbm & 0xFF,)) + body + genibus(body).to_bytes(2, "big")
    return encode(Cmd.SINGLE_POLL, params, type=NOTICE, header=header)


def error_text(code: int) -> str:
    """In words. From A0 the high nibble is the operation and the low one the tag's own Gen2 error code."""
    if code in ERRORS:
        return ERRORS[code]
    doing = _TAG_SAYS.get(code & 0xF0)
    if doing is None:
        return f"error 0x{code:02X}"
    why = _GEN2.get(code & 0x0F, f"error {code & 0x0F}")
    return f"{doing} the tag failed: the tag says {why}"
