"""The journal's open file and its transactions: the only place that begins, commits or gives up.

After any disk error the connection is closed and the known state put back; the next call opens the file
again and checks it. Must never go on with a connection whose caches may not match the disk.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from firmware.sync import journal_recovery as recovery
from firmware.sync import journal_schema as schema
from firmware.sync.journal_queue import State
from firmware.sync.journal_recovery import Recovery
from firmware.sync.journal_schema import JournalCorrupt, JournalError, JournalFault
from firmware.wire.records import Stamp


class JournalFile:
    """``state`` is what the file holds, as of the last commit; ``opened_at``: the last seq found at opening.

    ``reopened(last_seq)`` is called after the file was opened again within one run, with the last seq that
    had been reported as committed."""

    def __init__(self, path: Path, clock: Callable[[], Stamp], reopened: Callable[[int], None]) -> None:
        self._path = path
        self._clock = clock
        self._reopened = reopened
        self._db: sqlite3.Connection | None = None
        self._closed = False
        self.state = State([])
        self.opened_at = 0
        self.recovery: Recovery | None = None

    def connection(self) -> sqlite3.Connection:
        """The open connection, opened and checked again after a fault. Raises JournalFault."""
        if self._db is not None:
            return self._db
        if self._closed:
            raise JournalFault(f"the journal was closed: {self._path}", "the log: the program is stopping")
        before = self.state.own if self.state.epochs else None
        try:
            opened = recovery.open_checked(self._path, self._clock)
        except (sqlite3.Error, OSError, JournalCorrupt) as error:
            raise self._as_fault(error) from error
        self._db, self.state = opened.db, opened.state
        self.recovery = opened.recovery or self.recovery
        if before is not None and before.epoch == self.state.own.epoch:
            self._reopened(before.last_seq)
        else:
            self.opened_at = self.state.own.last_seq
        return opened.db

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One commit, or nothing. Disk errors become JournalFault; anything else rolls back and passes."""
        db = self.connection()
        before = self.state.copy()
        try:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        except (sqlite3.Error, OSError, JournalCorrupt) as error:
            self.state = before
            self._give_up()
            raise self._as_fault(error) from error
        except BaseException:
            self.state = before
            try:
                db.execute("ROLLBACK")
            except sqlite3.Error:
                self._give_up()
            raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Questions; disk errors become JournalFault."""
        db = self.connection()
        try:
            yield db
        except (sqlite3.Error, OSError, JournalCorrupt) as error:
            self._give_up()
            raise self._as_fault(error) from error

    def close(self) -> None:
        """For good. Idempotent, never raises."""
        self._closed = True
        self._give_up()

    def _give_up(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.rollback()
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def _as_fault(self, error: Exception) -> JournalFault:
        found = error if isinstance(error, JournalError) else schema.translate(error, self._path)
        if isinstance(found, JournalFault):
            return found
        return JournalFault(
            f"the journal is damaged ({found})", "the card; it is set aside and read out at the next call"
        )
