"""Debouncing: a level counts once it has been stable for a stated time. Pure.

Time is an argument. gpiozero's own ``bounce_time`` is not used: the mock factory ignores it and on
lgpio it means something else than documented, so one rule here serves every factory.
"""

from __future__ import annotations

ROUNDING_S = 1e-9
"""A timer set for a sum of floats may come this much early."""


class Debounce:
    """One input's accepted value.

    ``feed`` takes raw readings in the order of time. A reading that differs from the accepted value
    starts a wait; the value is accepted when it is seen again ``stable_s`` later with no return in
    between. A level that returns before is forgotten.
    """

    def __init__(self, stable_s: float, value: bool) -> None:
        self._stable_s = stable_s
        self._since: float | None = None
        self.value = value

    def feed(self, raw: bool, now: float) -> bool:
        """Take one reading; True if the accepted value changed."""
        if raw == self.value:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        if now < self._since + self._stable_s - ROUNDING_S:
            return False
        self.value = raw
        self._since = None
        return True

    @property
    def due(self) -> float | None:
        """When the waiting value must be read again, or None when nothing is waiting."""
        return None if self._since is None else self._since + self._stable_s
