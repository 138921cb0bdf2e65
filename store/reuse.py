"""The alarm ``id_reused``: a record came again under its id with other content.

A resend is byte for byte the same. Where it is not, two programs write under one identity (a copied card, a
journal put back from an image), and one of the two facts is not in the ledger: the first one is kept. Records
that a board itself put in the place of a lost one (damaged, skipped) are no reuse.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, func, select, tuple_

from firmware.wire.records import Kind, RecordError, decode_body
from store.journals import Journals
from store.ledger import insert_once
from store.schema import alarms, records

KIND = "id_reused"
STANDS_IN = (Kind.DAMAGED, Kind.SKIPPED)

Id = tuple[int, int]
"""(journal's row id, seq)"""


def stored_bodies(connection: Connection, ids: Iterable[Id]) -> dict[Id, bytes]:
    """The bodies of those ``ids`` that are in the ledger; of new records there are none."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    columns = records.c
    query = select(columns.journal, columns.seq, columns.body)
    found = connection.execute(query.where(tuple_(columns.journal, columns.seq).in_(wanted)))
    return {(journal, seq): bytes(body) for journal, seq, body in found}


def reused(first: bytes, second: bytes) -> bool:
    """Whether two bodies under one id are two facts."""
    return first != second and not (_stands_in(first) or _stands_in(second))


def alarm_reuse(connection: Connection, known: Journals, found: Mapping[Id, str]) -> None:
    """One open alarm per journal, whatever the number of records: ``found`` is id → what was seen."""
    for (journal_id, seq), detail in sorted(found.items(), reverse=True):
        journal = known.by_id[journal_id]
        standing = (alarms.c.kind == KIND) & (alarms.c.subject == journal.epoch)
        standing &= (alarms.c.board == journal.board) & alarms.c.cleared_ms.is_(None)
        if connection.scalar(select(func.count()).select_from(alarms).where(standing)):
            continue
        row = {"board": journal.board, "journal": journal_id, "seq": seq, "source": "store", "kind": KIND}
        row |= {"subject": journal.epoch, "detail": detail, "at_ms": time.time_ns() // 1_000_000}
        insert_once(connection, alarms, [row])


def _stands_in(body: bytes) -> bool:
    try:
        return decode_body(body).KIND in STANDS_IN
    except RecordError:
        return False
