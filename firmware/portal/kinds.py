"""Which tags in the field are goods of this shop. Pure.

A tag that is none is named, never dropped in silence: the caller counts each kind and says so. It must never
turn away a tag that the price list knows, whatever it looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from firmware.wire.epc import OTHER, UNPROGRAMMED, EpcError, decode, item_key, sgtin_key
from firmware.wire.gtin import is_digits

ITEM, FOREIGN, BLANK, NOT_GOODS, BROKEN = "item", "foreign", "unprogrammed", "not-goods", "malformed"
KINDS = {
    ITEM: "an item of this shop",
    FOREIGN: "an item with a GTIN of another company",
    BLANK: "a tag without a GS1 EPC",
    NOT_GOODS: "a GS1 tag of a pallet, place, asset or the like",
    BROKEN: "a tag whose EPC breaks the rules of its scheme",
}
"""Each kind in words."""
CHOICES = ("ignore", "report")


@dataclass(frozen=True, slots=True)
class KindRules:
    """``companies``: GS1 company prefixes of the shop's goods, digits as in the GTIN (a 13-digit GTIN's
    first digits); none: every GTIN counts. ``unprogrammed``: whether the caller tells people of such tags
    or only counts them. Raises ValueError with key, value and what is allowed."""

    companies: tuple[str, ...] = ()
    unprogrammed: str = "report"

    def __post_init__(self) -> None:
        for prefix in self.companies:
            if not (is_digits(prefix) and 4 <= len(prefix) <= 12):
                raise ValueError(f"companies: {prefix!r} is no GS1 company prefix (4 to 12 digits)")
        if self.unprogrammed not in CHOICES:
            raise ValueError(f"unprogrammed: {self.unprogrammed!r}, allowed are {' and '.join(CHOICES)}")


def sort_tag(epc: bytes, rules: KindRules, known: Callable[[bytes], bool]) -> str:
    """One of ``KINDS``. ``known(epc)``: the price list has this tag's GTIN, or the whole EPC.

    A company prefix is never the beginning of another's, so comparing the GTIN's digits is enough, also
    where the EPC does not say how long the prefix is."""
    if known(epc):
        return ITEM
    gtin14 = sgtin_key(epc)
    if gtin14 is None:
        return _none(epc)
    return ITEM if not rules.companies or gtin14.startswith(rules.companies, 1) else FOREIGN


def _none(epc: bytes) -> str:
    try:
        decode(epc)
    except EpcError as error:
        return {UNPROGRAMMED: BLANK, OTHER: NOT_GOODS}.get(error.kind, BROKEN)
    return NOT_GOODS


def one_each(epcs: Iterable[bytes]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """(one EPC per item, the others), both ascending: an item whose tag was read and whose QR label was shown
    must be charged once.

    The lowest bytes stay, whatever came first: a tag's own 96 bits before what was made from a label, so that
    a basket does not change when the other of the two is read. An EPC that is no SGTIN stands for itself."""
    kept: dict[object, bytes] = {}
    twins = []
    for epc in sorted(set(epcs)):
        if kept.setdefault(item_key(epc) or epc, epc) != epc:
            twins.append(epc)
    return tuple(kept.values()), tuple(twins)
