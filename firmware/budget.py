"""A bound on how often something is written, per name. Pure.

A device that comes and goes must not fill the journal with its alarms; what is over the budget is counted
by whoever asks, never silently dropped.
"""

from __future__ import annotations


class Budget:
    """``most`` at once for each name, refilled evenly over ``per_s`` seconds."""

    def __init__(self, most: int, per_s: float) -> None:
        self._most = most
        self._per_s = per_s
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, name: str, now: float) -> bool:
        """True while ``name`` has budget left; takes one."""
        left, since = self._left.get(name, (float(self._most), now))
        left = min(self._most, left + (now - since) * self._most / self._per_s)
        allowed = left >= 1
        self._left[name] = (left - allowed, now)
        return allowed
