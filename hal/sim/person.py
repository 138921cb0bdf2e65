"""Somebody walking through the simulated lane: an interval that moves, waits, stands or turns. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MARGIN_M = 0.05


@dataclass(frozen=True, slots=True)
class Walk:
    """One or more people coming, as the control socket and tests ask for it.

    ``length_m``: 0.3 a person, 1.1 with a pram, 1.2 in a wheelchair. ``gap_m``: distance behind the
    person before (a tailgater: 0.2). ``step_back``: the first one turns round between the outer beam
    and the leaf. ``stand_s``: the first one stands still in the leaf's way for so long.
    """

    people: int = 1
    delay_s: float = 0.3
    speed_m_s: float = 1.2
    gap_m: float = 1.2
    length_m: float = 0.3
    direction: Literal["in", "out"] = "in"
    step_back: bool = False
    stand_s: float = 0.0
    patience_s: float = 20.0

    def __post_init__(self) -> None:
        bounds = {
            "people": (1, 20),
            "delay_s": (0, 600),
            "speed_m_s": (0.1, 5),
            "gap_m": (0.05, 20),
            "length_m": (0.1, 3),
            "stand_s": (0, 600),
            "patience_s": (0.1, 3600),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ValueError(f"walk: {name} is {value!r}; it must be a number from {low} to {high}")
        if not isinstance(self.people, int):
            raise ValueError(f"walk: people is {self.people!r}; it must be a whole number")
        if self.direction not in ("in", "out"):
            raise ValueError(f"walk: direction is {self.direction!r}; it must be in or out")
        if not isinstance(self.step_back, bool):
            raise ValueError(f"walk: step_back is {self.step_back!r}; it must be true or false")


@dataclass(slots=True)
class Person:
    """``front`` is the leading edge in lane metres; ``heading`` +1 goes into the shop, -1 out."""

    front: float
    length: float
    speed: float
    heading: int
    origin: int
    starts_at: float
    patience_s: float
    gap: float = MARGIN_M
    stand_at: float | None = None
    stand_s: float = 0.0
    turn_after_stand: bool = False
    gave_up: bool = False
    _still_since: float | None = None
    _stands_until: float | None = None

    @classmethod
    def group(cls, walk: Walk, now: float, start_m: float, end_m: float, leaf_m: float) -> list[Person]:
        heading = 1 if walk.direction == "in" else -1
        first = start_m if heading > 0 else end_m
        # Somebody who turns round does so just before the leaf; somebody who stands, stands in it.
        people = []
        for index in range(walk.people):
            one = cls(
                front=first - heading * index * (walk.length_m + walk.gap_m),
                length=walk.length_m,
                speed=walk.speed_m_s,
                heading=heading,
                origin=heading,
                starts_at=now + walk.delay_s,
                patience_s=walk.patience_s,
                gap=min(walk.gap_m, MARGIN_M) if index == 0 else max(MARGIN_M, min(walk.gap_m, 0.3)),
            )
            if index == 0 and walk.step_back:
                one.stand_at, one.stand_s = leaf_m - heading * 0.08, max(0.3, walk.stand_s)
                one.turn_after_stand = True
            elif index == 0 and walk.stand_s:
                one.stand_at, one.stand_s = leaf_m + heading * walk.length_m / 2, walk.stand_s
            people.append(one)
        return people

    @property
    def back(self) -> float:
        return self.front - self.heading * self.length

    def along(self, at_m: float) -> float:
        """A place as distance along this person's way, so that ahead is always more."""
        return at_m * self.heading

    def covers(self, low_m: float, high_m: float) -> bool:
        return min(self.front, self.back) <= high_m and max(self.front, self.back) >= low_m

    def ready(self, now: float) -> bool:
        """Has set out, and is not standing still on purpose."""
        if now < self.starts_at:
            return False
        if self._stands_until is None or now >= self._stands_until:
            if self._stands_until is not None and self.turn_after_stand:
                self.turn_after_stand = False
                self.turn(gave_up=False)
            self._stands_until = None
            return True
        return False

    def advance(self, limit: float, now: float, dt: float) -> bool:
        """Walk for ``dt``, at most to ``limit`` (distance along the way); True if moved."""
        want = self.along(self.front) + self.speed * dt
        if self.stand_at is not None and want >= self.along(self.stand_at):
            self.stand_at = None
            self._stands_until = now + self.stand_s
        reached = min(want, max(limit, self.along(self.front)))
        moved = reached > self.along(self.front) + 1e-9
        self.front = reached * self.heading
        if moved:
            self._still_since = None
        elif self._still_since is None:
            self._still_since = now
        return moved

    def impatient(self, now: float) -> bool:
        return self._still_since is not None and now - self._still_since >= self.patience_s

    def turn(self, gave_up: bool = True) -> None:
        """Turn on the spot: the leading edge becomes the trailing one."""
        self.front, self.heading = self.back, -self.heading
        self.gave_up = gave_up
        self._still_since = None
