"""Pay Score orders of the double: CREATED → DOING → DONE or REVOKED. Pure.

Re-entrant with the same parameters, refused with others; the bill may not exceed the risk fund.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

from store.pay.double.bank import Bank, Entry
from store.pay.provider import Refused
from store.pay.score import ScoreComplete, ScoreCreate, ScoreOrder


@dataclass(slots=True)
class _Held:
    order: ScoreOrder
    made: ScoreCreate
    done: ScoreComplete | None = None
    reason: str = ""


class Scores:
    """Service orders of one merchant; a completed bill is booked in ``bank.entries``."""

    def __init__(self, bank: Bank) -> None:
        self.orders: dict[str, _Held] = {}
        self._bank = bank
        self._numbers = count(1)

    def create(self, ask: ScoreCreate, now: float) -> ScoreOrder:
        """Raises Refused."""
        self._bank.calls.append(("score", ask.order))
        if held := self.orders.get(ask.order):
            if held.made != ask:
                raise Refused("INVALID_REQUEST", "this order number was used with other parameters", 400)
            return held.order
        order = ScoreOrder(
            ask.order, "DOING" if ask.openid else "CREATED", id=f"15{next(self._numbers):020d}"
        )
        self.orders[ask.order] = _Held(order, ask)
        return order

    def confirm(self, order: str) -> None:
        """The shopper confirms (an order without ``openid``)."""
        held = self._held(order)
        if held.order.state == "CREATED":
            held.order = replace(held.order, state="DOING")

    def complete(self, ask: ScoreComplete, now: float) -> ScoreOrder:
        """Raises Refused."""
        self._bank.calls.append(("score", ask.order))
        held = self._held(ask.order)
        if held.order.state == "DONE":
            if held.done != ask:
                raise Refused("INVALID_REQUEST", "completed with other parameters", 400)
            return held.order
        if held.order.state != "DOING":
            raise Refused("INVALID_ORDER_STATE", f"the order is {held.order.state}", 400)
        if ask.total_fen > held.made.risk_fen:
            raise Refused("PARAM_ERROR", "the total exceeds the risk fund", 400)
        held.done = ask
        held.order = replace(held.order, state="DONE", total_fen=ask.total_fen, collected=True)
        if ask.total_fen:
            self._bank.entries.append(Entry(ask.order, ask.total_fen, "score", now))
        return held.order

    def cancel(self, order: str, reason: str, now: float) -> ScoreOrder:
        """Raises Refused."""
        self._bank.calls.append(("score", order))
        held = self._held(order)
        if held.order.state == "REVOKED":
            if held.reason != reason:
                raise Refused("INVALID_REQUEST", "cancelled with another reason", 400)
            return held.order
        if held.order.state == "DONE":
            raise Refused("INVALID_ORDER_STATE", "the order is DONE", 400)
        held.reason = reason
        held.order = replace(held.order, state="REVOKED")
        return held.order

    def query(self, order: str, now: float) -> ScoreOrder:
        """Raises Refused."""
        self._bank.calls.append(("score", order))
        return self._held(order).order

    def _held(self, order: str) -> _Held:
        if order not in self.orders:
            raise Refused("RESOURCE_NOT_EXISTS", "no such service order", 404)
        return self.orders[order]
