"""The file that keeps pushed tables on a board: one SQLite row per bucket. Called on a worker thread only.

A row proves itself (CRC-32 over its names and bytes, SHA-256 inside the snapshot). A damaged file is set
aside under a new name; rows that hold go over into a new one. Must never give an empty table in place of one
that cannot be read without saying so.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from firmware.sync.journal_schema import sync_folder
from firmware.wire.tables import Snapshot, TableError, decode_snapshot

KEEP_ASIDE = 3
"""So many damaged files are kept to look at; each is some tens of kB."""
BUSY_S = 2.0
_CREATE = """CREATE TABLE IF NOT EXISTS buckets (name TEXT NOT NULL, bucket TEXT NOT NULL,
    snapshot BLOB NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (name, bucket)) WITHOUT ROWID"""
_DAMAGED = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_MISMATCH,
)

Key = tuple[str, str]
"""(table, bucket)"""


class TableFault(Exception):
    """The disk did not do it; the message says what and where."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """``damaged``: what was wrong and where the old file lies now; None when all is well."""

    tables: dict[Key, Snapshot]
    damaged: str | None = None


class TableFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def load(self) -> Loaded:
        """Everything in the file; no file is no table. A damaged file is replaced by one with what holds.

        Raises TableFault when the disk fails; nothing is set aside then."""
        self.close()
        try:
            if not self._path.exists():
                return Loaded({})
            found, damage = self._read()
            if damage is None:
                return Loaded(found)
            aside = self._replace(found)
        except (sqlite3.Error, OSError) as error:
            raise TableFault(f"{self._path} cannot be read: {error}") from error
        return Loaded(found, f"{self._path.name} was damaged ({damage}) and is set aside as {aside.name}")

    def put(self, tables: Mapping[Key, Snapshot]) -> None:
        """Returns when all of them are on the disk, in one transaction.

        Raises TableFault, none is there then; ``load`` again: it finds damage."""
        try:
            if self._db is None:
                self._db = _connect(self._path)
            self._db.execute("BEGIN IMMEDIATE")
            for key, snapshot in tables.items():
                _put(self._db, key, snapshot)
            self._db.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise TableFault(f"{self._path} cannot be written: {error}") from error

    def close(self) -> None:
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def _read(self) -> tuple[dict[Key, Snapshot], str | None]:
        """What holds, and what does not. Raises sqlite3.Error for what is not damage of the file."""
        found: dict[Key, Snapshot] = {}
        if self._path.stat().st_size == 0:
            return found, "it is empty"
        damage: str | None = None
        db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
        try:
            db.execute("PRAGMA trusted_schema=OFF")
            db.execute("PRAGMA cell_size_check=ON")
            (result,) = db.execute("PRAGMA quick_check(1)").fetchone()
            damage = None if result == "ok" else str(result)[:100]
            for name, bucket, payload, crc in db.execute("SELECT name, bucket, snapshot, crc FROM buckets"):
                try:
                    if crc != _crc((name, bucket), payload):
                        raise TableError("its crc does not hold")
                    found[name, bucket] = decode_snapshot(payload)
                except (TableError, TypeError, ValueError, AttributeError) as error:
                    damage = f"a row: {error}"[:100]
        except UnicodeDecodeError as error:
            damage = f"text that is none ({error.reason})"
        except sqlite3.DatabaseError as error:
            # No code: Python could not read a value as the text it claims to be.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
            if code & 0xFF not in _DAMAGED:
                raise
            damage = str(error)[:100]
        finally:
            with contextlib.suppress(sqlite3.Error):
                db.close()
        return found, damage

    def _replace(self, found: dict[Key, Snapshot]) -> Path:
        """A complete new file takes the name; the old one keeps its bytes under another."""
        building = self._path.with_name(self._path.name + ".building")
        for leftover in (building, _journal(building)):
            leftover.unlink(missing_ok=True)
        db = _connect(building)
        try:
            for key, snapshot in found.items():
                _put(db, key, snapshot)
        finally:
            db.close()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        aside, number = self._path.with_name(f"{self._path.name}.corrupt-{stamp}"), 1
        while aside.exists():
            aside, number = aside.with_name(f"{self._path.name}.corrupt-{stamp}-{number}"), number + 1
        # The rollback journal first: it must never be played back into the new file.
        if _journal(self._path).exists():
            _journal(self._path).rename(_journal(aside))
        os.link(self._path, aside)
        building.replace(self._path)
        sync_folder(self._path.parent)
        for old in sorted(self._path.parent.glob(f"{self._path.name}.corrupt-*Z*"))[: -2 * KEEP_ASIDE]:
            old.unlink(missing_ok=True)
        return aside


def _journal(path: Path) -> Path:
    return path.with_name(path.name + "-journal")


def _connect(path: Path) -> sqlite3.Connection:
    """Durable: a commit that returned survives a power cut. One file, rollback journal: writes are rare."""
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous=EXTRA")
        db.execute("PRAGMA trusted_schema=OFF")
        db.execute(_CREATE)
    except BaseException:
        db.close()
        raise
    return db


def _put(db: sqlite3.Connection, key: Key, snapshot: Snapshot) -> None:
    payload = snapshot.encode()
    db.execute("INSERT OR REPLACE INTO buckets VALUES (?,?,?,?)", (*key, payload, _crc(key, payload)))


def _crc(key: Key, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(f"{key[0]}/{key[1]}/".encode()))
