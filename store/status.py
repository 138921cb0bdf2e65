"""``python -m store status``: what the ledger holds for each board, and what a person must look at.

Reads only, also while the store runs. Counts come from the posted facts, never from a separate tally.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, Subquery, Table, func, select
from sqlalchemy.exc import SQLAlchemyError

from firmware.wire.record_types import PriceLook
from firmware.wire.refusals import NAME_BY_NUMBER
from store import schema
from store.ledger import LedgerError, check, explain, name, open_ledger
from store.reuse import KIND as REUSED

SILENT_MS = 300_000
"""A board that was online and said nothing for this long needs a look."""
RECENT_MS = 24 * 3600 * 1000
"""What was found longer ago stays in the counts and no longer asks for attention."""

PRICE_LOOK = PriceLook.KIND.name.lower()


@dataclass
class BoardRow:
    """One board's counts; times in milliseconds of the Unix epoch, ``through`` of its newest journal.
    ``unpaid``: baskets of which a portal said that they will not be paid there."""

    board: str
    online: bool | None
    state: str | None
    state_ms: int | None
    record_ms: int | None
    epoch: str | None
    through: int = 0
    waiting: int = 0
    missing: int = 0
    quarantined: int = 0
    admitted: int = 0
    passed: int = 0
    annulled: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    baskets: int = 0
    tags: int = 0
    unpaid: int = 0
    looks: int = 0
    alarms: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)

    def bad_frames(self) -> dict[str, int]:
        """Messages that could not be taken, by kind; records with a reused id are told apart from them."""
        return {kind: count for kind, count in self.faults.items() if kind != REUSED}


@dataclass
class Status:
    """The whole answer. ``attention``: sentences, each with what to check; empty when all is well."""

    ledger: str
    records: int
    visits: int
    boards: list[BoardRow]
    attention: list[str]


def report(url: str, *, as_json: bool) -> int:
    """Print the status; 0 when all is well, 1 when something needs attention. Raises LedgerError."""
    engine = open_ledger(url, read_only=True)
    check(engine)
    try:
        status = collect(engine, time.time_ns() // 1_000_000)
    except SQLAlchemyError as error:
        raise LedgerError(f"cannot read the ledger {name(engine)}: {explain(error)}") from error
    finally:
        engine.dispose()
    print(json.dumps(asdict(status), ensure_ascii=False) if as_json else render(status))
    return 1 if status.attention else 0


def collect(engine: Engine, now_ms: int) -> Status:
    """Everything ``report`` shows, read in one transaction. Raises SQLAlchemyError."""
    with engine.connect() as connection:
        boards = _boards(connection)
        status = Status(
            ledger=name(engine),
            records=_count(connection, schema.records),
            visits=_count(connection, schema.visits),
            boards=list(boards.values()),
            attention=[],
        )
        recent = _recent(connection, now_ms - RECENT_MS)
    for row in status.boards:
        status.attention += _attention(row, recent.get(row.board, set()), now_ms)
    return status


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _boards(connection: Connection) -> dict[str, BoardRow]:
    table = schema.boards
    rows = {
        row.board: BoardRow(row.board, row.online, row.state, row.state_ms, row.record_ms, row.epoch)
        for row in connection.execute(select(table).order_by(table.c.board))
    }
    journals = connection.execute(select(schema.journals).order_by(schema.journals.c.id)).all()
    owner = {journal.id: rows[journal.board] for journal in journals}
    records = schema.records
    query = (
        select(records.c.journal, func.count())
        .join(schema.journals, schema.journals.c.id == records.c.journal)
        .where(records.c.seq <= schema.journals.c.through)
        .group_by(records.c.journal)
    )
    stored = _per_journal(connection, query)
    whole = select(records.c.journal, func.count()).group_by(records.c.journal)
    every = _per_journal(connection, whole)
    for journal in journals:
        row = owner[journal.id]
        if row.epoch in (None, journal.epoch):
            row.through = journal.through
        row.missing += journal.through - stored.get(journal.id, 0)
        row.waiting += every.get(journal.id, 0) - stored.get(journal.id, 0)
    for attribute, fact in (
        ("admitted", schema.admissions),
        ("passed", schema.passages),
        ("annulled", schema.annulments),
        ("quarantined", schema.quarantine),
        ("unpaid", schema.basket_closings),
    ):
        _add(connection, owner, attribute, select(fact.c.journal, func.count()))
    tags, events = schema.basket_tags, schema.events
    # A basket that was read again has several versions: it is one basket, with the tags of its last one.
    last = _last_versions()
    _add(connection, owner, "baskets", select(last.c.journal, func.count()))
    of_last = (tags.c.journal == last.c.journal) & (tags.c.seq == last.c.seq)
    _add(connection, owner, "tags", select(tags.c.journal, func.count()).join(last, of_last))
    looked = events.c.name == PRICE_LOOK
    _add(connection, owner, "looks", select(events.c.journal, func.count()).where(looked))
    _named_counts(connection, rows, owner)
    return rows


def _last_versions() -> Subquery:
    """Of each basket the record that counts: its last version."""
    table = schema.baskets
    first = func.coalesce(table.c.first_seq, table.c.seq)
    return (
        select(table.c.journal, func.max(table.c.seq).label("seq"))
        .group_by(table.c.journal, first)
        .subquery()
    )


def _add(connection: Connection, owner: dict[int, BoardRow], attribute: str, query: Select[Any]) -> None:
    """Add what ``query`` (journal, count) counts by journal to its board."""
    for journal_id, count in connection.execute(query.group_by(query.selected_columns[0])):
        row = owner[journal_id]
        setattr(row, attribute, getattr(row, attribute) + count)


def _per_journal(connection: Connection, query: Select[Any]) -> dict[int, int]:
    return {row[0]: row[1] for row in connection.execute(query)}


def _named_counts(connection: Connection, rows: dict[str, BoardRow], owner: dict[int, BoardRow]) -> None:
    table = schema.refusals
    refused = select(table.c.journal, table.c.reason, func.count()).group_by(table.c.journal, table.c.reason)
    for journal_id, number, count in connection.execute(refused):
        reason = NAME_BY_NUMBER.get(number, f"reason {number}")
        found = owner[journal_id].refused
        found[reason] = found.get(reason, 0) + count
    alarms = schema.alarms
    raised = select(alarms.c.board, alarms.c.kind, func.count()).where(alarms.c.cleared_ms.is_(None))
    for board, kind, count in connection.execute(raised.group_by(alarms.c.board, alarms.c.kind)):
        rows[board].alarms[kind] = count
    faults = schema.wire_faults
    for board, kind, count in connection.execute(select(faults.c.board, faults.c.kind, faults.c.count)):
        rows[board].faults[kind] = count


def _recent(connection: Connection, since_ms: int) -> dict[str, set[str]]:
    """Per board, which kinds of trouble were found since ``since_ms``."""
    found: dict[str, set[str]] = {}
    journals, gaps, alarms, faults = schema.journals, schema.gaps, schema.alarms, schema.wire_faults
    holes = select(journals.c.board).join(gaps, gaps.c.journal == journals.c.id)
    for board in connection.scalars(holes.where(gaps.c.found_ms >= since_ms)):
        found.setdefault(board, set()).add("missing")
    raised = select(alarms.c.board, alarms.c.kind).where(alarms.c.source == "store")
    raised = raised.where(alarms.c.at_ms >= since_ms, alarms.c.cleared_ms.is_(None))
    for board, kind in connection.execute(raised):
        found.setdefault(board, set()).add(kind)
    bad = select(faults.c.board).where(faults.c.last_ms >= since_ms, faults.c.kind != REUSED)
    for board in connection.scalars(bad):
        found.setdefault(board, set()).add("bad frames")
    return found


def _attention(row: BoardRow, recent: set[str], now_ms: int) -> list[str]:
    found = []
    if row.waiting:
        found.append(
            f"{row.board}: {row.waiting} records wait for an earlier one that has not come; "
            "check the board's link, it resends by itself"
        )
    if row.missing and "missing" in recent:
        found.append(
            f"{row.board}: {row.missing} records will never come; see its journal alarm and check its disk"
        )
    if "quarantined" in recent:
        found.append(
            f"{row.board}: {row.quarantined} records could not be read and are in quarantine; "
            "compare the versions of board and store"
        )
    if "double_entry" in recent:
        found.append(
            f"{row.board}: one pass let more people through than it is for (double_entry); the alarms table "
            "names the gates: check their links, and one alone for a lost journal or a cloned card"
        )
    if REUSED in recent:
        found.append(
            f"{row.board}: {row.faults.get(REUSED, 0)} records came again with other content "
            "(id_reused); check that no card or image of this board is in use twice"
        )
    if "bad frames" in recent:
        found.append(
            f"{row.board}: messages came that could not be taken (bad frames: {_counted(row.bad_frames())}); "
            "the board sends records again, but check its network and who else sends in its name"
        )
    if row.online and row.state_ms is not None and now_ms - row.state_ms > SILENT_MS:
        found.append(
            f"{row.board}: online, but nothing heard for {(now_ms - row.state_ms) // 60_000} min; "
            "check that board and store reach the broker"
        )
    return found


def render(status: Status) -> str:
    """The status as text: one line per board, then its counts by name, then what needs attention."""
    lines = [
        ["board", "link", "last record", "through", "waiting", "missing", "quarantine", "alarms", "work"]
    ]
    for row in status.boards:
        link = "?" if row.online is None else (row.state or "online") if row.online else "offline"
        counts = [row.through, row.waiting, row.missing, row.quarantined, sum(row.alarms.values())]
        lines.append([row.board, link, _when(row.record_ms), *map(str, counts), _work(row)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    out = [f"ledger {status.ledger}: {status.records} records, {status.visits} visits", ""]
    out += [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    for row in status.boards:
        for title, named in (("refused", row.refused), ("alarms", row.alarms), ("bad frames", row.faults)):
            if named:
                out.append(f"{row.board} {title}: {_counted(named)}")
    if not status.boards:
        out.append("no board has reported yet")
    if status.attention:
        return "\n".join([*out, "", *(f"! {line}" for line in status.attention)])
    old = any(row.missing or row.quarantined or row.faults for row in status.boards)
    well = "nothing new to look at: what was found is older than a day" if old else "nothing to look at"
    return "\n".join([*out, "", well])


def _work(row: BoardRow) -> str:
    """What the board's facts say it did, whatever its role: a gate admits, a portal counts baskets, a price
    point is looked at."""
    counts = {
        "admitted": row.admitted,
        "passed": row.passed,
        "annulled": row.annulled,
        "refused": sum(row.refused.values()),
        "baskets": row.baskets,
        "tags": row.tags,
        "unpaid": row.unpaid,
        "price looks": row.looks,
    }
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "-"


def _counted(named: dict[str, int]) -> str:
    return ", ".join(f"{key} {count}" for key, count in sorted(named.items()))


def _when(ms: int | None) -> str:
    if ms is None:
        return "never"
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
