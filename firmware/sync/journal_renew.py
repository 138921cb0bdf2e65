"""A new epoch for a journal that fell behind what the shop already has of it.

That happens when an older image of the card is put back, or a card dropped writes it had promised: the seqs
given out again would look like duplicates to the shop and be lost. Records written since opening move into
a new epoch, with new seqs and their references turned along; older ones keep theirs.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace

from firmware.sync import journal_queue as queue
from firmware.sync.journal_schema import MAX_SEQ, Epoch, new_epoch, put_epoch
from firmware.wire.records import (
    Annulled,
    Damaged,
    FrameError,
    Missing,
    PaidAtPortal,
    Passed,
    Record,
    RecordError,
    Skipped,
    Stamp,
    decode_body,
    parse_frame,
)


def renew(db: sqlite3.Connection, state: queue.State, kept_through: int, now: Stamp) -> Epoch:
    """Rows of the own epoch behind ``kept_through`` become the first ones of a new own epoch.

    Rows already acknowledged stay where they are. Returns the new epoch."""
    old = state.own
    kept_through = max(kept_through, old.acked)
    rows = db.execute(
        "SELECT id, kind, frame FROM rows WHERE id>? AND id<=? ORDER BY id",
        (old.row_id(kept_through), old.row_id(MAX_SEQ)),
    ).fetchall()
    db.execute("DELETE FROM rows WHERE id>? AND id<=?", (old.row_id(kept_through), old.row_id(MAX_SEQ)))
    state.queued -= old.last_seq - kept_through
    state.bytes -= sum(len(data) for _, _, data in rows)
    old.last_seq = kept_through
    put_epoch(db, old)
    own = Epoch(old.no + 1, new_epoch(), 0, 0)
    put_epoch(db, own)
    state.epochs.append(own)
    state.skipped_row = 0
    moved: dict[int, int] = {}
    for row_id, kind, data in rows:
        seq = own.last_seq + 1
        moved[row_id & MAX_SEQ] = seq
        body = _turned(data, old.epoch, seq, moved, now)
        queue.insert(db, state, body, kind)
        db.execute("UPDATE admissions SET id=? WHERE id=?", (own.row_id(seq), row_id))
    return own


def _turned(data: bytes, old_epoch: int, seq: int, moved: dict[int, int], now: Stamp) -> bytes:
    """The body under its new seq, its reference following the record it names."""
    record: Record = Damaged(now, seq, seq)
    with contextlib.suppress(FrameError, RecordError):
        record = decode_body(parse_frame(data).body)
    if isinstance(record, Damaged | Skipped):
        record = replace(record, first=seq, last=seq)
    elif isinstance(record, Passed | Annulled) and record.ref_seq and record.ref_epoch is None:
        if record.ref_seq in moved:
            record = replace(record, ref_seq=moved[record.ref_seq])
        else:
            record = replace(record, ref_epoch=old_epoch)
    elif isinstance(record, PaidAtPortal):
        record = replace(record, ref_seq=moved.get(record.ref_seq, record.ref_seq))
    elif isinstance(record, Missing) and record.ref_epoch is None:
        record = replace(record, ref_epoch=old_epoch)
    return record.body()
