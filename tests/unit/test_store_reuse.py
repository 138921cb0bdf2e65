"""Two records under one id with different content: the first is kept, the reuse is counted and alarmed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from firmware.wire.records import Damaged, Kind, Record, Skipped
from store import schema
from store.ingest import Arrived, Outcome, commit
from store.ledger import migrate, open_ledger
from store.status import collect
from tests.support import shopfeed as feed

NOW = 1_790_000_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Engine:
    engine = open_ledger(feed.sqlite_url(tmp_path / "ledger.sqlite"))
    migrate(engine)
    return engine


def arrive(ledger: Engine, *frames: bytes, board: str = "entry-1") -> Outcome:
    return commit(ledger, [Arrived(board, "rec", data, NOW) for data in frames])


def found(ledger: Engine) -> tuple[list[tuple[str, str, int]], int]:
    """The alarms (board, epoch, seq), and how many reuses were counted."""
    with ledger.connect() as connection:
        table = schema.alarms.c
        query = select(table.board, table.subject, table.seq).where(table.kind == "id_reused")
        alarms = [tuple(row) for row in connection.execute(query)]
        faults = schema.wire_faults.c
        count = connection.scalar(select(faults.count).where(faults.kind == "id_reused")) or 0
    return alarms, count  # type: ignore[return-value]


def body(ledger: Engine, seq: int) -> bytes:
    with ledger.connect() as connection:
        return bytes(
            connection.scalar(select(schema.records.c.body).where(schema.records.c.seq == seq)) or b""
        )


def framed(seq: int, record: Record) -> bytes:
    return feed.framed(1, seq, record)


def test_a_resend_is_no_reuse(ledger: Engine) -> None:
    frames = feed.visits_of(1, 6)
    arrive(ledger, *frames, *frames)
    arrive(ledger, *frames)
    assert found(ledger) == ([], 0)


@pytest.mark.parametrize("ahead", [False, True], ids=["posted", "waiting"])
def test_other_content_under_an_id_is_counted_and_alarmed_once(ledger: Engine, ahead: bool) -> None:
    seqs = (3, 4) if ahead else (1, 2)
    arrive(ledger, *(framed(seq, feed.admitted(seq)) for seq in seqs))
    kept = body(ledger, seqs[0])
    for _ in range(2):
        outcome = arrive(ledger, *(framed(seq, feed.admitted(seq + 50)) for seq in seqs))
        assert "in use twice" in str(outcome.warnings)
    assert found(ledger) == ([("entry-1", f"{1:016x}", seqs[1])], 4)
    assert body(ledger, seqs[0]) == kept
    if not ahead:
        assert outcome.acks[-1][1].through == 2
        assert "id_reused" in str(collect(ledger, NOW).attention)


def test_two_contents_in_one_batch(ledger: Engine) -> None:
    arrive(ledger, framed(1, feed.admitted(1)), framed(1, feed.admitted(2)), framed(1, feed.admitted(1)))
    assert found(ledger) == ([("entry-1", f"{1:016x}", 1)], 1)
    assert body(ledger, 1) == feed.admitted(1).body()


def test_the_same_seq_of_another_board_or_journal_is_no_reuse(ledger: Engine) -> None:
    arrive(ledger, framed(1, feed.admitted(1)))
    arrive(ledger, framed(1, feed.admitted(2)), board="entry-2")
    arrive(ledger, feed.framed(2, 1, feed.admitted(3)))
    assert found(ledger) == ([], 0)


@pytest.mark.parametrize(
    "stand_in", [Damaged(feed.STAMP, 1, 1), Skipped(feed.STAMP, 1, 1, {int(Kind.PRICE_LOOK): 1})]
)
@pytest.mark.parametrize("first", [False, True])
def test_what_stands_in_for_a_record_is_no_reuse(ledger: Engine, stand_in: Record, first: bool) -> None:
    both = [framed(1, feed.admitted(1)), framed(1, stand_in)]
    for data in reversed(both) if first else both:
        arrive(ledger, data)
    assert found(ledger) == ([], 0)
