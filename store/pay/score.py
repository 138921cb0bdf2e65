"""WeChat Pay Score ("pay after leaving"): entry creates a service order, exit completes or cancels it.

Values and interface; re-entrant by the order number with the same parameters. Money in fen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from store.pay.provider import check_fen, check_order

SCORE_STATES = ("CREATED", "DOING", "DONE", "REVOKED", "EXPIRED")
MAX_ITEMS = 100
MAX_DISCOUNTS = 30


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the bill; ``discount`` lines take their ``amount_fen`` off."""

    name: str
    amount_fen: int
    discount: bool = False

    def __post_init__(self) -> None:
        check_fen(self.amount_fen, "amount_fen", 0)
        if not 1 <= len(self.name) <= 20:
            raise ValueError(f"item {self.name!r}: 1 to 20 characters")


@dataclass(frozen=True, slots=True)
class ScoreCreate:
    """``openid``: whose permission it uses, without a confirmation for each visit; "" asks the shopper.

    ``risk_fen``: the most that the visit may cost."""

    order: str
    introduction: str
    risk_fen: int
    start: str = "OnAccept"  # or yyyyMMddHHmmss
    openid: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        check_order(self.order)
        check_fen(self.risk_fen, "risk_fen")
        if not 1 <= len(self.introduction) <= 20:
            raise ValueError("introduction: 1 to 20 characters")


@dataclass(frozen=True, slots=True)
class ScoreComplete:
    """The bill: items minus discounts is ``total_fen``. ``end``: yyyyMMddHHmmss."""

    order: str
    items: tuple[Item, ...]
    total_fen: int
    end: str

    def __post_init__(self) -> None:
        check_order(self.order)
        check_fen(self.total_fen, "total_fen", 0)
        discounts = sum(item.discount for item in self.items)
        if not 1 <= len(self.items) - discounts <= MAX_ITEMS or discounts > MAX_DISCOUNTS:
            raise ValueError(f"1 to {MAX_ITEMS} items and at most {MAX_DISCOUNTS} discounts")
        if bill(self.items) != self.total_fen:
            raise ValueError(f"the items make {bill(self.items)} fen, not {self.total_fen}")


@dataclass(frozen=True, slots=True)
class ScoreOrder:
    """How a service order stands: one of ``SCORE_STATES``. ``collected``: the bill was taken from the
    shopper (a DONE order may still be USER_PAYING). ``detail``: WeChat's finer word, as USER_CONFIRM."""

    order: str
    state: str
    total_fen: int = 0
    collected: bool = False
    detail: str = ""
    id: str = ""


def bill(items: Sequence[Item]) -> int:
    """Items minus discounts, in fen."""
    return sum(-item.amount_fen if item.discount else item.amount_fen for item in items)


class Score(Protocol):
    """Each call is one attempt; raises PayError. All may be repeated with the same parameters."""

    def create(self, ask: ScoreCreate) -> ScoreOrder: ...

    def complete(self, ask: ScoreComplete) -> ScoreOrder: ...

    def cancel(self, order: str, reason: str) -> ScoreOrder: ...

    def query_score(self, order: str) -> ScoreOrder: ...
