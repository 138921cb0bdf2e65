"""A power cut in the middle of a sale: the log of what was read up to the basket is on the disk."""

from __future__ import annotations

from pathlib import Path

from firmware.rawstory import decode
from tests.support.stepped import SteppedBoard


def test_the_reads_of_a_submitted_basket_survive_a_power_cut(tmp_path: Path) -> None:
    board = SteppedBoard(tmp_path, file="sim-portal.toml")
    board.advance(3.0)
    board.inside(1)
    board.tags(*range(0x3034F4A1B800004000000001, 0x3034F4A1B800004000000004))
    for _ in range(200):
        board.advance(0.1)
        if board.state == "counted":
            break
    assert board.state == "counted"
    board.advance(0.5)
    board.cut()
    (log,) = (tmp_path / "reads").glob("*.reads")
    story = decode(log.read_bytes())
    assert {read.epc[-1] for read in story.reads} == {1, 2, 3}
