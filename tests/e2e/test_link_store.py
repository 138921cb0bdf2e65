"""Records of a real board loop reach the ledger of the real store through a real mosquitto."""

from __future__ import annotations

from pathlib import Path

from firmware.sync.link import LinkUp
from tests.support.broker import Mosquitto
from tests.support.linkboard import LinkBoard, until
from tests.support.storeproc import StoreProcess


def test_every_record_reaches_the_ledger_once_and_leaves_the_journal(
    tmp_path: Path, own_broker: Mosquitto
) -> None:
    with (
        StoreProcess(tmp_path / "store", own_broker.port) as store,
        LinkBoard(tmp_path / "board", own_broker.port) as board,
    ):
        board.record(60)
        board.drained()
        assert store.bodies() == board.bodies
        assert board.seen(LinkUp)
        board.record(1)
        until(lambda: store.bodies() == board.bodies, what=store.log())
