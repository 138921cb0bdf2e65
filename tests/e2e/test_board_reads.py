"""A whole portal board in stepped time: its log of reads, run again, says what its basket said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware.rawstory import decode
from firmware.wire.records import Basket
from firmware.wire.taglist import decode as decode_tags
from provisioning import cli
from tests.support.portalruns import epc
from tests.support.stepped import SteppedBoard


def test_basket_and_its_log_say_the_same(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    board = SteppedBoard(tmp_path, file="sim-portal.toml")
    try:
        board.advance(4.0)
        board.inside(1)
        board.app.hardware.module.present([epc(number) for number in range(6)])
        for _ in range(20):
            board.advance(0.5)
            if "Basket" in board.kinds():
                break
        board.app.hardware.module.present([])
        board.inside(0)
        board.advance(12.0)
        (basket,) = [record for record in board.records() if isinstance(record, Basket)]
    finally:
        board.cut()
    (path,) = (tmp_path / "reads").iterdir()
    assert path.name.split("-")[1] == "2.reads"  # the board's second record, after Started
    assert cli.main(["replay", str(path), "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    complete = [turn for turn in said["verdicts"] if turn["now"]["kind"] == "complete"]
    charged = sorted(one.hex().upper() for one in decode_tags(basket.tags))
    assert complete[0]["now"]["items"] == charged
    assert len(charged) == 6
    assert decode(path.read_bytes()).complete
