"""The price list in the ledger: what an import would change, the import, and what boards are told of it.

The list and the buckets made of it are written in one transaction, so that boards never see half a change of
one bucket. Money is integer fen. Nothing here talks to the broker.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select

from firmware.wire.pricelist import (
    TABLE,
    Key,
    PriceEntry,
    PriceListError,
    bucket_of,
    encode_bucket,
    key_bytes,
)
from firmware.wire.tables import MAX_DATA, SPECS
from store import tables
from store.ledger import LedgerError, upsert
from store.schema import catalogue, pushed

SHRINK_SHARE = 0.5
"""An import that takes away more than this share of the list is most likely half a file."""
_FIELDS = ("name", "price_fen", "unit", "unit_fen", "brand", "zone")
_BATCH = 500

Buckets = dict[tables.Key, tuple[int, bytes]]
"""(table, bucket) → (entry size, data)"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import changes. ``changed``: (before, after)."""

    new: tuple[PriceEntry, ...]
    changed: tuple[tuple[PriceEntry, PriceEntry], ...]
    removed: tuple[PriceEntry, ...]
    same: int

    @property
    def nothing(self) -> bool:
        return not (self.new or self.changed or self.removed)

    @property
    def shrinks(self) -> bool:
        """So much is taken away that somebody should say it is meant."""
        before = len(self.changed) + len(self.removed) + self.same
        return len(self.removed) > SHRINK_SHARE * before


@dataclass(frozen=True, slots=True)
class Published:
    """``version``: sum of the buckets' versions, as in a board's health; 0: never told. ``fullest``: share of
    its room that the fullest bucket takes."""

    version: int
    fullest: float
    changed_ms: int | None


def entries(connection: Connection) -> list[PriceEntry]:
    """The whole list: goods with a GTIN first, each kind in its order."""
    columns = (catalogue.c.goods, *(catalogue.c[name] for name in _FIELDS))
    found = [PriceEntry(_key(goods), *row) for goods, *row in connection.execute(select(*columns))]
    return sorted(found, key=lambda entry: (isinstance(entry.key, bytes), key_bytes(entry.key)))


def buckets(found: Sequence[PriceEntry]) -> Buckets:
    """What boards are told of a whole list. Raises LedgerError where a bucket is too full."""
    spec = SPECS[TABLE]
    members: dict[str, list[PriceEntry]] = {name: [] for name in spec.names()}
    for entry in found:
        members[bucket_of(entry.key)].append(entry)
    try:
        return {(TABLE, name): (spec.entry_size, encode_bucket(held)) for name, held in members.items()}
    except PriceListError as error:
        raise LedgerError(f"{error}; nothing was changed") from None


def plan(connection: Connection, wanted: Sequence[PriceEntry]) -> Plan:
    """What ``replace`` would do; ``wanted`` is the whole list."""
    before = {entry.key: entry for entry in entries(connection)}
    after = {entry.key: entry for entry in wanted}
    both = [(before[key], entry) for key, entry in after.items() if key in before]
    changed = tuple((old, new) for old, new in both if old != new)
    return Plan(
        tuple(entry for key, entry in after.items() if key not in before),
        changed,
        tuple(entry for key, entry in before.items() if key not in after),
        len(both) - len(changed),
    )


def replace(connection: Connection, wanted: Sequence[PriceEntry], made: Buckets) -> Plan:
    """Make ``wanted`` the whole list and give changed buckets a new version; ``made``: ``buckets(wanted)``,
    from before the transaction, which holds up the boards' records."""
    found = plan(connection, wanted)
    gone = [_goods(entry.key) for entry in found.removed]
    for at in range(0, len(gone), _BATCH):
        connection.execute(delete(catalogue).where(catalogue.c.goods.in_(gone[at : at + _BATCH])))
    written = [_row(entry) for entry in (*found.new, *(new for _, new in found.changed))]
    upsert(connection, catalogue, written, [*_FIELDS, "changed_ms"])
    tables.publish(connection, lambda: made)
    return found


def published(connection: Connection) -> Published:
    """What boards are told now."""
    columns = func.sum(pushed.c.version), func.max(func.length(pushed.c.data)), func.max(pushed.c.changed_ms)
    version, longest, changed_ms = connection.execute(select(*columns).where(pushed.c.name == TABLE)).one()
    return Published(int(version or 0), (longest or 0) / MAX_DATA, changed_ms)


def _row(entry: PriceEntry) -> dict[str, Any]:
    row = {name: getattr(entry, name) for name in _FIELDS}
    return row | {"goods": _goods(entry.key), "changed_ms": time.time_ns() // 1_000_000}


def _goods(key: Key) -> str:
    return f"{key:014d}" if isinstance(key, int) else f"epc:{key.hex().upper()}"


def _key(goods: str) -> Key:
    return bytes.fromhex(goods[4:]) if goods.startswith("epc:") else int(goods)
