"""When a discount holds: days, weekdays and time of day on the shop's own wall clock. Pure.

A window is judged by what the clock on the shop's wall shows, so daylight saving needs no rule of its own: an
hour that comes twice is in it twice, an hour that is skipped never comes. It is half open: 18:00 until 20:00
holds at 18:00:00 and no longer at 20:00:00. One that goes past midnight belongs to the day it began on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

DAY_MIN = 24 * 60
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Window:
    """``weekdays``: 0 (Monday) to 6. ``from_min`` 0..1439, ``until_min`` 1..1440: minutes of the day; until
    before from goes past midnight. ``first_day``, ``last_day``: both within. Raises ValueError."""

    weekdays: frozenset[int] = EVERY_DAY
    from_min: int = 0
    until_min: int = DAY_MIN
    first_day: date | None = None
    last_day: date | None = None

    def __post_init__(self) -> None:
        if not self.weekdays or not self.weekdays <= EVERY_DAY:
            raise ValueError(f"weekdays must be some of {', '.join(WEEKDAYS)}")
        if not 0 <= self.from_min < DAY_MIN or not 0 < self.until_min <= DAY_MIN:
            raise ValueError("from must be 00:00 to 23:59, until 00:01 to 24:00")
        if self.from_min == self.until_min:
            raise ValueError(
                f"from and until are both {clock(self.from_min)}: leave both out for the whole day"
            )
        if self.first_day is not None and self.last_day is not None and self.first_day > self.last_day:
            raise ValueError(f"first_day {self.first_day} is after last_day {self.last_day}")

    @property
    def all_day(self) -> bool:
        return self.until_min - self.from_min == DAY_MIN

    def holds(self, local: datetime) -> bool:
        """``local``: the shop's wall clock."""
        minute = local.hour * 60 + local.minute
        today = local.date()
        if self.from_min < self.until_min:
            return self.from_min <= minute < self.until_min and self._begins_on(today)
        if minute >= self.from_min:
            return self._begins_on(today)
        return minute < self.until_min and self._begins_on(today - timedelta(days=1))

    def _begins_on(self, day: date) -> bool:
        return (
            day.weekday() in self.weekdays
            and (self.first_day is None or day >= self.first_day)
            and (self.last_day is None or day <= self.last_day)
        )


def local_time(at_ms: int, zone: tzinfo) -> datetime:
    """The shop's wall clock, to the second, at ``at_ms`` (milliseconds of the Unix epoch)."""
    return datetime.fromtimestamp(at_ms // 1000, zone)


def clock(minute: int) -> str:
    """1110 → "18:30"."""
    return f"{minute // 60:02d}:{minute % 60:02d}"
