"""The simulated lane against a hand-written controller: what a technician would see at a real gate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.loop import SteppedLoop
from hal.pins.gpio import GpioPins, PinIn, PinOut, open_pins
from hal.ports import Event, InputChanged
from hal.sim.lane import Lane, Shape
from hal.sim.person import Walk

INS = [
    PinIn("leaf", 4, active_low=True, pull="up", debounce_s=0.01),
    PinIn("beam_outer", 5, active_low=True, pull="up", debounce_s=0.01),
    PinIn("beam_inner", 6, active_low=True, pull="up", debounce_s=0.01),
    PinIn("fire", 7, pull="up", debounce_s=0.01),
    PinIn("help", 8, active_low=True, pull="up", debounce_s=0.01),
]
RELEASE = PinOut("release", 17, energised="locks", fail="safe", hold_limit_s=60)
MOTOR = [
    PinOut("motor_open", 22, hold_limit_s=60),
    PinOut("motor_close", 23, active_low=True, hold_limit_s=60),
]


class Gate:
    def __init__(self, motor: bool = True, shape: Shape | None = None) -> None:
        self.loop = SteppedLoop()
        outs = [RELEASE, *(MOTOR if motor else [])]
        self.pins: GpioPins = open_pins("mock", INS, outs, loop=self.loop, hold_timer=False)
        self.lane = Lane(INS, outs, self.pins.factory, self.loop.time(), shape)
        self.events: list[Event] = []
        self.pins.set("release", False)
        self.pins.start(self.events.append)
        self.run(0.3)
        self.events.clear()

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self.loop.advance(0.02)
            self.lane.step(self.loop.time())

    def changes(self) -> list[tuple[str, bool]]:
        return [(one.name, one.active) for one in self.events if isinstance(one, InputChanged)]

    def close(self) -> None:
        self.pins.close()
        self.loop.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.close()


def test_at_rest_the_board_reads_a_closed_quiet_lane(gate: Gate) -> None:
    assert gate.pins.read() == {
        "leaf": True,
        "beam_outer": False,
        "beam_inner": False,
        "fire": False,
        "help": False,
    }
    assert not gate.lane.moving


def test_a_locked_leaf_does_not_move_and_nobody_gets_in(gate: Gate) -> None:
    gate.lane.walk(Walk(patience_s=3))
    gate.pins.set("motor_open", True)
    gate.run(10)
    assert gate.pins.read()["leaf"] is True
    assert (gate.lane.tally.entered, gate.lane.tally.gave_up) == (0, 1)
    assert gate.lane.people == []


def test_one_walk_through_breaks_the_beams_in_order(gate: Gate) -> None:
    gate.lane.walk(Walk())
    gate.pins.set("release", True)
    gate.pins.set("motor_open", True)
    gate.run(8)
    assert gate.changes() == [
        ("leaf", False),
        ("beam_outer", True),
        ("beam_inner", True),
        ("beam_outer", False),
        ("beam_inner", False),
    ]
    assert gate.lane.tally.entered == 1
    gate.pins.set("motor_close", True)
    gate.run(2)
    assert gate.pins.read()["leaf"] is True
    assert not gate.lane.moving or gate.lane.status()["leaf"] == 0


def test_out_is_the_mirror_of_in(gate: Gate) -> None:
    gate.lane.walk(Walk(direction="out"))
    gate.pins.set("release", True)
    gate.pins.set("motor_open", True)
    gate.run(8)
    beams = [name for name, active in gate.changes() if active]
    assert beams == ["beam_inner", "beam_outer"]
    assert gate.lane.tally.left == 1


def test_a_step_back_breaks_only_the_outer_beam(gate: Gate) -> None:
    gate.lane.walk(Walk(step_back=True))
    gate.pins.set("release", True)
    gate.pins.set("motor_open", True)
    gate.run(8)
    assert gate.changes() == [("leaf", False), ("beam_outer", True), ("beam_outer", False)]
    assert (gate.lane.tally.entered, gate.lane.tally.turned_back) == (0, 1)


def test_a_tailgater_follows_through_the_same_opening(gate: Gate) -> None:
    gate.lane.walk(Walk(people=2, gap_m=0.2))
    gate.pins.set("release", True)
    gate.pins.set("motor_open", True)
    gate.run(8)
    assert gate.lane.tally.entered == 2
    assert gate.changes().count(("beam_inner", True)) == 2


def test_a_pram_breaks_both_beams_at_once(gate: Gate) -> None:
    gate.lane.walk(Walk(length_m=1.1))
    gate.pins.set("release", True)
    gate.pins.set("motor_open", True)
    both = False
    for _ in range(400):
        gate.run(0.02)
        now = gate.pins.read()
        both |= now["beam_outer"] and now["beam_inner"]
    assert both
    assert gate.lane.tally.entered == 1


def test_a_leaf_driven_against_somebody_stops_and_is_counted_once(gate: Gate) -> None:
    gate.lane.walk(Walk(stand_s=4))
    gate.pins.set("release", True)
    gate.pins.set("motor_open", True)
    gate.run(3)
    gate.pins.set("motor_close", True)
    gate.run(2)
    assert gate.lane.tally.struck == 1
    assert gate.lane.status()["leaf"] >= 0.6
    gate.pins.set("motor_open", True)
    gate.run(6)
    assert (gate.lane.tally.struck, gate.lane.tally.entered) == (1, 1)


def test_without_a_motor_people_push_and_the_spring_closes() -> None:
    gate = Gate(motor=False)
    gate.lane.walk(Walk())
    gate.pins.set("release", True)
    gate.run(8)
    assert gate.lane.tally.entered == 1
    gate.pins.set("release", False)
    gate.run(4)
    assert gate.pins.read()["leaf"] is True
    assert gate.lane.tally.struck == 0
    gate.close()


def test_fire_unlocks_whatever_the_board_says(gate: Gate) -> None:
    gate.lane.set_fire(True)
    gate.lane.walk(Walk(direction="out"))
    gate.run(8)
    assert ("fire", True) in gate.changes()
    assert gate.pins.outputs()["release"] is False  # the board still locks; the wiring does not
    assert gate.lane.tally.left == 1


def test_the_pins_of_a_dead_board_let_people_out(gate: Gate) -> None:
    gate.pins.close()
    gate.lane.walk(Walk(direction="out"))
    for _ in range(500):
        gate.loop.advance(0.02)
        gate.lane.step(gate.loop.time())
    assert gate.lane.tally.left == 1


def test_help_is_a_press_and_ends(gate: Gate) -> None:
    gate.lane.press_help()
    gate.run(1)
    assert gate.changes() == [("help", True), ("help", False)]


def test_both_motor_directions_at_once_are_counted() -> None:
    gate = Gate()
    for pin, level in ((22, True), (23, False)):
        gate.pins.factory.pin(pin).state = level  # past the driver, which would not do it
    gate.run(0.2)
    assert gate.lane.tally.both_motors == 1
    gate.close()


def test_one_long_step_is_the_same_as_many_short_ones() -> None:
    ends = []
    for step in (0.02, 5.0):
        gate = Gate()
        gate.pins.set("release", True)
        gate.pins.set("motor_open", True)
        gate.lane.walk(Walk(people=2, gap_m=0.5))
        start = gate.loop.time()
        for index in range(round(10 / step)):
            gate.lane.step(start + (index + 1) * step)
        ends.append((gate.lane.tally, gate.lane.status()["leaf"]))
        gate.close()
    assert ends[0] == ends[1]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["release", "motor_open", "motor_close", "fire", "walk", "out"]), st.booleans()
        ),
        max_size=30,
    )
)
def test_the_leaf_never_passes_through_anybody(actions: list[tuple[str, bool]]) -> None:
    gate = Gate()
    for name, on in actions:
        if name == "fire":
            gate.lane.set_fire(on)
        elif name in ("walk", "out"):
            if len(gate.lane.people) < 6:
                gate.lane.walk(Walk(direction="in" if name == "walk" else "out", step_back=on))
        else:
            gate.pins.set(name, on)
        gate.run(0.5)
        shape = gate.lane.shape
        if any(one.covers(shape.leaf_m, shape.leaf_m) for one in gate.lane.people):
            assert gate.lane.status()["leaf"] >= shape.clear_at - 0.02
    gate.close()


@pytest.mark.parametrize(
    "bad",
    [
        {"people": 0},
        {"people": True},
        {"people": 1.5},
        {"speed_m_s": 0},
        {"direction": "up"},
        {"step_back": 1},
    ],
)
def test_a_bad_walk_is_refused_by_name(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Walk(**bad)  # type: ignore[arg-type]
