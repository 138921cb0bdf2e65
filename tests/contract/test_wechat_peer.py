"""The double, checked by a client that somebody else wrote: the public wechatpayv3 package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from store.pay.double.server import Double
from tests.support.payruns import code
from tests.support.wechat import Clock, keys

wechatpayv3 = pytest.importorskip("wechatpayv3")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def double(clock: Clock) -> Iterator[Double]:
    with Double(keys(), clock=clock) as running:
        yield running


@pytest.fixture
def peer(double: Double) -> Any:
    made = wechatpayv3.WeChatPay(
        wechatpay_type=wechatpayv3.WeChatPayType.CODEPAY,
        mchid=keys().mchid,
        private_key=keys().merchant_pem().decode(),
        cert_serial_no=keys().serial,
        appid=keys().appid,
        apiv3_key=keys().apiv3_key,
        notify_url="https://shop.example/pay",
        public_key=keys().platform_pem().decode(),
        public_key_id=keys().platform_id,
        timeout=(2, 5),
    )
    made._core._gate_way = double.url  # it has no other way to name a host
    return made


def pay(peer: Any, order: str, digits: str = "00", **changes: Any) -> tuple[int, dict[str, Any]]:
    fields = {
        "pay_type": wechatpayv3.WeChatPayType.CODEPAY,
        "description": "无人店",
        "out_trade_no": order,
        "amount": {"total": 1990, "currency": "CNY"},
        "payer": {"auth_code": code(digits, sum(order.encode()))},
        "scene_info": {"device_ip": "127.0.0.1", "store_info": {"out_id": "demo"}},
    }
    status, answer = peer.pay(**(fields | changes))
    return status, json.loads(answer)


def test_code_pay_query_refund_and_reverse(double: Double, peer: Any) -> None:
    status, answer = pay(peer, "A-1")
    assert (status, answer["trade_state"], answer["amount"]["total"]) == (200, "SUCCESS", 1990)
    status, queried = peer.query(out_trade_no="A-1")
    assert (status, json.loads(queried)) == (200, answer)
    money = {"refund": 490, "total": 1990, "currency": "CNY"}
    status, refunded = peer.refund(out_refund_no="A-1-R1", amount=money, out_trade_no="A-1")
    assert (status, json.loads(refunded)["status"]) == (200, "SUCCESS")
    status, refunded = peer.query_refund(out_refund_no="A-1-R1")
    assert (status, json.loads(refunded)["amount"]["refund"]) == (200, 490)
    assert pay(peer, "A-2", "02")[1]["trade_state"] == "USERPAYING"
    assert peer.codepay_reverse(out_trade_no="A-2")[0] == 204
    assert json.loads(peer.query(out_trade_no="A-2")[1])["trade_state"] == "REVOKED"
    assert double.guard.reasons == []
    assert double.bank.net_fen() == 1500


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"appid": "wx0000000000000000"}, "APPID_MCHID_NOT_MATCH"),
        ({"description": "x" * 128}, "PARAM_ERROR"),
        ({"out_trade_no": "A 1"}, "PARAM_ERROR"),
        ({"amount": {"total": 0, "currency": "CNY"}}, "PARAM_ERROR"),
        ({"amount": {"total": 19.9, "currency": "CNY"}}, "PARAM_ERROR"),
        ({"scene_info": {"device_ip": "127.0.0.1", "store_info": {}}}, "PARAM_ERROR"),
        ({"payer": {"auth_code": "28" + "0" * 16}}, "PARAM_ERROR"),
    ],
)
def test_wrong_fields(double: Double, peer: Any, changes: dict[str, Any], refusal: str) -> None:
    status, answer = pay(peer, "A-1", **changes)
    assert (status, answer["code"]) == (400, refusal)
    assert double.bank.entries == []


def test_pay_score(double: Double, peer: Any) -> None:
    status, made = peer.payscore_create(
        out_order_no="V-1",
        service_id="500001",
        service_introduction="shop",
        time_range={"start_time": "OnAccept"},
        risk_fund={"name": "ESTIMATE_ORDER_COST", "amount": 50_000},
        openid="oUpF8uMuAJO",
        need_user_confirm=False,
    )
    assert (status, json.loads(made)["state"]) == (200, "DOING")
    status, done = peer.payscore_complete(
        out_order_no="V-1",
        service_id="500001",
        post_payments=[{"name": "tea", "amount": 600}],
        total_amount=600,
    )
    assert (status, json.loads(done)["state"]) == (200, "DONE")
    status, queried = peer.payscore_query(service_id="500001", out_order_no="V-1")
    assert (status, json.loads(queried)["total_amount"]) == (200, 600)
    status, _ = peer.payscore_cancel(out_order_no="V-1", service_id="500001", reason="late")
    assert status == 400
    assert double.bank.net_fen("V-1") == 600


def test_it_reads_the_doubles_callbacks(double: Double, peer: Any) -> None:
    pay(peer, "A-1")
    headers, body = double.notifier.sent[0]
    assert peer.callback(headers, body)["resource"]["out_trade_no"] == "A-1"


def test_a_spoilt_signature_is_seen_by_it_too(double: Double, peer: Any) -> None:
    double.fault("bad-signature", "charge")
    with pytest.raises(Exception, match="signature"):
        pay(peer, "A-1")


def test_the_double_refuses_a_strange_key_a_wrong_clock_and_a_used_nonce(
    double: Double, peer: Any, clock: Clock
) -> None:
    clock.moved = 600
    assert pay(peer, "A-1")[0] == 401
    clock.moved = 0
    core = peer._core
    core._cert_serial_no = "0" * 40
    assert pay(peer, "A-1")[0] == 401
    core._cert_serial_no = keys().serial
    core._private_key, own = keys().platform, core._private_key
    assert pay(peer, "A-1")[0] == 401
    core._private_key = own
    target = "/v3/pay/transactions/out-trade-no/A-1?mchid=" + keys().mchid
    utils = __import__("wechatpayv3.utils").utils
    header = utils.build_authorization(target, "GET", keys().mchid, keys().serial, own, nonce_str="n" * 32)
    now = clock()
    assert double.guard.refuse("GET", target, header, b"", now) is None
    assert "nonce" in str(double.guard.refuse("GET", target, header, b"", now))
    assert double.bank.calls == []
    assert len(double.guard.reasons) == 4
