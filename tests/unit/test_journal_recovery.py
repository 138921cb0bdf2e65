"""A damaged journal: set aside, read out, nothing that can still be read is lost, no pass good again."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.sync.journal import JournalFault
from firmware.wire.records import Basket, Damaged, Kind, Missing, Started
from tests.support.journals import Bench, visit

ROWS = 40
PAGE = 4096


class Shop:
    """A journal with a day's mix in it, and what of it was promised."""

    def __init__(self, folder: Path, *, closed: bool) -> None:
        folder.mkdir()
        self.bench = bench = Bench(folder)
        self.epoch = bench.epoch
        for n in range(0, ROWS, 4):
            granted = bench.admit(visit(n), party=2)
            assert granted is not None
            bench.passed(visit(n), granted.seq)
            if n % 8 == 0:
                bench.annul(visit(n), 1, granted.seq)
            else:
                bench.passed(visit(n), granted.seq)
            # One long enough to need overflow pages.
            blob = bytes([0]) + bytes([n + 1] * 12) * (700 if n == 20 else 1)
            bench.journal.append(Basket(bench.clock(), blob, 1, "quiet").body(), Kind.BASKET)
        bench.admit(visit(1000))
        bench.journal.ack(self.epoch, 10)
        self.last = bench.journal.stats().last_seq
        self.spent = bench.journal.spent()
        self.rows = {seq: data for _, seq, data in bench.journal.pending(limit=1000)}
        # The long basket alone lies in overflow pages and can only be read by way of the tables.
        self.long = {seq for seq, data in self.rows.items() if len(data) > 4000}
        assert len(self.long) == 1
        # What a crash leaves: database and log as they are on the disk now.
        self.master = folder / "master"
        if closed:
            bench.journal.close()
        self.master.mkdir()
        for file in folder.glob("journal.sqlite*"):
            shutil.copy(file, self.master / file.name)
        bench.journal.close()

    def put_back(self, damage: Callable[[Path], None]) -> Bench:
        for file in self.bench.path.parent.glob("*.sqlite*"):
            file.unlink()
        for file in self.master.iterdir():
            shutil.copy(file, self.bench.path.parent / file.name)
        damage(self.bench.path)
        self.bench.journal = self.bench.open()
        return self.bench

    def check(self) -> None:
        """Every pending seq of the old epoch is there once, as itself or named as damaged; no key is free."""
        bench = self.bench
        old = [(seq, record) for epoch, seq, record in bench.pending() if epoch == self.epoch]
        assert [seq for seq, _ in old] == list(range(old[0][0], old[0][0] + len(old)))
        frames = {seq: data for epoch, seq, data in bench.journal.pending(limit=1000) if epoch == self.epoch}
        for seq, record in old:
            assert isinstance(record, Damaged) or frames[seq] == self.rows.get(seq, frames[seq])
        spent = bench.journal.spent()
        for key, count in self.spent.items():
            assert spent.get(key, 0) >= count, key
        assert bench.admit(visit(4), party=2) is None
        assert bench.admit(visit(1000)) is None
        assert bench.admit(visit(5000)) is not None

    def lost(self) -> set[int]:
        """Which of the promised rows did not come through as they were."""
        found = {seq: data for e, seq, data in self.bench.journal.pending(limit=1000) if e == self.epoch}
        return {seq for seq, data in self.rows.items() if found.get(seq) != data}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop", closed=True)


@pytest.fixture
def crashed(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop", closed=False)


def _zero(at: int, size: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes(size))

    return damage


def test_a_sound_one_is_left_alone(shop: Shop) -> None:
    bench = shop.put_back(lambda path: None)
    assert bench.journal.recovery is None
    assert shop.lost() == set()
    shop.check()
    bench.journal.close()


def test_any_page_zeroed(shop: Shop) -> None:
    """Page by page through the file, the header page included."""
    pages = shop.bench.path.stat().st_size // PAGE
    assert pages > 8
    recovered = 0
    for page in range(pages):
        bench = shop.put_back(_zero(page * PAGE, PAGE))
        found = bench.journal.recovery
        shop.check()
        if found is not None:
            recovered += 1
            assert found.set_aside is not None
            assert found.set_aside.read_bytes()[page * PAGE : (page + 1) * PAGE] == bytes(PAGE)
            assert bench.epoch != shop.epoch
        # A page holds up to some 60 small rows; all the others come through.
        assert len(shop.lost()) <= 70
        bench.journal.close()
    assert recovered >= 6


def test_the_header_page_zeroed_loses_nothing(shop: Shop) -> None:
    bench = shop.put_back(_zero(0, PAGE))
    assert bench.journal.recovery is not None
    assert "not a database" in str(bench.journal.recovery)
    assert shop.lost() == shop.long
    assert [a.visit for a in bench.journal.open_admissions()] == [visit(1000)]
    own = [record for epoch, _, record in bench.pending() if epoch != shop.epoch]
    assert any(isinstance(r, Missing) and r.ref_epoch == shop.epoch and r.last == 0 for r in own)
    bench.journal.close()


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.3, 0.7, 0.95])
def test_a_truncated_file(shop: Shop, keep: float) -> None:
    size = int(shop.bench.path.stat().st_size * keep)

    def cut(path: Path) -> None:
        with path.open("r+b") as file:
            file.truncate(size)

    bench = shop.put_back(cut)
    found = bench.journal.recovery
    if found is None:
        # Cut inside the last page, an overflow page of the long basket: its own crc tells.
        assert shop.lost() == shop.long
        shop.check()
    else:
        assert found.set_aside is not None
        assert found.set_aside.stat().st_size == size
    assert bench.started() >= 1
    assert bench.again().recovery is None
    bench.journal.close()


def test_the_database_gone_beside_its_log(crashed: Shop) -> None:
    bench = crashed.put_back(lambda path: path.unlink())
    assert bench.journal.recovery is not None
    assert crashed.lost() <= crashed.long
    crashed.check()
    bench.journal.close()


def test_flipped_bits_lose_no_promise(shop: Shop) -> None:
    size = shop.bench.path.stat().st_size
    for seed in range(30):
        where = random.Random(seed).randrange(size)

        def flip(path: Path, where: int = where, seed: int = seed) -> None:
            data = bytearray(path.read_bytes())
            data[where] ^= 1 << seed % 8
            path.write_bytes(data)

        bench = shop.put_back(flip)
        shop.check()
        assert len(shop.lost()) <= 1, where
        bench.journal.close()


def test_a_damaged_log_is_noticed_and_read_out(crashed: Shop) -> None:
    """SQLite alone would go on from before the damage without a word, and give the seqs again."""
    wal = crashed.master / "journal.sqlite-wal"
    size = wal.stat().st_size
    for part in (0.0, 0.02, 0.5, 0.9):

        def flip(path: Path, part: float = part) -> None:
            log = path.with_name(path.name + "-wal")
            data = bytearray(log.read_bytes())
            data[int(size * part) + 20] ^= 0x10
            log.write_bytes(data)

        bench = crashed.put_back(flip)
        assert bench.journal.recovery is not None, part
        assert "log" in bench.journal.recovery.reason
        assert bench.epoch != crashed.epoch
        assert crashed.lost() <= crashed.long
        crashed.check()
        bench.journal.close()


def test_a_crash_alone_is_no_damage(crashed: Shop) -> None:
    bench = crashed.put_back(lambda path: None)
    assert bench.journal.recovery is None
    assert bench.epoch == crashed.epoch
    assert crashed.lost() == set()
    bench.journal.close()


def test_a_commit_that_was_cut_off_is_no_damage(crashed: Shop) -> None:
    def cut(path: Path) -> None:
        log = path.with_name(path.name + "-wal")
        with log.open("r+b") as file:
            file.truncate(log.stat().st_size - 2000)

    bench = crashed.put_back(cut)
    assert bench.journal.recovery is None
    assert bench.journal.stats().last_seq == crashed.last
    bench.journal.close()


def test_a_hole_is_named_by_a_missing_record_and_filled_when_read(shop: Shop) -> None:
    """A lost page in the middle: its seqs come as damaged, so that the shop's ack does not stop there."""

    def hole(path: Path) -> None:
        data = bytearray(path.read_bytes())
        for seq in (15, 16, 20):
            at = data.index(shop.rows[seq])
            data[at : at + 30] = bytes(30)
        data[0:16] = bytes(16)
        path.write_bytes(data)

    bench = shop.put_back(hole)
    assert bench.journal.recovery is not None
    (long,) = shop.long
    holes = [(15, 16), (20, 20), (long, long)]
    assert [(r.first, r.last) for r in bench.journal.recovery.lost if r.last] == holes
    assert {15, 16, 20} | shop.long == shop.lost()
    shop.check()
    missing = [r for epoch, _, r in bench.pending() if epoch != shop.epoch and isinstance(r, Missing)]
    assert [(r.first, r.last) for r in missing if r.last] == holes
    bench.journal.close()


def test_a_foreign_database_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"#!/bin/sh\n" * 1000)
    bench = Bench(tmp_path)
    found = bench.journal.recovery
    assert found is not None
    assert found.carried == 0
    assert found.set_aside is not None
    assert found.set_aside.read_bytes().startswith(b"#!/bin/sh")
    assert bench.started() >= 1
    bench.journal.close()


def test_a_second_recovery_keeps_both_epochs(shop: Shop) -> None:
    bench = shop.put_back(_zero(0, PAGE))
    second = bench.epoch
    bench.started("between")
    bench.journal.close()
    _zero(0, PAGE)(bench.path)
    bench.journal = bench.open()
    epochs = [epoch for epoch, _, _ in bench.pending()]
    assert set(epochs) == {shop.epoch, second, bench.epoch}
    assert any(isinstance(r, Started) and r.reason == "between" for _, _, r in bench.pending())
    order = list(dict.fromkeys(epochs))
    assert order[-1] == bench.epoch
    shop.check()
    assert len(list(bench.path.parent.glob("*.corrupt-*"))) == 2
    bench.journal.close()


def test_a_power_cut_between_the_renames_is_finished(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at each rename of a recovery in turn: the next opening has everything all the same."""
    rename = Path.rename
    for at in range(4):
        calls = 0

        def cut(self: Path, target: Path, at: int = at) -> Path:
            nonlocal calls
            calls += 1
            if calls > at:
                raise KeyboardInterrupt
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", cut)
        try:
            shop.put_back(_zero(0, PAGE))
        except KeyboardInterrupt:
            pass
        monkeypatch.setattr(Path, "rename", rename)
        shop.bench.journal.close()
        shop.bench.journal = shop.bench.open()
        assert shop.lost() <= shop.long
        shop.check()
        shop.bench.journal.close()


def test_acknowledged_rows_of_an_old_epoch_go_with_their_epoch(shop: Shop) -> None:
    bench = shop.put_back(_zero(0, PAGE))
    last = [seq for epoch, seq, _ in bench.pending() if epoch == shop.epoch][-1]
    assert bench.journal.ack(shop.epoch, last) > 0
    assert {epoch for epoch, _, _ in bench.pending()} == {bench.epoch}
    bench.journal.close()


def test_a_row_that_fails_its_own_crc_is_named_damaged(shop: Shop) -> None:
    """Damage that SQLite cannot see: inside a record."""

    def flip(path: Path) -> None:
        data = path.read_bytes()
        at = data.index(shop.rows[14])
        path.write_bytes(data[: at + 30] + bytes([data[at + 30] ^ 1]) + data[at + 31 :])

    bench = shop.put_back(flip)
    assert bench.journal.recovery is None
    found = {seq: record for _, seq, record in bench.pending()}
    assert isinstance(found[14], Damaged)
    assert bench.journal.stats().damaged == 1
    assert shop.lost() == {14}
    bench.journal.close()


def test_a_journal_of_a_newer_program_is_not_touched(shop: Shop) -> None:
    import sqlite3

    def newer(path: Path) -> None:
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version=99")
        db.close()

    with pytest.raises(JournalFault, match="schema 99"):
        shop.put_back(newer)
    assert list(shop.bench.path.parent.glob("*.corrupt-*")) == []
