"""Plays scenarios (``tests.support.scenario``) against the gate, in-process, on a clock of its own.

``play`` runs one case and raises ``ScenarioError`` naming file, line and difference.  A fact that no
line expects (a passage, an annulment, an alarm, an ignored event) fails the case; both motors on,
closing on a broken beam and a lock in a fire fail it without a line.
"""

from __future__ import annotations

from firmware.gate import facts
from firmware.gate.facts import Grant, Levels, Remote, Tick
from firmware.gate.machine import Gate
from firmware.gate.table import TABLE, Table
from firmware.gate.timing import Timing
from hal.ports import DeviceLost, InputChanged
from tests.support.scenario import Book, Case, Line, Step

EPS = 0.01  # s, how closely "after" looks
PACE_S = 0.2  # from one position in the beams to the next
_ORDER = ("first", "second", "third", "fourth")
_BEAMS = {"clear": (False, False), "outer": (True, False), "inner": (False, True), "both": (True, True)}


class Player:
    """One gate, the levels around it and the facts that no line has asked for yet."""

    def __init__(self, book: Book, lane: str, kind: str = "entry", table: Table = TABLE) -> None:
        self.book, self.lane, self.kind, self.table = book, lane, kind, table
        self.now = self.base = 100.0
        self.world = {"leaf": True, "beam_outer": False, "beam_inner": False, "fire": False, "help": False}
        self.outputs: dict[str, bool] = {}
        self.pending: list[str] = []
        self.screen = ""
        self.grants = 0
        self.hung = False
        self.visits: dict[tuple[bytes | None, int], str] = {}
        self.line = Line("", 0, "")
        self.gate = self._new_gate()

    def _new_gate(self) -> Gate:
        return Gate(Timing(), motor=self.lane == "motor", kind=self.kind, table=self.table)

    def run(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            self.line = step.line
            if step.verb in _ACTIONS:
                self._nothing_left()
            self._do(step)
        self._nothing_left()

    def _do(self, step: Step) -> None:
        if step.verb in _ACTIONS - {"reach", "later"}:
            self.base = self.now
        getattr(self, f"do_{step.verb}")(*step.args)

    def _nothing_left(self) -> None:
        if self.pending:
            raise self.line.error(f"not expected by any line: {'; '.join(self.pending)}")

    # -- feeding the gate

    def _send(self, event: facts.GateEvent) -> None:
        if self.hung:
            return
        for out in self.gate.handle(event, self.now):
            self._take(out)
        self._safe()

    def _take(self, out: facts.Out) -> None:
        match out:
            case facts.Drive(name, active):
                self.outputs[name] = active
                if self.outputs.get("motor_open") and self.outputs.get("motor_close"):
                    raise self.line.error("the motor is driven both ways")
            case facts.Passed(visit, ref, direction, remaining):
                whose = self.visits.get((visit, ref))
                words = f"on the {whose} pass, {remaining} left" if whose else "on nobody's pass"
                self.pending.append(f"passed {direction} {words}")
            case facts.Annulled(visit, ref, unused, why):
                whose = self.visits.get((visit, ref))
                words = f"on the {whose} pass" if whose else "on nobody's pass"
                self.pending.append(f"{unused} given back {words}: {why}")
            case facts.Alarm(kind, _):
                self.pending.append(f"alarm {kind}")
            case facts.AlarmOver(kind):
                self.pending.append(f"{kind} is over")
            case facts.Ignored(state, event):
                self.pending.append(f"ignored {event} while {state}")
            case facts.Show(key):
                self.screen = key

    def _safe(self) -> None:
        broken = self.world["beam_outer"] or self.world["beam_inner"]
        if self.outputs.get("motor_close") and (broken or self.world["fire"]):
            raise self.line.error("the leaf is driven closed with somebody in the lane, or during a fire")
        if self.world["fire"] and not self.outputs.get("release"):
            raise self.line.error("locked while the fire line is open")

    def _advance(self, to: float) -> None:
        while not self.hung:
            due = self.gate.deadline()
            if due is None or due > to:
                break
            self.now = max(self.now, due)
            self._send(Tick())
        self.now = to

    def _levels(self, **levels: bool) -> None:
        changed = {name: level for name, level in levels.items() if self.world[name] != level}
        self.world.update(changed)
        if len(changed) == 1:
            name, level = next(iter(changed.items()))
            self._send(InputChanged(name, level, self.now))
        else:
            self._send(Levels(dict(self.world)))

    # -- actions

    def do_reach(self, state: str) -> None:
        """Given: the shortest way to ``state``, as its "Way:" tells it."""
        way = self.book.ways.get((self.lane, state))
        if way is None:
            raise self.line.error(f"no 'Way: {state}' for a lane of kind {self.lane}")
        line = self.line
        for step in way:
            self.line = step.line
            self._do(step)
            self.pending.clear()  # what happens on the way is the business of other scenarios
        self.line = line
        self.do_state(state)

    def do_grant(self, party: str, direction: str) -> None:
        visit, ref = b"visit-%02d" % self.grants, 700 + self.grants
        self.visits[visit, ref] = _ORDER[self.grants]
        self.grants += 1
        own = "in" if self.kind == "entry" else "out"
        self._send(Grant(visit, ref, int(party), direction or own))

    def do_cut(self) -> None:
        """A new process on the same levels; its outputs start off, admissions are the journal's work."""
        self.gate = self._new_gate()
        self.outputs.clear()
        self.hung = False
        if not self.world["fire"]:
            self._send(Tick())

    def do_read(self) -> None:
        self._send(Levels(dict(self.world)))

    def do_lost(self) -> None:
        self._send(DeviceLost("pins", "no answer", "check the ribbon cable", self.now))

    def do_leaf(self, what: str) -> None:
        self._levels(leaf=what == "closes")

    def do_quick(self, words: str) -> None:
        self.do_beams(words, pace_s=0.0)

    def do_beams(self, words: str, pace_s: float = PACE_S) -> None:
        for count, word in enumerate(words.split(",")):
            if count:
                self._advance(self.now + pace_s)
            if word.strip() not in _BEAMS:
                raise self.line.error(f"beams are clear, outer, inner or both, not {word.strip()!r}")
            outer, inner = _BEAMS[word.strip()]
            self._levels(beam_outer=outer, beam_inner=inner)
        self.base = self.now

    def do_walk(self, way: str) -> None:
        self.do_beams("outer, both, inner, clear" if way == "in" else "inner, both, outer, clear")

    def do_fire(self, what: str) -> None:
        self._levels(fire=what == "fire breaks out")

    def do_help(self, what: str) -> None:
        self._levels(help=what == "pressed")

    def do_operator(self, name: str) -> None:
        self._send(Remote(name))

    def do_tick(self) -> None:
        self._send(Tick())

    def do_hang(self, seconds: str) -> None:
        self.hung = True
        self.now += float(seconds)

    def do_resume(self) -> None:
        self.hung = False
        self._send(Levels(dict(self.world)))
        self._send(Tick())

    def do_after(self, seconds: str, state: str) -> None:
        """The state comes then and not before."""
        was = self.gate.state
        until = self.base + float(seconds)
        self._advance(until - EPS)
        if self.gate.state != was:
            raise self.line.error(f"too early: the gate is {self.gate.state} already")
        self._nothing_left()
        self._advance(until + 1e-6)
        self.base = until
        self.do_state(state)

    def do_later(self, seconds: str, state: str) -> None:
        self._advance(self.base + float(seconds))
        self.base = self.now
        self.do_state(state)

    # -- checks

    def do_state(self, state: str) -> None:
        if self.gate.state != state:
            raise self.line.error(f"the gate is {self.gate.state}")

    def do_on(self, names: str) -> None:
        want = set() if names == "nothing" else {name.strip() for name in names.split(",")}
        have = {name for name, active in self.outputs.items() if active}
        if want != have:
            raise self.line.error(f"on are: {', '.join(sorted(have)) or 'nothing'}")

    def do_screen(self, key: str) -> None:
        if self.screen != key:
            raise self.line.error(f"the screen says {self.screen}")

    def do_offer(self, way: str, verdict: str) -> None:
        reason = self.gate.accepts("in" if way == "inward" else "out")
        have = f"refused: {reason}" if reason else "accepted"
        if have != verdict:
            raise self.line.error(f"it is {have}")

    def do_fact(self, words: str) -> None:
        if words not in self.pending:
            raise self.line.error(f"did not happen; there was: {'; '.join(self.pending) or 'nothing'}")
        self.pending.remove(words)

    def do_nothing(self) -> None:
        self._nothing_left()


_ACTIONS = {"reach", "grant", "cut", "read", "lost", "leaf", "beams", "quick", "walk", "fire", "help"} | {
    "operator",
    "tick",
    "hang",
    "resume",
    "later",
}


def play(book: Book, case: Case, table: Table = TABLE) -> Player:
    """Run one case. Raises ScenarioError; an exception of the gate itself passes through."""
    player = Player(book, case.lane, case.kind, table)
    player.run(case.steps)
    return player
