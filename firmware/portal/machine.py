"""The interpreter of the portal's table: events and time become rows, rows become commands. Pure.

Nothing here may choose a state: that is the table's work. Conditions that last are asked of the policy
after every step, so that a state is never entered past one that it has a row for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from firmware.portal.table import SAME, TABLE, State, Table
from firmware.portal.timing import Timing

_HOPS = 16
"""No chain of standing conditions is longer; more is a defect of the table."""


class Machine:
    """``holds(condition)`` says whether a standing condition is true now; ``act(command)`` carries one out.

    ``ignored``: events that had no row, counted. Raises ValueError for an unknown lane.
    """

    def __init__(
        self,
        timing: Timing,
        lane: str,
        holds: Callable[[str], bool],
        act: Callable[[str], None],
        table: Table = TABLE,
    ) -> None:
        if lane not in ("store", "count"):
            raise ValueError(f"portal lane {lane!r}: must be 'store' or 'count'")
        self.name = "starting"
        self.due: float | None = None
        self.ignored: Counter[str] = Counter()
        self._timing = timing
        self._lane = lane
        self._holds = holds
        self._act = act
        self._table = table
        self._now = 0.0

    @property
    def state(self) -> State:
        return self._table.states[self.name]

    def start(self, now: float) -> None:
        self._now = now
        self._arm()

    def event(self, name: str, now: float) -> bool:
        """One event, then whatever stands. False: no row takes it, nothing changed but a count."""
        self._now = now
        taken = self._step(name)
        if not taken:
            self.ignored[f"{self.name}/{name}"] += 1
        self.settle(now)
        return taken

    def settle(self, now: float) -> None:
        """Look at the standing conditions until none leads anywhere."""
        self._now = now
        for _ in range(_HOPS):
            for condition in self._table.standing:
                row = self._table.rows.get((self._lane, self.name, condition))
                if row is not None and row.to not in (SAME, self.name) and self._holds(condition):
                    self._step(condition)
                    break
            else:
                return
        raise RuntimeError(f"portal table: {self.name} never comes to rest")

    def tick(self, now: float) -> None:
        """The deadline, if it is due."""
        if self.due is not None and now >= self.due:
            self.due = None
            self.event("time_up", now)

    def _step(self, event: str) -> bool:
        row = self._table.rows.get((self._lane, self.name, event))
        if row is None:
            return False
        # The commands belong to the state that is left; the new one may end at once by what they did.
        if row.to != SAME:
            self.name = row.to
            self._arm()
        for command in row.commands:
            self._act(command)
        if row.to == SAME and event == "time_up":
            self._arm()
        return True

    def _arm(self) -> None:
        limit = self.state.limit
        self.due = None if limit is None else self._now + getattr(self._timing, limit)
