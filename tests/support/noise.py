"""Frames of a reader on a bad line: some lose a byte, some get a bent bit, some come after junk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple


class Sent(NamedTuple):
    """One frame as it goes over the line: ``junk`` before it, and whether it is as it was made."""

    epc: bytes
    junk: bytes
    frame: bytes
    intact: bool


def noisy(
    make: Callable[[bytes], bytes], rng: Random, frames: int, *, bad: float = 0.02, junk: float = 0.01
) -> Iterator[Sent]:
    """``frames`` tags with random EPCs. ``bad``: the share that loses a byte, and as many again get a bent
    bit; ``junk``: the share that comes after 1 to 19 bytes of junk."""
    for _ in range(frames):
        epc = rng.randbytes(12)
        frame = bytearray(make(epc))
        dice = rng.random()
        before = b""
        if dice < bad:
            del frame[rng.randrange(len(frame))]
        elif dice < 2 * bad:
            frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        elif dice > 1 - junk:
            before = rng.randbytes(rng.randint(1, 19))
        yield Sent(epc, before, bytes(frame), dice >= 2 * bad)
