"""The interpreter of the gate's table: levels, credits and time become events, rows become outputs.

Pure: no clock, no thread, no device.  Nothing in this file may choose a state; that is the table's
work.  One gate per lane; the caller feeds every event through ``handle`` and sends ``Tick`` when
``deadline`` is due.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from firmware.gate import facts
from firmware.gate.facts import GateEvent, Grant, Levels, Out, Remote, Tick
from firmware.gate.passage import Passage
from firmware.gate.table import SAME, TABLE, Table
from firmware.gate.timing import Timing
from hal.ports import OUTPUTS, DeviceBack, DeviceLost, InputChanged

SENSORS = "pins"  # the device whose loss blinds the gate
_NEEDED = ("leaf", "beam_outer", "beam_inner", "fire")
_HOPS = 16  # no chain of standing conditions is longer; more is a defect of the table


@dataclass(slots=True)
class _Credit:
    grant: Grant
    left: int


class Gate:
    """One lane. ``motor``: the leaf is driven; else people push it and a spring closes it.

    ``kind``: "entry" or "exit", the lane's own direction. ``counters``: totals since the start.
    Raises ValueError for an unknown kind.
    """

    def __init__(self, timing: Timing, *, motor: bool, kind: str = "entry", table: Table = TABLE) -> None:
        if kind not in ("entry", "exit"):
            raise ValueError(f"gate kind {kind!r}: must be 'entry' or 'exit'")
        self.state = "unknown"
        self.counters: Counter[str] = Counter()
        self.alarms: set[str] = set()
        self._timing = timing
        self._table = table
        self._lane = "motor" if motor else "hand"
        self._forward = "in" if kind == "entry" else "out"
        self._levels: dict[str, bool] = {}
        self._passage = Passage(table.steps)
        self._credits: deque[_Credit] = deque()
        self._fire = self._lockdown = self._hold = self._help = False
        self._tries: Counter[str] = Counter()
        # None: left at the driver's own safe value until a state that does not keep it says otherwise.
        self._driven: dict[str, bool | None] = dict.fromkeys(OUTPUTS)
        self._shown = ""
        self._due: float | None = None
        self._stuck_due: float | None = None
        self._stuck = False
        self._started = False
        self._reported: set[tuple[str, str]] = set()
        self._out: list[Out] = []
        self._now = 0.0

    # -- what others ask ---------------------------------------------------------------------------

    def accepts(self, direction: str = "in") -> str | None:
        """None when a grant in ``direction`` may come now, else the refusal's reason code."""
        state = self._table.states[self.state]
        if state.refuses and not (state.out_ok and direction == "out"):
            return state.refuses
        return "lockdown" if self._lockdown and direction == "in" else None

    def deadline(self) -> float | None:
        """When a ``Tick`` is wanted (the clock of ``now``), None while nothing is timed.

        Before the first event that is at once: the wait for the sensors has a limit too.
        """
        if not self._started:
            return 0.0
        return min((due for due in (self._due, self._stuck_due) if due is not None), default=None)

    def owed(self) -> int:
        """Passages granted and neither walked nor given back."""
        return sum(credit.left for credit in self._credits)

    def lane_clear(self) -> bool:
        """No beam is broken, but for one that has been for so long that it counts as defective."""
        return self._stuck or not self._broken()

    def handle(self, event: GateEvent, now: float) -> list[Out]:
        """Take one event at ``now`` (monotonic s); returns what to drive and to record, in order.

        What happened comes before what is late: after a hang the leaf that closed in time is closed.
        """
        self._now = now
        self._out = []
        before = self.state
        if not self._started:
            self._started = True
            self._arm()
        self._take(event)
        self._timers()
        self._drive()
        if self.state != before:
            self._out.append(facts.StateChanged(self.state))
        return self._out

    # -- events in ---------------------------------------------------------------------------------

    def _take(self, event: GateEvent) -> None:
        match event:
            case InputChanged(name, active, _):
                self._input(name, active)
            case Levels(levels):
                self._read(dict(levels))
            case Grant():
                self._grant(event)
            case Remote(name):
                self._remote(name)
            case DeviceLost(device) if device == SENSORS:
                self._levels.clear()
                self._passage.restart()
                self._stuck_due, self._stuck = None, False
                self._event("sensors_lost")
            case DeviceLost() | DeviceBack() | Tick():
                pass  # after "pins" came back the caller sends Levels

    def _read(self, levels: dict[str, bool]) -> None:
        missing = [name for name in _NEEDED if name not in levels]
        if missing:
            raise ValueError(
                f"gate sensors: no level for {', '.join(missing)}: check the board file's inputs"
            )
        first = not self._levels
        self._set_fire(levels["fire"])
        self._set_help(levels.get("help", False))
        if first:
            self._levels = {"leaf": levels["leaf"]}
            self._end("sensors_read")
            self._end("leaf_closed" if levels["leaf"] else "leaf_opened")
            self._levels.update(beam_outer=False, beam_inner=False)
            self._beams(levels["beam_outer"], levels["beam_inner"], first=True)
            self._settle()
            return
        self._set_leaf(levels["leaf"])
        self._beams(levels["beam_outer"], levels["beam_inner"])

    def _input(self, name: str, active: bool) -> None:
        if name == "fire":
            self._set_fire(active)
        elif name == "help":
            self._set_help(active)
        elif not self._levels:
            self._ignore(name)  # the full reading is not here yet; it will bring this level too
        elif name == "leaf":
            self._set_leaf(active)
        elif name == "beam_outer":
            self._beams(active, self._levels["beam_inner"])
        elif name == "beam_inner":
            self._beams(self._levels["beam_outer"], active)

    def _set_fire(self, active: bool) -> None:
        if active == self._fire:
            return
        self._fire = active
        if not active:
            self._end("fire_off")
        self._event("fire_on" if active else "fire_off")

    def _set_help(self, active: bool) -> None:
        if active == self._help:
            return
        self._help = active
        if active:
            self._alarm("help")
        else:
            self._end("help_off")

    def _set_leaf(self, closed: bool) -> None:
        if closed == self._levels["leaf"]:
            return
        self._levels["leaf"] = closed
        self._tries["shut" if closed else "away"] = 0
        fact = "leaf_closed" if closed else "leaf_opened"
        self._end(fact)
        self._event(fact)

    def _beams(self, outer: bool, inner: bool, *, first: bool = False) -> None:
        was = self._broken()
        self._levels["beam_outer"], self._levels["beam_inner"] = outer, inner
        words = self._passage.feed(outer, inner)
        now_broken = self._broken()
        if now_broken and not was:
            self._stuck_due = self._now + self._timing.stuck_s
            if not first:
                self._event("beam_broken")
        for word in words:
            self._passed(word)
        if not now_broken and (was or first):
            self._stuck_due, self._stuck = None, False
            self._end("beams_clear")
            if not first:
                self._event("beams_clear")

    def _passed(self, word: str) -> None:
        if word == "unclear":  # no direction seen: it was whoever is expected, else nobody
            if not self._credits or self._levels["leaf"]:
                self.counters["unclear"] += 1
                return
            word = self._credits[0].grant.direction
        if word == "back":
            self.counters["stepped_back"] += 1
            return
        self.counters[f"passed_{word}"] += 1
        if any(credit.grant.direction == word for credit in self._credits):
            self._event("passed", word)
        else:
            self._event("passed_extra" if word == self._forward else "passed_against", word)

    def _grant(self, grant: Grant) -> None:
        refused = self.accepts(grant.direction)
        if refused:
            why = refused if refused in facts.ANNULLED else "gate-fault"
            self._out.append(facts.Annulled(grant.visit, grant.ref, grant.party, why))
            return
        self._credits.append(_Credit(grant, grant.party))
        self._event("granted")

    def _remote(self, name: str) -> None:
        if name == "open":
            self._grant(Grant(None, 0, 1, self._forward, "operator"))
            return
        if name in ("release", "close", "lockdown"):
            self._hold = name == "release"
        if name in ("release", "lockdown", "unlock"):
            self._lockdown = name == "lockdown"
        if name == "reset":
            self._tries.clear()
        self._event(f"remote_{name}")

    # -- time --------------------------------------------------------------------------------------

    def _timers(self) -> None:
        """What is due, in the order in which it became due; a state entered now is not late yet."""
        state_due, stuck_due = self._due, self._stuck_due
        late_state = state_due is not None and self._now >= state_due
        late_beam = stuck_due is not None and self._now >= stuck_due
        if late_beam and (not late_state or (stuck_due or 0.0) < (state_due or 0.0)):
            self._beam_stuck()
            late_beam = False
            late_state = late_state and self._due == state_due
        if late_state:
            goal = self._table.states[self.state].goal
            self._due = None
            self._event("time_up" if goal is None else self._goal(goal))
        if late_beam:
            self._beam_stuck()

    def _beam_stuck(self) -> None:
        self._stuck_due, self._stuck = None, True
        self._event("beam_stuck")

    def _goal(self, goal: str) -> str:
        if self._levels.get("leaf") == (goal == "shut"):
            return "time_up"
        self._tries[goal] += 1
        allowed = self._timing.close_tries if goal == "shut" else self._timing.open_tries
        # Without a motor nothing wears out: a leaf that is held is asked for again and again.
        return "jammed_out" if self._lane == "motor" and self._tries[goal] >= allowed else "jammed"

    def _arm(self) -> None:
        limit = self._table.states[self.state].limit
        self._due = None if limit is None else self._now + self._timing.seconds(limit)

    # -- the table ---------------------------------------------------------------------------------

    def _event(self, event: str, direction: str = "") -> None:
        if self._step(event, direction) is None:
            self._ignore(event)
        self._settle()

    def _step(self, event: str, direction: str = "") -> bool | None:
        row = self._table.rows.get((self._lane, self.state, event))
        if row is None:
            return None
        for command in row.commands:
            self._command(command, direction)
        if row.to == SAME:
            return False
        self.state = row.to
        self._arm()
        return True

    def _settle(self) -> None:
        """Present standing conditions until none of them leads on."""
        for _ in range(_HOPS):
            if not any(
                self._holds(event) and self._leads(event) and self._step(event)
                for event in self._table.standing
            ):
                return
        raise RuntimeError(f"gate table: conditions chase each other in state {self.state}")

    def _leads(self, event: str) -> bool:
        row = self._table.rows.get((self._lane, self.state, event))
        return row is not None and row.to not in (SAME, self.state)

    def _holds(self, event: str) -> bool:
        match event:
            case "sensors_open" | "sensors_closed":
                return bool(self._levels) and self._levels["leaf"] == (event == "sensors_closed")
            case "beam_broken":
                return self._broken()
            case "beam_stuck":
                return self._stuck
            case "hold_on":
                return self._hold
            case "lockdown_on":
                return self._lockdown
            case "spent":
                return not self._credits
            case "leaf_closed":
                return self._levels.get("leaf", False)
        raise ValueError(f"gate table: no condition is called {event!r}")

    def _broken(self) -> bool:
        return self._levels.get("beam_outer", False) or self._levels.get("beam_inner", False)

    def _ignore(self, event: str) -> None:
        self.counters["ignored"] += 1
        if (self.state, event) not in self._reported:
            self._reported.add((self.state, event))
            self._out.append(facts.Ignored(self.state, event))

    # -- commands of a row -------------------------------------------------------------------------

    def _command(self, command: str, direction: str) -> None:
        verb, _, word = command.partition(" ")
        match verb:
            case "count":
                self._count(direction)
            case "count-free":
                self._out.append(facts.Passed(None, 0, direction, 0))
            case "alarm":
                self._alarm(word, direction)
            case "annul" | "annul-in":
                self._annul(word, only_in=verb == "annul-in")
            case _:
                raise ValueError(f"gate table: no command is called {command!r}")

    def _count(self, direction: str) -> None:
        credit = next(c for c in self._credits if c.grant.direction == direction)
        credit.left -= 1
        self._out.append(facts.Passed(credit.grant.visit, credit.grant.ref, direction, credit.left))
        if credit.left == 0:
            self._credits.remove(credit)

    def _annul(self, why: str, *, only_in: bool) -> None:
        kept: deque[_Credit] = deque()
        for credit in self._credits:
            if only_in and credit.grant.direction != "in":
                kept.append(credit)
            else:
                self._out.append(facts.Annulled(credit.grant.visit, credit.grant.ref, credit.left, why))
        self._credits = kept

    def _alarm(self, kind: str, detail: str = "") -> None:
        self.counters[f"alarm_{kind}"] += 1
        if kind in self.alarms:
            return
        if kind not in facts.MOMENTS:
            self.alarms.add(kind)
        self._out.append(facts.Alarm(kind, detail))

    def _end(self, fact: str) -> None:
        for kind in self._table.ends.get(fact, ()):
            if kind in self.alarms:
                self.alarms.remove(kind)
                self._out.append(facts.AlarmOver(kind))

    # -- outputs -----------------------------------------------------------------------------------

    def _drive(self) -> None:
        state = self._table.states[self.state]
        # Off before on: the motor is never told both ways, not even between two commands.
        for active in (False, True):
            for name, was in self._driven.items():
                if name in state.keeps:
                    continue
                want = name in state.on and (self._lane == "motor" or not name.startswith("motor_"))
                if want is active and was is not active:
                    self._driven[name] = active
                    self._out.append(facts.Drive(name, active))
        key = "help" if self._help and not self._fire else state.screen
        if key != self._shown:
            self._shown = key
            self._out.append(facts.Show(key))
