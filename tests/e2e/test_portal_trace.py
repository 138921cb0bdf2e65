"""What a whole simulated portal recorded, replayed: every event, verdict and order is in the trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioning.replay import run_again
from tests.support.portalboard import CODE, PortalBoard, Shop


@pytest.mark.parametrize("lane", ["store", "count"])
def test_what_a_portal_recorded_is_replayed_to_its_last_event(tmp_path: Path, lane: str) -> None:
    board = PortalBoard(tmp_path, lane, trace={"enabled": True})
    shop = Shop(board)
    for number in range(2):
        board.lay(*range(10 * number, 10 * number + 4))
        board.inside(1)
        board.until("awaiting-payment" if lane == "store" else "counted")
        if lane == "store":
            board.show(CODE)
            board.until("paid")
        board.lay()
        board.inside(0)
        board.until("idle")
    assert shop.charged == ([400, 400] if lane == "store" else [])
    board.cut()
    text = (tmp_path / "trace" / "trace-0.jsonl").read_text()
    count, _, difference = run_again(tmp_path / "trace" / "trace-0.jsonl")
    assert difference is None
    assert count > 50
    assert CODE not in text
    assert text.count('"verdict"') < count / 3, "a verdict is written whole only when it is another one"


def test_the_files_of_the_ring_are_each_replayed(tmp_path: Path) -> None:
    board = PortalBoard(tmp_path, "store", trace={"enabled": True, "limit_mb": 0.1})
    Shop(board)
    for number in range(4):
        board.lay(*range(10 * number, 10 * number + 4))
        board.inside(1)
        board.until("awaiting-payment")
        if number % 2:
            board.show(CODE)
            board.until("paid")
        board.inside(0)
        board.until("idle")
        board.advance(1)
    board.cut()
    files = sorted((tmp_path / "trace").glob("trace-*.jsonl"))
    assert len(files) > 1
    for file in files:
        assert run_again(file)[2] is None


def test_another_policy_shows_its_first_difference(tmp_path: Path) -> None:
    board = PortalBoard(tmp_path, "count", trace={"enabled": True})
    board.lay(1, 2)
    board.inside(1)
    board.until("counted")
    board.cut()
    file = tmp_path / "trace" / "trace-0.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0]["header"]["timing"]["left_s"] = 9.0
    lines[0]["header"]["lane"] = "store"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    difference = run_again(file)[2]
    assert difference is not None
    assert difference.event == "Submitted"
