"""The double's routes: a request's method, target and JSON to a status and JSON, on the bank. Strict.

A field that is unknown, missing, too long or of another type is PARAM_ERROR, as the real thing is strict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from store.pay.double.bank import Bank
from store.pay.double.guard import Keys
from store.pay.double.scores import Scores
from store.pay.provider import Order, Refunded, Refused
from store.pay.score import Item, ScoreComplete, ScoreCreate, ScoreOrder

T = TypeVar("T")
Answer = tuple[int, dict[str, Any] | None]
_ORDER = r"[0-9A-Za-z_\-*|]{1,32}"
_PAY = "/v3/pay/transactions"
_SCORE = "/v3/payscore/serviceorder"


class Api:
    """``route`` names the call and the code for the faults, and gives what carries it out."""

    def __init__(self, bank: Bank, scores: Scores, keys: Keys) -> None:
        self._bank = bank
        self._scores = scores
        self._keys = keys
        self.notify_urls: dict[str, str] = {}

    def route(self, method: str, target: str, body: bytes) -> tuple[str, str, Callable[[float], Answer]]:
        """``(call, payment code, act)``. Raises Refused."""
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        data = self._json(body) if method == "POST" else {}
        for verb, pattern, name in _ROUTES:
            found = re.fullmatch(pattern, url.path)
            if found and verb == method:
                order = found.groupdict().get("no", "")
                handler: Callable[..., tuple[str, Callable[[float], Answer]]] = getattr(self, f"_{name}")
                code, act = handler(order, data, query)
                return ("score" if name.startswith("score") else name), code, act
        raise Refused("NOT_FOUND", f"no such call: {method} {url.path}", 404)

    # -- code pay ------------------------------------------------------------------------------------

    def _charge(self, _: str, data: dict[str, Any], query: dict[str, str]) -> tuple[str, Any]:
        _keys(
            data,
            "appid mchid description out_trade_no payer amount scene_info",
            "attach goods_tag support_fapiao detail settle_info notify_url limit_pay time_expire",
        )
        self._own(data)
        order = _text(data, "out_trade_no", 32, _ORDER)
        _text(data, "description", 127)
        code = _text(_part(data, "payer", "auth_code"), "auth_code", 32)
        amount = _part(data, "amount", "total", "currency")
        if amount.get("currency", "CNY") != "CNY":
            raise Refused("PARAM_ERROR", "amount.currency", 400)
        total = _fen(amount, "total", 1)
        scene = _part(data, "scene_info", "", "device_id device_ip store_info")
        store = _part(scene, "store_info", "", "id out_id name area_code address") if scene else {}
        if "device_ip" in scene:
            _text(scene, "device_ip", 45)
        if not store.get("id") and not store.get("out_id"):
            raise Refused("PARAM_ERROR", "scene_info.store_info needs id or out_id", 400)
        return code, lambda now: (200, self._order(self._bank.charge(order, total, code, now)))

    def _query(self, order: str, data: dict[str, Any], query: dict[str, str]) -> tuple[str, Any]:
        self._mine(query.get("mchid"))
        return "", lambda now: (200, self._order(self._bank.query(order, now)))

    def _reverse(self, order: str, data: dict[str, Any], query: dict[str, str]) -> tuple[str, Any]:
        _keys(data, "appid mchid", "")
        self._own(data)

        def act(now: float) -> Answer:
            self._bank.reverse(order, now)
            return 204, None

        return "", act

    # -- refunds -------------------------------------------------------------------------------------

    def _refund(self, _: str, data: dict[str, Any], query: dict[str, str]) -> tuple[str, Any]:
        _keys(data, "out_trade_no out_refund_no amount", "reason notify_url funds_account goods_detail")
        order = _text(data, "out_trade_no", 32, _ORDER)
        refund = _text(data, "out_refund_no", 64, _ORDER.replace("32", "64"))
        amount = _part(data, "amount", "refund total currency")
        if "reason" in data:
            _text(data, "reason", 80)
        part, total = _fen(amount, "refund", 1), _fen(amount, "total", 1)
        return "", lambda now: (200, self._refunded(self._bank.refund(order, refund, part, total, now)))

    def _query_refund(self, refund: str, data: dict[str, Any], query: dict[str, str]) -> tuple[str, Any]:
        return "", lambda now: (200, self._refunded(self._bank.query_refund(refund, now)))

    # -- Pay Score -----------------------------------------------------------------------------------

    def _score_create(self, _: str, data: dict[str, Any], query: dict[str, str]) -> tuple[str, Any]:
        needed = "appid service_id out_order_no service_introduction time_range risk_fund notify_url"
        _keys(data, needed, "need_user_confirm openid attach post_payments post_discounts location")
        self._own(data)
        order = _text(data, "out_order_no", 32, _ORDER)
        confirm = data.get("need_user_confirm", True)
        openid = "" if confirm else _text(data, "openid", 128)
        risk = _part(data, "risk_fund", "name amount", "description")
        start = _text(_part(data, "time_range", "start_time", "end_time"), "start_time", 14)
        words = _text(data, "service_introduction", 20)
        ask = _made(lambda: ScoreCreate(order, words, _fen(risk, "amount", 1), start, openid))
        self.notify_urls[order] = _text(data, "notify_url", 255)
        return "", lambda now: (200, self._score(self._scores.create(ask, now)))

    def _score_complete(self, order: str, data: dict[str, Any], query: dict[str, str]) -> tuple[str, Any]:
        needed = "appid service_id post_payments total_amount"
        _keys(data, needed, "time_range post_discounts location profit_sharing goods_tag")
        self._own(data)
        items = [Item(_text(one, "name", 20), _fen(one, "amount", 0)) for one in _list(data, "post_payments")]
        for one in _list(data, "post_discounts"):
            _text(one, "description", 30)
            items.append(Item(_text(one, "name", 20), _fen(one, "amount", 0), discount=True))
        end = str(data.get("time_range", {}).get("end_time", ""))
        total = _fen(data, "total_amount", 0)
        ask = _made(lambda: ScoreComplete(order, tuple(items), total, end))
        return "", lambda now: (200, self._score(self._scores.complete(ask, now)))

    def _score_cancel(self, order: str, data: dict[str, Any], query: dict[str, str]) -> tuple[str, Any]:
        _keys(data, "appid service_id reason", "")
        self._own(data)
        reason = _text(data, "reason", 30)
        named = {"appid": self._keys.appid, "mchid": self._keys.mchid, "out_order_no": order}

        def act(now: float) -> Answer:
            self._scores.cancel(order, reason, now)
            return 200, named

        return "", act

    def _score_query(self, _: str, data: dict[str, Any], query: dict[str, str]) -> tuple[str, Any]:
        if set(query) != {"service_id", "appid", "out_order_no"}:
            raise Refused("PARAM_ERROR", "service_id, appid and out_order_no", 400)
        return "", lambda now: (200, self._score(self._scores.query(query["out_order_no"], now)))

    # -- shapes --------------------------------------------------------------------------------------

    def _json(self, body: bytes) -> dict[str, Any]:
        try:
            data = json.loads(body)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise Refused("PARAM_ERROR", "the body is no JSON object", 400)
        return data

    def _own(self, data: dict[str, Any]) -> None:
        if data.get("appid") != self._keys.appid:
            raise Refused("APPID_MCHID_NOT_MATCH", "appid", 400)
        if "mchid" in data:
            self._mine(data["mchid"])

    def _mine(self, mchid: object) -> None:
        if mchid != self._keys.mchid:
            raise Refused("MCH_NOT_EXISTS", "mchid", 400)

    def order_json(self, order: Order) -> dict[str, Any]:
        return self._order(order)

    def _order(self, order: Order) -> dict[str, Any]:
        data: dict[str, Any] = {
            "appid": self._keys.appid,
            "mchid": self._keys.mchid,
            "out_trade_no": order.order,
            "trade_type": "MICROPAY",
            "trade_state": order.state,
            "trade_state_desc": order.reason or order.state,
        }
        if order.paid_ms is not None:
            moment = datetime.fromtimestamp(order.paid_ms / 1000, UTC).astimezone()
            data |= {
                "transaction_id": order.transaction,
                "success_time": moment.isoformat(timespec="seconds"),
                "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
                "amount": {"total": order.total_fen, "payer_total": order.total_fen, "currency": "CNY"},
            }
        return data

    def _refunded(self, refund: Refunded) -> dict[str, Any]:
        return {
            "refund_id": refund.id,
            "out_refund_no": refund.refund,
            "status": refund.state,
            "amount": {"refund": refund.amount_fen, "currency": "CNY"},
        }

    def _score(self, order: ScoreOrder) -> dict[str, Any]:
        data: dict[str, Any] = {
            "appid": self._keys.appid,
            "mchid": self._keys.mchid,
            "out_order_no": order.order,
            "state": order.state,
            "state_description": "MCH_COMPLETE" if order.state == "DONE" else "USER_CONFIRM",
            "order_id": order.id,
        }
        if order.state == "DONE":
            data |= {"total_amount": order.total_fen, "collection": {"state": "USER_PAID"}}
        return data


_ROUTES = (
    ("POST", f"{_PAY}/codepay", "charge"),
    ("GET", f"{_PAY}/out-trade-no/(?P<no>{_ORDER})", "query"),
    ("POST", f"{_PAY}/out-trade-no/(?P<no>{_ORDER})/reverse", "reverse"),
    ("POST", "/v3/refund/domestic/refunds", "refund"),
    ("GET", f"/v3/refund/domestic/refunds/(?P<no>{_ORDER})", "query_refund"),
    ("POST", _SCORE, "score_create"),
    ("GET", _SCORE, "score_query"),
    ("POST", f"{_SCORE}/(?P<no>{_ORDER})/complete", "score_complete"),
    ("POST", f"{_SCORE}/(?P<no>{_ORDER})/cancel", "score_cancel"),
)


def _bad(what: str) -> Refused:
    return Refused("PARAM_ERROR", what, 400)


def _keys(data: dict[str, Any], needed: str, allowed: str) -> None:
    missing = set(needed.split()) - data.keys()
    unknown = data.keys() - set(needed.split()) - set(allowed.split())
    if missing or unknown:
        raise _bad(f"missing {sorted(missing)}, unknown {sorted(unknown)}")


def _part(data: dict[str, Any], name: str, needed: str, *allowed: str) -> dict[str, Any]:
    part = data.get(name)
    if not isinstance(part, dict):
        raise _bad(name)
    _keys(part, needed, " ".join(allowed))
    return part


def _list(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = data.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise _bad(name)
    return found


def _text(data: dict[str, Any], name: str, longest: int, pattern: str = ".+") -> str:
    value = data.get(name)
    if not isinstance(value, str) or len(value) > longest or not re.fullmatch(pattern, value):
        raise _bad(name)
    return value


def _fen(data: dict[str, Any], name: str, low: int) -> int:
    value = data.get(name)
    if type(value) is not int or value < low:
        raise _bad(name)
    return value


def _made(make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError as error:
        raise _bad(str(error)) from None
