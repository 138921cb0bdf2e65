"""Wall clocks of simulated boards: their quality is declared in the board file, not measured."""

from __future__ import annotations

import time
from collections.abc import Callable


class DeclaredClock:
    """This machine's wall time under a declared quality ("declared" or "unsynced")."""

    def __init__(self, quality: str) -> None:
        self._quality = quality

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def quality(self) -> str:
        return self._quality


class SteppedClock:
    """Wall time that follows a stepped loop: ``start_ms`` plus the loop's seconds, plus ``jump_ms``."""

    def __init__(self, loop_time: Callable[[], float], start_ms: int, quality: str = "declared") -> None:
        self._time = loop_time
        self._zero = loop_time()
        self._start_ms = start_ms
        self._quality = quality
        self.jump_ms = 0

    def wall_ms(self) -> int:
        return self._start_ms + self.jump_ms + round((self._time() - self._zero) * 1000)

    def quality(self) -> str:
        return self._quality
