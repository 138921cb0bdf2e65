"""Every situation the gate's table can meet, by exhaustive search over states and conditions.

The machine's levels, credits and flags are reduced to yes/no conditions; counting and tries may go
either way.  Used to prove properties of all reachable situations, and to tell a mutant that nobody
could notice from one that a scenario is missing for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from firmware.gate.facts import MOMENTS
from firmware.gate.passage import Steps
from firmware.gate.table import SAME, Row, Table

_HOPS = 16


@dataclass(frozen=True, slots=True)
class Facts:
    """``ending``: the beams are clear, but the events of the last movement are still to come."""

    fire: bool = False
    read: bool = False
    leaf: bool = False
    broken: bool = False
    stuck: bool = False
    hold: bool = False
    lockdown: bool = False
    owed_in: bool = False
    owed_out: bool = False
    ending: bool = False

    def holds(self, event: str) -> bool:
        return {
            "sensors_open": self.read and not self.leaf,
            "sensors_closed": self.read and self.leaf,
            "beam_broken": self.broken,
            "hold_on": self.hold,
            "spent": not (self.owed_in or self.owed_out),
            "leaf_closed": self.leaf,
            "beam_stuck": self.stuck,
            "lockdown_on": self.lockdown,
        }[event]


@dataclass(frozen=True, slots=True)
class Result:
    """Where a row ends after its standing conditions; effects in order; was the deadline restarted."""

    state: str
    facts: Facts
    effects: tuple[str, ...]
    armed: bool


def _plain(result: Result, event: str, facts: Facts) -> Result:
    """Without alarms that cannot be heard: given twice in one step, or already on before it."""
    on = {"alarm fire"} if facts.fire and event != "fire_on" else set()
    if facts.stuck and event != "beam_stuck":
        on.add("alarm beam-stuck")
    heard: list[str] = []
    for effect in result.effects:
        lasting = effect.startswith("alarm ") and effect[6:] not in MOMENTS
        if lasting and effect in on:
            continue
        if lasting:
            on.add(effect)
        heard.append(effect)
    return replace(result, effects=tuple(heard))


class Model:
    """All reachable situations of one lane. ``met`` maps (state, event) to the facts it was met with."""

    def __init__(self, table: Table, lane: str) -> None:
        self.table, self.lane = table, lane
        self.met: dict[tuple[str, str], set[Facts]] = {}
        self.unlisted: set[tuple[str, str]] = set()
        self.settled: set[tuple[str, Facts]] = set()
        self.rest: set[tuple[str, Facts]] = set()
        self._explore()

    def take(
        self, state: str, facts: Facts, row: Row, *, note: bool = False, table: Table | None = None
    ) -> Result:
        """One row and the standing conditions after it. Raises RuntimeError when they go round."""
        table = table or self.table
        effects: list[str] = []
        armed = False
        for _ in range(_HOPS):
            for command in row.commands:
                verb = command.partition(" ")[0]
                if verb == "annul" and (facts.owed_in or facts.owed_out):
                    effects.append(f"{command} {facts.owed_in} {facts.owed_out}")
                    facts = replace(facts, owed_in=False, owed_out=False)
                elif verb == "annul-in" and facts.owed_in:
                    effects.append(f"annul {command.partition(' ')[2]} True False")
                    facts = replace(facts, owed_in=False)
                elif verb not in ("annul", "annul-in"):
                    effects.append(command)
            if row.to != SAME:
                state, armed = row.to, True
            if note:
                self.settled.add((state, facts))
            leading = self._leading(table, state, facts, note)
            if leading is None:
                return Result(state, facts, tuple(effects), armed and table.states[state].limit is not None)
            row = leading
        raise RuntimeError(f"conditions chase each other in {state} with {facts}")

    def _leading(self, table: Table, state: str, facts: Facts, note: bool) -> Row | None:
        for event in table.standing:
            row = table.rows.get((self.lane, state, event))
            if row and row.to not in (SAME, state) and facts.holds(event):
                if note:
                    self.met.setdefault((state, event), set()).add(facts)
                return row
        return None

    def _explore(self) -> None:
        todo = [("unknown", Facts())]
        while todo:
            node = todo.pop()
            if node in self.rest:
                continue
            self.rest.add(node)
            state, before = node
            for event, facts in self._events(state, before):
                row = self.table.rows.get((self.lane, state, event))
                if row is None:
                    if event != "-":
                        self.unlisted.add((state, event))
                    row = Row(SAME)
                else:
                    self.met.setdefault((state, event), set()).add(facts)
                result = self.take(state, facts, row, note=True)
                todo.append((result.state, result.facts))

    def _events(self, state: str, f: Facts) -> Iterator[tuple[str, Facts]]:
        if f.ending:
            yield from self._passages(f)
            yield "beams_clear", replace(f, ending=False, stuck=False)
            return
        yield ("fire_off" if f.fire else "fire_on"), replace(f, fire=not f.fire)
        gone = replace(f, read=False, leaf=False, broken=False, stuck=False)
        yield "sensors_lost", gone
        yield from self._granted(state, f)
        yield from self._remote(f)
        yield from self._time(state, f)
        if not f.read:
            for leaf in (False, True):
                for broken in (False, True):
                    yield "-", replace(f, read=True, leaf=leaf, broken=broken)
            return
        yield ("leaf_opened" if f.leaf else "leaf_closed"), replace(f, leaf=not f.leaf)
        if f.broken:
            yield from self._passages(f)
            yield from self._passages(replace(f, broken=False, ending=True))
            yield "beams_clear", replace(f, broken=False, stuck=False)
            if not f.stuck:
                yield "beam_stuck", replace(f, stuck=True)
        else:
            yield "beam_broken", replace(f, broken=True)

    def _passages(self, f: Facts) -> Iterator[tuple[str, Facts]]:
        if f.owed_in:
            yield "passed", f
            yield "passed", replace(f, owed_in=False)
        else:
            yield "passed_extra", f
        if f.owed_out:
            yield "passed", f
            yield "passed", replace(f, owed_out=False)
        else:
            yield "passed_against", f

    def _granted(self, state: str, f: Facts) -> Iterator[tuple[str, Facts]]:
        spec = self.table.states[state]
        if not spec.refuses and not f.lockdown:
            yield "granted", replace(f, owed_in=True)
        if not spec.refuses or spec.out_ok:
            yield "granted", replace(f, owed_out=True)

    def _remote(self, f: Facts) -> Iterator[tuple[str, Facts]]:
        yield "remote_release", replace(f, hold=True, lockdown=False)
        yield "remote_close", replace(f, hold=False)
        yield "remote_lockdown", replace(f, hold=False, lockdown=True)
        yield "remote_unlock", replace(f, lockdown=False)
        yield "remote_reset", f

    def _time(self, state: str, f: Facts) -> Iterator[tuple[str, Facts]]:
        spec = self.table.states[state]
        if spec.limit is None:
            return
        if spec.goal is None or (f.read and f.leaf == (spec.goal == "shut")):
            yield "time_up", f
            return
        yield "jammed", f
        if self.lane == "motor":
            yield "jammed_out", f

    def same_standing(self, altered: Table) -> bool:
        """Does another list of standing conditions lead to the same rows in every situation?"""
        return all(
            self._leading(self.table, state, facts, False) is self._leading(altered, state, facts, False)
            for state, facts in self.settled
        )

    def met_goal(self, state: str, goal: str | None) -> bool:
        """Is the leaf where ``goal`` wants it whenever the deadline of ``state`` may come?"""
        facts = [f for name, f in self.rest if name == state]
        return all(goal is None or (f.read and f.leaf == (goal == "shut")) for f in facts)

    def same(self, state: str, event: str, altered: Table) -> bool:
        """Does ``altered`` (one row changed) act alike wherever the row can be met?"""
        old = self.table.rows[self.lane, state, event]
        new = altered.rows.get((self.lane, state, event))
        met = self.met.get((state, event), set())
        if new is None:
            return not met
        for facts in met:
            try:
                before = _plain(self.take(state, facts, old), event, facts)
                after = _plain(self.take(state, facts, new, table=altered), event, facts)
                if before != after:
                    return False
            except RuntimeError:
                return False
        return True


def same_steps(one: Steps, two: Steps) -> bool:
    """Do two beam tables tell the same of every movement, from the first reading on?"""
    seen: set[tuple[str, str, str]] = set()
    todo = [("unread", "unread", "")]
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        for level in ("-", "A", "B", "AB"):
            if level == node[2]:
                continue
            first, told = one.get((node[0], level), (node[0], ()))
            second, told_too = two.get((node[1], level), (node[1], ()))
            if told != told_too:
                return False
            todo.append((first, second, level))
    return True
