"""What the price point says of one tag: its price, its date, or why there is none. Pure.

Must never give a price for goods past the date on their tag, nor call one unknown while the list is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware.portal import pricetext
from firmware.wire.epc import UNPROGRAMMED, EpcError, decode
from firmware.wire.pricelist import PriceEntry
from hal.ports import Screen


@dataclass(frozen=True, slots=True)
class Goods:
    """What is known of one tag. ``shows``: "item", "expired", "unknown", "unprogrammed" or "no-list"."""

    shows: str
    screen: Screen
    entry: PriceEntry | None = None

    @property
    def shown_fen(self) -> int | None:
        """The price that stands on the screen."""
        return self.entry.price_fen if self.entry is not None and self.shows == "item" else None


def goods_of(epc: bytes, entry: PriceEntry | None, complete: bool, today: str | None) -> Goods:
    """``entry``: of the price list. ``complete``: all of the list is there. ``today``: as "2026-12-01", None:
    no date is judged."""
    dated = _dated(epc)
    if entry is None:
        if not complete:
            return Goods("no-list", pricetext.NO_LIST)
        if dated is None:
            return Goods("unprogrammed", pricetext.UNPROGRAMMED)
        return Goods("unknown", pricetext.UNKNOWN)
    date_type, date = dated or ("", None)
    if date is not None and today is not None and date < today:
        return Goods("expired", pricetext.expired(entry, date_type, date), entry)
    return Goods("item", pricetext.price(entry, date_type, date), entry)


def _dated(epc: bytes) -> tuple[str, str | None] | None:
    """(type, date) of the date for shoppers that a tag carries, ("", None) without one; None for a tag that
    holds no EPC at all."""
    try:
        found = decode(epc)
    except EpcError as error:
        return None if error.kind == UNPROGRAMMED else ("", None)
    if found.expiry is not None:
        return "17", found.expiry
    if found.date is not None and found.date_type in pricetext.DATES:
        return found.date_type, found.date
    return "", None
