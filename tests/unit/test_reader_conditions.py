"""A module's conditions: told once when they begin, once when they are over, whatever it repeats."""

from __future__ import annotations

from hal.reader.conditions import HOLD_S, LASTING, RESTING_S, RUNNING_S, Conditions
from hal.reader.events import CONDITIONS, Condition

HOT = Condition("hot", "the module is too hot")


def missing(port: int) -> Condition:
    return Condition("antenna-missing", "no antenna", antenna=port)


def test_a_repeated_condition_is_told_once() -> None:
    one = Conditions("reader")
    (begun,) = one.seen(HOT, 0.0)
    assert (begun.device, begun.name, begun.active, begun.reason) == (
        "reader",
        "hot",
        True,
        "the module is too hot",
    )
    assert "ventilation" in begun.check
    assert one.seen(HOT, 0.1) == []
    assert one


def test_it_is_over_when_it_was_not_repeated() -> None:
    one = Conditions("reader")
    one.seen(HOT, 0.0)
    one.seen(HOT, 3.0)
    assert one.time(3.0 + RUNNING_S - 0.1, running=True) == []
    assert one.time(3.0 + RUNNING_S, running=False) == []
    (over,) = one.time(3.0 + RUNNING_S, running=True)
    assert (over.name, over.active) == ("hot", False)
    assert not one
    one.seen(HOT, 50.0)
    assert len(one.time(50.0 + RESTING_S, running=False)) == 1


def test_a_tag_ends_it_but_not_in_between_two_reports() -> None:
    one = Conditions("reader")
    one.seen(HOT, 0.0)
    assert one.tag(1, HOLD_S - 0.1) == []
    assert len(one.tag(1, HOLD_S)) == 1


def test_antennas_are_told_apart_and_told_together() -> None:
    one = Conditions("reader")
    assert one.seen(missing(2), 0.0)[0].reason == "antenna 2: no antenna"
    assert one.seen(missing(3), 0.5)[0].reason == "antenna 2, 3: no antenna"
    assert one.tag(1, 9.0) == []  # another antenna's tag says nothing about these
    (left,) = one.tag(2, 9.0)
    assert (left.active, left.reason) == (True, "antenna 3: no antenna")
    (over,) = one.tag(3, 9.0)
    assert not over.active


def test_a_lost_module_has_no_conditions() -> None:
    one = Conditions("reader")
    one.seen(HOT, 0.0)
    one.seen(missing(1), 0.0)
    assert [event.active for event in one.lost(1.0)] == [False, False]
    assert one.lost(1.0) == []


def test_every_lasting_condition_is_a_known_one() -> None:
    assert set(LASTING) < set(CONDITIONS)
