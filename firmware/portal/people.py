"""Who stands in the portal, by its inputs, and the help button. Pure.

Until all inputs have been read once, after a start or after they were lost, nobody is known to be inside or
to have left: a shopper in front of a dead sensor is not gone.
"""

from __future__ import annotations

from collections.abc import Mapping


class People:
    """``left_s``: the portal counts as left after nobody was inside for so long. ``crowd_after_s``: it counts
    as crowded once the sensor of a second person is active for so long; the sensor may be a beam across the
    way in, which everybody breaks who steps in. Monotonic seconds."""

    def __init__(self, left_s: float, crowd_after_s: float) -> None:
        self._left_s = left_s
        self._crowd_after_s = crowd_after_s
        self._levels: dict[str, bool] | None = None
        self._pressed = False
        self._inside = False
        self._left_at: float | None = None
        self._crowd_at: float | None = None

    @property
    def known(self) -> bool:
        return self._levels is not None

    @property
    def inside(self) -> bool:
        return self.known and self._inside

    @property
    def left(self) -> bool:
        return self.known and not self._inside and not self._second

    @property
    def crowded(self) -> bool | None:
        """None: not known."""
        return None if self._levels is None else self._second and self._crowd_at is None

    @property
    def maybe_crowded(self) -> bool:
        """A second person may be there: not for long enough yet."""
        return self._second and self._crowd_at is not None

    @property
    def due(self) -> float | None:
        """When the portal will count as left, or as crowded."""
        return min((at for at in (self._left_at, self._crowd_at) if at is not None), default=None)

    def read(self, levels: Mapping[str, bool]) -> bool:
        """All inputs at once. True: the help button was pressed meanwhile. A second person who is seen now
        counts at once: nobody knows since when."""
        self._levels = dict(levels)
        self._inside, self._left_at, self._crowd_at = levels.get("occupied", False), None, None
        return self._help(levels.get("help", False))

    def changed(self, name: str, active: bool, now: float) -> bool:
        """One input. True: that is the help button, pressed now."""
        if self._levels is None:
            return False  # the full reading is not here yet; it will bring this level too
        was, self._levels[name] = self._levels.get(name, False), active
        if name == "occupied":
            if active:
                self._inside, self._left_at = True, None
            elif self._inside and self._left_at is None:
                self._left_at = now + self._left_s
        elif name == "crowded" and active != was:
            self._crowd_at = now + self._crowd_after_s if active else None
        return name == "help" and self._help(active)

    def lost(self) -> None:
        self._levels = self._left_at = self._crowd_at = None

    def tick(self, now: float) -> None:
        if self._left_at is not None and now >= self._left_at:
            self._left_at, self._inside = None, False
        if self._crowd_at is not None and now >= self._crowd_at:
            self._crowd_at = None

    def plain(self) -> dict[str, object]:
        """For the head of a trace."""
        return {
            "levels": self._levels,
            "pressed": self._pressed,
            "inside": self._inside,
            "left_at": self._left_at,
            "crowd_at": self._crowd_at,
        }

    def resume(self, plain: Mapping[str, object]) -> None:
        """As ``plain`` told it. Raises KeyError, TypeError for anything else."""
        levels = plain["levels"]
        if not (levels is None or isinstance(levels, dict)):
            raise TypeError("levels")
        self._levels = levels
        self._pressed, self._inside = bool(plain["pressed"]), bool(plain["inside"])
        self._left_at, self._crowd_at = _time(plain["left_at"]), _time(plain["crowd_at"])

    @property
    def _second(self) -> bool:
        return self._levels is not None and self._levels.get("crowded", False)

    def _help(self, active: bool) -> bool:
        was, self._pressed = self._pressed, active
        return active and not was


def _time(value: object) -> float | None:
    if value is None or isinstance(value, int | float):
        return value
    raise TypeError("a time")
