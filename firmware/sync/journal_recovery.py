"""Opening a journal that may be new, sound, damaged, or half-way through an earlier recovery.

A damaged file is set aside under a new name, never deleted; the rows that hold go over under their old
epoch into a new journal, which is complete on the disk before it takes the name. Must never give an empty
journal in place of one that can be read in part, and never touch a file because the disk merely failed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from firmware.sync import journal_queue as queue
from firmware.sync import journal_schema as schema
from firmware.sync import used
from firmware.sync.journal_salvage import Salvaged, salvage
from firmware.sync.journal_schema import Epoch, JournalCorrupt, JournalFault
from firmware.sync.journal_wal import lost_commits
from firmware.wire.records import Kind, Missing, Stamp, decode_body, parse_frame

MAX_RANGES = 50
"""``missing`` records for one epoch; the last one covers what is beyond."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Records first..last of ``epoch`` could not be read; ``last`` = 0: how many is unknown."""

    epoch: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening found: ``reason``, where the damaged file lies now, how much was carried over."""

    reason: str
    set_aside: Path | None
    carried: int
    spent: int
    lost: tuple[Lost, ...]

    def __str__(self) -> str:
        lost = ", ".join(f"{r.epoch:016x} {r.first}..{r.last or '?'}" for r in self.lost) or "none"
        return (
            f"the journal was damaged ({self.reason}); {self.carried} records carried over, lost: {lost}; "
            f"the old file is {self.set_aside}; check the card"
        )


class _TailLost(JournalCorrupt):
    def __init__(self) -> None:
        super().__init__("its write-ahead log is damaged")


@dataclass(frozen=True, slots=True)
class Opened:
    db: sqlite3.Connection
    state: queue.State
    recovery: Recovery | None


def open_checked(path: Path, clock: Callable[[], Stamp]) -> Opened:
    """Opens, creates or recovers. Raises sqlite3.Error, OSError, JournalFault."""
    _finish_swap(path)
    tables_current = True
    try:
        return Opened(*_open_sound(path), None)
    except JournalCorrupt as error:
        reason = str(error)
        tables_current = not isinstance(error, _TailLost)
    except UnicodeDecodeError as error:
        # Python's own, not SQLite's: a name in the schema is no text any more.
        reason = f"its schema is no text ({error.reason})"
    except sqlite3.DatabaseError as error:
        found = schema.translate(error, path)
        if not isinstance(found, JournalCorrupt):
            raise
        reason = str(error)
    recovery = _recover(path, clock, reason, tables_current=tables_current)
    return Opened(*_open_sound(path), recovery)


def _open_sound(path: Path) -> tuple[sqlite3.Connection, queue.State]:
    wal_path = _beside(path, "-wal")
    wal = wal_path.read_bytes() if wal_path.exists() else b""
    if not path.exists():
        if wal:
            path.touch()
            raise JournalCorrupt("the file is missing beside its log")
        _build_beside(path, lambda db: schema.create(db, schema.new_epoch())).rename(path)
        schema.sync_folder(path.parent)
    elif path.stat().st_size == 0:
        raise JournalCorrupt("the file is empty")
    db = schema.connect(path)
    try:
        schema.verify(db)
        if wal and lost_commits(wal, schema.wal_frames(db)):
            raise _TailLost()
        state = queue.load(db)
        used.load(db)
    except BaseException as error:
        with contextlib.suppress(sqlite3.Error):
            db.close()
        if isinstance(error, _TailLost):
            # Closing has taken the log away; what it still shows is needed for reading it out.
            wal_path.write_bytes(wal)
        raise
    return db, state


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _finish_swap(path: Path) -> None:
    """A power cut between the renames of a recovery: the complete new journal takes the name now."""
    ready = _beside(path, ".recovered")
    if ready.exists():
        _set_aside(path, missing_ok=True)
        ready.rename(path)
        schema.sync_folder(path.parent)


def _set_aside(path: Path, *, missing_ok: bool = False) -> Path | None:
    """Renames database and WAL so that they stay together; the WAL first, so it never meets a new file."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target, n = _beside(path, f".corrupt-{stamp}"), 1
    while target.exists() or _beside(target, "-wal").exists():
        target, n = _beside(path, f".corrupt-{stamp}-{n}"), n + 1
    moved = False
    for suffix in ("-wal", "-shm", ""):
        source = _beside(path, suffix) if suffix else path
        if source.exists():
            source.rename(_beside(target, suffix) if suffix else target)
            moved = True
    if not moved and not missing_ok:
        raise FileNotFoundError(path)
    return target if moved else None


def _recover(path: Path, clock: Callable[[], Stamp], reason: str, *, tables_current: bool) -> Recovery:
    found = salvage(path, tables_current=tables_current)
    lost: list[Lost] = []
    ready = _beside(path, ".recovered")
    _build_beside(path, lambda db: lost.extend(_build(db, found, clock()))).rename(ready)
    schema.sync_folder(path.parent)
    aside = _set_aside(path)
    ready.rename(path)
    schema.sync_folder(path.parent)
    return Recovery(reason, aside, len(found.rows), len(found.spent), tuple(lost))


def _build_beside(path: Path, fill: Callable[[sqlite3.Connection], None]) -> Path:
    """A complete journal under another name, all of it in one file and on the disk."""
    building = _beside(path, ".building")
    for leftover in (building, _beside(building, "-wal"), _beside(building, "-shm")):
        leftover.unlink(missing_ok=True)
    db = schema.connect(building)
    try:
        fill(db)
        (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise JournalFault(f"{building} could not be completed", "free space and the card")
    finally:
        db.close()
    with building.open("rb") as file:
        os.fsync(file.fileno())
    return building


def _order_epochs(found: Salvaged) -> list[Epoch]:
    """The old epochs, oldest first: from their table, else from the rows, by the earliest stamp in each."""
    epochs = [Epoch(e.no, e.epoch, e.last_seq, e.acked) for e in found.epochs]
    known = {e.epoch for e in epochs}
    first_ms: dict[int, int] = {}
    for (epoch, _), data in found.rows.items():
        if epoch not in known:
            with contextlib.suppress(ValueError):
                wall = decode_body(parse_frame(data).body).stamp.wall_ms
                first_ms[epoch] = min(wall, first_ms.get(epoch, wall))
    for e in epochs:
        # A damaged log leaves an older counter behind; the rows themselves know better.
        e.last_seq = max([e.last_seq, *(seq for (of, seq) in found.rows if of == e.epoch)])
    if known:
        # Rows of an epoch that the sound table does not name are leftovers of a pruned one: in the shop.
        return epochs
    for epoch in sorted(first_ms, key=lambda e: first_ms[e]):
        seqs = [seq for (of, seq) in found.rows if of == epoch]
        epochs.append(Epoch(len(epochs) + 1, epoch, max(seqs), min(seqs) - 1))
    return epochs


def _build(db: sqlite3.Connection, found: Salvaged, now: Stamp) -> list[Lost]:
    """Writes the new journal in one transaction; returns what is missing in it."""
    epochs = _order_epochs(found)
    own = Epoch(max((e.no for e in epochs), default=0) + 1, schema.new_epoch(), 0, 0)
    schema.create(db, own.epoch)
    lost: list[Lost] = []
    db.execute("BEGIN IMMEDIATE")
    db.execute("DELETE FROM epochs")
    for e in epochs:
        if not found.epochs and e.acked:
            # Settled or lost, nobody knows; the shop passes over those that it does not have.
            lost.append(Lost(e.epoch, 1, e.acked))
        lost += _carry(db, e, found)
        schema.put_epoch(db, e)
        if not found.epochs:
            lost.append(Lost(e.epoch, e.last_seq + 1, 0))
    schema.put_epoch(db, own)
    state = queue.State([*epochs, own])
    for r in lost:
        queue.insert(db, state, Missing(now, r.first, r.last, ref_epoch=r.epoch).body(), Kind.MISSING)
    for (visit, direction), count in found.spent.items():
        used.put(db, visit, direction, count, now)
    number = {e.epoch: e.no for e in epochs}
    for a in found.admissions.values():
        if a.epoch in number:
            row_id = number[a.epoch] << schema.SEQ_BITS | a.seq
            used.open_admission(db, row_id, a.visit, a.direction, a.uses, counted=a.counted)
    db.execute("COMMIT")
    return lost


def _carry(db: sqlite3.Connection, e: Epoch, found: Salvaged) -> list[Lost]:
    """Rows of one old epoch; returns the holes among the pending ones (read, they become ``damaged``)."""
    ranges: list[Lost] = []
    have = {seq for (epoch, seq) in found.rows if epoch == e.epoch and seq <= e.last_seq}
    for seq in sorted(have):
        data = found.rows[e.epoch, seq]
        _put_row(db, e, seq, _kind_of(data), data)
    for first, last in _holes(have, e.acked + 1, e.last_seq):
        if len(ranges) < MAX_RANGES:
            ranges.append(Lost(e.epoch, first, last))
        else:
            ranges[-1] = Lost(e.epoch, ranges[-1].first, last)
    return ranges


def _put_row(db: sqlite3.Connection, e: Epoch, seq: int, kind: int, data: bytes) -> None:
    db.execute("INSERT INTO rows (id, kind, frame) VALUES (?,?,?)", (e.row_id(seq), kind, data))


def _holes(have: set[int], first: int, last: int) -> list[tuple[int, int]]:
    """Ranges of first..last that are not in ``have``."""
    holes = []
    start = first
    for seq in [*sorted(s for s in have if first <= s <= last), last + 1]:
        if seq > start:
            holes.append((start, seq - 1))
        start = seq + 1
    return holes


def _kind_of(data: bytes) -> int:
    """The record type of a proven frame; 0 where the body is of a type this program does not know."""
    try:
        return int(decode_body(parse_frame(data).body).KIND)
    except ValueError:
        return 0
