"""The portal's offer and payment: what the shop is asked, and which of its answers count. Pure.

Must never ask for a charge that the shopper has not seen: the first offer for a version stands until the
payment was declined, then a fresh one is asked for. Must never take an answer about one attempt for one
about another.
"""

from __future__ import annotations

import math
from collections import Counter

from firmware.gate.orders import Tell
from firmware.portal import facts
from firmware.portal.facts import Asked
from firmware.portal.stay import Basket

TAKES_OFFERS = ("offering", "unserved")


class Money:
    """Each method returns the event that follows for the table, or None; orders go into ``out``."""

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self.attempts = 0

    def offered(
        self, answer: facts.Offered | facts.OfferRefused, basket: Basket, state: str, out: list[Asked]
    ) -> str | None:
        if not basket.token or answer.token != basket.token or state not in TAKES_OFFERS:
            return None  # for a version that is no more, or one more of the same
        if isinstance(answer, facts.OfferRefused):
            basket.refused = answer.reason
            out.append(Tell("no-offer", {"why": answer.reason}))
            return "no_offer"
        basket.offer, basket.refused = answer, ""
        return "settled" if answer.settled or not answer.total_fen else "offer"

    def ask(self, basket: Basket, now: float, *, again: bool) -> list[Asked]:
        """The question to the shop; ``again``: only how the payment stands."""
        if basket.offer is None:
            return []
        if again:
            if basket.unclear_since is None:
                basket.unclear_since = now
        else:
            self.attempts += 1
            basket.attempt = self.attempts
        total = basket.offer.total_fen
        return [facts.AskPay(basket.token, basket.version, total, again, basket.attempt)]

    def answered(self, answer: facts.PayAnswer, basket: Basket) -> str | None:
        if not basket.token or answer.token != basket.token or not basket.attempt:
            return None
        if answer.state == "paid":
            basket.receipt = answer
            return "paid"
        if answer.attempt != basket.attempt:
            return None
        if answer.state == "declined":
            basket.declined, basket.unclear_since = answer.why, None
            self._counters["declined"] += 1
            return "declined"
        return "pending"

    def given_up(self, basket: Basket, now: float, after_s: float) -> bool:
        """The answer has been due for too long; said once."""
        if basket.unclear_since is None or now < basket.unclear_since + after_s:
            return False
        basket.unclear_since = math.inf
        return True

    def paid(self, basket: Basket, visit: bytes | None) -> facts.Paid:
        """The record of a basket that is paid, or for which there is nothing to pay."""
        self._counters["paid"] += 1
        receipt = basket.receipt
        if receipt is None:
            return facts.Paid(basket.first, visit or bytes(8), facts.SETTLED, 0)
        return facts.Paid(basket.first, receipt.visit, receipt.order or facts.SETTLED, receipt.total_fen)
