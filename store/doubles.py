"""The alarm ``double_entry``: one pass let more people in (or out) at two gates than it is for.

Gates that could not reach the broker cannot know of each other's grants; both records carry ``offline``
and meet here. One gate grants a use once: two grants show that it has lost its journal, or was cloned.
A gate always grants what is left of the party, so the largest single grant of a visit is its party size.
Grants that were annulled do not count; an alarm that an annulment, arriving late, explains is cleared and
stays readable. Staff and technicians' passes are not counted by the gates, nor here.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from firmware.wire.records import Flags
from store.ledger import insert_once
from store.posting import Place
from store.schema import admissions, alarms, annulments, journals, visits

KIND = "double_entry"
COUNTED = ("entry", "exit")


def judge_doubles(connection: Connection, keys: Mapping[tuple[str, str], Place | None]) -> None:
    """Raise or clear the alarm for the spent keys ``(visit, direction)`` that a batch touched.

    The value of a key is the place of its newest admission, None where the batch only annulled.
    """
    if not keys:
        return
    names = sorted({visit for visit, _ in keys})
    table = admissions
    several = (
        select(table.c.visit)
        .join(visits, visits.c.visit == table.c.visit)
        .where(table.c.visit.in_(names), visits.c.kind.in_(COUNTED))
        .group_by(table.c.visit, table.c.direction)
        .having(func.count() > 1)
    )
    suspects = sorted(set(connection.scalars(several)))
    if not suspects:
        return
    grants: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in connection.execute(
        select(table.c.visit, table.c.direction, table.c.uses, table.c.flags, journals.c.board)
        .join(journals, journals.c.id == table.c.journal)
        .where(table.c.visit.in_(suspects))
    ):
        grants[row.visit, row.direction].append(row)
    back: dict[tuple[str, str], int] = {}
    given = select(annulments.c.visit, annulments.c.direction, func.sum(annulments.c.uses))
    given = given.where(annulments.c.visit.in_(suspects)).group_by(annulments.c.visit, annulments.c.direction)
    for visit, direction, uses in connection.execute(given):
        back[visit, direction] = int(uses)
    for key, newest in keys.items():
        _judge(connection, key, grants.get(key, []), back.get(key, 0), newest)


def _judge(
    connection: Connection,
    key: tuple[str, str],
    grants: list[Any],
    given_back: int,
    newest: Place | None,
) -> None:
    gates = sorted({row.board for row in grants})
    if len(grants) < 2:
        return
    party = max(row.uses for row in grants)
    spent = sum(row.uses for row in grants) - given_back
    subject = f"{key[0]}/{key[1]}"
    open_alarm = (alarms.c.kind == KIND) & (alarms.c.subject == subject) & alarms.c.cleared_ms.is_(None)
    now_ms = time.time_ns() // 1_000_000
    if spent <= party:
        connection.execute(alarms.update().where(open_alarm).values(cleared_ms=now_ms))
        return
    if newest is None:
        return
    if len(gates) > 1 and not any(row.flags & Flags.OFFLINE for row in grants):
        return  # gates that heard of each other: an annulment is still on its way
    if connection.scalar(select(func.count()).select_from(alarms).where(open_alarm)):
        return
    lost = "this gate has lost its journal, or another board uses its id"
    why = "gates were offline" if len(gates) > 1 else lost
    detail = f"{spent} admissions {key[1]} at {', '.join(gates)} on one pass for {party}: {why}"
    row = {
        "board": newest.board,
        "journal": newest.journal,
        "seq": newest.seq,
        "source": "store",
        "kind": KIND,
    }
    insert_once(connection, alarms, [row | {"subject": subject, "detail": detail, "at_ms": now_ms}])
