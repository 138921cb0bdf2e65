"""Impinj R2000 "A0" modules (Invelion, Rodinbell) on a UART: bytes in, events out, both directions.

Frame: ``A0 LEN ADDR CMD DATA CK``; LEN counts what follows it (DATA + 3), CK makes the sum of all bytes 0
modulo 256. One damaged candidate in 256 passes so short a check: LEN, ADDR, CMD and the length that a tag's
PC states must hold too, and one that fails there is searched again from its second byte. Nothing here may
hold a port, a clock or a thread, or raise on any input.
"""

from __future__ import annotations

from typing import Literal

from hal.reader import crc
from hal.reader.events import Command, Condition, Counters, ErrorReply, Event, Response, RoundEnd, Tag
from hal.reader.r2000_commands import (
    BUFFER_READS,
    CHANNELS,
    DEFAULT_ADDRESS,
    INVENTORY,
    LONGEST,
    ONE_BYTE_VALUES,
    PUBLIC_ADDRESS,
    USER_REGION,
    Cmd,
)
from hal.reader.r2000_errors import ANTENNA_MISSING, NO_RETURN_LOSS, OK, text

HEADER = 0xA0
MAX_DATA = 252
MAX_FRAME = MAX_DATA + 5
RSSI_OFFSET_DBM = -129


class Codec:
    """``direction``: whose frames come in, the module's or the host's. ``address``: which bus address, beside
    the default 01, 00 and the public FF, is taken (-1: none; FF: all). ``ports``: above 4, bit 7 of the RSSI
    byte means ports 5 to 8."""

    def __init__(
        self, direction: Literal["module", "host"] = "module", *, address: int = -1, ports: int = 8
    ) -> None:
        self.counters = Counters()
        self.addresses = addresses(address)
        self.working: int | None = None
        """The port that the host has selected: an antenna missing that names none is this one."""
        self._host = direction == "host"
        self._longest = LONGEST[direction]
        self._ports = ports
        self._buffer = b""
        self._spare = 0  # so many of the next bytes were counted in a frame already
        self._doubtful = False  # the last frame ended in what looks like a header
        self._channels = CHANNELS

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """Events of every frame that is whole now."""
        return self._scan(self._buffer + data, final=False)

    def idle(self) -> list[Event]:
        """The line is quiet: give up incomplete candidates, deliver what is whole behind them."""
        return self._scan(self._buffer, final=True)

    def reset(self) -> None:
        self._buffer = b""
        self._spare = 0
        self._doubtful = False

    def _scan(self, data: bytes, final: bool) -> list[Event]:
        events: list[Event] = []
        counters, longest, known = self.counters, self._longest, self.addresses
        at, end = 0, len(data)
        while at < end:
            if data[at] != HEADER:
                if self._doubtful:
                    # The frame before may have lost its last byte and taken this one's header for it.
                    self._doubtful, self._spare = False, self._spare + 1
                    data, at = bytes((HEADER,)) + data[at:], 0
                    end = len(data)
                    continue
                header = data.find(HEADER, at)
                if header < 0:
                    header = end
                self._skip(header - at)
                at = header
                continue
            have = end - at
            length = data[at + 1] + 2 if have > 1 else 5
            if (
                length < 5
                or (have > 2 and data[at + 2] not in known)
                or (have > 3 and length - 2 > longest[data[at + 3]])
                or (final and have < length)
            ):
                self._skip(1)
                at += 1
                continue
            if have < length:
                break
            frame = data[at : at + length]
            if sum(frame) & 0xFF:
                counters.bad_checks += 1
                self._skip(1)
                at += 1
                continue
            counters.frames += 1
            event = self._event(frame[3], frame[4:-1])
            if event is None:
                # An odd frame, or a damaged one that passed by chance and may hide a good one: look inside.
                counters.dropped_tags += 1
                self._spare = max(self._spare, length) - 1
                at += 1
                continue
            if self._spare:
                self._spare = max(0, self._spare - length)
            events.append(event)
            at += length
            self._doubtful = frame[-1] == HEADER
        if final:
            self._doubtful = False
        self._buffer = data[at:]
        return events

    def _skip(self, count: int) -> None:
        self.counters.junk += max(0, count - self._spare)
        self._spare = max(0, self._spare - count)
        self._doubtful = False

    # -- one frame whose sum holds -----------------------------------------------------------------

    def _event(self, cmd: int, data: bytes) -> Event | None:
        """None: it has not the shape of anything that this command says."""
        if self._host:
            return Command(cmd, data)
        if cmd in INVENTORY:
            return self._inventory(cmd, data)
        if len(data) == 1 and cmd not in ONE_BYTE_VALUES:
            code = data[0]
            if code != OK:
                return _error(cmd, code)
            # An inventory is never just "good".
            return None if cmd in BUFFER_READS or cmd == Cmd.BUFFERED else Response(cmd, data)
        if cmd in BUFFER_READS:
            return self._buffered_tag(data)
        if cmd == Cmd.BUFFERED:
            return _round_end(cmd, data[0], data[5:]) if len(data) == 9 else None
        if cmd == Cmd.GET_TEMPERATURE and len(data) == 2 and data[0] < 2:
            celsius = data[1] if data[0] else -data[1]
            return Condition("temperature", f"{celsius} degrees Celsius", float(celsius))
        if cmd == Cmd.GET_RETURN_LOSS and data == bytes((NO_RETURN_LOSS,)):
            return ErrorReply(cmd, NO_RETURN_LOSS, text(NO_RETURN_LOSS))
        if cmd == Cmd.GET_REGION:
            self._learn_channels(data)
        return Response(cmd, data)

    def _inventory(self, cmd: int, data: bytes) -> Event | None:
        size = len(data)
        if size >= 4 and not size & 1:
            # A tag, told by its PC. The EPC is whole words: seven bytes are always a round's end.
            tail = 3 + 2 * (data[1] >> 3)
            raw = data[tail] if tail < size else 0
            if size == tail + 1:
                phase = None
            elif size == tail + 3:
                phase = data[-2] << 8 | data[-1]
            else:
                return None
            return self._tag(data[0], data[1:tail], raw, phase, 1)
        if size == 5 and cmd != Cmd.FAST_SWITCH:
            return _round_end(cmd, data[0], data[1:])  # older firmware: without the read rate
        if size == 7:
            if cmd == Cmd.FAST_SWITCH:
                return RoundEnd(cmd, int.from_bytes(data[:3], "big"))
            return _round_end(cmd, data[0], data[3:])
        if size == 1 and data[0] != OK:
            return _error(cmd, data[0], self.working if data[0] == ANTENNA_MISSING else None)
        if size == 2 and cmd == Cmd.FAST_SWITCH and data[0] < 16:
            return _error(cmd, data[1], data[0] + 1)
        return None

    def _tag(self, freq_ant: int, pc_epc: bytes, rssi: int, phase: int | None, count: int) -> Tag:
        raw = rssi & 0x7F
        antenna = (freq_ant & 3) + (5 if rssi > 0x7F and self._ports > 4 else 1)
        return Tag(
            pc_epc[2:],
            pc_epc[0] << 8 | pc_epc[1],
            raw,
            antenna,
            float(raw + RSSI_OFFSET_DBM),
            self._channels[freq_ant >> 2],
            phase,
            count,
        )

    def _buffered_tag(self, data: bytes) -> Tag | None:
        """Tags in buffer u16, length, PC, EPC, the tag's CRC-16, RSSI, frequency and antenna, times read."""
        size = data[2] if len(data) > 7 else 0
        if size < 4 or len(data) != size + 6 or 2 * (data[3] >> 3) != size - 4:
            return None
        pc_epc, check = data[3 : size + 1], data[size + 1 : size + 3]
        if crc.genibus(pc_epc) != int.from_bytes(check, "big"):
            return None
        rssi, freq_ant, count = data[size + 3 :]
        return self._tag(freq_ant, pc_epc, rssi, None, max(1, count))

    def _learn_channels(self, data: bytes) -> None:
        """A user region counts its channels from its own start: step x 10 kHz, how many, start u24 in kHz."""
        self._channels = CHANNELS
        if len(data) == 6 and data[0] == USER_REGION:
            start, step = int.from_bytes(data[3:], "big"), data[1] * 10
            self._channels = tuple(start + i * step if i < max(1, data[2]) else None for i in range(64))


def addresses(address: int) -> frozenset[int]:
    """The bus addresses to take: see ``Codec``."""
    if address == PUBLIC_ADDRESS:
        return frozenset(range(256))
    return frozenset((0x00, DEFAULT_ADDRESS, PUBLIC_ADDRESS, address))


def _error(cmd: int, code: int, antenna: int | None = None) -> Event:
    if code == ANTENNA_MISSING:
        return Condition("antenna-missing", text(code), antenna=antenna)
    return ErrorReply(cmd, code, text(code), antenna=antenna)


def _round_end(cmd: int, antenna: int, total: bytes) -> RoundEnd | None:
    return RoundEnd(cmd, int.from_bytes(total, "big"), antenna + 1) if antenna < 16 else None


# -- frames ----------------------------------------------------------------------------------------


def encode(cmd: int, data: bytes = b"", *, address: int = DEFAULT_ADDRESS) -> bytes:
    """One frame. Raises ValueError for more than 252 bytes of data."""
    if len(data) > MAX_DATA:
        raise ValueError(f"command {cmd:#04x}: {len(data)} bytes of data; at most {MAX_DATA} fit")
    body = bytes((HEADER, len(data) + 3, address, cmd)) + data
    return body + bytes((-sum(body) & 0xFF,))


def encode_tag(cmd: int, tag: Tag, channel: int, *, address: int = DEFAULT_ADDRESS) -> bytes:
    """The report of ``tag`` heard on ``channel`` (0..63); with its phase if it has one. Antennas 1 to 8."""
    where, port = channel << 2 | (tag.antenna - 1) & 3, 0x80 if tag.antenna > 4 else 0
    phase = b"" if tag.phase is None else tag.phase.to_bytes(2, "big")
    data = (
        bytes((where,)) + tag.pc.to_bytes(2, "big") + tag.epc + bytes((tag.rssi_raw & 0x7F | port,)) + phase
    )
    return encode(cmd, data, address=address)


def encode_end(
    cmd: int,
    reads: int,
    *,
    antenna: int = 1,
    rate: int = 0,
    duration_ms: int = 0,
    address: int = DEFAULT_ADDRESS,
) -> bytes:
    """The end of a round: 8A says reads and ms, the others antenna, reads per second and reads."""
    if cmd == Cmd.FAST_SWITCH:
        return encode(cmd, reads.to_bytes(3, "big") + duration_ms.to_bytes(4, "big"), address=address)
    data = bytes((antenna - 1,)) + min(rate, 0xFFFF).to_bytes(2, "big") + reads.to_bytes(4, "big")
    return encode(cmd, data, address=address)


def encode_code(cmd: int, code: int, *, antenna: int | None = None, address: int = DEFAULT_ADDRESS) -> bytes:
    """The module's "good" or its error; with the antenna in fast-switch rounds."""
    return encode(cmd, bytes((code,) if antenna is None else (antenna - 1, code)), address=address)
