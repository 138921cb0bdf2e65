"""The board's price list for look-ups: by tag, in memory, from what the shop pushed. Loop thread.

The encoded buckets are the very bytes that ``firmware.sync.tables`` holds: a list costs its own length once,
and one entry is decoded when somebody asks for it. Must never guess: a tag that is not in the list has no
price, and a list that has not come yet is no empty list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from firmware.wire.epc import sgtin_key
from firmware.wire.pricelist import (
    TABLE,
    Key,
    PriceEntry,
    PriceListError,
    bucket_of,
    count,
    decode_bucket,
    find,
)
from firmware.wire.tables import SPECS, Snapshot

CACHED = 256
"""Decoded entries that are kept; a basket or a busy price point asks for the same few again and again."""


class PriceBook:
    """``check`` and ``changed`` are for the pushed tables, the rest for portal and price point."""

    def __init__(self) -> None:
        self._buckets: dict[str, Snapshot] = {}
        self._counts: dict[str, int] = {}
        self._cache: dict[Key, PriceEntry | None] = {}

    @staticmethod
    def check(snapshot: Snapshot) -> str | None:
        """Why this content of a bucket cannot be used; None where it can. For a worker thread: it takes
        milliseconds, on a small board tens of them."""
        try:
            decode_bucket(snapshot.data)
        except PriceListError as error:
            return f"the shop's price list cannot be read: {error}"
        return None

    def changed(self, buckets: Mapping[str, Snapshot]) -> bool:
        """All buckets there are now, each checked before; True where any differs from before."""
        new = {
            name: held
            for name, held in buckets.items()
            if self._buckets.get(name) is not held and self._buckets.get(name) != held
        }
        if not new and len(buckets) == len(self._buckets):
            return False
        for name, snapshot in new.items():
            self._counts[name] = count(snapshot.data)
        for name in self._buckets.keys() - buckets.keys():
            del self._counts[name]
        self._buckets = dict(buckets)
        self._cache.clear()
        return True

    @property
    def complete(self) -> bool:
        """Every bucket has come: what is not found is not in the list."""
        return len(self._buckets) == SPECS[TABLE].buckets

    def look(self, epc: bytes) -> PriceEntry | None:
        """The entry of a tag: of its full EPC, else of its GTIN; None where the list has neither."""
        found = self._find(epc) if 1 <= len(epc) <= 62 else None
        if found is not None:
            return found
        gtin14 = sgtin_key(epc)
        return self._find(int(gtin14)) if gtin14 is not None and int(gtin14) else None

    def knows(self, epc: bytes) -> bool:
        """Whether the list has this tag's GTIN, or the whole EPC."""
        return self.look(epc) is not None

    def sum_fen(self, epcs: Iterable[bytes]) -> tuple[int, int]:
        """(sum of the list prices in fen, how many of the tags have no price)."""
        total = unknown = 0
        for epc in epcs:
            entry = self.look(epc)
            if entry is None:
                unknown += 1
            else:
                total += entry.price_fen
        return total, unknown

    def figures(self) -> dict[str, int]:
        """For ``health``; its version is ``table_prices_version`` there."""
        return {
            "prices_items": sum(self._counts.values()),
            "prices_buckets": len(self._buckets),
            "prices_bytes": sum(len(held.data) for held in self._buckets.values()),
        }

    def _find(self, key: Key) -> PriceEntry | None:
        if key in self._cache:
            return self._cache[key]
        held = self._buckets.get(bucket_of(key))
        found = find(held.data, key) if held is not None else None
        if isinstance(key, int):  # EPCs have no end: they would push the goods out
            if len(self._cache) >= CACHED:
                del self._cache[next(iter(self._cache))]
            self._cache[key] = found
        return found
