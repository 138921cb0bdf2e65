"""Any sequence of events and times: what must hold for the gate whatever happens to it.

A small world keeps the levels; the gate is told of changes, late or never, ticks at its deadlines or
after a hang.  After every event the outputs are compared with the world.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.gate import facts
from firmware.gate.facts import Grant, Levels, Remote, Tick
from firmware.gate.machine import Gate
from firmware.gate.passage import Passage
from firmware.gate.table import STATES
from firmware.gate.timing import Timing
from hal.ports import DeviceBack, DeviceLost, InputChanged

TIMING = Timing()
SCALE = float(os.environ.get("TALLYGATE_TORTURE", "1"))
OPEN_FOR_PEOPLE = {
    "blind",
    "held",
    "stuck",
    "free",
    "fault",
    "fire-stopping",
    "fire-opening",
    "fire",
    "fire-over",
}
MOTOR_S = {"motor_open": TIMING.open_s, "motor_close": TIMING.close_s}

# A weighted bag of moves: mostly an ordinary day, some trouble.
_DAY: list[tuple[object, ...]] = [
    *(("grant", 1, "in"), ("grant", 2, "in"), ("grant", 1, "out")),
    *(("walk", "in"), ("walk", "in"), ("walk", "out")),
    *(("wait", 0.3), ("wait", 1.0), ("wait", 1.6), ("wait", 2.0)),
    *(("input", beam, broken) for beam in ("beam_outer", "beam_inner") for broken in (True, False)),
]
_TROUBLE: list[tuple[object, ...]] = [
    *(("input", name, level) for name in ("fire", "leaf", "help") for level in (True, False)),
    *(("remote", name) for name in (*facts.REMOTE, "nonsense")),
    *(("wait", 11.0), ("wait", 35.0), ("wait", 70.0), ("hang", 0.1), ("hang", 2.0), ("hang", 100.0)),
    *(("lost",), ("read",)),
]
steps = st.sampled_from(_DAY * 3 + _TROUBLE)
LEAF_S = {"opens": 0.5, "closes": 1.2}  # how long an obedient leaf takes


@dataclass
class World:
    motor: bool
    kind: str
    obedient: bool = True
    leaf_moves: tuple[float, bool] | None = None
    now: float = 0.0
    blind: bool = True
    granted: int = 0
    passed: int = 0
    annulled: int = 0
    levels: dict[str, bool] = field(
        default_factory=lambda: {
            "leaf": True,
            "beam_outer": False,
            "beam_inner": False,
            "fire": False,
            "help": False,
        }
    )
    outputs: dict[str, bool] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gate = Gate(TIMING, motor=self.motor, kind=self.kind)
        self.send(Tick())

    # -- feeding

    def send(self, event: facts.GateEvent) -> None:
        for out in self.gate.handle(event, self.now):
            self.take(out)
        self.check()

    def take(self, out: facts.Out) -> None:
        match out:
            case facts.Drive(name, active):
                assert self.outputs.get(name) is not active, f"{name} driven to what it is"
                self.outputs[name] = active
                self.since[name] = self.now
                self.follow(name, active)
                assert not (self.outputs.get("motor_open") and self.outputs.get("motor_close"))
            case facts.Passed(_, ref, direction, remaining):
                assert direction in ("in", "out")
                assert remaining >= 0
                if ref:
                    self.passed += 1
            case facts.Annulled(_, ref, unused, why):
                assert unused > 0
                assert why in facts.ANNULLED
                if ref:
                    self.annulled += unused
            case facts.Alarm(kind, _):
                assert kind in facts.ALARMS

    def follow(self, name: str, active: bool) -> None:
        """The leaf does what it is told: by the motor, or by a person who pushes and a spring."""
        if not self.obedient or not active and name != "lamp_green":
            return
        if name == ("motor_open" if self.motor else "release"):
            self.leaf_moves = (self.now + LEAF_S["opens"], False)
        elif name == "motor_close" or (not self.motor and name == "lamp_green" and not active):
            self.leaf_moves = (self.now + LEAF_S["closes"], True)

    def run_to(self, to: float) -> None:
        for _ in range(10_000):
            due = self.gate.deadline()
            leaf = self.leaf_moves
            if leaf is not None and leaf[0] <= min(to, to if due is None else due):
                self.leaf_moves = None
                self.now = max(self.now, leaf[0])
                self.level("leaf", leaf[1])
            elif due is None or due > to:
                self.now = to
                return
            else:
                self.now = max(self.now, due)
                self.send(Tick())
        raise AssertionError(f"deadlines without progress in {self.gate.state}")

    def play(self, step: tuple[object, ...]) -> None:
        match step:
            case ("input", str(name), bool(active)):
                self.level(name, active)
            case ("walk", way):
                names = ["beam_outer", "beam_inner"] if way == "in" else ["beam_inner", "beam_outer"]
                for active in (True, False):
                    for name in names:
                        self.level(name, active)
                        self.run_to(self.now + 0.1)
            case ("grant", int(party), str(direction)):
                self.granted += party
                self.send(Grant(b"8 bytes!", 1, party, direction))
            case ("remote", str(name)):
                self.send(Remote(name))
            case ("wait", float(seconds)):
                self.run_to(self.now + seconds)
            case ("hang", float(seconds)):
                self.now += seconds
                self.since = dict.fromkeys(self.since, self.now)  # the driver's own limit acts in a hang
                self.send(Tick())
            case ("lost",):
                self.blind = True
                self.send(DeviceLost("pins", "no answer", "check the cable", self.now))
            case ("read",):
                self.send(DeviceBack("pins", self.now))
                self.blind = False
                self.send(Levels(dict(self.levels)))

    def level(self, name: str, active: bool) -> None:
        self.levels[name] = active
        if not self.blind or name == "fire":
            self.send(InputChanged(name, active, self.now))

    # -- what must hold after every event

    def check(self) -> None:
        state, on = self.gate.state, {name for name, active in self.outputs.items() if active}
        fire_known = self.levels["fire"]
        if fire_known:
            assert "release" in on, f"locked in a fire, {state}"
            assert "motor_close" not in on
            assert state in ("fire-stopping", "fire-opening", "fire")
        if not self.blind and (self.levels["beam_outer"] or self.levels["beam_inner"]):
            assert "motor_close" not in on, f"the leaf is driven into a broken beam, {state}"
        if not self.motor:
            assert not on & set(MOTOR_S)
        for name, limit in MOTOR_S.items():
            if name in on:
                # A fire during the opening gives the motor one more full run, never a third.
                most = 2 * limit if state == "fire-opening" else limit
                assert self.now - self.since[name] <= most + 1e-6, f"{name} for too long in {state}"
                assert not self.blind or self.levels["fire"], "a motor runs without sensors"
        limit_of = STATES[state].limit
        assert limit_of is None or self.gate.deadline() is not None, f"{state} has no deadline"
        assert limit_of is not None or self.gate.owed() == 0, f"{state} keeps an admission without an end"
        assert self.granted == self.passed + self.annulled + self.gate.owed() - self.guests()
        if state not in OPEN_FOR_PEOPLE | {"unknown"} and "release" in on:
            assert limit_of is not None, f"unlocked without an end in {state}"

    def guests(self) -> int:
        """Passages still owed to an operator's 'open', which the sums leave out."""
        return sum(credit.left for credit in self.gate._credits if credit.grant.ref == 0)


lanes = st.tuples(
    st.booleans(), st.sampled_from(["entry", "exit"]), st.sampled_from([True, True, True, False])
)


@settings(max_examples=round(200 * SCALE), deadline=None)
@given(
    lane=lanes,
    start=st.sampled_from([True, True, True, False]),
    moves=st.lists(steps, min_size=30, max_size=90),
)
def test_whatever_happens(lane: tuple[bool, str, bool], start: bool, moves: list[tuple[object, ...]]) -> None:
    world = World(*lane)
    if start:
        world.play(("read",))
    for move in moves:
        world.play(move)
    world.obedient = False
    # Quiet: nobody in the lane, no fire, the sensors answer.  Everything granted is accounted for.
    world.play(("read",))
    for name in ("beam_outer", "beam_inner", "fire", "help"):
        world.level(name, False)
    world.play(("remote", "close"))
    world.run_to(world.now + 400.0)
    assert world.gate.owed() == 0
    assert world.granted == world.passed + world.annulled
    assert STATES[world.gate.state].limit is None, f"{world.gate.state} is no state of rest"


@settings(max_examples=round(100 * SCALE), deadline=None)
@given(lane=lanes, seed=st.integers(0, 2**32))
def test_a_long_day_of_ordinary_trouble(lane: tuple[bool, str, bool], seed: int) -> None:
    """Long walks reach the rare states; the short ones above shrink better."""
    world = World(*lane)
    world.play(("read",))
    for move in random.Random(seed).choices(_DAY * 3 + _TROUBLE, k=250):
        world.play(move)


@settings(max_examples=round(150 * SCALE), deadline=None)
@given(lane=lanes, moves=st.lists(steps, min_size=5, max_size=30))
def test_from_anywhere_a_fire_opens_and_afterwards_the_gate_works(
    lane: tuple[bool, str, bool], moves: list[tuple[object, ...]]
) -> None:
    world = World(*lane)
    for move in [("read",), *moves]:
        world.play(move)
    world.obedient = False
    world.level("fire", True)
    world.run_to(world.now + 1000.0)
    assert world.outputs["release"]
    for name in ("beam_outer", "beam_inner", "fire"):
        world.level(name, False)
    world.play(("read",))
    world.level("leaf", True)
    world.play(("remote", "unlock"))
    world.play(("remote", "close"))
    world.run_to(world.now + 100.0)
    assert world.gate.state == "closed"
    assert world.gate.accepts("in") is None


@settings(max_examples=round(100 * SCALE), deadline=None)
@given(st.lists(st.sampled_from([(a, b) for a in (False, True) for b in (False, True)]), max_size=30))
def test_people_in_minus_people_out_never_drifts(levels: list[tuple[bool, bool]]) -> None:
    """Whatever the beams do, each direction is told at most once per visit to its far side."""
    passage = Passage()
    passage.feed(False, False)
    told: list[str] = []
    far = {"in": 0, "out": 0}
    before = (False, False)
    for outer, inner in [*levels, (False, False)]:
        if (outer, inner) != before:
            far["in"] += (outer, inner) in ((False, True), (False, False))
            far["out"] += (outer, inner) in ((True, False), (False, False))
        before = (outer, inner)
        told += passage.feed(outer, inner)
    assert passage.place == "clear"
    for way in ("in", "out"):
        assert told.count(way) <= far[way]
