"""What an item of a paid basket is worth now, and which amounts go back. Pure.

An item is worth exactly what was paid for it: its list price less its cuts. Nothing is priced anew when one
item of a group comes back, because the group's discount was shared over all of it; so no order of refunds
gives more or less than another. Must never give back more than was charged, nor an item's money twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from store.pricing.engine import Cut
from store.pricing.lines import Item
from store.pricing.receipt import paid_cuts
from store.pricing.words import yuan


class RefundError(ValueError):
    """This cannot be given back; the message says why and what to check."""


@dataclass(frozen=True, slots=True)
class Part:
    """One item that comes back. ``position``: in the basket's items."""

    position: int
    epc: str
    fen: int


def paid(items: Sequence[Item], cuts: Iterable[Cut]) -> tuple[int, ...]:
    """What was paid for each item, fen. Raises ReceiptError for rows that are not those of a basket."""
    by_item = paid_cuts(items, cuts)
    return tuple(item.list_fen - sum(cut.fen for cut in of) for item, of in zip(items, by_item, strict=True))


def worth(
    items: Sequence[Item],
    cuts: Iterable[Cut],
    charged_fen: int,
    refunded: Mapping[int, int],
    positions: Iterable[int],
) -> tuple[Part, ...]:
    """What the items at ``positions`` are worth now. ``charged_fen``: as the payment says. ``refunded``:
    position → fen of items that came back before.

    Raises RefundError: rows that do not sum up to the charge, refunds before that contradict them, an item
    that is not in the basket, is named twice or came back already."""
    each = paid(items, cuts)
    if sum(each) != charged_fen:
        raise RefundError(
            f"the basket's items sum up to {yuan(sum(each))}, but {yuan(charged_fen)} was charged: "
            "nothing is given back until that is cleared up"
        )
    for position, fen in refunded.items():
        if not 0 <= position < len(each) or fen != each[position]:
            raise RefundError(f"the refund of {yuan(fen)} for item {position} is not what was paid for it")
    parts: list[Part] = []
    for position in positions:
        if not 0 <= position < len(each):
            raise RefundError(f"there is no item {position} in this basket of {len(each)}")
        if position in refunded:
            raise RefundError(f"{items[position].name} ({items[position].epc}) was refunded before")
        if any(part.position == position for part in parts):
            raise RefundError(f"{items[position].name} ({items[position].epc}) is named twice")
        parts.append(Part(position, items[position].epc, each[position]))
    return tuple(parts)


def position_of(items: Sequence[Item], epc: str) -> int:
    """Where the item with this tag is. Raises RefundError."""
    wanted = epc.upper()
    for position, item in enumerate(items):
        if item.epc == wanted:
            return position
    raise RefundError(f"no item of this basket has the tag {wanted[:124]}: check the tag and the receipt")


def of_goods(items: Sequence[Item], refunded: Mapping[int, int], goods: str, count: int) -> tuple[int, ...]:
    """``count`` items of one line that are still there, the first ones. Raises RefundError."""
    left = [at for at, item in enumerate(items) if item.goods == goods and at not in refunded]
    if not 1 <= count <= len(left):
        raise RefundError(f"{count} of {goods} should come back, {len(left)} are left to refund")
    return tuple(left[:count])
