"""A board that ends or is applied anew in one process: what was under way changes nothing any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.sync.journal import JournalFault
from firmware.wire.record_types import Alarm
from hal.ports import DeviceLost, DeviceNote
from tests.support.stepped import SteppedBoard


@pytest.fixture
def board(tmp_path: Path) -> Iterator[SteppedBoard]:
    board = SteppedBoard(tmp_path)
    yield board
    board.cut()


def test_an_answer_of_the_disk_after_the_end_opens_nothing(board: SteppedBoard) -> None:
    board.worker().delay_s = 1.0
    board.show_pass(board.issue(1))
    board.app.close()
    board.advance(5)
    assert board.app.station.policy.counters["admitted"] == 0


def test_no_timer_of_the_old_board_drives_the_new_ones_pins(board: SteppedBoard) -> None:
    board.app.station.locate(5)
    assert board.app.pins.outputs()["buzzer"]
    board.app.close()
    board.advance(10)


def test_a_board_file_waits_for_records_that_the_disk_did_not_take(board: SteppedBoard) -> None:
    assert board.app.idle()
    board.worker().fault = JournalFault("the disk is read-only", "the card; dmesg")
    board.show("12345")
    board.advance(1)
    assert not board.app.idle()
    board.worker().fault = None
    board.advance(5)
    assert board.app.idle()


def test_a_board_is_found_by_its_beep_although_it_refuses_meanwhile(board: SteppedBoard) -> None:
    board.app.station.locate(5)
    board.show("12345")
    board.advance(2)
    assert board.app.pins.outputs()["buzzer"]
    board.advance(4)
    assert not board.app.pins.outputs()["buzzer"]


def test_a_journal_found_damaged_while_the_board_runs_is_an_alarm(
    board: SteppedBoard, tmp_path: Path
) -> None:
    board.advance(1)
    board.app.desk.run(lambda journal: journal._file._give_up())
    path = tmp_path / "journal.sqlite"
    path.write_bytes(bytes(4096) + path.read_bytes()[4096:])
    board.show("12345")
    board.advance(1)
    alarms = [record for record in board.records() if isinstance(record, Alarm)]
    assert [alarm.kind for alarm in alarms] == ["journal-recovered"]


def test_an_output_that_cannot_be_driven_is_a_fault_to_look_at(board: SteppedBoard) -> None:
    board.app._fault("output release to its safe value", OSError("busy"))
    board.advance(0.1)
    (fault,) = [one for one in board.app.station.faults if one.part == "outputs"]
    assert "release" in fault.reason


def test_a_camera_that_is_gone_restarts_nothing_while_its_process_is_being_replaced(
    board: SteppedBoard,
) -> None:
    """The gate goes on: remote opening, fire and the way out do not need the camera."""
    stale = board.app.heartbeats.stale
    post = board.app.station.post
    post(DeviceLost("camera", "no frame", "its cable", board.loop.time()))
    for _ in range(10):
        board.advance(30)
        post(DeviceNote("camera", "camera_restarts", "no frame", board.loop.time()))
        assert stale(board.loop.time()) == []
    assert board.app.figures()["camera_restarts"] == 10
    board.advance(70)
    assert [sentence.split()[0] for sentence in stale(board.loop.time())] == ["camera"]
