"""Where the frames of a UHFReader18 / 288 begin and end in what the line brought. Pure.

There is no sync byte, so every byte may begin a frame, and one false beginning in 65,536 passes the CRC by
chance; believing it would swallow whole frames behind it. So a frame is believed at once only if it follows
another one and its reader was heard before or its content has the shape its command demands, or, elsewhere,
if both hold. Any other must have no rival: no frame at least as credible that begins inside it.
A frame that lost its last byte on the line passes where the next one's first byte is the same; then both
are told. Must never raise, and never hold more than a longest frame.
"""

from __future__ import annotations

from hal.reader.crc import mcrf4xx
from hal.reader.events import Counters
from hal.reader.uhfreader18_frames import parse_heartbeat, parse_inventory, parse_records
from hal.reader.uhfreader18_ops import ERRORS, LAST, LONGEST_COMMAND, LONGEST_REPLY, Cmd, Status

MAX_FRAME = 256
INVENTORIES = (Cmd.INVENTORY, Cmd.SINGLE)
TAGS = LAST | {Status.MORE}
STATISTICS_BYTES = 7
OWN, SHAPED = 2, 1
"""What makes a frame credible: an address that was heard, and the shape of its content."""


JUNK, PAUSE, FRAME = range(3)
"""What is before the next byte."""


class Scanner:
    """Bytes to whole frames. ``address``: only frames of this reader; None: of any. ``host``: commands."""

    def __init__(self, counters: Counters, *, host: bool = False, address: int | None = None) -> None:
        self.address = address
        self._counters = counters
        self._host = host
        self._longest = LONGEST_COMMAND if host else LONGEST_REPLY
        self._least = 4 if host else 5
        self._buffer = bytearray()
        self._known: set[int] = set()
        self._before = PAUSE
        self._last = 0  # the last frame's last byte
        self._spare = False  # the next byte was counted in a frame already

    @property
    def pending(self) -> int:
        """Bytes that are not judged yet."""
        return len(self._buffer)

    def reset(self) -> None:
        """The line was opened anew; another reader may be there."""
        self._buffer.clear()
        self._known.clear()
        self._before, self._spare = PAUSE, False

    def feed(self, data: bytes, final: bool = False) -> list[bytes]:
        """The frames that are whole now; ``final``: the line is quiet, what is incomplete is given up."""
        self._buffer += data
        found: list[bytes] = []
        buffer, counters, longest, address = self._buffer, self._counters, self._longest, self.address
        known, before, least, end, at = self._known, self._before, self._least, len(self._buffer), 0
        while at + 2 < end:
            length = buffer[at]
            stop = at + length + 1
            if (
                least <= length <= longest[buffer[at + 2]]
                and (address is None or buffer[at + 1] == address)
                and not (final and stop > end)
            ):
                if stop > end:
                    break
                frame = bytes(buffer[at:stop])
                rival: bool | None = True
                if not mcrf4xx(frame):
                    rival = (
                        False
                        if before == FRAME and frame[1] in known
                        else self._rival(at, frame, before, final)
                    )
                    if rival is None:
                        break
                if not rival:
                    counters.frames += 1
                    known.add(frame[1])
                    found.append(frame)
                    at, before, self._spare, self._last = stop, FRAME, False, frame[-1]
                    continue
                counters.bad_checks += 1
            if before == FRAME:
                # What ended the frame before may have lost its last byte and begun this one with its like.
                if at:
                    at -= 1
                else:
                    buffer.insert(0, self._last)
                    end += 1
                self._spare = True
            else:
                self._skip(1)
                at += 1
            before = JUNK
        if final:
            self._skip(end - at)
            at, before, self._spare = end, PAUSE, False
        del buffer[:at]
        self._before = before
        return found

    def _skip(self, count: int) -> None:
        if count:
            self._counters.junk += count - self._spare
            self._spare = False

    def _rival(self, start: int, frame: bytes, before: int, final: bool) -> bool | None:
        """Does a frame that is at least as credible begin inside this one? None: more bytes will tell."""
        rank = self._rank(frame)
        if rank == OWN | SHAPED or (before == FRAME and rank) or (before == PAUSE and not self._known):
            return False
        if self._spare:
            return True
        buffer, end, stop = self._buffer, len(self._buffer), start + len(frame)
        for at in range(start + 1, stop):
            if at + 2 >= end:
                return False if final else None
            length, address = buffer[at], buffer[at + 1]
            after = at + length + 1
            own = OWN if self._owns(address) else 0
            if (
                length < self._least
                or length > self._longest[buffer[at + 2]]
                or after > start + MAX_FRAME
                or own | SHAPED < rank
                or (address != self.address and self.address is not None)
            ):
                continue
            if after > end:
                if not final:
                    return None
                continue
            other = bytes(buffer[at:after])
            if not mcrf4xx(other) and self._rank(other) >= rank:
                return True
        return False

    def _owns(self, address: int) -> bool:
        return address in self._known or address == self.address

    def _rank(self, frame: bytes) -> int:
        own = OWN if self._owns(frame[1]) else 0
        return own | SHAPED if self._host or shaped(frame[2], frame[3], frame[4:-2]) else own


def shaped(cmd: int, status: int, data: bytes) -> bool:
    """Has a reply's content the shape that its command and status demand?"""
    if cmd in INVENTORIES:
        if status in TAGS:
            return not data or parse_inventory(data) is not None
        if status == Status.STATISTICS:
            return len(data) == STATISTICS_BYTES
        return status in ERRORS and not data
    if cmd == Cmd.PUSH:
        if status == Status.HEARTBEAT:
            return parse_heartbeat(data) is not None
        return status == Status.OK and len(data) % 2 == 1 and parse_records(data, 1, 1) is not None
    return status in (Status.OK, Status.NOT_SAVED) or status in ERRORS
