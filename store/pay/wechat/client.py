"""Code pay, query, reverse and refunds of WeChat Pay API v3: the ``Provider`` that takes real money.

Fields as documented for direct merchants: description ≤ 127, order number ≤ 32, ``scene_info`` with
``device_ip`` and ``device_id``, ``store_info.out_id`` for the shop's own id. A charge is never repeated.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from store.pay.provider import BadAnswer, Charge, Order, RefundAsk, Refunded, check_order
from store.pay.wechat.answers import order_of, refund_of
from store.pay.wechat.transport import Transport


@dataclass(frozen=True, slots=True)
class Shop:
    """Who charges. ``device_ip``: this machine's address as WeChat Pay shall see it; ``store``: own id."""

    mchid: str
    appid: str
    store: str
    device_ip: str
    notify_url: str = ""

    def __post_init__(self) -> None:
        ipaddress.ip_address(self.device_ip)
        if not self.mchid.isdigit() or not self.appid or not 1 <= len(self.store) <= 256:
            raise ValueError("mchid is a number, appid and store are texts")
        if self.notify_url and (not self.notify_url.startswith("https://") or "?" in self.notify_url):
            raise ValueError(f"notify_url {self.notify_url!r}: https:// and without a query")


class WeChatPay:
    """Implements ``Provider``."""

    def __init__(self, transport: Transport, shop: Shop) -> None:
        self._transport = transport
        self._shop = shop

    def charge(self, ask: Charge) -> Order:
        shop = self._shop
        scene: dict[str, Any] = {"device_ip": shop.device_ip, "store_info": {"out_id": shop.store}}
        if ask.device:
            scene["device_id"] = ask.device
        body = {
            "appid": shop.appid,
            "mchid": shop.mchid,
            "description": ask.description,
            "out_trade_no": ask.order,
            "payer": {"auth_code": ask.code},
            "amount": {"total": ask.total_fen, "currency": "CNY"},
            "scene_info": scene,
        }
        answer = self._transport.call("POST", "/v3/pay/transactions/codepay", body, repeatable=False)
        return order_of(answer, shop.mchid, ask.order)

    def query(self, order: str) -> Order:
        target = f"{_path(order)}?mchid={self._shop.mchid}"
        return order_of(self._transport.call("GET", target, repeatable=True), self._shop.mchid, order)

    def reverse(self, order: str) -> None:
        body = {"appid": self._shop.appid, "mchid": self._shop.mchid}
        answer = self._transport.call("POST", f"{_path(order)}/reverse", body, repeatable=True)
        if answer.get("out_trade_no", order) != order:
            raise BadAnswer(f"reversed order {order}, answered about another")

    def refund(self, ask: RefundAsk) -> Refunded:
        body: dict[str, Any] = {
            "out_trade_no": ask.order,
            "out_refund_no": ask.refund,
            "amount": {"refund": ask.amount_fen, "total": ask.total_fen, "currency": "CNY"},
        }
        if ask.reason:
            body["reason"] = ask.reason
        if self._shop.notify_url:
            body["notify_url"] = self._shop.notify_url
        done = refund_of(
            self._transport.call("POST", "/v3/refund/domestic/refunds", body, repeatable=True), ask.refund
        )
        if done.amount_fen != ask.amount_fen:
            raise BadAnswer(f"refund {ask.refund}: {done.amount_fen} fen, asked for {ask.amount_fen}")
        return done

    def query_refund(self, refund: str) -> Refunded:
        target = f"/v3/refund/domestic/refunds/{quote(check_order(refund, 'refund number'))}"
        return refund_of(self._transport.call("GET", target, repeatable=True), refund)


def _path(order: str) -> str:
    return f"/v3/pay/transactions/out-trade-no/{quote(check_order(order))}"
