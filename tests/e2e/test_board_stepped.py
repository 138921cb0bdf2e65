"""One whole simulated gate in stepped time: from a picture before the camera to records in the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware.gate import facts
from firmware.sync.journal import JournalFault
from firmware.wire.record_types import Admitted, Alarm, Annulled, Basket, Flags, Refused
from firmware.wire.refusals import NAME_BY_NUMBER
from firmware.wire.taglist import decode
from hal.ports import DeviceBack, DeviceLost, Post
from tests.support.stepped import SteppedBoard, boards_on

Make = Callable[..., SteppedBoard]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Boards on one data folder; making another one cuts the power of the one before."""
    yield from boards_on(tmp_path / "data")


def refusals(board: SteppedBoard) -> list[str]:
    return [NAME_BY_NUMBER[r.reason] for r in board.records() if isinstance(r, Refused)]


def test_a_good_pass_opens_and_leaves_its_records(make: Make) -> None:
    board = make()
    assert board.state == "closed"
    assert not board.released
    board.show_pass(board.issue(7))
    assert board.released
    board.walk()
    board.advance(12)
    assert board.state == "closed"
    assert board.kinds() == ["Started", "Admitted", "Passed"]
    admitted = board.records()[1]
    assert isinstance(admitted, Admitted)
    assert admitted.visit == (7).to_bytes(8, "big")
    assert board.app.world.stage.tally.entered == 1
    assert board.app.world.stage.tally.struck == 0


def test_refusals_are_named_and_open_nothing(make: Make) -> None:
    board = make()
    now = board.clock.wall_ms() // 1000
    good = board.issue(1)
    code = good.shown_at(now)
    shown = {
        "expired": board.issue(2, issued_at=now - 7300, valid_for=7200).shown_at(now - 200),
        "foreign": board.issue(3, store_id="elsewhere").shown_at(now),
        "bad-signature": code[:40] + ("A" if code[40] != "A" else "B") + code[41:],
        "stale-code": board.issue(4, issued_at=now - 600).shown_at(now - 300),
        "not-a-pass": "12345",
        "url-here": "https://example.com/x",
        "paycode-here": "131234567890123456",
    }
    for text in shown.values():
        board.show(text)
        board.take_away()
        assert not board.released
    assert refusals(board) == list(shown)
    assert "Admitted" not in board.kinds()


def test_the_same_pass_again_is_used(make: Make) -> None:
    board = make()
    issued = board.issue(1)
    board.show_pass(issued)
    board.walk()
    board.advance(12)
    board.show_pass(issued)
    assert refusals(board) == ["used"]
    assert not board.released


def test_a_pass_that_rotates_in_its_owners_hand_is_no_second_try(make: Make) -> None:
    board = make()
    issued = board.issue(1)
    board.show_pass(issued)
    board.clock.jump_ms += 30_000
    board.show_pass(issued)
    assert refusals(board) == []
    board.walk()
    board.advance(12)
    assert board.kinds() == ["Started", "Admitted", "Passed"]
    board.clock.jump_ms += 30_000
    board.show_pass(issued)
    assert refusals(board) == ["used"]


def test_the_same_code_again_while_its_owner_passes_is_a_second_try(make: Make) -> None:
    board = make()
    issued = board.issue(1)
    board.show_pass(issued)
    board.show_pass(issued)
    assert refusals(board) == ["used"]


def test_who_does_not_walk_through_gets_the_use_back(make: Make) -> None:
    board = make()
    issued = board.issue(1)
    board.show_pass(issued)
    board.advance(20)
    (annulled,) = [r for r in board.records() if isinstance(r, Annulled)]
    assert (annulled.uses, annulled.why, annulled.ref_seq) == (1, "not-used", 2)
    board.show_pass(issued)
    assert board.released


def test_a_party_of_three_of_whom_two_come(make: Make) -> None:
    board = make()
    issued = board.issue(1, party=3)
    board.show_pass(issued)
    board.walk(people=2)
    board.advance(25)
    kinds = board.kinds()
    assert kinds.count("Passed") == 2
    (annulled,) = [r for r in board.records() if isinstance(r, Annulled)]
    assert annulled.uses == 1
    board.show_pass(issued)
    board.walk()
    board.advance(15)
    assert board.kinds().count("Passed") == 3
    board.show_pass(issued)
    assert refusals(board) == ["used"]


def test_a_tailgater_is_an_alarm(make: Make) -> None:
    board = make()
    board.show_pass(board.issue(1))
    board.walk(people=2, gap_m=0.2)
    board.advance(15)
    alarms = [r.kind for r in board.records() if isinstance(r, Alarm)]
    assert alarms == ["tailgate"]
    assert board.app.world.stage.tally.struck == 0


def test_fire_opens_and_refuses_until_it_is_over(make: Make) -> None:
    board = make()
    board.fire(True)
    board.advance(1)
    assert board.released
    board.show_pass(board.issue(1))
    assert refusals(board) == ["fire"]
    board.take_away()
    board.fire(False)
    board.advance(60)
    assert board.state == "closed"
    assert not board.released
    assert "fire" in [r.kind for r in board.records() if isinstance(r, Alarm)]


def test_the_next_code_is_taken_while_somebody_passes(make: Make) -> None:
    board = make()
    board.show_pass(board.issue(1))
    board.walk()
    board.take_away()
    board.show_pass(board.issue(2))
    board.walk(delay_s=1.0)
    board.advance(20)
    assert board.kinds().count("Admitted") == 2
    assert board.kinds().count("Passed") == 2
    assert not [r for r in board.records() if isinstance(r, Alarm)]


def test_unsynchronised_clock_refuses_and_by_name_accepts(make: Make) -> None:
    board = make(quality="unsynced", sim={"clock": "unsynced"})
    board.show_pass(board.issue(1))
    assert refusals(board) == ["clock-unsure"]
    board = make(quality="unsynced", admission={"on_unsynced_clock": "accept-flagged"})
    board.show_pass(board.issue(1))
    assert board.released
    assert "clock-unsure" in [r.kind for r in board.records() if isinstance(r, Alarm)]


def test_a_clock_that_jumps_back_a_year_locks_nobody_in(make: Make) -> None:
    board = make()
    board.show_pass(board.issue(1))
    board.clock.jump_ms = -365 * 86_400_000
    board.walk()
    board.advance(15)
    assert board.kinds().count("Passed") == 1
    assert board.state == "closed"
    now = board.clock.wall_ms() // 1000
    board.show(board.issue(2, issued_at=now + 365 * 86400).shown_at(now + 365 * 86400))
    assert refusals(board) == ["not-yet-valid"]
    assert not board.released


# -- power cut, hang and read-only disk in every state a shopper can be in ---------------------------

MOMENTS = {
    "closed": 0.0,
    "opening": 0.2,
    "open": 1.8,
    "passing": 2.3,
    "clearing": 3.1,
    "closing": 3.6,
}


def to_moment(board: SteppedBoard, seconds: float) -> None:
    if seconds:
        board.show_pass(board.issue(1))
        board.walk(delay_s=0.3, speed_m_s=0.9)
        board.advance(seconds)


@pytest.mark.parametrize("moment", MOMENTS)
def test_power_cut(make: Make, moment: str) -> None:
    board = make()
    to_moment(board, MOMENTS[moment])
    admitted = board.kinds().count("Admitted")
    passed = board.kinds().count("Passed")
    board = make()
    board.advance(20)
    kinds = board.kinds()
    assert board.state == "closed"
    assert kinds.count("Started") == 2
    assert kinds.count("Admitted") == admitted
    assert kinds.count("Passed") == passed
    # An admission whose passage was not seen is given back once, and only once.
    assert kinds.count("Annulled") == admitted - passed
    assert make().kinds().count("Annulled") == admitted - passed


@pytest.mark.parametrize("moment", MOMENTS)
def test_hang(make: Make, moment: str) -> None:
    """The loop stands still for 30 s; then everything that was due comes at once."""
    board = make()
    to_moment(board, MOMENTS[moment])
    board.loop.jump(30)
    board.advance(40)
    assert board.state == "closed"
    assert board.app.world.stage.tally.struck == 0
    kinds = board.kinds()
    assert kinds.count("Admitted") == kinds.count("Passed") + kinds.count("Annulled")


@pytest.mark.parametrize("moment", MOMENTS)
def test_read_only_disk(make: Make, moment: str) -> None:
    board = make()
    to_moment(board, MOMENTS[moment])
    board.worker().fault = JournalFault("the disk is read-only", "the card; dmesg")
    board.advance(15)
    assert board.state == "closed"
    if moment == "closed":
        board.show_pass(board.issue(5))
        assert not board.released
    passing = moment in ("opening", "open", "passing")
    assert (board.app.recorder.fault is not None) == (passing or moment == "closed")
    board.worker().fault = None
    board.advance(10)
    kinds = board.kinds()
    assert board.app.recorder.backlog == 0
    assert kinds.count("Admitted") == kinds.count("Passed") + kinds.count("Annulled")


def test_read_only_disk_admits_in_memory_by_name(make: Make) -> None:
    board = make(admission={"on_disk_fault": "admit-in-memory"})
    board.worker().fault = JournalFault("the disk is read-only", "the card; dmesg")
    issued = board.issue(1)
    board.show_pass(issued)
    assert board.released
    board.walk()
    board.advance(12)
    board.show_pass(issued)
    assert not board.released
    board.worker().fault = None
    board.advance(10)
    (admitted,) = [r for r in board.records() if isinstance(r, Admitted)]
    assert admitted.flags & Flags.IN_MEMORY
    assert board.kinds().count("Passed") == 1
    assert refusals(board) == ["used"]


def test_slow_disk_shows_one_moment_and_still_opens(make: Make) -> None:
    board = make()
    board.worker().delay_s = 0.3
    board.show_pass(board.issue(1))
    board.advance(0.05)
    assert not board.released
    screen = board.app.display.screen  # type: ignore[attr-defined]
    assert screen.lines == ("One moment",)
    board.advance(0.3)
    assert board.released


def test_an_exit_pass_opens_once(make: Make) -> None:
    board = make(board={"role": "exit"})
    issued = board.issue(1, kind="exit")
    board.show_pass(issued)
    assert board.released
    board.advance(20)
    assert board.kinds() == ["Started", "Admitted", "Annulled"]
    board.show_pass(issued)
    board.walk(direction="out")
    board.advance(20)
    board.show_pass(issued)
    assert refusals(board) == ["used"]
    assert not board.released
    assert board.kinds().count("Admitted") == 2
    assert board.app.station._claimed == {}


def test_other_gates_uses_are_taken_off_and_what_was_granted_in_memory_is_written(make: Make) -> None:
    board = make(admission={"on_disk_fault": "admit-in-memory"})
    board.worker().fault = JournalFault("the disk is read-only", "the card; dmesg")
    issued = board.issue(1, party=3)
    elsewhere = {"uses": 1}
    board.app.station.claims.used = lambda visit, direction: elsewhere["uses"]  # type: ignore[method-assign]
    board.show_pass(issued)
    assert board.events("opened")[0]["uses"] == 2
    elsewhere["uses"] = 3  # the link is back: the others granted the same uses
    board.walk(people=2)
    board.advance(15)
    board.worker().fault = None
    board.advance(10)
    (admitted,) = [r for r in board.records() if isinstance(r, Admitted)]
    assert (admitted.uses, admitted.flags) == (2, Flags.IN_MEMORY | Flags.OFFLINE)


def test_a_burst_of_tags_is_one_provisional_basket(make: Make) -> None:
    board = make()
    board.advance(2)
    board.tags(1, 2, 3)
    board.advance(10)
    board.tags()
    board.advance(10)
    (basket,) = [r for r in board.records() if isinstance(r, Basket)]
    assert basket.count == 3
    assert list(decode(basket.tags)) == [number.to_bytes(12, "big") for number in (1, 2, 3)]
    assert basket.flags & Flags.PROVISIONAL


def test_a_camera_that_cannot_be_started_is_lost_and_the_gate_goes_on(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dead:
        def start(self, post: Post) -> None:
            post(DeviceLost("camera", "no memory", "free memory", 0.0))

        def close(self) -> None:
            pass

    monkeypatch.setattr("firmware.app.code_sources", lambda *_, **__: [Dead()])
    board = make()
    assert board.crashes == []
    assert [fault.part for fault in board.app.station.faults] == ["camera"]
    assert board.app.station.policy.gate.state == "closed"


# -- the same three faults in the states that are no part of a plain visit ----------------------------


def _held_up(board: SteppedBoard, seconds: float) -> None:
    board.show_pass(board.issue(1))
    board.walk(stand_s=200.0)
    board.advance(seconds)


def _remote(board: SteppedBoard, name: str) -> None:
    board.app.station.policy_event(facts.Remote(name))
    board.advance(3)


def _burning(board: SteppedBoard, on_s: float, off_s: float = 0.0) -> None:
    board.show_pass(board.issue(1))
    board.fire(True)
    board.advance(on_s)
    if off_s:
        board.fire(False)
        board.advance(off_s)


def _blind(board: SteppedBoard) -> None:
    board.show_pass(board.issue(1))
    board.app.station.event(DeviceLost("pins", "cannot be read", "the wiring", board.loop.time()))
    board.advance(1)


SITUATIONS: dict[str, Callable[[SteppedBoard], None]] = {
    "fire-opening": lambda board: _burning(board, 0.15),
    "fire": lambda board: _burning(board, 5.0),
    "fire-over": lambda board: _burning(board, 3.0, 2.0),
    "free": lambda board: _remote(board, "release"),
    "lockdown": lambda board: _remote(board, "lockdown"),
    "blind": _blind,
    "held": lambda board: _held_up(board, 16.0),
    "stuck": lambda board: _held_up(board, 45.0),
}


def _put_right(board: SteppedBoard) -> None:
    """What a person does about it; then the gate has a minute and a half."""
    board.fire(False)
    board.app.world.stage.clear_people()
    if board.state == "blind":
        board.app.station.event(DeviceBack("pins", board.loop.time()))
    for name in ("unlock", "close"):
        board.app.station.policy_event(facts.Remote(name))
    board.advance(90)


def _balanced(board: SteppedBoard) -> bool:
    records = board.records()
    granted = sum(r.uses for r in records if isinstance(r, Admitted))
    back = sum(r.uses for r in records if isinstance(r, Annulled))
    return granted == back + board.kinds().count("Passed")


@pytest.mark.parametrize("state", SITUATIONS)
def test_power_cut_in_other_states(make: Make, state: str) -> None:
    board = make()
    SITUATIONS[state](board)
    assert board.state == state
    board = make()
    board.advance(20)
    assert board.state == "closed"
    assert board.app.pins.outputs()["motor_close"] is False
    assert _balanced(board)


@pytest.mark.parametrize("state", SITUATIONS)
def test_hang_in_other_states(make: Make, state: str) -> None:
    board = make()
    SITUATIONS[state](board)
    assert board.state == state
    board.loop.jump(30)
    board.advance(1)
    if state != "lockdown":
        assert board.released, "people must get out"
    _put_right(board)
    assert board.state == "closed"
    assert board.app.world.stage.tally.struck == 0
    assert _balanced(board)


@pytest.mark.parametrize("state", SITUATIONS)
def test_read_only_disk_in_other_states(make: Make, state: str) -> None:
    board = make()
    SITUATIONS[state](board)
    assert board.state == state
    board.worker().fault = JournalFault("the disk is read-only", "the card; dmesg")
    board.advance(5)
    if state != "lockdown":
        assert board.released, "people must get out"
    _put_right(board)
    assert board.state == "closed"
    board.worker().fault = None
    board.advance(10)
    assert board.app.recorder.backlog == 0
    assert _balanced(board)
