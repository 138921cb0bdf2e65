"""Which of the tags in the portal the shopper has still to pay for. Pure.

Goods of this shop, each item once, without what was settled here a moment ago: whoever has paid and still
stands there, or comes back for a forgotten bag, must not be charged again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from firmware.portal.kinds import ITEM, KindRules, one_each, sort_tag
from firmware.wire.epc import item_key

SETTLED_S = 120.0
"""An item that was settled here is not counted again for so long, s. Short: a returned item may be sold
again, and what is sold for good the shop knows."""
MOST_SETTLED = 2000


def key_of(epc: bytes) -> object:
    """The same for an item's tag and for its label."""
    return item_key(epc) or epc


class Found(NamedTuple):
    """``items``: to be counted, ascending. ``settled``: in the portal, but done. ``others``: (EPC, kind)."""

    items: tuple[bytes, ...] = ()
    settled: int = 0
    others: tuple[tuple[bytes, str], ...] = ()


class Goods:
    """``known(epc)``: the price list has it."""

    def __init__(self, rules: KindRules, known: Callable[[bytes], bool]) -> None:
        self._rules = rules
        self._known = known
        self._settled: dict[bytes, float] = {}
        self._keys: set[object] = set()

    def sort(self, epcs: Iterable[bytes], now: float) -> Found:
        self._expire(now)
        goods, others, settled = [], [], 0
        for epc in epcs:
            kind = sort_tag(epc, self._rules, self._known)
            if kind != ITEM:
                others.append((epc, kind))
            elif self._keys and key_of(epc) in self._keys:
                settled += 1
            else:
                goods.append(epc)
        return Found(one_each(goods)[0], settled, tuple(others))

    def more(self, items: Iterable[bytes], than: Iterable[bytes]) -> bool:
        """Whether one of ``items`` is not in ``than``; the label of an item is as good as its tag."""
        missing = set(items) - set(than)
        return bool(missing) and bool({key_of(epc) for epc in missing} - {key_of(epc) for epc in than})

    def settle(self, epcs: Iterable[bytes], now: float) -> None:
        """These are done: paid for, or counted."""
        for epc in epcs:
            self._settled.pop(epc, None)
            self._settled[epc] = now + SETTLED_S
            self._keys.add(key_of(epc))
        while len(self._settled) > MOST_SETTLED:
            del self._settled[next(iter(self._settled))]

    def plain(self) -> dict[str, float]:
        """For the head of a trace: EPC in hex → until when it is settled."""
        return {epc.hex(): until for epc, until in self._settled.items()}

    def resume(self, plain: dict[str, float]) -> None:
        """As ``plain`` told it. Raises ValueError, TypeError, AttributeError for anything else."""
        self._settled = {bytes.fromhex(epc): float(until) for epc, until in plain.items()}
        self._keys = {key_of(epc) for epc in self._settled}

    def _expire(self, now: float) -> None:
        gone = [epc for epc, until in self._settled.items() if until <= now]
        for epc in gone:
            del self._settled[epc]
        if gone:
            self._keys = {key_of(epc) for epc in self._settled}
