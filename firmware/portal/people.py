"""Who stands in the portal, by its inputs, and the help button. Pure.

Until all inputs have been read once, after a start or after they were lost, nobody is known to be inside or
to have left: a shopper in front of a dead sensor is not gone.
"""

from __future__ import annotations

from collections.abc import Mapping


class People:
    """``left_s``: the portal counts as left after nobody was inside for so long. Monotonic seconds."""

    def __init__(self, left_s: float) -> None:
        self._left_s = left_s
        self._levels: dict[str, bool] | None = None
        self._pressed = False
        self._inside = False
        self.due: float | None = None
        """When the portal will count as left."""

    @property
    def known(self) -> bool:
        return self._levels is not None

    @property
    def inside(self) -> bool:
        return self.known and self._inside

    @property
    def left(self) -> bool:
        return self.known and not self._inside and not self.crowded

    @property
    def crowded(self) -> bool | None:
        """None: not known."""
        return None if self._levels is None else self._levels.get("crowded", False)

    def read(self, levels: Mapping[str, bool]) -> bool:
        """All inputs at once. True: the help button was pressed meanwhile."""
        self._levels = dict(levels)
        self._inside, self.due = levels.get("occupied", False), None
        return self._help(levels.get("help", False))

    def changed(self, name: str, active: bool, now: float) -> bool:
        """One input. True: that is the help button, pressed now."""
        if self._levels is None:
            return False  # the full reading is not here yet; it will bring this level too
        self._levels[name] = active
        if name == "occupied":
            if active:
                self._inside, self.due = True, None
            elif self._inside and self.due is None:
                self.due = now + self._left_s
        return name == "help" and self._help(active)

    def lost(self) -> None:
        self._levels, self.due = None, None

    def tick(self, now: float) -> None:
        if self.due is not None and now >= self.due:
            self.due, self._inside = None, False

    def plain(self) -> dict[str, object]:
        """For the head of a trace."""
        return {"levels": self._levels, "pressed": self._pressed, "inside": self._inside, "due": self.due}

    def resume(self, plain: Mapping[str, object]) -> None:
        """As ``plain`` told it. Raises KeyError, TypeError for anything else."""
        levels, due = plain["levels"], plain["due"]
        if not (levels is None or isinstance(levels, dict)) or not (
            due is None or isinstance(due, int | float)
        ):
            raise TypeError("levels or due")
        self._levels = levels
        self._pressed, self._inside, self.due = bool(plain["pressed"]), bool(plain["inside"]), due

    def _help(self, active: bool) -> bool:
        was, self._pressed = self._pressed, active
        return active and not was
