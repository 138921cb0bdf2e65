"""The line between a simulated module and the board: what it loses, bends, adds, cuts up and holds back.

Every share is 0..1 per byte. One seed gives one run. Pure: time and timers are the carrier's.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

BURST_BYTES = 255
BURST_S = 0.02
"""A burst that is not full goes out after so long all the same, s."""


@dataclass
class Wire:
    """``drop``, ``flip`` (one bit), ``junk`` (a byte that nobody sent): from module to board.

    ``split``: every byte is a write of its own. ``burst``: bytes are held back and come 255 at once, as
    from a USB bridge. ``mute``: nothing reaches the board; ``deaf``: nothing reaches the module.
    ``wrong_baud``: the two sides run at different speeds: all bytes arrive as other bytes, both ways.
    """

    drop: float = 0.0
    flip: float = 0.0
    junk: float = 0.0
    split: bool = False
    burst: bool = False
    mute: bool = False
    deaf: bool = False
    wrong_baud: bool = False
    seed: int = 1
    _random: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def heal(self) -> None:
        """A good line again."""
        for name, value in vars(replace(Wire(), seed=self.seed)).items():
            if name not in ("seed", "_random"):
                setattr(self, name, value)

    def to_module(self, data: bytes) -> bytes:
        """What of the board's bytes reaches the module."""
        if self.deaf:
            return b""
        return self._garble(data) if self.wrong_baud else data

    def to_board(self, data: bytes) -> bytes:
        """What of the module's bytes reaches the board."""
        if self.mute:
            return b""
        if self.wrong_baud:
            return self._garble(data)
        if not (self.drop or self.flip or self.junk):
            return data
        rng, out = self._random, bytearray()
        for byte in data:
            if rng.random() < self.junk:
                out.append(rng.randrange(256))
            if rng.random() < self.drop:
                continue
            out.append(byte ^ 1 << rng.randrange(8) if rng.random() < self.flip else byte)
        return bytes(out)

    def writes(self, data: bytes) -> list[bytes]:
        """``data`` as the writes in which it arrives."""
        if self.split:
            return [data[at : at + 1] for at in range(len(data))]
        return [data] if data else []

    def _garble(self, data: bytes) -> bytes:
        # A receiver at another speed samples between the bits: about as many bytes, none of them meant.
        return bytes(byte ^ self._random.randrange(1, 256) for byte in data)
