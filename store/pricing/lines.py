"""From the tags of a basket to items and lines with list prices; what has no price is named. Pure.

A price of a full EPC goes before the price of its GTIN, as on the boards. One item may carry two tags
(SGTIN-96 on the goods, SGTIN+ from its label): it must never be charged twice. The order of tags never
matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from firmware.wire.epc import EpcError, decode, item_key, sgtin_key
from firmware.wire.pricelist import MAX_EPC_BYTES, Key, PriceEntry

Look = Callable[[Key], PriceEntry | None]
"""The price list: the entry of a key, or None."""


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of goods in a basket: what the ledger keeps of it.

    ``epc``: upper-case hex. ``goods``: what the price belongs to, 14 digits or "epc:" and hex: an item with a
    price of its own is goods of its own. ``name``, ``list_fen``, ``brand``, ``zone``: as in the list then.
    """

    epc: str
    goods: str
    name: str
    list_fen: int
    brand: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """All items of one goods."""

    goods: str
    name: str
    each_fen: int
    brand: str
    zone: str
    epcs: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.epcs)

    @property
    def list_fen(self) -> int:
        return self.count * self.each_fen


@dataclass(frozen=True, slots=True)
class Unknown:
    """A tag without a price. ``why``: in words for the shop's people."""

    epc: str
    gtin14: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Basket:
    """``items``: in the order of goods, then EPC. ``unknown``: no price, nothing of this may be sold.
    ``doubles``: second tags of items that are in it already."""

    items: tuple[Item, ...]
    unknown: tuple[Unknown, ...] = ()
    doubles: tuple[str, ...] = ()

    @property
    def list_fen(self) -> int:
        return sum(item.list_fen for item in self.items)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The items grouped per goods."""
        found: dict[str, list[Item]] = {}
        for item in self.items:
            found.setdefault(item.goods, []).append(item)
        return tuple(
            Line(goods, of[0].name, of[0].list_fen, of[0].brand, of[0].zone, tuple(item.epc for item in of))
            for goods, of in found.items()
        )


def basket(epcs: Iterable[bytes], look: Look) -> Basket:
    """The basket of ``epcs`` in any order; an EPC that comes twice is one tag."""
    items: list[Item] = []
    unknown: list[Unknown] = []
    for epc in set(epcs):
        entry = _entry(epc, look)
        if entry is None:
            unknown.append(Unknown(epc.hex().upper(), sgtin_key(epc), _why(epc)))
        else:
            items.append(_item(epc.hex().upper(), entry))
    # A price of its own first, so that it is the one kept of two tags on one item.
    items.sort(key=lambda item: (not item.goods.startswith("epc:"), item.goods, item.epc))
    kept: list[Item] = []
    doubles: list[str] = []
    seen: set[tuple[str, str]] = set()
    for item in items:
        same = item_key(bytes.fromhex(item.epc))
        if same is not None and same in seen:
            doubles.append(item.epc)
            continue
        if same is not None:
            seen.add(same)
        kept.append(item)
    kept.sort(key=lambda item: (item.goods, item.epc))
    unknown.sort(key=lambda tag: tag.epc)
    return Basket(tuple(kept), tuple(unknown), tuple(sorted(doubles)))


def of_goods(counts: Mapping[Key, int], look: Look) -> Basket:
    """A basket of goods without tags, to try what it would cost; EPCs are made up ("GTIN#1")."""
    items: list[Item] = []
    unknown: list[Unknown] = []
    for key, count in counts.items():
        entry = look(key)
        name = goods_of(key)
        if entry is None:
            gtin14 = name if isinstance(key, int) else None
            unknown.append(Unknown(name, gtin14, f"{name} is not in the price list"))
        else:
            items += [_item(f"{name}#{number}", entry) for number in range(1, count + 1)]
    items.sort(key=lambda item: (item.goods, int(item.epc.rpartition("#")[2])))
    return Basket(tuple(items), tuple(sorted(unknown, key=lambda tag: tag.epc)))


def goods_of(key: Key) -> str:
    """A key of the price list as the ledger writes it."""
    return f"{key:014d}" if isinstance(key, int) else f"epc:{key.hex().upper()}"


def _item(epc: str, entry: PriceEntry) -> Item:
    return Item(epc, goods_of(entry.key), entry.name, entry.price_fen, entry.brand, entry.zone)


def _entry(epc: bytes, look: Look) -> PriceEntry | None:
    found = look(epc) if 1 <= len(epc) <= MAX_EPC_BYTES else None
    if found is not None:
        return found
    gtin14 = sgtin_key(epc)
    return look(int(gtin14)) if gtin14 is not None and int(gtin14) else None


def _why(epc: bytes) -> str:
    gtin14 = sgtin_key(epc)
    if gtin14 is not None:
        return f"GTIN {gtin14} is not in the price list: add it, or take the item out of the basket"
    try:
        scheme = decode(epc).scheme
    except EpcError as error:
        return f"{error}; give this EPC a price of its own, or take the item out of the basket"
    return f"a tag of scheme {scheme} names no goods: give this EPC a price of its own"
