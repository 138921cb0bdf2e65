"""What was really paid: orders, refunds and the ledger of the double. Pure; ``now`` in seconds.

This is the truth that tests compare with. ``entries`` is only ever appended to. Rules of the real thing kept
here: a code is good for one order, an order number for one sum, an order that nobody pays is revoked by
itself, a reverse closes an unpaid order and gives back a paid one, refunds never exceed what was paid.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from store.pay.double.faults import rule_of
from store.pay.provider import CODE, Order, Refunded, Refused

LATER_S = 12.0
REVOKED_AFTER_S = 60.0
REVERSE_AFTER_S = 15.0


@dataclass(slots=True)
class Held:
    """One order as the bank holds it."""

    order: Order
    code: str = field(repr=False)
    money: str
    asked_at: float
    refunds: dict[str, Refunded] = field(default_factory=dict)
    reverse_calls: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """Money that moved: positive from the shopper to the shop."""

    order: str
    amount_fen: int
    what: str
    at: float


class Bank:
    """``early_reverses``: reverses that came sooner than 15 s after the pay call (a defect of the shop)."""

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self.orders: dict[str, Held] = {}
        self.entries: list[Entry] = []
        self.early_reverses: list[str] = []
        self.calls: list[tuple[str, str]] = []
        self.on_paid: Callable[[Order], None] | None = None
        self._codes: dict[str, str] = {}
        self._numbers = count(1)
        self._later: list[tuple[float, int, Callable[[float], object]]] = []
        self._start_ms = start_ms

    # -- the truth -----------------------------------------------------------------------------------

    def net_fen(self, order: str | None = None) -> int:
        """What the shop holds, of one order or of all."""
        return sum(entry.amount_fen for entry in self.entries if order in (None, entry.order))

    def charges(self, order: str) -> int:
        """How often money was taken for an order."""
        return sum(1 for entry in self.entries if entry.order == order and entry.what == "charge")

    # -- time ----------------------------------------------------------------------------------------

    def later(self, at: float, action: Callable[[float], object]) -> None:
        """Do ``action`` at the first call or ``settle`` after ``at``: a request that is on its way."""
        heapq.heappush(self._later, (at, next(self._numbers), action))

    def settle(self, now: float) -> None:
        """Everything that time brings: requests that arrive late, shoppers who confirm, orders that lapse."""
        while self._later and self._later[0][0] <= now:
            at, _, action = heapq.heappop(self._later)
            try:
                action(at)
            except Refused:
                pass  # its sender has long stopped listening
        for held in self.orders.values():
            if held.order.state not in ("USERPAYING", "NOTPAY"):
                continue
            if held.money == "later" and now >= held.asked_at + LATER_S:
                self._pay(held, held.asked_at + LATER_S)
            elif now >= held.asked_at + REVOKED_AFTER_S:
                held.order = replace(held.order, state="REVOKED", reason="not paid in time")

    # -- calls ---------------------------------------------------------------------------------------

    def charge(self, order: str, total_fen: int, code: str, now: float) -> Order:
        """Raises Refused."""
        self._note("charge", order, now)
        if held := self.orders.get(order):
            if held.code != code or held.order.total_fen != total_fen:
                raise Refused("OUT_TRADE_NO_USED", "this order number is used", 403)
            if held.order.state == "SUCCESS":
                return held.order
            raise Refused("INVALID_REQUEST", f"the order is {held.order.state}", 400)
        if not CODE.fullmatch(code):
            raise Refused("PARAM_ERROR", "payer.auth_code is no payment code", 400)
        if code in self._codes:
            raise Refused("AUTH_CODE_INVALID", "this code was used before", 400)
        money = rule_of(code).money
        if money == "system-lost":
            raise Refused("SYSTEM_ERROR", "try to query", 500)
        if money in ("poor", "expired"):
            raise Refused("NOT_ENOUGH" if money == "poor" else "AUTH_CODE_EXPIRED", "not paid", 403)
        self._codes[code] = order
        held = Held(Order(order, "USERPAYING", total_fen), code, money, now)
        self.orders[order] = held
        if money in ("paid", "system-paid"):
            self._pay(held, now)
        elif money == "failed":
            held.order = replace(held.order, state="PAYERROR", reason="the bank refuses")
        if money == "system-paid":
            raise Refused("SYSTEM_ERROR", "try to query", 500)
        return held.order

    def query(self, order: str, now: float) -> Order:
        """Raises Refused ORDER_NOT_EXIST."""
        self._note("query", order, now)
        return self._held(order).order

    def reverse(self, order: str, now: float) -> None:
        """Raises Refused."""
        self._note("reverse", order, now)
        held = self._held(order)
        if now < held.asked_at + REVERSE_AFTER_S:
            self.early_reverses.append(order)
        held.reverse_calls += 1
        state = held.order.state
        if state == "USERPAYING" and held.money == "late-pay" and held.reverse_calls == 1:
            self._pay(held, now)
            raise Refused("USERPAYING", "the shopper is paying", 400)
        if state in ("SUCCESS", "REFUND"):
            if held.refunds:
                raise Refused("INVALID_REQUEST", "the order has refunds", 400)
            self.entries.append(Entry(order, -held.order.total_fen, "reverse", now))
        if state not in ("REVOKED", "CLOSED"):
            held.order = replace(held.order, state="REVOKED", reason="reversed by the merchant")

    def refund(self, order: str, refund: str, amount_fen: int, total_fen: int, now: float) -> Refunded:
        """Raises Refused."""
        self._note("refund", order, now)
        held = self._held(order)
        if found := held.refunds.get(refund):
            if found.amount_fen != amount_fen:
                raise Refused("INVALID_REQUEST", "this refund number has another sum", 400)
            return found
        if held.order.state not in ("SUCCESS", "REFUND") or held.order.total_fen != total_fen:
            raise Refused("INVALID_REQUEST", "not paid, or another total", 400)
        if amount_fen + sum(one.amount_fen for one in held.refunds.values()) > held.order.total_fen:
            raise Refused("INVALID_REQUEST", "more than was paid", 400)
        done = Refunded(refund, "SUCCESS", amount_fen, f"50{next(self._numbers):020d}")
        held.refunds[refund] = done
        held.order = replace(held.order, state="REFUND")
        self.entries.append(Entry(order, -amount_fen, "refund", now))
        return done

    def query_refund(self, refund: str, now: float) -> Refunded:
        """Raises Refused RESOURCE_NOT_EXISTS."""
        self._note("query_refund", refund, now)
        for held in self.orders.values():
            if refund in held.refunds:
                return held.refunds[refund]
        raise Refused("RESOURCE_NOT_EXISTS", "no such refund", 404)

    # -- inside --------------------------------------------------------------------------------------

    def _note(self, call: str, what: str, now: float) -> None:
        self.settle(now)
        self.calls.append((call, what))

    def _held(self, order: str) -> Held:
        if order not in self.orders:
            raise Refused("ORDER_NOT_EXIST", "no such order", 404)
        return self.orders[order]

    def _pay(self, held: Held, now: float) -> None:
        transaction = f"42{next(self._numbers):020d}"
        paid_ms = self._start_ms + int(now * 1000)
        held.order = replace(held.order, state="SUCCESS", transaction=transaction, paid_ms=paid_ms)
        self.entries.append(Entry(held.order.order, held.order.total_fen, "charge", now))
        if self.on_paid is not None:
            self.on_paid(held.order)
