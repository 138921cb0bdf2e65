"""What a GM65-class scanner head sends: codes as lines, and answers to commands. Bytes in, events out.

Pure: no port, clock or thread. The buffer is bounded; noise costs the line it is in and nothing else.
Frame layout after the GM65/GM66 module's user manual (Hangzhou Grow), "reading the zone bits":
command ``7E 00 | type 07 | length 01 | address u16 | count u8 | crc``, answer ``02 00 | type 00 | length |
data | crc``; crc is CRC-16 (polynomial 1021, start 0) from the type to the data, high byte first, and
``AB CD`` in its place means "not checked".
"""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass, field

MAX_LINE = 600
"""Bytes. A pass has 178; a longer line is no code this shop has issued."""
VERSION_ADDRESS = 0x00E1
"""Zone of the hardware version, one byte; any answer to reading it proves that the head is alive."""

_HEAD = b"\x02\x00\x00"
_UNCHECKED = b"\xab\xcd"
_ANSWER_MAX = 16
_ALLOWED = {0x09, 0x1D}
"""Control characters that codes do hold: a tab, and the group separator of GS1 codes."""


@dataclass(frozen=True, slots=True)
class Line:
    """One code, without its line end."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The head answered a read command with these bytes."""

    data: bytes


def read_command(address: int, count: int = 1) -> bytes:
    """The command that reads ``count`` (1..255) bytes of the head's settings from ``address``."""
    body = bytes([0x07, 0x01]) + address.to_bytes(2, "big") + bytes([count])
    return b"\x7e\x00" + body + crc_hqx(body, 0).to_bytes(2, "big")


def answer(data: bytes) -> bytes:
    """What a head answers to a read command (for the simulation)."""
    body = bytes([0x00, len(data)]) + data
    return b"\x02\x00" + body + crc_hqx(body, 0).to_bytes(2, "big")


@dataclass
class Lines:
    """The codec. ``terminators``: every byte of it ends a line; empty: only ``idle`` does."""

    terminators: bytes = b"\r\n"
    counters: dict[str, int] = field(
        default_factory=lambda: {"lines": 0, "answers": 0, "overlong": 0, "noise": 0, "unfinished": 0}
    )
    _buffer: bytearray = field(default_factory=bytearray)
    _skipping: bool = False

    @property
    def pending(self) -> bool:
        """A line has begun and not ended."""
        return bool(self._buffer) or self._skipping

    def feed(self, data: bytes) -> list[Line | Answer]:
        """Take bytes as they came; whole codes and answers come out, in order."""
        found: list[Line | Answer] = []
        for byte in data:
            if self._skipping:
                self._skipping = byte not in self.terminators
                continue
            # An answer has no line end, and its own bytes may be one.
            if byte in self.terminators and not self._in_answer():
                self._end(found)
                continue
            self._buffer.append(byte)
            if self._in_answer():
                self._try_answer(found)
            elif len(self._buffer) > MAX_LINE:
                self.counters["overlong"] += 1
                self._buffer.clear()
                self._skipping = True
        return found

    def idle(self) -> list[Line | Answer]:
        """The line has been quiet: what is unfinished is a code only where no line end is agreed."""
        found: list[Line | Answer] = []
        if self._buffer and not self.terminators:
            self._end(found)
        elif self._buffer:
            self.counters["unfinished"] += 1
        self._buffer.clear()
        self._skipping = False
        return found

    def reset(self) -> None:
        """Forget what is unfinished (the port was opened anew)."""
        self._buffer.clear()
        self._skipping = False

    def _in_answer(self) -> bool:
        """The buffer may still become an answer. No code begins with a control character."""
        held = self._buffer
        if not held or held[: len(_HEAD)] != _HEAD[: len(held)]:
            return False
        return len(held) < 4 or 0 < held[3] <= _ANSWER_MAX

    def _try_answer(self, found: list[Line | Answer]) -> None:
        held = self._buffer
        if len(held) < 4 or len(held) < held[3] + 6:
            return
        data, check = bytes(held[4:-2]), bytes(held[-2:])
        if check in (_UNCHECKED, crc_hqx(bytes(held[2:-2]), 0).to_bytes(2, "big")):
            self.counters["answers"] += 1
            found.append(Answer(data))
        else:
            self.counters["noise"] += 1
            self._skipping = True  # what follows may be the rest of a code: never half of one
        held.clear()

    def _end(self, found: list[Line | Answer]) -> None:
        data = bytes(self._buffer)
        self._buffer.clear()
        if not data:
            return  # the second byte of CR LF
        if any((byte < 0x20 and byte not in _ALLOWED) or byte == 0x7F for byte in data):
            self.counters["noise"] += 1
            return
        self.counters["lines"] += 1
        found.append(Line(data))
