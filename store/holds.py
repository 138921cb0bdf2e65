"""Which open basket an EPC is in: at most one in the whole shop, by a key of the database.

A basket holds its tags from its offer until it is paid, closed, or over: a portal has one basket at a time,
so a later one of the same portal ends it, also where the record of its closing still waits in the board's
journal; and after ``STALE_MS`` another portal may have its tags. A basket with an open attempt to pay keeps
its tags whatever happens; one that has lost a tag can no longer be paid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select

from store.saleschema import attempts, open_tags
from store.schema import basket_closings, journals

STALE_MS = 30 * 60 * 1000
BATCH = 500


@dataclass(frozen=True, slots=True)
class BasketKey:
    """A basket: its board, its journal's row and epoch, and the seq of its first version."""

    board: str
    journal: int
    epoch: str
    first: int

    @property
    def name(self) -> str:
        """As on the wire."""
        return f"{self.epoch}-{self.first}"


def closed(connection: Connection, basket: BasketKey) -> bool:
    """Whether its portal said that it will not be paid there."""
    table = basket_closings
    query = (
        select(func.count())
        .join(journals, journals.c.id == table.c.journal)
        .where(journals.c.board == basket.board, table.c.ref_seq == basket.first)
        .where(func.coalesce(table.c.ref_epoch, journals.c.epoch) == basket.epoch)
    )
    return bool(connection.scalar(query))


def under_way(connection: Connection, name: str) -> bool:
    """Whether an attempt to pay this basket is open."""
    query = select(func.count()).select_from(attempts).where(attempts.c.open_basket == name)
    return bool(connection.scalar(query))


def take(
    connection: Connection, basket: BasketKey, epcs: Sequence[str], visit: str, now_ms: int
) -> list[str]:
    """Hold exactly ``epcs`` for ``basket``; the EPCs that another open basket has, and then nothing is
    changed. To be called within one transaction with what depends on it."""
    over: set[tuple[int, int]] = set()
    taken = []
    for row in _holders(connection, epcs):
        if (row.journal, row.first_seq) == (basket.journal, basket.first):
            continue
        earlier = row.board == basket.board and (row.journal, row.first_seq) < (basket.journal, basket.first)
        stale = now_ms - row.since_ms > STALE_MS
        if (earlier or stale) and not under_way(connection, f"{row.epoch}-{row.first_seq}"):
            over.add((row.journal, row.first_seq))
        else:
            taken.append(row.epc)
    if taken:
        return taken
    for journal, first in over | {(basket.journal, basket.first)}:
        release(connection, journal, first)
    place = {"journal": basket.journal, "first_seq": basket.first, "visit": visit, "since_ms": now_ms}
    if epcs:
        connection.execute(open_tags.insert(), [{"epc": epc} | place for epc in epcs])
    return []


def held(connection: Connection, basket: BasketKey) -> list[str]:
    """The EPCs that this basket holds now."""
    table = open_tags
    query = select(table.c.epc).where(table.c.journal == basket.journal, table.c.first_seq == basket.first)
    return sorted(connection.scalars(query))


def release(connection: Connection, journal: int, first: int) -> None:
    table = open_tags
    connection.execute(delete(table).where(table.c.journal == journal, table.c.first_seq == first))


def let_go(connection: Connection, closings: Iterable[tuple[str, str, int]]) -> None:
    """Closed baskets, (board, epoch, first seq): they hold nothing more, unless a payment is under way."""
    for board, epoch, first in closings:
        query = select(journals.c.id).where(journals.c.board == board, journals.c.epoch == epoch)
        journal = connection.scalar(query)
        if journal is not None and not under_way(connection, f"{epoch}-{first}"):
            release(connection, journal, first)


def _holders(connection: Connection, epcs: Sequence[str]) -> list[Any]:
    found: list[Any] = []
    table = open_tags
    columns = table.c.epc, table.c.journal, table.c.first_seq, table.c.since_ms
    query = select(*columns, journals.c.board, journals.c.epoch).join(
        journals, journals.c.id == table.c.journal
    )
    for at in range(0, len(epcs), BATCH):
        found += connection.execute(query.where(table.c.epc.in_(epcs[at : at + BATCH]))).all()
    return found
