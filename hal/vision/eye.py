"""One frame in, at most one code out: the plan, zxing, the second opinion and the tracker together.

The same object runs in the camera child and, in stepped tests, inline.  It must never wait: the
second opinion answers in a later frame.
"""

from __future__ import annotations

from typing import Protocol

from hal.camera.port import Frame, Gray
from hal.decoder.port import Code, Decoder
from hal.vision.activity import Activity
from hal.vision.plan import Plan
from hal.vision.tracker import Tracker


class Second(Protocol):
    """A slow decoder elsewhere, holding at most one frame at a time."""

    def offer(self, gray: Gray, variant: str, now: float) -> bool:
        """Take the frame if free; False when busy or not running."""

    def poll(self, now: float) -> list[Code]:
        """The codes of the frame taken earlier, once; empty while there is nothing to tell."""


class Eye:
    """Reads frames in order. ``first`` and ``other`` are zxing with its two binarizers."""

    def __init__(self, first: Decoder, other: Decoder, second: Second | None = None) -> None:
        self._first = first
        self._other = other
        self._second = second
        self._plan = Plan(zbar=second is not None)
        self._activity = Activity()
        self._tracker = Tracker()

    def look(self, frame: Frame) -> Code | None:
        """The code that newly counts with this frame, or None."""
        now = frame.at
        active = self._activity(frame.gray, now) if self._second else 0.0
        reads = self._plan.reads(active, now)
        codes = self._first.read(frame.gray)
        if not codes and reads.other:
            codes = self._other.read(frame.gray)
        if codes:
            self._plan.read_by_zxing(now)
        if self._second:
            late = self._second.poll(now)
            if late:
                self._plan.read_by_zbar(now)
            if not codes:
                codes = late
                if reads.zbar and self._second.offer(frame.gray, reads.zbar, now):
                    self._plan.handed_over(now)
        return self._tracker.update(codes, now)
