"""A simulated board whose documents, devices or inputs are not as they should be: what it still does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware.wire.commands import Command
from firmware.wire.record_types import Alarm, Refused
from firmware.wire.refusals import NAME_BY_NUMBER
from firmware.worker import InlineWorker
from hal.ports import DeviceBack, DeviceLost, InputChanged
from tests.support.stepped import SteppedBoard, boards_on

Make = Callable[..., SteppedBoard]


def slow_documents(monkeypatch: pytest.MonkeyPatch, wait_s: float) -> None:
    """The documents' thread of boards made from here on takes ``wait_s`` for every job."""
    plain = InlineWorker.__init__

    def slow(self: InlineWorker, *given: Any) -> None:
        plain(self, *given)
        self.delay_s = wait_s if self.name == "documents" else 0.0
        self._since = self._guard.loop.time()

    def busy_for(self: InlineWorker, now: float) -> float:
        busy = now - (self._since or 0.0)
        return busy if busy < self.delay_s else 0.0

    monkeypatch.setattr(InlineWorker, "__init__", slow)
    monkeypatch.setattr(InlineWorker, "busy_for", busy_for)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    yield from boards_on(tmp_path / "data")


def obey(board: SteppedBoard, name: str) -> None:
    board.app.uplink._obey(Command(f"{name}-1", name, 0, 1, {}))
    board.advance(0.1)


def parts(board: SteppedBoard) -> list[str]:
    return [fault.part for fault in board.app.station.faults]


def refusals(board: SteppedBoard) -> list[str]:
    return [NAME_BY_NUMBER[r.reason] for r in board.records() if isinstance(r, Refused)]


# -- the shop's state ------------------------------------------------------------------------------


def test_nobody_is_let_in_before_the_shops_state_is_read(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    obey(make(), "lockdown")
    slow_documents(monkeypatch, 3.0)
    board = make()
    board.show_pass(board.issue(1))
    assert refusals(board) == ["shop-closed"]
    board.advance(3)
    assert board.state == "lockdown"
    assert "documents" not in parts(board)


def test_a_new_board_is_open_as_soon_as_that_is_known(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_documents(monkeypatch, 3.0)
    board = make()
    assert board.app.station.house.shop.state == "closed"
    board.advance(3)
    board.show_pass(board.issue(1))
    assert board.released


def test_unreadable_documents_are_told_and_the_shop_is_open(make: Make, tmp_path: Path) -> None:
    obey(make(), "close-shop")
    for name in ("board.json", "board.json.bak"):
        (tmp_path / "data" / name).write_bytes(b"\0damaged")
    board = make()
    assert "documents" in parts(board)
    board.show_pass(board.issue(1))
    assert board.released


def test_documents_that_hang_are_told_then_the_shop_is_open_until_they_come(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    obey(make(), "close-shop")
    slow_documents(monkeypatch, 30.0)
    board = make()
    assert parts(board) == []
    board.advance(6)
    assert parts(board) == ["documents"]
    board.show_pass(board.issue(1))
    assert board.released
    board.advance(30)
    assert board.app.station.house.shop.state == "closed"


def test_what_the_shop_says_while_documents_hang_is_newer_than_them(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    obey(make(), "close-shop")
    slow_documents(monkeypatch, 30.0)
    board = make()
    board.advance(6)
    obey(board, "lockdown")
    board.advance(60)
    assert board.state == "lockdown"
    assert board.app.station.house.shop.state == "lockdown"


def test_close_after_release_brings_the_lockdown_back(make: Make) -> None:
    board = make()
    obey(board, "lockdown")
    obey(board, "release")
    board.advance(5)
    assert board.released
    obey(board, "close")
    board.advance(20)
    assert board.state == "lockdown"


# -- a changed board file ----------------------------------------------------------------------------


def sense(board: SteppedBoard, name: str, active: bool) -> None:
    board.app.station.post(InputChanged(name, active, board.loop.time()))
    board.advance(0.1)


@pytest.mark.parametrize("state", ["blind", "obstructed", "forced", "stuck", "fault"])
def test_a_mended_board_file_is_taken_in_each_state_that_a_wrong_one_leads_to(make: Make, state: str) -> None:
    board = make()
    gate = board.app.station.policy.gate
    if state == "blind":
        board.app.station.post(DeviceLost("pins", "gone", "wiring", board.loop.time()))
    elif state == "obstructed":
        sense(board, "beam_outer", True)
        assert not board.app.idle()
        board.advance(61)
    elif state == "forced":
        sense(board, "leaf", False)
    elif state == "stuck":
        obey(board, "open")
        sense(board, "beam_outer", True)
        assert not board.app.idle()
        board.advance(70)
    else:
        gate.state = "fault"  # the simulated motor obeys
    assert gate.state == state
    assert board.app.idle()


def test_a_changed_board_file_waits_for_whoever_stands_in_the_lane(make: Make) -> None:
    board = make()
    sense(board, "leaf", False)
    sense(board, "beam_inner", True)
    assert board.state == "forced"
    assert not board.app.idle()
    sense(board, "beam_inner", False)
    assert board.app.idle()


# -- devices -----------------------------------------------------------------------------------------


def test_a_flapping_device_fills_no_journal(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    board = make()

    def flap(device: str) -> None:
        board.app.station.post(DeviceLost(device, "gone", "cable", board.loop.time()))
        board.app.station.post(DeviceBack(device, board.loop.time()))
        board.advance(0.1)

    def alarms() -> list[str]:
        return [r.kind for r in board.records() if isinstance(r, Alarm)]

    for _ in range(100):
        flap("reader")
    flap("scanner")
    assert alarms() == ["reader-lost"] * 12 + ["scanner-lost"]
    assert board.app.figures()["alarms_unwritten"] == 88
    assert sum("reader is lost" in line for line in caplog.messages) == 100
    board.advance(3600)
    flap("reader")
    assert alarms().count("reader-lost") == 13


def test_a_lost_pin_driver_is_always_told_to_the_gate(make: Make) -> None:
    board = make()
    for _ in range(20):
        board.app.station.post(DeviceLost("pins", "gone", "wiring", board.loop.time()))
        assert board.state == "blind"
        board.app.station.post(DeviceBack("pins", board.loop.time()))
        board.advance(0.1)
        assert board.state != "blind"
