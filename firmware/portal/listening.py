"""When the reader takes inventory: always for a shopper, now and then for a look at the shelves. Pure."""

from __future__ import annotations

from firmware.portal.timing import Timing

LEAST_S = 0.1


class Listening:
    """``turn`` and ``follow`` return what the reader is to do from now on, None: no change."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self.on = False
        self.due = 0.0
        """When ``turn`` is due, monotonic s."""

    def turn(self, now: float, *, resting: bool) -> bool | None:
        """Time has come to ``due``. ``resting``: nobody is served."""
        timing = self._timing
        if not resting:
            self.due = now + timing.background_s
            return None
        pause = timing.background_every_s - timing.background_s
        self.due = now + max(LEAST_S, pause if self.on else timing.background_s)
        return self._to(not self.on)

    def follow(self, *, reads: bool, resting: bool) -> bool | None:
        """After every event: what the state asks for."""
        if reads or not resting:
            return self._to(reads)
        return None

    def _to(self, on: bool) -> bool | None:
        if on == self.on:
            return None
        self.on = on
        return on
