"""One batch of board messages → one transaction: records stored once, posted in order, acks decided.

A record is stored by ``(board, epoch, seq)`` whatever its place; it is *posted* to the typed tables only
when everything before it is there or is known never to come. Nothing here talks to the broker: the
caller sends the receipts of an ``Outcome`` after ``commit`` returned, and never before.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import Connection, Engine

from firmware.wire.acks import Ack, AckError, Nack
from firmware.wire.records import FrameError, parse_frame
from store import holds, journals, schema
from store.doubles import judge_doubles
from store.journals import Journal, Journals
from store.ledger import insert_once, is_outage, upsert
from store.reuse import KIND as REUSED
from store.reuse import alarm_reuse, reused, stored_bodies
from store.states import BoardState, StateError, parse_state

AHEAD = 5000
"""Records this far beyond a journal's last posted one are not kept: a board has at most 500 unacked."""

log = logging.getLogger("store.ingest")


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message of a board. ``received_ms``: the store's wall clock. "asked": a record that came with a
    question, ahead of its journal."""

    board: str
    kind: Literal["rec", "state", "asked"]
    payload: bytes
    received_ms: int


@dataclass
class Outcome:
    """What to tell the boards, now that the batch is committed."""

    acks: list[tuple[str, Ack]] = field(default_factory=list)
    nacks: list[tuple[str, Nack]] = field(default_factory=list)
    posted: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Stored:
    epoch: str
    seq: int
    body: bytes
    received_ms: int
    asked: bool = False


@dataclass
class _Sorted:
    """A batch taken apart before the database is touched."""

    records: dict[str, list[_Stored]] = field(default_factory=dict)
    states: list[tuple[Arrived, BoardState]] = field(default_factory=list)
    faults: list[tuple[Arrived, str, str]] = field(default_factory=list)
    nacks: list[tuple[str, Nack]] = field(default_factory=list)


def commit(engine: Engine, batch: Sequence[Arrived]) -> Outcome:
    """Store ``batch`` in one transaction and return the receipts it earned. Idempotent.

    Raises SQLAlchemyError when the database refuses (nothing is stored then, try again later). A record
    that cannot be posted is quarantined, never raised.
    """
    work = _sort(batch)
    try:
        with engine.begin() as connection:
            return _store(connection, work, one_by_one=False)
    except Exception as error:
        if is_outage(error):
            raise
        log.warning("a batch could not be posted at once, posting one by one: %s", error)
    with engine.begin() as connection:
        return _store(connection, work, one_by_one=True)


def _sort(batch: Sequence[Arrived]) -> _Sorted:
    work = _Sorted()
    for item in batch:
        if item.kind == "state":
            try:
                work.states.append((item, parse_state(item.payload)))
            except StateError as error:
                work.faults.append((item, "state", str(error)))
            continue
        try:
            frame = parse_frame(item.payload)
        except FrameError as error:
            work.faults.append((item, error.kind, str(error)))
            try:
                if error.epoch is not None and error.seq is not None:
                    nack = Nack(error.epoch, error.seq, error.kind)
                    nack.encode()
                    work.nacks.append((item.board, nack))
            except AckError:
                pass  # a header that names no possible record: there is nothing to ask for again
            continue
        asked = item.kind == "asked"
        record = _Stored(f"{frame.epoch:016x}", frame.seq, frame.body, item.received_ms, asked)
        work.records.setdefault(item.board, []).append(record)
    return work


def _store(connection: Connection, work: _Sorted, *, one_by_one: bool) -> Outcome:
    outcome = Outcome(nacks=list(work.nacks))
    faults = list(work.faults)
    _note_boards(connection, work)
    wanted = [(board, r.epoch, r.received_ms) for board, found in work.records.items() for r in found]
    wanted += [(a.board, s.epoch, a.received_ms) for a, s in work.states if s.epoch is not None]
    known = Journals.load(connection, wanted)
    touched: dict[int, Journal] = {}
    ids = {(known.get(b, r.epoch).id, r.seq) for b, found in work.records.items() for r in found}
    bodies = stored_bodies(connection, ids)
    twice: dict[tuple[int, int], str] = {}

    for board, found in work.records.items():
        keep: dict[tuple[int, int], _Stored] = {}
        for record in found:
            journal = known.get(board, record.epoch)
            touched[journal.id] = journal
            if reused(bodies.setdefault((journal.id, record.seq), record.body), record.body):
                detail = f"record {record.seq} of journal {record.epoch} came again with other content"
                detail += ", the first is kept; check that no card or image of this board is in use twice"
                twice[journal.id, record.seq] = detail
                faults.append((Arrived(board, "rec", b"", record.received_ms), REUSED, detail))
            if record.seq <= journal.through and not journal.in_gap(record.seq):
                continue  # a duplicate: the ack alone is due
            if record.seq > journal.through + AHEAD and not record.asked:
                item = Arrived(board, "rec", b"", record.received_ms)
                faults.append((item, "ahead", f"seq {record.seq}, posted through {journal.through}"))
                continue
            keep.setdefault((journal.id, record.seq), record)
        late = journals.new_in_gaps(connection, known, keep)
        insert_once(
            connection,
            schema.records,
            [
                {"journal": j, "seq": seq, "body": r.body, "received_ms": r.received_ms}
                for (j, seq), r in keep.items()
            ],
        )
        for journal_id, seq in late:
            known.by_id[journal_id].late.append((seq, keep[journal_id, seq].body))

    for item, state in work.states:
        if state.epoch is None:
            continue
        journal = known.get(item.board, state.epoch)
        touched[journal.id] = journal
        if state.first_seq is not None and state.first_seq > journal.through + 1:
            known.declare(journal, journal.through + 1, state.first_seq - 1, "state first_seq")
        journal.announce(state.first_seq, state.last_seq)

    posted = journals.advance(connection, known, list(touched.values()), one_by_one=one_by_one)
    touched |= {journal.id: journal for journal in posted.touched}
    judge_doubles(connection, posted.keys)
    holds.let_go(connection, posted.closings)
    known.save(connection)
    alarm_reuse(connection, known, twice)
    _note_faults(connection, faults)
    outcome.posted = posted.count
    outcome.warnings = posted.warnings + [f"{a.board}: {kind}: {detail}" for a, kind, detail in faults]
    # The board's current journal last: its ack is the one that stays retained.
    for journal in sorted(touched.values(), key=lambda j: (known.current.get(j.board) == j.epoch, j.id)):
        outcome.acks.append((journal.board, Ack(int(journal.epoch, 16), journal.through)))
    return outcome


def _note_boards(connection: Connection, work: _Sorted) -> None:
    seen = {board: found[-1].received_ms for board, found in work.records.items()}
    others = {a.board for a, _ in work.states} | {a.board for a, _, _ in work.faults}
    insert_once(connection, schema.boards, [{"board": board} for board in sorted(others - seen.keys())])
    upsert(
        connection,
        schema.boards,
        [{"board": board, "record_ms": ms} for board, ms in sorted(seen.items())],
        ["record_ms"],
    )
    for item, state in work.states:
        row = {"board": item.board, "state_ms": item.received_ms, "online": state.online}
        row |= {name: value for name, value in state.told().items() if value is not None}
        upsert(connection, schema.boards, [row], [column for column in row if column != "board"])


def _note_faults(connection: Connection, faults: Sequence[tuple[Arrived, str, str]]) -> None:
    upsert(
        connection,
        schema.wire_faults,
        [
            {"board": a.board, "kind": kind, "count": 1, "detail": detail, "last_ms": a.received_ms}
            for a, kind, detail in faults
        ],
        ["detail", "last_ms"],
        add=["count"],
    )
