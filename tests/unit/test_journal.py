"""The journal's promises on a disk that works: seq without gaps, uses granted once, receipts, the bound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.sync.journal import (
    AckBeyond,
    Granted,
    JournalFault,
    JournalFull,
    Limits,
    NotOpen,
    UsedUp,
)
from firmware.wire.records import (
    Admitted,
    Annulled,
    Damaged,
    Kind,
    Passed,
    RecordError,
    Skipped,
)
from tests.support.journals import DAY_S, Bench, visit


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.journal.close()


SMALL = Limits(rows=100, alarm=0.5, looks=0.9, reserve=0.25, keep_rows=20)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, SMALL)
    yield bench
    bench.journal.close()


def test_seq_counts_from_1_and_survives_reopening(bench: Bench) -> None:
    assert [bench.started() for _ in range(3)] == [1, 2, 3]
    epoch = bench.epoch
    bench.again()
    assert bench.started() == 4
    assert bench.epoch == epoch
    assert bench.seqs() == [1, 2, 3, 4]
    assert bench.journal.recovery is None


def test_seq_is_not_given_again_after_everything_was_pruned(small: Bench) -> None:
    for _ in range(50):
        small.started()
    small.journal.ack(small.epoch, 50)
    small.clock.pass_time(8 * DAY_S)
    small.started()
    small.journal.ack(small.epoch, 51)
    assert small.journal.stats().first_seq > 50
    small.again()
    assert small.started() == 52


def test_each_journal_draws_its_own_epoch(tmp_path: Path) -> None:
    epochs = set()
    for name in "abc":
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name)
        epochs.add(bench.epoch)
        bench.journal.close()
    assert len(epochs) == 3


def test_a_second_program_cannot_open_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.sync.journal_schema.BUSY_S", 0.0)
    with pytest.raises(JournalFault, match="another program holds the journal"):
        bench.open()


@pytest.mark.parametrize("kind", [Kind.STARTED, Kind.ANNULLED])
def test_a_body_of_another_kind_is_refused(bench: Bench, kind: Kind) -> None:
    body = Passed(bench.clock(), visit(1), "in", 1).body()
    with pytest.raises(RecordError):
        bench.journal.append(body, kind)
    with pytest.raises(RecordError):
        bench.journal.append(b"junk", kind)
    assert bench.journal.stats().last_seq == 0


# -- admissions --------------------------------------------------------------------------------


def test_uses_are_granted_once_up_to_the_party(bench: Bench) -> None:
    first = bench.admit(visit(1), party=3)
    assert first == Granted(1, 3)
    assert bench.admit(visit(1), party=3) is None
    assert bench.admit(visit(1), party=3, direction="out") == Granted(2, 3)
    assert bench.journal.spent() == {(visit(1), "in"): 3, (visit(1), "out"): 3}
    bench.again()
    assert bench.admit(visit(1), party=3) is None


def test_used_up_says_how_many_and_writes_nothing(bench: Bench) -> None:
    bench.admit(visit(1), party=2)
    answer = bench.journal.admit(visit(1), "in", 1, lambda uses: pytest.fail("must not be asked"))
    assert answer == UsedUp(2)
    assert bench.journal.stats().last_seq == 1


def test_a_body_that_cannot_be_made_grants_nothing(bench: Bench) -> None:
    def broken(uses: int) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.journal.admit(visit(1), "in", 1, broken)
    wrong = Admitted(bench.clock(), visit(2), "in", 1, "entry").body()
    with pytest.raises(RecordError):
        bench.journal.admit(visit(1), "in", 1, lambda uses: wrong)
    assert bench.journal.spent() == {}
    assert bench.admit(visit(1)) == Granted(1, 1)


def test_annulment_gives_back_what_is_open_and_no_more(bench: Bench) -> None:
    bench.admit(visit(1), party=3)
    bench.passed(visit(1), 1)
    with pytest.raises(NotOpen):
        bench.annul(visit(1), 3, 1)
    bench.annul(visit(1), 2, 1)
    assert bench.journal.spent() == {(visit(1), "in"): 1}
    with pytest.raises(NotOpen):
        bench.annul(visit(1), 1, 1)
    assert bench.admit(visit(1), party=3) == Granted(4, 2)


def test_annulment_needs_its_own_record(bench: Bench) -> None:
    bench.admit(visit(1))
    other = Annulled(bench.clock(), visit(2), "in", 1, 1, "not-used").body()
    with pytest.raises(RecordError):
        bench.journal.annul(visit(1), "in", 1, other)


def test_open_admissions_after_a_crash(bench: Bench) -> None:
    bench.admit(visit(1), party=2)
    bench.admit(visit(2))
    bench.passed(visit(1), 1)
    bench.passed(visit(2), 2)
    # A pass that is not counted (staff): its record opens an admission too, but spends nothing.
    staff = Admitted(bench.clock(), visit(3), "in", 1, "staff").body()
    assert bench.journal.append(staff, Kind.ADMITTED) == 5
    journal = bench.again()
    assert [(a.seq, a.visit, a.uses, a.counted) for a in journal.open_admissions()] == [
        (1, visit(1), 1, True),
        (5, visit(3), 1, False),
    ]
    bench.annul(visit(1), 1, 1)
    bench.annul(visit(3), 1, 5)
    assert journal.open_admissions() == []
    assert journal.spent() == {(visit(1), "in"): 1, (visit(2), "in"): 1}


def test_an_admission_of_memory_only_is_annulled_as_a_record(bench: Bench) -> None:
    bench.annul(visit(9), 1, 0)
    assert bench.journal.spent() == {}
    assert bench.seqs() == [1]


def test_more_passages_than_uses_are_records_and_nothing_else(bench: Bench) -> None:
    bench.admit(visit(1))
    assert [bench.passed(visit(1), 1) for _ in range(3)] == [2, 3, 4]
    assert bench.journal.open_admissions() == []


def test_spent_keys_outlive_a_pass_but_not_for_ever(bench: Bench) -> None:
    bench.admit(visit(1))
    bench.clock.pass_time(2.6 * 3600)
    bench.admit(visit(2))
    assert (visit(1), "in") in bench.journal.spent()
    bench.clock.pass_time(0.5 * 3600)
    bench.admit(visit(3))
    assert set(bench.journal.spent()) == {(visit(2), "in"), (visit(3), "in")}


def test_a_wall_clock_that_jumps_a_year_makes_no_used_pass_good(bench: Bench) -> None:
    bench.admit(visit(1))
    for jump in (365 * DAY_S, -2 * 365 * DAY_S):
        bench.clock.wall_s += jump
        bench.admit(visit(int(abs(jump))))
        assert bench.admit(visit(1)) is None
    bench.clock.reboot(b"next")
    bench.clock.quality = "unsynced"
    bench.clock.wall_s += 5 * 365 * DAY_S
    bench.admit(visit(2))
    assert bench.admit(visit(1)) is None


# -- the link ----------------------------------------------------------------------------------


def test_acks_are_cumulative_and_idempotent(bench: Bench) -> None:
    for _ in range(5):
        bench.started()
    journal, epoch = bench.journal, bench.epoch
    assert journal.ack(epoch, 3) == 3
    assert journal.ack(epoch, 3) == 0
    assert journal.ack(epoch, 1) == 0
    assert journal.ack(epoch ^ 1, 99) == 0
    assert bench.seqs() == [4, 5]
    assert (journal.stats().queued, journal.stats().acked) == (2, 3)
    assert bench.again().stats().queued == 2


def test_pending_goes_on_behind_a_seq(bench: Bench) -> None:
    for _ in range(10):
        bench.started()
    assert [seq for _, seq, _ in bench.journal.pending(4, 3)] == [5, 6, 7]
    assert [seq for _, seq, _ in bench.journal.pending(4, 3, epoch=bench.epoch)] == [5, 6, 7]
    assert bench.journal.pending(10, 3) == []
    bench.journal.ack(bench.epoch, 6)
    assert [seq for _, seq, _ in bench.journal.pending(4, 3)] == [7, 8, 9]


def test_a_restored_shop_gets_old_rows_again(small: Bench) -> None:
    for _ in range(60):
        small.started()
    journal, epoch = small.journal, small.epoch
    for through in range(1, 61):
        journal.ack(epoch, through)
    first = journal.stats().first_seq
    assert first == 41
    assert journal.resend_from(50) == 50
    assert small.seqs() == list(range(50, 61))
    assert journal.resend_from(1) == first
    assert small.seqs() == list(range(41, 61))
    stats = small.again().stats()
    assert (stats.queued, stats.acked) == (20, 40)
    assert stats.bytes == sum(len(data) for _, _, data in small.journal.pending(limit=100))
    assert small.journal.resend_from(99) == 41
    assert small.journal.resend_from(45, epoch=1) == 45
    assert small.journal.stats() == stats


def test_acknowledged_rows_go_after_seven_days(bench: Bench) -> None:
    for _ in range(5):
        bench.started()
    bench.journal.ack(bench.epoch, 5)
    bench.clock.pass_time(6.9 * DAY_S)
    bench.started()
    bench.journal.ack(bench.epoch, 6)
    assert bench.journal.stats().first_seq == 1
    bench.clock.quality = "unsynced"
    bench.clock.pass_time(0.3 * DAY_S)
    bench.started()
    bench.journal.ack(bench.epoch, 7)
    assert bench.journal.stats().first_seq == 1
    bench.clock.quality = "synced"
    bench.started()
    bench.journal.ack(bench.epoch, 8)
    assert bench.journal.stats().first_seq == 6


def test_rows_asked_for_again_are_not_pruned_by_their_old_receipt(bench: Bench) -> None:
    for _ in range(5):
        bench.started()
    bench.journal.ack(bench.epoch, 5)
    bench.clock.pass_time(8 * DAY_S)
    assert bench.journal.resend_from(2) == 2
    bench.journal.ack(bench.epoch, 2)
    assert bench.journal.stats().first_seq == 3
    assert all(not isinstance(record, Damaged) for _, _, record in bench.pending())
    assert bench.seqs() == [3, 4, 5]


def test_a_commit_waits_for_the_disk(bench: Bench) -> None:
    """Measured before the choice: WAL with NORMAL lost up to 485 returned commits in a power cut."""
    db = bench.journal._file.connection()
    settings = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 2]


def test_a_row_refused_after_three_resends_becomes_damaged(bench: Bench) -> None:
    for _ in range(3):
        bench.started()
    epoch = bench.epoch
    assert [bench.journal.nacked(epoch, 2) for _ in range(4)] == [False, False, False, True]
    record = bench.pending()[1][2]
    assert record == Damaged(bench.clock(), 2, 2, {int(Kind.STARTED): 1})
    assert bench.journal.stats().damaged == 1
    assert not bench.journal.nacked(epoch, 99)
    assert not bench.journal.nacked(epoch ^ 1, 1)


def test_a_shop_ahead_of_an_old_card_image_gets_a_new_epoch(bench: Bench) -> None:
    """An image of the card from seq 2 is put back while the shop has 50."""
    bench.admit(visit(1))
    bench.started()
    old = bench.epoch
    bench.again()
    bench.admit(visit(2), party=2)
    bench.passed(visit(2), 3)
    bench.passed(visit(1), 1)
    with pytest.raises(AckBeyond):
        bench.journal.ack(old, 50)
    new = bench.epoch
    assert new != old
    found = {(epoch, seq): record for epoch, seq, record in bench.pending()}
    assert list(found) == [(old, 1), (old, 2), (new, 1), (new, 2), (new, 3)]
    assert isinstance(found[new, 1], Admitted)
    assert found[new, 2] == Passed(bench.clock(), visit(2), "in", 1)
    assert found[new, 3] == Passed(bench.clock(), visit(1), "in", 1, old)
    assert [(a.epoch, a.seq) for a in bench.journal.open_admissions()] == [(new, 1)]
    with pytest.raises(AckBeyond):
        bench.journal.ack(old, 50)
    assert bench.epoch == new
    assert bench.journal.ack(old, 2) == 2
    assert bench.again().stats().queued == 3
    assert bench.started() == 4


def test_age_of_the_oldest(bench: Bench) -> None:
    assert bench.journal.stats().oldest_age_s == 0
    bench.started()
    bench.clock.mono_s += 5
    bench.clock.wall_s += 1e7
    assert bench.journal.stats().oldest_age_s == 5
    bench.clock.reboot(b"next")
    assert bench.journal.stats().oldest_age_s == 1e7
    bench.clock.wall_s -= 1e8
    assert bench.journal.stats().oldest_age_s == 0


# -- the bound ---------------------------------------------------------------------------------


def _fill(bench: Bench, rows: int) -> None:
    while bench.journal.stats().queued < rows:
        bench.started()


def test_levels(small: Bench) -> None:
    _fill(small, 49)
    assert small.journal.stats().level == "ok"
    _fill(small, 50)
    assert small.journal.stats().level == "high"
    _fill(small, 100)
    assert small.journal.stats().level == "full"


def test_price_looks_go_first_counted_in_one_record(small: Bench) -> None:
    _fill(small, 89)
    assert small.price_look() == 90
    assert [small.price_look() for _ in range(5)] == [91] * 5
    assert small.basket() == 92
    assert small.price_look() == 91
    record = next(r for _, seq, r in small.pending() if seq == 91)
    assert record == Skipped(small.clock(), 91, 91, {9: 6})
    # The link has taken it: what comes later needs another one.
    assert small.price_look() == 93
    assert small.journal.stats().skipped == 7
    assert small.seqs() == list(range(1, 94))


def test_at_the_bound_sales_stop_and_people_go_on(small: Bench) -> None:
    _fill(small, 100)
    with pytest.raises(JournalFull, match="no sales"):
        small.basket()
    assert small.refused() == small.refused() == 101
    assert small.admit(visit(1)) == Granted(102, 1)
    assert small.passed(visit(1), 102) == 103
    assert small.admit(visit(2)) == Granted(104, 1)
    assert small.annul(visit(2), 1, 104) == 105
    small.journal.ack(small.epoch, 50)
    assert small.basket() == 106


def test_the_reserve_ends_too(small: Bench) -> None:
    _fill(small, 125)
    with pytest.raises(JournalFault, match="reserve"):
        small.admit(visit(1))
    with pytest.raises(JournalFault, match="reserve"):
        small.started()
    assert small.journal.spent() == {}
    small.journal.ack(small.epoch, 125)
    assert small.admit(visit(1)) == Granted(126, 1)


def test_bytes_are_bounded_as_rows_are(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Limits(bytes=5000))
    while bench.journal.stats().level != "full":
        bench.started("x" * 100)
    assert 5000 <= bench.journal.stats().bytes < 5200
    bench.journal.close()


def test_a_closed_journal_stays_closed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.journal.close()
    bench.journal.close()
    with pytest.raises(JournalFault, match="closed"):
        bench.started()
    assert not bench.path.with_name("journal.sqlite-wal").exists()
