"""The open basket: submitted, submitted again, closed, paid. Pure.

At most one basket is open at a time. In the lane that only counts, closing means that the count stays what
it is, and that what was counted is not counted again at once.
"""

from __future__ import annotations

from collections import Counter

from firmware.gate.orders import Tell
from firmware.portal import facts
from firmware.portal.facts import Asked
from firmware.portal.goods import Goods
from firmware.portal.money import Money
from firmware.portal.picture import reason_of
from firmware.portal.stay import LAST_VERSION, Basket, Stay


class Till:
    """``basket``: what was submitted for the shopper who stands there. Orders go into ``out``."""

    def __init__(self, lane: str, goods: Goods, counters: Counter[str]) -> None:
        self.basket = Basket()
        self.money = Money(counters)
        self.last_token = 0
        self._lane = lane
        self._goods = goods
        self._counters = counters

    def submit(self, stay: Stay, now: float, out: list[Asked], *, again: bool) -> None:
        """``again``: the same items once more, for another visit or a disk that failed."""
        if not again:
            if self.basket.version >= LAST_VERSION:
                self.close("abandoned", now, out)
                stay.found = self._goods.sort(stay.found.items, now)
            self.basket.take(stay, reason_of(stay))
        self.last_token += 1
        basket = self.basket
        basket.next(self.last_token, stay.visit)
        out.append(basket.submission(stay.declared))
        fields = {
            "tags": len(basket.items),
            "version": basket.version,
            "why": basket.reason or basket.verdict,
        }
        out.append(Tell("basket", fields))

    def written(self, answer: facts.Submitted | facts.SubmitFailed, out: list[Asked]) -> str | None:
        """The event that the disk's answer is. One about an earlier version is late: the newest one's comes
        behind it."""
        basket = self.basket
        if not basket.token or answer.token != basket.token:
            return None
        if isinstance(answer, facts.Submitted):
            self._counters["baskets"] += 1
            basket.version = answer.version
            return "submitted"
        if basket.first == basket.token:
            basket.first = basket.version = 0  # nothing of it is in the journal
        out.append(Tell("not-written", {"why": answer.reason, "full": answer.full}))
        return "not_written"

    def changed(self, items: tuple[bytes, ...]) -> bool:
        """There is an item that the submitted basket does not have."""
        return self._goods.more(items, self.basket.items)

    def another_visit(self, visit: bytes | None) -> bool:
        """A pass was shown since it was submitted."""
        return 0 < self.basket.version < LAST_VERSION and visit != self.basket.visit

    def paid(self, stay: Stay, now: float, out: list[Asked]) -> None:
        basket = self.basket
        self._goods.settle(basket.items, now)
        out.append(self.money.paid(basket, stay.visit))
        self.basket = Basket(items=basket.items)

    def close(self, why: str, now: float, out: list[Asked]) -> None:
        """The open basket will not be paid here."""
        basket, self.basket = self.basket, Basket()
        if not basket.first:
            return
        if self._lane == "count":
            self._goods.settle(basket.items, now)
            return
        self._counters["abandoned"] += 1
        out.append(facts.CloseBasket(basket.first, why))
        out.append(Tell("not-paid", {"why": why}))
