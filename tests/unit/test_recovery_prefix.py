"""A journal that lost its counters and its first rows: the shop is told, and its ack goes on behind them."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware.sync.journal_recovery import Lost
from firmware.wire.records import Missing
from store.ingest import Arrived, commit
from store.ledger import migrate, open_ledger
from tests.support.journals import Bench
from tests.support.shopfeed import sqlite_url

ROWS = 12


def damaged(folder: Path, *lost_seqs: int) -> tuple[Bench, int]:
    """A journal of ``ROWS`` rows, opened again without its header page and these rows; and its old epoch."""
    bench = Bench(folder)
    for _ in range(ROWS):
        bench.refused()
    epoch = bench.epoch
    frames = {seq: data for _, seq, data in bench.journal.pending(limit=100)}
    bench.journal.close()
    data = bytearray(bench.path.read_bytes())
    for seq in lost_seqs:
        at = data.index(frames[seq])
        data[at : at + 30] = bytes(30)
    data[0:16] = bytes(16)
    bench.path.write_bytes(data)
    bench.journal = bench.open()
    return bench, epoch


@pytest.mark.parametrize("lost", [(), (1,), (1, 2, 3), (1, 2, 6)])
def test_the_shops_ack_passes_what_is_gone(tmp_path: Path, lost: tuple[int, ...]) -> None:
    bench, epoch = damaged(tmp_path, *lost)
    recovery = bench.journal.recovery
    assert recovery is not None
    first = next((seq for seq in range(1, ROWS) if seq not in lost), 1)
    declared = [one for one in recovery.lost if one.first == 1]
    assert declared == ([Lost(epoch, 1, first - 1)] if first > 1 else [])
    told = [r for of, _, r in bench.pending() if of != epoch and isinstance(r, Missing)]
    assert [(r.ref_epoch, r.first, r.last) for r in told if r.first == 1] == [
        (one.epoch, one.first, one.last) for one in declared
    ]

    ledger = open_ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    migrate(ledger)
    through: dict[int, int] = {}
    for of, seq, _ in bench.pending():
        ((_, _, data),) = bench.journal.pending(seq - 1, 1, epoch=of)
        outcome = commit(ledger, [Arrived("entry-1", "rec", data, 1_790_000_000_000)])
        through |= {ack.epoch: ack.through for _, ack in outcome.acks}
    assert through[epoch] == ROWS
    assert through[bench.epoch] == bench.journal.stats().last_seq
    bench.journal.close()
