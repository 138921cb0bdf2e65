"""The board's wall clock: the kernel's when it is synchronised, else the shop's time, never behind a floor.

A Raspberry Pi has no clock battery.  The floor (the latest trusted time ever seen) is persisted, so a board
that starts in 1970 or with a clock set back does not accept passes of last year: it says "unsynced".
Pure but for the clock it is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hal.ports import Clock

LONGEST_ROUND_S = 2.0
"""A time answer that took longer is not used: half of it is the error."""


def _boot_ms() -> int:
    """CLOCK_BOOTTIME: goes on while suspended, unlike CLOCK_MONOTONIC."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class WallClock:
    """``base``: the kernel's clock. ``boot_ms``: milliseconds since boot, for tests."""

    def __init__(self, base: Clock, boot_ms: Callable[[], int] = _boot_ms) -> None:
        self._base = base
        self._boot_ms = boot_ms
        self._anchor: int | None = None  # wall milliseconds at boot, by the shop's word
        self._floor = 0
        self._floor_boot = boot_ms()

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC; without a trusted time at least the floor plus the time since."""
        if self._base.quality() == "synced":
            return self._base.wall_ms()
        if self._anchor is not None:
            return self._anchor + self._boot_ms()
        return max(self._base.wall_ms(), self._floor + self._boot_ms() - self._floor_boot)

    def quality(self) -> str:
        """ "synced" by the kernel or the shop in this boot, else "unsynced"."""
        if self._base.quality() == "synced":
            # A kernel behind the floor claims a past that cannot be.
            return "synced" if self._base.wall_ms() >= self._floor else "unsynced"
        return "synced" if self._anchor is not None else "unsynced"

    @property
    def wants_time(self) -> bool:
        """The kernel does not know the time: ask the shop."""
        return self._base.quality() != "synced"

    def told(self, wall_ms: int, round_s: float) -> bool:
        """The shop's time, ``round_s`` after it was asked for. False when it is not used."""
        if round_s > LONGEST_ROUND_S or wall_ms < self._floor:
            return False
        self._anchor = wall_ms + round(round_s * 500) - self._boot_ms()
        return True

    def floor(self) -> int | None:
        """The floor to persist now, ms; None while the time is not trusted."""
        if self.quality() != "synced":
            return None
        self.set_floor(self.wall_ms())
        return self._floor

    def set_floor(self, floor_ms: int) -> None:
        """A persisted floor. It never goes back."""
        if floor_ms > self._floor:
            self._floor, self._floor_boot = floor_ms, self._boot_ms()
