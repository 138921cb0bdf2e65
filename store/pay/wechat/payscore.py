"""WeChat Pay Score (API v3, service orders): create at the entry, complete or cancel at the exit.

All calls are re-entrant by order number with the same parameters, so each may go to the second host.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from store.pay.provider import check_order
from store.pay.score import ScoreComplete, ScoreCreate, ScoreOrder
from store.pay.wechat.answers import score_of
from store.pay.wechat.client import Shop
from store.pay.wechat.transport import Transport

BASE = "/v3/payscore/serviceorder"


class PayScore:
    """Implements ``Score``. ``service``: the id that WeChat gave to this service."""

    def __init__(self, transport: Transport, shop: Shop, service: str) -> None:
        if not shop.notify_url:
            raise ValueError("Pay Score needs a notify_url")
        if not service:
            raise ValueError("Pay Score needs the service id that WeChat gave")
        self._transport = transport
        self._shop = shop
        self._service = service

    def create(self, ask: ScoreCreate) -> ScoreOrder:
        body = self._body() | {
            "out_order_no": ask.order,
            "service_introduction": ask.introduction,
            "time_range": {"start_time": ask.start},
            "risk_fund": {"name": "ESTIMATE_ORDER_COST", "amount": ask.risk_fen},
            "need_user_confirm": not ask.openid,
            "notify_url": self._shop.notify_url,
        }
        if ask.openid:
            body["openid"] = ask.openid
        return score_of(self._transport.call("POST", BASE, body, repeatable=True), ask.order)

    def complete(self, ask: ScoreComplete) -> ScoreOrder:
        body = self._body() | {
            "post_payments": [
                {"name": item.name, "amount": item.amount_fen} for item in ask.items if not item.discount
            ],
            "total_amount": ask.total_fen,
            "time_range": {"end_time": ask.end},
        }
        discounts = [
            {"name": item.name, "description": item.name, "amount": item.amount_fen}
            for item in ask.items
            if item.discount
        ]
        if discounts:
            body["post_discounts"] = discounts
        answer = self._transport.call("POST", f"{_path(ask.order)}/complete", body, repeatable=True)
        return score_of(answer, ask.order)

    def cancel(self, order: str, reason: str) -> ScoreOrder:
        """``reason``: at most 30 characters, the same when repeated."""
        if not 1 <= len(reason) <= 30:
            raise ValueError("reason: 1 to 30 characters")
        body = self._body() | {"reason": reason}
        answer = self._transport.call("POST", f"{_path(order)}/cancel", body, repeatable=True)
        if answer.get("state") is None:  # the answer to a cancellation names only the order
            answer = answer | {"state": "REVOKED"}
        return score_of(answer, order)

    def query_score(self, order: str) -> ScoreOrder:
        query = f"?service_id={quote(self._service)}&appid={quote(self._shop.appid)}"
        target = f"{BASE}{query}&out_order_no={quote(check_order(order))}"
        return score_of(self._transport.call("GET", target, repeatable=True), order)

    def _body(self) -> dict[str, Any]:
        return {"appid": self._shop.appid, "service_id": self._service}


def _path(order: str) -> str:
    return f"{BASE}/{quote(check_order(order))}"
