"""What is sold now, and to whom: the tags of a paid basket, and nothing else, become sold tags.

Must never make a tag sold that its basket did not hold when it was paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from store import holds
from store.holds import BATCH, BasketKey
from store.ledger import upsert
from store.saleschema import offers, sold_tags
from store.schema import journals, visits

YOURS_MS = 30 * 60 * 1000
"""At the portal where they were bought without a pass, goods are their shopper's for so long: a portal that
was started again reads them once more."""


def sold(connection: Connection, epcs: Sequence[str]) -> list[Any]:
    """(epc, visit, origin, board, sold_ms) of those that are sold."""
    table = sold_tags
    columns = table.c.epc, table.c.visit, visits.c.origin, journals.c.board, table.c.sold_ms
    query = (
        select(*columns)
        .join(offers, offers.c.id == table.c.offer)
        .join(journals, journals.c.id == offers.c.journal)
        .join(visits, visits.c.visit == table.c.visit)
    )
    found: list[Any] = []
    for at in range(0, len(epcs), BATCH):
        found += connection.execute(query.where(table.c.epc.in_(epcs[at : at + BATCH]))).all()
    return found


def yours(row: Any, board: str, visit: str, *, anonymous: bool, now_ms: int) -> bool:
    """Whether a row of ``sold`` was bought by who stands here."""
    if row.visit == visit:
        return True
    here = row.board == board and now_ms - row.sold_ms <= YOURS_MS
    return anonymous and row.origin == "anonymous" and here


def sell(connection: Connection, basket: BasketKey, offer: int, visit: str, now_ms: int) -> list[str]:
    """Everything that ``basket`` holds is sold to ``visit``, which owes nothing then; returns the EPCs. In
    one transaction with the charge."""
    epcs = holds.held(connection, basket)
    rows = [{"epc": epc, "offer": offer, "visit": visit, "sold_ms": now_ms} for epc in epcs]
    # An EPC that is sold already was refused a place in the basket; one that was is sold to the last.
    upsert(connection, sold_tags, rows, ["offer", "visit", "sold_ms"])
    holds.release(connection, basket.journal, basket.first)
    settle(connection, visit, now_ms)
    return epcs


def settle(connection: Connection, visit: str, at_ms: int | None) -> None:
    """``at_ms``: it owes nothing since then; None: it does."""
    connection.execute(visits.update().where(visits.c.visit == visit).values(settled_ms=at_ms))
