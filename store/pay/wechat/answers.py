"""WeChat Pay's JSON as values of the shop, strictly: another order, merchant or currency is no answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from store.pay.provider import MAX_FEN, ORDER_STATES, PAID, REFUND_STATES, BadAnswer, Order, Refunded, mask
from store.pay.score import SCORE_STATES, ScoreOrder


def order_of(data: Mapping[str, Any], mchid: str, order: str | None = None) -> Order:
    """``order``: the one that was asked about, None for a callback. Raises BadAnswer.

    The sum is 0 where an unpaid order is shown without one."""
    named = text(data, "out_trade_no")
    if order is not None and named != order:
        raise BadAnswer(f"asked about order {order}, answered about another")
    if text(data, "mchid") != mchid:
        raise BadAnswer("of another merchant")
    state = text(data, "trade_state")
    if state not in ORDER_STATES:
        raise BadAnswer(f"order {named}: unknown state {mask(state, 32)}")
    reason = mask(text(data, "trade_state_desc", ""))
    if state not in PAID:
        total = data.get("amount")
        return Order(named, state, fen(total, "total") if isinstance(total, Mapping) else 0, reason=reason)
    amount = data.get("amount")
    if not isinstance(amount, Mapping) or amount.get("currency", "CNY") != "CNY":
        raise BadAnswer(f"order {named}: paid, but no sum in CNY")
    paid_ms = when_ms(text(data, "success_time"))
    return Order(named, state, fen(amount, "total"), text(data, "transaction_id"), paid_ms, reason)


def refund_of(data: Mapping[str, Any], refund: str) -> Refunded:
    """Raises BadAnswer."""
    if text(data, "out_refund_no") != refund:
        raise BadAnswer(f"asked about refund {refund}, answered about another")
    state = text(data, "status")
    if state not in REFUND_STATES:
        raise BadAnswer(f"refund {refund}: unknown state {mask(state, 32)}")
    amount = data.get("amount")
    if not isinstance(amount, Mapping):
        raise BadAnswer(f"refund {refund}: no sum")
    return Refunded(refund, state, fen(amount, "refund"), text(data, "refund_id"))


def score_of(data: Mapping[str, Any], order: str) -> ScoreOrder:
    """Raises BadAnswer."""
    if text(data, "out_order_no") != order:
        raise BadAnswer(f"asked about service order {order}, answered about another")
    state = text(data, "state")
    if state not in SCORE_STATES:
        raise BadAnswer(f"service order {order}: unknown state {mask(state, 32)}")
    collection = data.get("collection")
    collected = isinstance(collection, Mapping) and collection.get("state") == "USER_PAID"
    total = fen(data, "total_amount") if "total_amount" in data else 0
    detail = mask(text(data, "state_description", ""), 64)
    return ScoreOrder(order, state, total, collected, detail, text(data, "order_id", ""))


def text(data: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """Raises BadAnswer."""
    value = data.get(name, default)
    if not isinstance(value, str) or len(value) > 512:
        raise BadAnswer(f"{name} is missing or no text")
    return value


def fen(data: Mapping[str, Any], name: str) -> int:
    """Raises BadAnswer."""
    value = data.get(name)
    if type(value) is not int or not 0 <= value <= MAX_FEN:
        raise BadAnswer(f"{name} is missing or no sum in fen")
    return value


def when_ms(value: str) -> int:
    """Unix milliseconds of a time in RFC 3339. Raises BadAnswer."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise BadAnswer("a time is not in RFC 3339 with its zone")
    return int(found.timestamp() * 1000)
