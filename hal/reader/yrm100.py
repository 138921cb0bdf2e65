"""YRM100 / R200 / JRD-4035 (M100 chip) UHF modules on a UART: bytes in, events out.

Frame: ``HDR TYPE CMD PLhi PLlo PARAMS[PL] CK END``; HDR/END is BB/7E or AA/DD (both accepted), CK the low
byte of the sum from TYPE to the last parameter. A frame is cut by its length, never by END: 7E, BB and DD
are ordinary bytes inside an EPC. Nothing here may hold a port, a clock or a thread, or raise on any input.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

MAX_PARAMS = 512
MAX_FRAME = MAX_PARAMS + 7
END = {0xBB: 0x7E, 0xAA: 0xDD}
"""Header to end byte of the two framings in the field."""
COMMAND, RESPONSE, NOTICE = 0, 1, 2
MULTI_POLL_MAX = 0xFFFF


class Cmd(IntEnum):
    """Command numbers, as the vendor's documents name them."""

    INFO = 0x03
    SET_REGION = 0x07
    GET_REGION = 0x08
    GET_SELECT = 0x0B
    SET_SELECT = 0x0C
    GET_QUERY = 0x0D
    SET_QUERY = 0x0E
    SET_BAUD = 0x11
    SELECT_MODE = 0x12
    SLEEP = 0x17
    SINGLE_POLL = 0x22
    MULTI_POLL = 0x27
    STOP = 0x28
    READ = 0x39
    WRITE = 0x49
    GET_CHANNEL = 0xAA
    SET_CHANNEL = 0xAB
    SET_HOPPING = 0xAD
    CARRIER = 0xB0
    SET_POWER = 0xB6
    GET_POWER = 0xB7
    ERROR = 0xFF


@dataclass(frozen=True, slots=True)
class Region:
    """``code`` on the wire; channel n is ``first_mhz + n * step_mhz``."""

    code: int
    first_mhz: float
    step_mhz: float


REGIONS = {
    "cn900": Region(0x01, 920.125, 0.25),
    "cn800": Region(0x04, 840.125, 0.25),
    "us": Region(0x02, 902.25, 0.5),
    "eu": Region(0x03, 865.1, 0.2),
    "kr": Region(0x06, 917.1, 0.2),
}

NO_TAG = 0x15
ERRORS = {
    0x09: "reading the tag failed",
    0x10: "writing the tag failed",
    0x12: "killing the tag failed",
    0x13: "locking the tag failed",
    NO_TAG: "no tag answered",
    0x16: "the tag refused access",
    0x17: "the module does not know this command",
    0x20: "no free channel was found",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame whose checksum and end byte hold. ``header`` tells the framing."""

    type: int
    cmd: int
    params: bytes
    header: int = 0xBB


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to command ``cmd``."""

    cmd: int
    params: bytes


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """The module could not do something; ``code`` 0x15 (no tag) is what an empty round looks like."""

    code: int
    detail: bytes

    @property
    def text(self) -> str:
        return ERRORS.get(self.code, f"error 0x{self.code:02X}")


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag in one round. ``rssi_dbm`` is at the chip's input (antenna and coupler not included)."""

    epc: bytes
    pc: int
    rssi_dbm: int


@dataclass(frozen=True, slots=True)
class Command:
    """A command frame: what the simulated module receives (a host sees one only on looped-back wires)."""

    cmd: int
    params: bytes


Event = Response | ErrorReply | Tag | Command


@dataclass(slots=True)
class Counters:
    """``junk`` bytes skipped, ``bad_checks`` candidates that failed, ``dropped_tags`` tags whose own CRC
    or length did not hold (the frame's 8-bit sum alone lets 1 damaged frame in 256 through)."""

    frames: int = 0
    junk: int = 0
    bad_checks: int = 0
    dropped_tags: int = 0
    unknown: int = 0


class Deframer:
    """Cuts a byte stream into frames; the buffer never holds more than one longest frame.

    After a failed check it advances by one byte, so an intact frame behind noise is never lost. A
    candidate that is cut short would hold back what follows until more bytes come: call ``idle`` when
    the line has been quiet for longer than a frame can pause.
    """

    def __init__(self, counters: Counters | None = None) -> None:
        self.counters = counters if counters is not None else Counters()
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        self._buffer += data
        return list(self._scan(final=False))

    def idle(self) -> list[Frame]:
        """The line is quiet: give up incomplete candidates, deliver what is whole behind them."""
        return list(self._scan(final=True))

    def reset(self) -> None:
        self._buffer.clear()

    def _scan(self, final: bool) -> Iterator[Frame]:
        buffer, at = self._buffer, 0
        while at < len(buffer):
            length = _length(buffer, at)
            if length is None or (final and at + length > len(buffer)):
                self.counters.junk += 1
                at += 1
                continue
            if at + length > len(buffer):
                break
            if not _holds(buffer, at, length):
                self.counters.bad_checks += 1
                self.counters.junk += 1
                at += 1
                continue
            self.counters.frames += 1
            params = bytes(buffer[at + 5 : at + length - 2])
            yield Frame(buffer[at + 1], buffer[at + 2], params, buffer[at])
            at += length
        del buffer[:at]


class Codec:
    """Frames to events, with the second check that a tag carries itself."""

    def __init__(self) -> None:
        self.counters = Counters()
        self._deframer = Deframer(self.counters)
        self.header = 0xBB
        """The framing the module answered in last; ``encode`` should use it."""

    @property
    def pending(self) -> int:
        return self._deframer.pending

    def feed(self, data: bytes) -> list[Event]:
        return self._events(self._deframer.feed(data))

    def idle(self) -> list[Event]:
        return self._events(self._deframer.idle())

    def reset(self) -> None:
        self._deframer.reset()

    def _events(self, frames: list[Frame]) -> list[Event]:
        events = []
        for frame in frames:
            event = self._event(frame)
            if event is not None:
                self.header = frame.header
                events.append(event)
        return events

    def _event(self, frame: Frame) -> Event | None:
        if frame.type == NOTICE:
            # Multi poll's notices carry 22; one document prints 27: both are taken.
            if frame.cmd not in (Cmd.SINGLE_POLL, Cmd.MULTI_POLL):
                self.counters.unknown += 1
                return None
            tag = parse_tag(frame.params)
            self.counters.dropped_tags += tag is None
            return tag
        if frame.type == COMMAND:
            return Command(frame.cmd, frame.params)
        if frame.cmd == Cmd.ERROR:
            if not frame.params:
                self.counters.unknown += 1
                return None
            return ErrorReply(frame.params[0], frame.params[1:])
        return Response(frame.cmd, frame.params)


def encode(cmd: int, params: bytes = b"", *, type: int = COMMAND, header: int = 0xBB) -> bytes:
    """One frame. Raises ValueError for parameters longer than 512 bytes or an unknown header."""
    if len(params) > MAX_PARAMS:
        raise ValueError(f"command {cmd:#04x}: {len(params)} parameter bytes; at most {MAX_PARAMS} fit")
    if header not in END:
        raise ValueError(f"header {header:#04x} is not one of this protocol's (BB, AA)")
    body = bytes((type, cmd)) + len(params).to_bytes(2, "big") + params
    return bytes((header,)) + body + bytes((sum(body) & 0xFF, END[header]))


def multi_poll(rounds: int = MULTI_POLL_MAX) -> tuple[int, bytes]:
    """Command and parameters of ``rounds`` inventory rounds (1..65535); it ends without a word."""
    if not 1 <= rounds <= MULTI_POLL_MAX:
        raise ValueError(f"rounds is {rounds}; it must be 1 to {MULTI_POLL_MAX}")
    return Cmd.MULTI_POLL, b"\x22" + rounds.to_bytes(2, "big")


def power_value(power_dbm: float, offset_db: float = 0.0) -> int:
    """The number on the wire for ``power_dbm`` at the antenna connector: (dBm - offset) x 100.

    ``offset_db`` is the module's own amplifier: 6 for the 26 dBm YRM100 (its guide maps 20.00 to 26 dBm),
    0 where the protocol document is right as printed. Raises ValueError outside 0..30 dBm on the wire.
    """
    value = round((power_dbm - offset_db) * 100)
    if not 0 <= value <= 3000:
        raise ValueError(
            f"power_dbm {power_dbm:g} with power_offset_db {offset_db:g} is {value / 100:g} dBm on the wire; "
            f"it must be 0 to 30"
        )
    return value


def parse_tag(params: bytes) -> Tag | None:
    """RSSI s8, PC u16, EPC, CRC u16; None unless the PC's length and the tag's CRC-16 both hold."""
    if len(params) < 5 or (params[1] >> 3) * 2 != len(params) - 5:
        return None
    if tag_crc(params[1:-2]) != int.from_bytes(params[-2:], "big"):
        return None
    rssi = params[0] - 256 if params[0] > 127 else params[0]
    return Tag(params[3:-2], int.from_bytes(params[1:3], "big"), rssi)


def encode_tag(tag: Tag, *, header: int = 0xBB) -> bytes:
    """The notice a module sends for ``tag`` (the simulation's side of ``parse_tag``)."""
    body = tag.pc.to_bytes(2, "big") + tag.epc
    params = bytes((tag.rssi_dbm & 0xFF,)) + body + tag_crc(body).to_bytes(2, "big")
    return encode(Cmd.SINGLE_POLL, params, type=NOTICE, header=header)


def tag_crc(data: bytes) -> int:
    """CRC-16/GENIBUS over PC and EPC (Gen2 air interface): poly 1021, init FFFF, output inverted."""
    return binascii.crc_hqx(data, 0xFFFF) ^ 0xFFFF


def _length(buffer: bytearray, at: int) -> int | None:
    """Whole length of the frame that may begin at ``at`` (at least 7), or None: none begins here."""
    if buffer[at] not in END:
        return None
    have = len(buffer) - at
    if have > 1 and buffer[at + 1] > NOTICE:
        return None
    if have < 5:
        return 7
    params = buffer[at + 3] << 8 | buffer[at + 4]
    return params + 7 if params <= MAX_PARAMS else None


def _holds(buffer: bytearray, at: int, length: int) -> bool:
    end = at + length
    if buffer[end - 1] != END[buffer[at]]:
        return False
    return sum(buffer[at + 1 : end - 2]) & 0xFF == buffer[end - 2]
