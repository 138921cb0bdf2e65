"""The journal as a queue: rows in ``seq`` order, what the shop has, what it still needs.

Functions over an open connection, run by ``Journal`` inside its transactions. Must never leave a hole: a
row that cannot be read any more, or that the shop cannot take, becomes a ``damaged`` record under its seq.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from firmware.sync.journal_schema import (
    MAX_SEQ,
    SEQ_BITS,
    AckBeyond,
    Epoch,
    JournalCorrupt,
    JournalFault,
    load_epochs,
    put_epoch,
)
from firmware.wire.records import (
    Damaged,
    FrameError,
    Kind,
    RecordError,
    Stamp,
    decode_body,
    frame,
    parse_frame,
)

MAX_RESENDS = 3
ACK_LOG_STEP_MS = 3600 * 1000
PRUNE_ROWS = 500
"""Rows deleted in one transaction at most, so that an ack stays short."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The journal's bounds. ``rows`` and ``bytes`` count what the shop has not acknowledged.

    From ``alarm`` (share of the bound) the board says so; from ``looks`` price looks are only counted; at
    1.0 refusals are only counted and sales stop; admissions and the rest go on into ``reserve`` above it.
    Acknowledged rows stay ``keep_days``, at most ``keep_rows`` of them."""

    rows: int = 200_000
    bytes: int = 200 * 1024 * 1024
    alarm: float = 0.5
    looks: float = 0.9
    reserve: float = 0.25
    keep_days: float = 7.0
    keep_rows: int = 50_000


@dataclass(slots=True)
class State:
    """What is known without asking the disk; replaced as a whole when a transaction fails."""

    epochs: list[Epoch]
    queued: int = 0
    bytes: int = 0
    skipped_row: int = 0
    skipped_counts: dict[int, int] = field(default_factory=dict)

    @property
    def own(self) -> Epoch:
        return self.epochs[-1]

    def find(self, epoch: int) -> Epoch | None:
        return next((e for e in self.epochs if e.epoch == epoch), None)

    def copy(self) -> State:
        epochs = [Epoch(e.no, e.epoch, e.last_seq, e.acked) for e in self.epochs]
        return State(epochs, self.queued, self.bytes, self.skipped_row, dict(self.skipped_counts))


def load(db: sqlite3.Connection) -> State:
    """Counters of an opened journal. Raises JournalCorrupt when rows and counters contradict each other."""
    state = State(load_epochs(db))
    for e in state.epochs:
        (top,) = db.execute(
            "SELECT max(id) FROM rows WHERE id BETWEEN ? AND ?", (e.row_id(0), e.row_id(MAX_SEQ))
        ).fetchone()
        if top is not None and top & MAX_SEQ > e.last_seq:
            raise JournalCorrupt(f"row {top & MAX_SEQ} is beyond the last seq {e.last_seq}")
        state.queued += e.last_seq - e.acked
        state.bytes += _frame_bytes(db, e, e.acked, e.last_seq)
    return state


def _frame_bytes(db: sqlite3.Connection, e: Epoch, after: int, through: int) -> int:
    (total,) = db.execute(
        "SELECT coalesce(sum(length(frame)), 0) FROM rows WHERE id>? AND id<=?",
        (e.row_id(after), e.row_id(through)),
    ).fetchone()
    return int(total)


def insert(db: sqlite3.Connection, state: State, body: bytes, kind: int) -> int:
    """Adds a row under the next seq and returns that."""
    own = state.own
    if own.last_seq >= MAX_SEQ:
        raise JournalFault("the journal has used up its 4294967295 numbers", "replace the journal file")
    seq = own.last_seq + 1
    data = frame(own.epoch, seq, body)
    db.execute("INSERT INTO rows (id, kind, frame) VALUES (?,?,?)", (own.row_id(seq), kind, data))
    own.last_seq = seq
    put_epoch(db, own)
    state.queued += 1
    state.bytes += len(data)
    return seq


def replace(db: sqlite3.Connection, state: State, e: Epoch, seq: int, body: bytes, kind: int) -> bytes:
    """Puts another body under a seq that is still pending; returns its frame."""
    data = frame(e.epoch, seq, body)
    old = _frame_bytes(db, e, seq - 1, seq)
    db.execute(
        "INSERT OR REPLACE INTO rows (id, kind, frame, nacks) VALUES (?,?,?,0)", (e.row_id(seq), kind, data)
    )
    state.bytes += len(data) - old
    return data


def replace_damaged(db: sqlite3.Connection, state: State, e: Epoch, seq: int, now: Stamp) -> bytes:
    """A ``damaged`` record takes the place of ``seq``; returns its frame."""
    row = db.execute("SELECT kind FROM rows WHERE id=?", (e.row_id(seq),)).fetchone()
    known = row is not None and isinstance(row[0], int) and row[0] in set(Kind)
    body = Damaged(now, seq, seq, {row[0]: 1} if known else {}).body()
    return replace(db, state, e, seq, body, Kind.DAMAGED)


def sound(data: object, epoch: int, seq: int) -> bool:
    """Whether a stored frame is intact and stands where it belongs."""
    if not isinstance(data, bytes):
        return False
    try:
        parsed = parse_frame(data)
    except FrameError:
        return False
    return parsed.epoch == epoch and parsed.seq == seq


def read_pending(
    db: sqlite3.Connection, state: State, after: tuple[int, int] | None, limit: int
) -> tuple[list[tuple[int, int, bytes]], list[int]]:
    """Up to ``limit`` (epoch, seq, frame) behind ``after``, and the indexes of those that are not sound."""
    out: list[tuple[int, int, bytes]] = []
    bad: list[int] = []
    skip = after is not None and state.find(after[0]) is not None
    for e in state.epochs:
        start = e.acked
        if skip and after is not None:
            if e.epoch != after[0]:
                continue
            skip = False
            start = max(start, after[1])
        through = min(e.last_seq, start + limit - len(out))
        between = (e.row_id(start), e.row_id(through))
        rows = dict(db.execute("SELECT id, frame FROM rows WHERE id>? AND id<=?", between))
        for seq in range(start + 1, through + 1):
            data = rows.get(e.row_id(seq))
            if data is None or not sound(data, e.epoch, seq):
                bad.append(len(out))
                data = b""
            out.append((e.epoch, seq, data))
    return out, bad


def ack(db: sqlite3.Connection, state: State, epoch: int, through: int, now: Stamp, limits: Limits) -> int:
    """Takes everything up to ``through`` as committed in the shop; returns how many rows that settled."""
    e = state.find(epoch)
    if e is None or through <= e.acked:
        return 0
    if through > e.last_seq:
        raise AckBeyond(
            f"the shop has seq {through} of epoch {epoch:016x}, the last given out here is {e.last_seq}"
        )
    settled = through - e.acked
    state.queued -= settled
    state.bytes -= _frame_bytes(db, e, e.acked, through)
    e.acked = through
    put_epoch(db, e)
    last = db.execute(
        "SELECT rowid, wall_ms FROM acks WHERE no=? ORDER BY rowid DESC LIMIT 1", (e.no,)
    ).fetchone()
    if last is not None and 0 <= now.wall_ms - last[1] < ACK_LOG_STEP_MS:
        db.execute("UPDATE acks SET through=? WHERE rowid=?", (through, last[0]))
    else:
        db.execute("INSERT INTO acks VALUES (?,?,?)", (e.no, through, now.wall_ms))
    prune(db, state, now, limits)
    return settled


def prune(db: sqlite3.Connection, state: State, now: Stamp, limits: Limits) -> None:
    """Deletes acknowledged rows past their age or number, a bounded count at a time.

    Age counts only while the wall clock is not known to be wrong; the number always."""
    cutoff = now.wall_ms - int(limits.keep_days * 86_400_000) - ACK_LOG_STEP_MS
    for e in list(state.epochs):
        (first,) = db.execute(
            "SELECT min(id) FROM rows WHERE id BETWEEN ? AND ?", (e.row_id(0), e.row_id(MAX_SEQ))
        ).fetchone()
        if first is None:
            settled = e is not state.own and e.acked == e.last_seq
            (used,) = db.execute("SELECT count(*) FROM admissions WHERE id>>?=?", (SEQ_BITS, e.no)).fetchone()
            if settled and not used:
                db.execute("DELETE FROM epochs WHERE no=?", (e.no,))
                db.execute("DELETE FROM acks WHERE no=?", (e.no,))
                state.epochs.remove(e)
            continue
        bound = e.acked - limits.keep_rows
        if now.quality != "unsynced":
            (aged,) = db.execute(
                "SELECT coalesce(max(through), 0) FROM acks WHERE no=? AND wall_ms<?", (e.no, cutoff)
            ).fetchone()
            bound = max(bound, int(aged))
        bound = min(bound, e.acked, (first & MAX_SEQ) + PRUNE_ROWS - 1)
        if bound >= first & MAX_SEQ:
            db.execute("DELETE FROM rows WHERE id BETWEEN ? AND ?", (first, e.row_id(bound)))
            db.execute("DELETE FROM acks WHERE no=? AND through<=?", (e.no, bound))


def resend_from(db: sqlite3.Connection, state: State, e: Epoch, seq: int) -> int:
    """Makes acknowledged rows from ``seq`` on pending again, as far as they are kept; returns the first."""
    (first,) = db.execute(
        "SELECT min(id) FROM rows WHERE id>? AND id<=?", (e.row_id(max(seq, 1) - 1), e.row_id(e.acked))
    ).fetchone()
    if first is None:
        return e.acked + 1
    new = (int(first) & MAX_SEQ) - 1
    state.queued += e.acked - new
    state.bytes += _frame_bytes(db, e, new, e.acked)
    e.acked = new
    put_epoch(db, e)
    return new + 1


def nacked(db: sqlite3.Connection, state: State, epoch: int, seq: int, now: Stamp) -> bool:
    """Counts one refusal of a pending row; True when a ``damaged`` record took its place."""
    e = state.find(epoch)
    if e is None or not e.acked < seq <= e.last_seq:
        return False
    row = db.execute("SELECT frame, nacks FROM rows WHERE id=?", (e.row_id(seq),)).fetchone()
    if row is None or row[1] >= MAX_RESENDS or not sound(row[0], e.epoch, seq):
        replace_damaged(db, state, e, seq, now)
        return True
    db.execute("UPDATE rows SET nacks=nacks+1 WHERE id=?", (e.row_id(seq),))
    return False


def first_kept(db: sqlite3.Connection, e: Epoch) -> int:
    """The lowest seq of ``e`` still here, or the next one when there is none."""
    (first,) = db.execute(
        "SELECT min(id) FROM rows WHERE id BETWEEN ? AND ?", (e.row_id(0), e.row_id(MAX_SEQ))
    ).fetchone()
    return e.last_seq + 1 if first is None else int(first) & MAX_SEQ


def oldest_age_s(db: sqlite3.Connection, state: State, now: Stamp) -> float:
    """Seconds since the oldest pending record was made; 0 when there is none or it cannot be told."""
    for e in state.epochs:
        if e.acked >= e.last_seq:
            continue
        row = db.execute("SELECT frame FROM rows WHERE id=?", (e.row_id(e.acked + 1),)).fetchone()
        try:
            then = decode_body(parse_frame(row[0]).body).stamp if row else now
        except (FrameError, RecordError, TypeError):
            return 0.0
        if then.boot == now.boot:
            return max(0, now.mono_ms - then.mono_ms) / 1000
        return max(0, now.wall_ms - then.wall_ms) / 1000
    return 0.0


def recent(db: sqlite3.Connection, kinds: tuple[int, ...], among: int) -> bytes | None:
    """The frame of the newest record of ``kinds`` among the last ``among`` records, or None."""
    marks = ",".join("?" * len(kinds))
    row = db.execute(
        "SELECT frame FROM (SELECT id, kind, frame FROM rows ORDER BY id DESC LIMIT ?) "
        f"WHERE kind IN ({marks}) ORDER BY id DESC LIMIT 1",
        (among, *(int(kind) for kind in kinds)),
    ).fetchone()
    return bytes(row[0]) if row is not None else None
