"""The WeChat Pay client on the HTTP double: one pair of keys for all tests, a clock that moves by hand."""

from __future__ import annotations

import socket
import time
from functools import cache

from store.pay.double.guard import Keys
from store.pay.double.server import Double
from store.pay.wechat.callback import Callbacks
from store.pay.wechat.client import Shop, WeChatPay
from store.pay.wechat.payscore import PayScore
from store.pay.wechat.signing import Merchant, PlatformKeys, Verifier, private_key, public_key
from store.pay.wechat.transport import Limits, Transport

PATIENT = Limits(connect_s=5.0, read_s=10.0, whole_s=20.0)
QUICK = Limits(connect_s=1.0, read_s=0.25, whole_s=0.5)


@cache
def keys() -> Keys:
    return Keys()


class Clock:
    """Unix seconds that go on by themselves and can be moved."""

    def __init__(self) -> None:
        self.moved = 0.0

    def __call__(self) -> float:
        return time.time() + self.moved


@cache
def merchant() -> Merchant:
    return Merchant(keys().mchid, keys().serial, private_key(keys().merchant_pem()))


def verifier(clock: Clock) -> Verifier:
    installed = PlatformKeys({keys().platform_id: public_key(keys().platform_pem())}, keys().platform_id)
    return Verifier(installed, clock)


def shop() -> Shop:
    return Shop(keys().mchid, keys().appid, "demo", "127.0.0.1", "https://shop.example/pay")


class Client:
    """Everything that speaks to one double. ``hosts``: instead of the double's own address."""

    def __init__(
        self,
        double: Double,
        *,
        hosts: tuple[str, ...] = (),
        limits: Limits = PATIENT,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.verifier = verifier(self.clock)
        self.transport = Transport(
            merchant(), self.verifier, hosts=hosts or (double.url,), limits=limits, clock=self.clock
        )
        self.pay = WeChatPay(self.transport, shop())
        self.score = PayScore(self.transport, shop(), "500001")
        self.callbacks = Callbacks(self.verifier, keys().apiv3_key.encode(), keys().mchid)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()


def closed_port() -> str:
    """An address on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"
