"""Declared heartbeats: the watchdog is fed only while every one of them is fresh. Pure.

A part that can hang declares how old its last sign of work may get; who forgets to declare is not
watched, so ``app`` declares them all in one place.
"""

from __future__ import annotations

from collections.abc import Callable

Age = Callable[[float], float]
"""``age(now)`` in seconds since the part last did its work."""


class Heartbeats:
    def __init__(self) -> None:
        self._parts: dict[str, tuple[float, Age]] = {}

    def declare(self, name: str, limit_s: float, age: Age) -> None:
        """``name`` is fresh while ``age(now) <= limit_s``. Raises ValueError for a second declaration."""
        if name in self._parts:
            raise ValueError(f"heartbeat {name} is declared twice")
        self._parts[name] = (limit_s, age)

    def stale(self, now: float) -> list[str]:
        """One sentence for each part that has gone quiet."""
        return [
            f"{name} has been quiet for {age(now):.1f} s (limit {limit_s:g} s)"
            for name, (limit_s, age) in self._parts.items()
            if age(now) > limit_s
        ]


class Pulse:
    """The simplest heartbeat: ``beat(now)`` is called when work was done."""

    def __init__(self, now: float) -> None:
        self._at = now

    def beat(self, now: float) -> None:
        self._at = now

    def age(self, now: float) -> float:
        return now - self._at
