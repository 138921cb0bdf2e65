"""Killed writers and failing disks: what was promised is there, nothing is granted twice."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from firmware.sync.journal import Granted, JournalFault
from firmware.wire.records import Admitted, Annulled
from tests.support.journals import Bench, visit
from tests.support.killed_writer import Left
from tests.support.mounts import OWN_MOUNTS


def test_a_writer_killed_at_random_points(tmp_path: Path) -> None:
    left = Left(tmp_path)
    for seed in range(6):
        left.run_and_kill(seed)
        left.check()
    assert len(left.promised) > 30
    assert left.document > 10


@pytest.mark.parametrize("scenario", ["full", "readonly", "documents", "damaged-and-full"])
def test_a_real_disk_that_fails(tmp_path: Path, scenario: str) -> None:
    """On a small tmpfs of its own, in its own mount namespace."""
    run = subprocess.run(
        [*OWN_MOUNTS, sys.executable, "-m", "tests.support.tinydisk", scenario, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


class FailingConnection(sqlite3.Connection):
    """Raises an I/O error at the statement that starts with ``fail_at``, before or after doing it."""

    fail_at: str | None = None
    after = False
    code = sqlite3.SQLITE_IOERR_FSYNC

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:  # type: ignore[override]
        if FailingConnection.fail_at is None or not sql.startswith(FailingConnection.fail_at):
            return super().execute(sql, *args)
        if FailingConnection.after:
            super().execute(sql, *args)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = FailingConnection.code
        raise error


@pytest.fixture
def failing(tmp_path: Path, mocker: MockerFixture) -> Iterator[Bench]:
    connect = sqlite3.connect
    mocker.patch(
        "firmware.sync.journal_schema.sqlite3.connect",
        lambda *args, **kwargs: connect(*args, **kwargs, factory=FailingConnection),
    )
    FailingConnection.fail_at, FailingConnection.after = None, False
    bench = Bench(tmp_path)
    yield bench
    FailingConnection.fail_at = None
    bench.journal.close()


STATEMENTS = [
    "BEGIN",
    "INSERT INTO rows",
    "INSERT OR REPLACE INTO epochs",
    "INSERT OR REPLACE INTO spent",
    "COMMIT",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_an_error_at_any_statement_grants_nothing(failing: Bench, statement: str) -> None:
    failing.started()
    FailingConnection.fail_at = statement
    for _ in range(2):
        with pytest.raises(JournalFault, match="check: the card"):
            failing.admit(visit(1))
    FailingConnection.fail_at = None
    assert failing.journal.spent() == {}
    assert failing.admit(visit(1)) == Granted(2, 1)
    assert failing.seqs() == [1, 2]


def test_a_commit_reported_as_failed_but_done_is_annulled(failing: Bench) -> None:
    """An fsync error leaves it open whether the commit is on the disk; the caller was told no."""
    FailingConnection.fail_at, FailingConnection.after = "COMMIT", True
    with pytest.raises(JournalFault):
        failing.admit(visit(1), party=2)
    FailingConnection.fail_at = None
    assert failing.admit(visit(1), party=2) == Granted(3, 2)
    record = failing.pending()[1][2]
    assert isinstance(record, Annulled)
    assert (record.ref_seq, record.uses, record.why) == (1, 2, "disk-fault")


def test_errors_while_reading_are_faults_too(failing: Bench) -> None:
    failing.started()
    FailingConnection.fail_at = "SELECT"
    for call in (failing.journal.pending, failing.journal.spent, failing.journal.stats):
        with pytest.raises(JournalFault):
            call()
    FailingConnection.fail_at = None
    assert failing.seqs() == [1]


def test_a_journal_found_damaged_while_running_is_recovered_at_the_next_call(failing: Bench) -> None:
    failing.admit(visit(1))
    old = failing.epoch
    FailingConnection.fail_at, FailingConnection.code = "INSERT", sqlite3.SQLITE_CORRUPT
    with pytest.raises(JournalFault, match="damaged"):
        failing.started()
    FailingConnection.fail_at, FailingConnection.code = None, sqlite3.SQLITE_IOERR_FSYNC
    data = failing.path.read_bytes()
    failing.path.write_bytes(bytes(4096) + data[4096:])
    assert failing.admit(visit(1)) is None
    assert failing.journal.recovery is not None
    assert failing.epoch != old
    assert failing.journal.pending()[0][:2] == (old, 1)
    # Whoever was under way then goes through now, and says so by the old number: the use is spent.
    failing.started()
    failing.passed(visit(1), 1)
    assert failing.journal.open_admissions() == []
    assert failing.again().open_admissions() == []
    assert failing.admit(visit(1)) is None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_FULL, "the disk is full"),
        (sqlite3.SQLITE_READONLY, "read-only"),
        (sqlite3.SQLITE_IOERR, "does not read or write"),
        (sqlite3.SQLITE_PERM, "no permission"),
        (sqlite3.SQLITE_LOCKED, "another program"),
        (sqlite3.SQLITE_MISUSE, "the journal failed"),
    ],
)
def test_faults_say_what_to_check(failing: Bench, code: int, words: str) -> None:
    FailingConnection.fail_at, FailingConnection.code = "COMMIT", code
    with pytest.raises(JournalFault, match=words) as caught:
        failing.started()
    FailingConnection.code = sqlite3.SQLITE_IOERR_FSYNC
    assert caught.value.check
    assert str(failing.path) in caught.value.reason


def test_what_was_granted_without_the_disk_is_written_whatever_the_count_says(failing: Bench) -> None:
    failing.admit(visit(1))
    body = Admitted(failing.clock(), visit(1), "in", 2, "entry").body()
    assert failing.journal.admitted(body) == 2
    assert failing.journal.spent() == {(visit(1), "in"): 3}
    assert failing.annul(visit(1), 2, 2) == 3
    assert failing.again().spent() == {(visit(1), "in"): 1}
