"""The journals of a batch: how far each is posted, which ranges will never come, and moving on.

``advance`` is the only place where ``through`` grows, and it grows only over records that are stored and
over holes that a board itself declared (``state`` first_seq, or a ``missing`` record).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select, tuple_

from firmware.wire.records import RecordError, decode_body
from store import schema
from store.ledger import insert_once, is_outage, upsert
from store.posting import Declared, Place, Row, Rows, post

CHUNK = 500


@dataclass
class Journal:
    """One row of ``journals`` as this transaction sees it, with its declared gaps ``(first, last|None)``."""

    id: int
    board: str
    epoch: str
    through: int
    first_seq: int | None
    last_seq: int | None
    gaps: list[tuple[int, int | None]] = field(default_factory=list)
    late: list[tuple[int, bytes]] = field(default_factory=list)
    changed: bool = False

    def in_gap(self, seq: int) -> bool:
        return any(first <= seq and (last is None or seq <= last) for first, last in self.gaps)

    def skip(self, limit: int | None) -> None:
        """Move ``through`` over declared holes, up to ``limit`` (None: to the end of what has an end)."""
        moved = True
        while moved:
            moved = False
            for first, last in self.gaps:
                end = limit if last is None else last if limit is None else min(last, limit)
                if end is not None and first <= self.through + 1 <= end:
                    self.through, moved, self.changed = end, True, True

    def announce(self, first: int | None, last: int | None) -> None:
        if (first, last) != (self.first_seq, self.last_seq) and last is not None:
            self.first_seq, self.last_seq, self.changed = first, last, True


@dataclass
class Journals:
    """The journals that a batch touches, locked for this transaction (where the database has row locks)."""

    by_id: dict[int, Journal] = field(default_factory=dict)
    by_name: dict[tuple[str, str], Journal] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)
    new_gaps: list[Row] = field(default_factory=list)
    connection: Connection | None = None

    @classmethod
    def load(cls, connection: Connection, wanted: Iterable[tuple[str, str, int]]) -> Journals:
        """All journals of the boards in ``wanted`` (board, epoch, time now in ms), made where unknown."""
        journals = cls(connection=connection)
        first_seen: dict[tuple[str, str], int] = {}
        for board, epoch, now_ms in wanted:
            first_seen.setdefault((board, epoch), now_ms)
        if not first_seen:
            return journals
        names = sorted({board for board, _ in first_seen})
        journals._read(names)
        if missing := first_seen.keys() - journals.by_name.keys():
            journals._create([(board, epoch, first_seen[board, epoch]) for board, epoch in sorted(missing)])
            journals._read(names)
        table = schema.boards
        for board, current in connection.execute(
            select(table.c.board, table.c.epoch).where(table.c.board.in_(names))
        ):
            if current is not None:
                journals.current[board] = current
        return journals

    def _read(self, boards: Sequence[str]) -> None:
        assert self.connection is not None
        table, gaps = schema.journals, schema.gaps
        columns = (
            table.c.id,
            table.c.board,
            table.c.epoch,
            table.c.through,
            table.c.first_seq,
            table.c.last_seq,
        )
        query = select(*columns).where(table.c.board.in_(boards)).order_by(table.c.id).with_for_update()
        for row in self.connection.execute(query):
            if row.id not in self.by_id:
                journal = Journal(*row)
                self.by_id[journal.id] = self.by_name[journal.board, journal.epoch] = journal
        found = select(gaps.c.journal, gaps.c.from_seq, gaps.c.to_seq).where(gaps.c.journal.in_(self.by_id))
        for journal_id, first, last in self.connection.execute(found).all():
            if (first, last) not in self.by_id[journal_id].gaps:
                self.by_id[journal_id].gaps.append((first, last))

    def _create(self, wanted: Sequence[tuple[str, str, int]]) -> None:
        assert self.connection is not None
        rows = [{"board": b, "epoch": e, "through": 0, "opened_ms": ms} for b, e, ms in wanted]
        insert_once(self.connection, schema.journals, rows)

    def get(self, board: str, epoch: str) -> Journal:
        return self.by_name[board, epoch]

    def declare(self, journal: Journal, first: int, last: int | None, reason: str) -> None:
        """Note that ``first..last`` of ``journal`` will never come."""
        if (first, last) in journal.gaps or (last is not None and last < first):
            return
        journal.gaps.append((first, last))
        self.new_gaps.append(
            {
                "journal": journal.id,
                "from_seq": first,
                "to_seq": last,
                "reason": reason,
                "found_ms": time.time_ns() // 1_000_000,
            }
        )

    def declared(self, note: Declared) -> Journal:
        """As ``declare``, by names; the journal may be one that nobody has seen yet."""
        if (note.board, note.epoch) not in self.by_name:
            self._create([(note.board, note.epoch, time.time_ns() // 1_000_000)])
            self._read([note.board])
        journal = self.by_name[note.board, note.epoch]
        self.declare(journal, note.first, note.last, note.reason)
        return journal

    def save(self, connection: Connection) -> None:
        upsert(connection, schema.gaps, self.new_gaps, ["to_seq", "reason"])
        changed = [j for j in self.by_id.values() if j.changed]
        for journal in changed:
            connection.execute(
                schema.journals.update()
                .where(schema.journals.c.id == journal.id)
                .values(through=journal.through, first_seq=journal.first_seq, last_seq=journal.last_seq)
            )


@dataclass
class Posted:
    """What ``advance`` did. ``keys``: (visit, direction) → the newest admission's place, None for none.
    ``closings``: baskets that will not be paid at their portal, (board, epoch, first seq)."""

    count: int = 0
    touched: list[Journal] = field(default_factory=list)
    keys: dict[tuple[str, str], Place | None] = field(default_factory=dict)
    closings: list[tuple[str, str, int]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def new_in_gaps(
    connection: Connection, known: Journals, keep: Mapping[tuple[int, int], Any]
) -> list[tuple[int, int]]:
    """Those ``(journal, seq)`` of ``keep`` that lie in a passed gap and are not stored yet."""
    late = [(j, seq) for j, seq in keep if seq <= known.by_id[j].through]
    if not late:
        return []
    table = schema.records
    query = select(table.c.journal, table.c.seq).where(tuple_(table.c.journal, table.c.seq).in_(late))
    stored = {(j, seq) for j, seq in connection.execute(query)}
    return sorted(set(late) - stored)


def advance(
    connection: Connection, known: Journals, touched: Sequence[Journal], *, one_by_one: bool
) -> Posted:
    """Post every stored record that is now due, in order of seq, and move ``through``.

    ``one_by_one``: each record in its own savepoint, so that one that the database refuses goes to
    quarantine alone.
    """
    posted = Posted()
    todo = deque(touched)
    while todo:
        journal = todo.popleft()
        due = _due(connection, journal)
        while due:
            batches = [[record] for record in due] if one_by_one else [due]
            for batch in batches:
                for note in _post_batch(connection, journal, batch, posted, careful=one_by_one):
                    other = known.declared(note)
                    posted.touched.append(other)
                    todo.append(other)
            due = _due(connection, journal)
    return posted


def _due(connection: Connection, journal: Journal) -> list[tuple[int, bytes]]:
    """The next records to post: what filled a passed gap, then the contiguous. Moves ``through``."""
    due, journal.late = journal.late, []
    table = schema.records
    query = select(table.c.seq, table.c.body).where(
        table.c.journal == journal.id, table.c.seq > journal.through
    )
    rows = connection.execute(query.order_by(table.c.seq).limit(CHUNK)).all()
    for seq, body in rows:
        journal.skip(seq - 1)
        if seq != journal.through + 1:
            return due
        journal.through, journal.changed = seq, True
        due.append((seq, body))
    if len(rows) < CHUNK:
        journal.skip(None)
    return due


def _post_batch(
    connection: Connection,
    journal: Journal,
    batch: Sequence[tuple[int, bytes]],
    posted: Posted,
    *,
    careful: bool,
) -> list[Declared]:
    rows = Rows()
    broken: list[tuple[int, bytes, str]] = []
    for seq, body in batch:
        try:
            post(Place(journal.id, journal.board, journal.epoch, seq), decode_body(body), rows)
        except RecordError as error:
            broken.append((seq, body, str(error)))
        except Exception as error:  # a defect of ours must not stop the shop: keep the record, say so
            if not careful:
                raise
            rows = Rows()  # careful = a batch of one: drop what it added before it failed
            broken.append((seq, body, f"{type(error).__name__}: {error}"))
    try:
        if careful:
            with connection.begin_nested():
                _write(connection, rows)
        else:
            _write(connection, rows)
    except Exception as error:
        if not careful or is_outage(error):
            raise
        rows = Rows()
        broken = [(seq, body, f"the ledger refused it: {type(error).__name__}") for seq, body in batch]
    _quarantine(connection, journal, broken, posted)
    posted.count += len(batch) - len(broken)
    for row in rows.facts[schema.annulments]:
        posted.keys.setdefault((row["visit"], row["direction"]), None)
    for row in rows.facts[schema.admissions]:
        place = Place(journal.id, journal.board, journal.epoch, row["seq"])
        posted.keys[row["visit"], row["direction"]] = place
    for row in rows.facts[schema.basket_closings]:
        posted.closings.append((journal.board, row["ref_epoch"] or journal.epoch, row["ref_seq"]))
    return rows.declared


def _write(connection: Connection, rows: Rows) -> None:
    upsert(
        connection, schema.visits, list(rows.visits.values()), ["kind", "campaign", "placement"], keep=True
    )
    for table in schema.FACTS:
        if found := rows.facts.get(table):
            connection.execute(table.insert(), found)


def _quarantine(
    connection: Connection, journal: Journal, broken: Sequence[tuple[int, bytes, str]], posted: Posted
) -> None:
    now_ms = time.time_ns() // 1_000_000
    for seq, body, error in broken:
        detail = f"record {seq} could not be read and is in quarantine: {error}"[:300]
        posted.warnings.append(f"{journal.board}: {detail}")
        connection.execute(
            schema.quarantine.insert(),
            {"journal": journal.id, "seq": seq, "raw": body, "error": error[:300], "found_ms": now_ms},
        )
        connection.execute(
            schema.alarms.insert(),
            {
                "board": journal.board,
                "journal": journal.id,
                "seq": seq,
                "source": "store",
                "kind": "quarantined",
                "subject": "",
                "detail": detail,
                "at_ms": now_ms,
            },
        )
