"""From one decoded record to its ledger rows. Pure: no database, no clock.

One function per record type that has a table of its own; every other type becomes an event row with its
fields as JSON. Must never invent a visit, except the anonymous one of a basket that names none.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table

from firmware.wire import taglist
from firmware.wire.record_types import QUALITIES, VERDICTS
from firmware.wire.records import (
    Admitted,
    Alarm,
    Annulled,
    Basket,
    BasketClosed,
    Missing,
    Passed,
    Record,
    RecordError,
    Refused,
)
from store import schema

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Declared:
    """A board said that seq ``first..last`` (None: nobody knows how many) of ``epoch`` will never come."""

    board: str
    epoch: str
    first: int
    last: int | None
    reason: str


@dataclass
class Rows:
    """What one batch adds, per table, in an order that satisfies the foreign keys when inserted."""

    visits: dict[str, Row] = field(default_factory=dict)
    facts: defaultdict[Table, list[Row]] = field(default_factory=lambda: defaultdict(list))
    declared: list[Declared] = field(default_factory=list)

    def visit(self, visit: bytes, record: Record, origin: str = "pass", **known: Any) -> str:
        """Note that ``visit`` exists and what this record tells of it; returns its hex form."""
        name = visit.hex()
        row = self.visits.get(name)
        if row is None:
            row = self.visits[name] = {
                "visit": name,
                "origin": origin,
                "opened_ms": record.stamp.wall_ms,
                "kind": None,
                "campaign": None,
                "placement": None,
            }
        row |= {column: value for column, value in known.items() if row[column] is None}
        return name


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands: its journal's row id, board and epoch, and its seq."""

    journal: int
    board: str
    epoch: str
    seq: int


def post(place: Place, record: Record, rows: Rows) -> None:
    """Add the rows of one record. Raises RecordError, having added nothing, when its tag list is none."""
    fact: Row = {
        "journal": place.journal,
        "seq": place.seq,
        "at_ms": record.stamp.wall_ms,
        "clock": QUALITIES.index(record.stamp.quality),
        "flags": int(record.flags),
    }
    match record:
        case Admitted():
            visit = rows.visit(
                record.visit,
                record,
                kind=record.kind,
                campaign=record.campaign or None,
                placement=record.placement or None,
            )
            fact |= {"visit": visit, "direction": record.direction, "uses": record.uses}
            rows.facts[schema.admissions].append(fact)
        case Passed():
            fact |= {"visit": rows.visit(record.visit, record), "direction": record.direction}
            rows.facts[schema.passages].append(fact | _ref(record))
        case Annulled():
            fact |= {"visit": rows.visit(record.visit, record), "direction": record.direction}
            fact |= {"uses": record.uses, "why": record.why}
            rows.facts[schema.annulments].append(fact | _ref(record))
        case Refused():
            fact |= {"reason": record.reason, "code_kind": record.code}
            fact["visit"] = record.visit.hex() if record.visit else None
            rows.facts[schema.refusals].append(fact)
        case Basket():
            _post_basket(rows, place, record, fact)
        case BasketClosed():
            rows.facts[schema.basket_closings].append(fact | _ref(record) | {"why": record.why})
        case _:
            _post_event(rows, place, record, fact)


def _ref(record: Passed | Annulled | BasketClosed) -> Row:
    epoch = None if record.ref_epoch is None else f"{record.ref_epoch:016x}"
    return {"ref_seq": record.ref_seq, "ref_epoch": epoch}


def _post_basket(rows: Rows, place: Place, record: Basket, fact: Row) -> None:
    try:
        epcs = taglist.decode(record.tags)
    except taglist.TagListError as error:
        raise RecordError(f"tags (key 20): {error}") from None
    if len(epcs) != record.count:
        raise RecordError(f"the basket says {record.count} tags and lists {len(epcs)}")
    if record.visit is not None:
        visit = rows.visit(record.visit, record)
    else:
        # Derived from the basket's own id, so that a ledger rebuilt from the records names it the same.
        first = record.ref_seq or place.seq
        made = hashlib.sha256(f"anonymous:{place.board}:{place.epoch}:{first}".encode()).digest()[:8]
        visit = rows.visit(made, record, "anonymous")
    fact |= {"visit": visit, "reason": record.reason, "count": record.count}
    fact |= {
        "first_seq": record.ref_seq,
        "version": record.version,
        "verdict": VERDICTS.index(record.verdict),
    }
    fact |= {"missing": record.missing, "declared": record.declared}
    rows.facts[schema.baskets].append(fact)
    rows.facts[schema.basket_tags].extend(
        {"journal": place.journal, "seq": place.seq, "position": position, "epc": epc.hex().upper()}
        for position, epc in enumerate(epcs)
    )


def _post_event(rows: Rows, place: Place, record: Record, fact: Row) -> None:
    visit: bytes | None = getattr(record, "visit", None)
    if isinstance(record, Alarm):
        rows.facts[schema.alarms].append(
            {
                "board": place.board,
                "journal": place.journal,
                "seq": place.seq,
                "source": "board",
                "kind": record.kind,
                "subject": visit.hex() if visit else "",
                "detail": record.detail,
                "at_ms": record.stamp.wall_ms,
                "cleared_ms": None,
            }
        )
        return
    detail = {f.name: _plain(getattr(record, f.name)) for f in record.FIELDS if f.name != "visit"}
    fact |= {
        "name": record.KIND.name.lower(),
        "visit": visit.hex() if visit else None,
        "detail": json.dumps(detail, ensure_ascii=False, sort_keys=True),
    }
    rows.facts[schema.events].append(fact)
    if isinstance(record, Missing):
        epoch = place.epoch if record.ref_epoch is None else f"{record.ref_epoch:016x}"
        rows.declared.append(
            Declared(place.board, epoch, record.first, record.last or None, f"missing record {place.seq}")
        )


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else dict(value) if isinstance(value, dict) else value
