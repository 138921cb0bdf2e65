"""What a whole simulated gate recorded, replayed: every event and order is in the trace, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.sync.journal import JournalFault
from provisioning.replay import run_again
from tests.support.stepped import SteppedBoard


@pytest.fixture
def board(tmp_path: Path) -> Iterator[SteppedBoard]:
    board = SteppedBoard(tmp_path, trace={"enabled": True})
    yield board
    board.cut()


def test_what_a_board_recorded_is_replayed_to_its_last_event(board: SteppedBoard, tmp_path: Path) -> None:
    issued = board.issue(1)
    board.show_pass(issued)
    board.clock.jump_ms += 30_000
    board.show_pass(issued)  # rotated in its owner's hand
    board.walk()
    board.advance(12)
    board.show_pass(issued)
    board.show("12345")
    board.advance(5)
    board.fire(True)
    board.advance(0.2)
    expected = board.app.station.policy.counters | {}
    board.app.close()
    count, _, difference = run_again(tmp_path / "trace" / "trace-0.jsonl")
    assert difference is None
    assert expected == {"admitted": 1, "refused": 2, "passed": 1, "annulled": 0, "tailgates": 0}
    assert b'"fire"' in (tmp_path / "trace" / "trace-0.jsonl").read_bytes()
    assert count > 20


def test_a_trace_with_a_hole_goes_on_in_a_new_file(board: SteppedBoard, tmp_path: Path) -> None:
    board.advance(1)
    board.worker().fault = JournalFault("the disk is full", "df")
    board.show("12345")
    board.advance(2)
    board.worker().fault = None
    board.show("67890")  # at rest after it
    board.show("24680")
    board.advance(2)
    assert board.app.figures()["trace_lost"] == 1
    for number in range(2):
        count, _, difference = run_again(tmp_path / "trace" / f"trace-{number}.jsonl")
        assert difference is None
        assert count
