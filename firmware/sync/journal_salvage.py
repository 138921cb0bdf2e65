"""Reads everything that can still be read out of a damaged journal. Never writes to the files it is given.

Two ways, together: SQL from both ends of the table, and a scan of the raw bytes of database and WAL for
frames. A frame carries epoch, seq and crc32 itself, so one found anywhere proves itself, whatever has
happened to the pages that pointed at it. Only a record over about 4 KB (a basket of some 800 tags) lies in
several pages and needs the tables.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from firmware.sync import used
from firmware.sync.journal_schema import Epoch, JournalCorrupt, load_epochs
from firmware.wire.records import (
    HEADER_BYTES,
    MAX_BODY,
    Admitted,
    Annulled,
    FrameError,
    Passed,
    Record,
    RecordError,
    decode_body,
    parse_frame,
)

_SPENT_REBUILD_MS = 24 * 3600 * 1000

# The second is Python's own: a name in the schema, or SQLite's message about it, is no text any more.
_UNREADABLE = (sqlite3.Error, UnicodeDecodeError)

# A frame of this version whose body is a map that begins with key 0 (the type) and key 1 (a time).
_FRAME_START = re.compile(rb"(?=\x01.{8}.{4}(.{2}).{4}[\xa5-\xb7]\x00[\x01-\x17]\x01)", re.DOTALL)


@dataclass(slots=True)
class Salvaged:
    """``rows``: (epoch, seq) → frame, each proven by its crc. ``epochs``: empty where their table was not
    sound. ``spent``: (visit, direction) → count. ``admissions`` by (epoch, seq)."""

    rows: dict[tuple[int, int], bytes] = field(default_factory=dict)
    epochs: list[Epoch] = field(default_factory=list)
    spent: dict[tuple[bytes, str], int] = field(default_factory=dict)
    admissions: dict[tuple[int, int], used.OpenAdmission] = field(default_factory=dict)


def salvage(path: Path, *, tables_current: bool) -> Salvaged:
    """What can be read of the journal at ``path`` and its WAL, from a copy. Raises OSError.

    ``tables_current``: false when the newest commits are known to be missing from the tables."""
    found = Salvaged()
    wal = path.with_name(path.name + "-wal")
    with tempfile.TemporaryDirectory(prefix=".salvage-", dir=path.parent) as folder:
        copy = Path(folder) / "journal.db"
        shutil.copyfile(path, copy)
        if wal.exists():
            shutil.copyfile(wal, copy.with_name("journal.db-wal"))
        raw = copy.read_bytes()
        raw_wal = wal.read_bytes() if wal.exists() else b""
        open_rows = _read_sql(copy, found)
    sql_rows = dict(found.rows)
    for data in (raw, raw_wal):
        _scan(data, found.rows)
    found.rows.update(sql_rows)
    _derive(found, open_rows if tables_current else None)
    return found


def _read_sql(copy: Path, found: Salvaged) -> list[used.OpenAdmission] | None:
    """Fills in what SQL still gives; returns the open admissions, None where their table is unreadable."""
    open_rows = None
    try:
        db = sqlite3.connect(copy, isolation_level=None)
    except sqlite3.Error:
        return None
    db.text_factory = bytes
    try:
        with contextlib.suppress(*_UNREADABLE, JournalCorrupt):
            found.epochs = load_epochs(db)
        with contextlib.suppress(*_UNREADABLE, JournalCorrupt):
            found.spent = used.load(db)
        with contextlib.suppress(*_UNREADABLE):
            if found.epochs:
                open_rows = used.open_admissions(db, {e.no: e.epoch for e in found.epochs})
        for order in ("ASC", "DESC"):
            with contextlib.suppress(*_UNREADABLE):
                for (data,) in db.execute(f"SELECT frame FROM rows ORDER BY id {order}"):
                    _keep(data, found.rows)
    finally:
        with contextlib.suppress(sqlite3.Error):
            db.close()
    return open_rows


def _scan(data: bytes, rows: dict[tuple[int, int], bytes]) -> None:
    """Frames that stand in one piece in the file: all but those long enough for overflow pages."""
    for match in _FRAME_START.finditer(data):
        length = int.from_bytes(match[1], "big")
        if length <= MAX_BODY:
            _keep(data[match.start() : match.start() + HEADER_BYTES + length], rows)


def _keep(data: object, rows: dict[tuple[int, int], bytes]) -> None:
    if not isinstance(data, bytes):
        return
    try:
        parsed = parse_frame(data)
    except FrameError:
        return
    rows[parsed.epoch, parsed.seq] = data


def _derive(found: Salvaged, open_rows: list[used.OpenAdmission] | None) -> None:
    """Spent keys and open admissions once more from the records themselves; the higher count wins.

    Erring towards "used" refuses somebody who can ask for help; the other way grants a pass twice."""
    records: dict[tuple[int, int], Record] = {}
    for key, data in found.rows.items():
        with contextlib.suppress(RecordError):
            records[key] = decode_body(parse_frame(data).body)
    newest = max((r.stamp.wall_ms for r in records.values()), default=0)
    spent: dict[tuple[bytes, str], int] = {}
    admissions: dict[tuple[int, int], used.OpenAdmission] = {}
    for (epoch, seq), record in sorted(records.items()):
        if isinstance(record, Admitted):
            # Not counted: the passage may be among what is lost, so its use is not given back.
            admissions[epoch, seq] = used.OpenAdmission(
                epoch, seq, record.visit, record.direction, record.uses, counted=False
            )
    for (epoch, _), record in sorted(records.items()):
        if isinstance(record, Passed | Annulled):
            ref = (epoch if record.ref_epoch is None else record.ref_epoch, record.ref_seq)
            if ref in admissions:
                closed = 1 if isinstance(record, Passed) else record.uses
                admissions[ref] = replace(admissions[ref], uses=admissions[ref].uses - closed)
        if isinstance(record, Admitted | Annulled) and newest - record.stamp.wall_ms < _SPENT_REBUILD_MS:
            side = (record.visit, record.direction)
            spent[side] = spent.get(side, 0) + (record.uses if isinstance(record, Admitted) else -record.uses)
    for side, uses in spent.items():
        found.spent[side] = max(found.spent.get(side, 0), uses, 0)
    if open_rows is not None:
        found.admissions = {(a.epoch, a.seq): a for a in open_rows}
    else:
        found.admissions = {ref: what for ref, what in admissions.items() if what.uses > 0}
