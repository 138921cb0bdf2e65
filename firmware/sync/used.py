"""Spent keys and open admissions: the two small tables that keep a pass from being granted twice.

Every function runs inside the journal's own transaction, so that a key and its record are one commit.
Counts of other gates are not here: the caller lowers ``party`` by what they report.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from dataclasses import dataclass

from firmware.sync.journal_schema import MAX_SEQ, SEQ_BITS, JournalCorrupt
from firmware.wire.record_types import DIRECTIONS, Stamp

KEEP_SPENT_MS = 3 * 3600 * 1000
"""A pass lives 2 h at most; half an hour more is shared between gates; the rest is margin."""


@dataclass(frozen=True, slots=True)
class Granted:
    """``uses`` people may pass; the record has ``seq``."""

    seq: int
    uses: int


@dataclass(frozen=True, slots=True)
class UsedUp:
    """All uses of the pass are spent in this direction: ``used`` of them at this gate."""

    used: int


@dataclass(frozen=True, slots=True)
class OpenAdmission:
    """An admission with ``uses`` neither passed nor annulled; ``counted``: taken from a spent key."""

    epoch: int
    seq: int
    visit: bytes
    direction: str
    uses: int
    counted: bool = True


def _crc(visit: bytes, direction: int, count: int) -> int:
    return zlib.crc32(visit + struct.pack(">BI", direction, count))


def count(db: sqlite3.Connection, visit: bytes, direction: str) -> int:
    """Uses spent so far. Raises JournalCorrupt when the row does not prove itself."""
    side = DIRECTIONS.index(direction)
    row = db.execute("SELECT count, crc FROM spent WHERE visit=? AND direction=?", (visit, side)).fetchone()
    if row is None:
        return 0
    if row[1] != _crc(visit, side, row[0]):
        raise JournalCorrupt("a row of table spent fails its crc")
    return int(row[0])


def put(db: sqlite3.Connection, visit: bytes, direction: str, spent: int, stamp: Stamp) -> None:
    side = DIRECTIONS.index(direction)
    db.execute(
        "INSERT OR REPLACE INTO spent VALUES (?,?,?,?,?,?,?)",
        (visit, side, spent, stamp.wall_ms, stamp.mono_ms, stamp.boot, _crc(visit, side, spent)),
    )


def load(db: sqlite3.Connection) -> dict[tuple[bytes, str], int]:
    """Every spent key → count. Raises JournalCorrupt."""
    keys: dict[tuple[bytes, str], int] = {}
    for visit, side, spent, crc in db.execute("SELECT visit, direction, count, crc FROM spent"):
        if not isinstance(visit, bytes) or side not in (0, 1) or not isinstance(spent, int):
            raise JournalCorrupt("a row of table spent is damaged")
        if not 0 <= spent <= 0xFFFFFFFF or crc != _crc(visit, side, spent):
            raise JournalCorrupt("a row of table spent fails its crc")
        keys[visit, DIRECTIONS[side]] = spent
    return keys


def prune(db: sqlite3.Connection, now: Stamp) -> None:
    """Drops keys no pass can still match.

    Within one boot the monotonic clock decides, so a wall clock that jumps ahead cannot make a used pass
    good again; across boots the wall clock does, and only while it is not known to be wrong."""
    db.execute("DELETE FROM spent WHERE boot=? AND mono_ms<?", (now.boot, now.mono_ms - KEEP_SPENT_MS))
    if now.quality != "unsynced":
        db.execute("DELETE FROM spent WHERE boot<>? AND wall_ms<?", (now.boot, now.wall_ms - KEEP_SPENT_MS))


def open_admission(
    db: sqlite3.Connection, row_id: int, visit: bytes, direction: str, uses: int, *, counted: bool
) -> None:
    """``counted``: the uses were taken from a spent key, and an annulment gives them back to it."""
    row = (row_id, visit, DIRECTIONS.index(direction), uses, counted)
    db.execute("INSERT INTO admissions VALUES (?,?,?,?,?)", row)


def take(db: sqlite3.Connection, row_id: int, visit: bytes, direction: str, uses: int) -> tuple[int, bool]:
    """Closes up to ``uses`` of an open admission; returns how many were open and whether they count."""
    row = db.execute(
        "SELECT visit, direction, uses, counted FROM admissions WHERE id=?", (row_id,)
    ).fetchone()
    if row is None or row[0] != visit or row[1] != DIRECTIONS.index(direction):
        return 0, False
    taken = min(uses, int(row[2]))
    if taken == row[2]:
        db.execute("DELETE FROM admissions WHERE id=?", (row_id,))
    else:
        db.execute("UPDATE admissions SET uses=uses-? WHERE id=?", (taken, row_id))
    return taken, bool(row[3])


def newest_open(db: sqlite3.Connection, visit: bytes, direction: str) -> int | None:
    """The row id of the newest open admission of a visit."""
    row = db.execute(
        "SELECT max(id) FROM admissions WHERE visit=? AND direction=?", (visit, DIRECTIONS.index(direction))
    ).fetchone()
    return None if row[0] is None else int(row[0])


def open_admissions(db: sqlite3.Connection, epochs: dict[int, int]) -> list[OpenAdmission]:
    """All open admissions, oldest first; ``epochs`` maps an epoch's number in this file to the epoch."""
    return [
        OpenAdmission(
            epochs[row_id >> SEQ_BITS], row_id & MAX_SEQ, visit, DIRECTIONS[side], uses, bool(counted)
        )
        for row_id, visit, side, uses, counted in db.execute("SELECT * FROM admissions ORDER BY id")
        if row_id >> SEQ_BITS in epochs
    ]
