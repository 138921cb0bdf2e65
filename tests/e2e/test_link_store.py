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


def test_what_a_damaged_journal_still_holds_reaches_the_shop_before_the_new_records(
    tmp_path: Path, own_broker: Mosquitto
) -> None:
    with LinkBoard(tmp_path / "board", own_broker.port, dial=False) as board:
        board.record(8)
        before = board.bodies
        old = board.disk(board.journal.stats).epoch
    file = tmp_path / "board" / "journal.sqlite"
    data = bytearray(file.read_bytes())
    data[:64] = bytes(64)  # the file's head: no database any more, its rows are still there
    file.write_bytes(data)
    with (
        StoreProcess(tmp_path / "store", own_broker.port) as store,
        LinkBoard(tmp_path / "board", own_broker.port) as board,
    ):
        new = board.disk(board.journal.stats).epoch
        assert new != old
        board.record(3)
        board.drained()
        until(lambda: {epoch for epoch, _, _ in store.rows()} == {f"{old:016x}", f"{new:016x}"})
        rows = store.rows()
        assert [body for epoch, _, body in rows if epoch == f"{old:016x}"][:8] == before
        assert [body for epoch, _, body in rows if epoch == f"{new:016x}"][-3:] == board.bodies
