"""Our WeChat Pay client on the HTTP double: good answers, every misbehaviour, and what must not be said."""

from __future__ import annotations

import logging
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from store.pay.double.server import Double
from store.pay.provider import (
    BadAnswer,
    BadSignature,
    Charge,
    NotReached,
    PayError,
    RefundAsk,
    Refused,
    StaleAnswer,
    TimedOut,
)
from store.pay.score import Item, ScoreComplete, ScoreCreate
from store.pay.wechat.callback import Callbacks
from store.pay.wechat.signing import Merchant, PlatformKeys, Replayed, Verifier, private_key, public_key
from store.pay.wechat.transport import Transport
from tests.support.certificates import Authority
from tests.support.payruns import code
from tests.support.wechat import PATIENT, QUICK, Client, Clock, closed_port, keys, merchant, shop, verifier


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def double(clock: Clock) -> Iterator[Double]:
    with Double(keys(), clock=clock) as running:
        yield running


@pytest.fixture
def client(double: Double, clock: Clock) -> Iterator[Client]:
    with Client(double, clock=clock) as made:
        yield made


def ask(order: str, digits: str = "00", total: int = 1990) -> Charge:
    return Charge(order, total, "无人店 shop", code(digits, sum(order.encode())), "portal-1")


def test_pay_query_refund_reverse(double: Double, client: Client) -> None:
    paid = client.pay.charge(ask("A-1"))
    assert (paid.order, paid.state, paid.total_fen) == ("A-1", "SUCCESS", 1990)
    assert paid.transaction
    assert paid.paid_ms is not None
    assert abs(paid.paid_ms / 1000 - client.clock()) < 60
    assert client.pay.query("A-1") == paid
    part = RefundAsk("A-1", "A-1-R1", 490, 1990, "one item")
    given = client.pay.refund(part)
    assert (given.state, given.amount_fen) == ("SUCCESS", 490)
    assert client.pay.refund(part) == given  # again is the same refund
    assert client.pay.query_refund("A-1-R1") == given
    assert double.bank.net_fen("A-1") == 1500
    with pytest.raises(Refused) as caught:
        client.pay.refund(RefundAsk("A-1", "A-1-R2", 1501, 1990))
    assert caught.value.code == "INVALID_REQUEST"
    client.pay.charge(ask("B-1", "02"))
    client.pay.reverse("B-1")
    client.pay.reverse("B-1")
    assert client.pay.query("B-1").state == "REVOKED"
    assert double.guard.reasons == []


def test_states_as_the_shopper_makes_them(double: Double, client: Client, clock: Clock) -> None:
    assert client.pay.charge(ask("A-1", "01")).state == "USERPAYING"
    clock.moved += 13
    assert client.pay.query("A-1").state == "SUCCESS"
    assert client.pay.charge(ask("A-2", "08")).state == "PAYERROR"
    for digits, refusal in (("04", "SYSTEM_ERROR"), ("05", "SYSTEM_ERROR"), ("06", "NOT_ENOUGH")):
        with pytest.raises(Refused) as caught:
            client.pay.charge(ask(f"B-{digits}", digits))
        assert caught.value.code == refusal
    assert client.pay.query("B-04").state == "SUCCESS"
    with pytest.raises(Refused, match="ORDER_NOT_EXIST"):
        client.pay.query("B-05")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("deaf", TimedOut),
        ("silent", TimedOut),
        ("delayed", TimedOut),
        ("slow", TimedOut),
        ("cut", TimedOut),
        ("5xx", BadSignature),
        ("5xx-done", BadSignature),
        ("bad-signature", BadSignature),
        ("unsigned", BadSignature),
        ("stale", StaleAnswer),
        ("replayed", Replayed),
        ("system", Refused),
    ],
)
def test_each_misbehaviour_is_a_typed_error(
    double: Double, clock: Clock, kind: str, error: type[PayError]
) -> None:
    with Client(double, clock=clock, limits=QUICK if error is TimedOut else PATIENT) as client:
        double.bank.charge("A-0", 1, code("00", 9), clock())
        if kind == "replayed":
            client.pay.query("A-0")
        double.fault(kind, "charge")
        with pytest.raises(error) as caught:
            client.pay.charge(ask("A-1"))
    assert caught.value.maybe == "maybe"
    done = {"silent", "slow", "cut", "5xx-done", "bad-signature", "unsigned", "stale", "replayed"}
    assert double.bank.charges("A-1") == (1 if kind in done else 0)


def test_the_second_host_takes_over_and_a_charge_is_never_sent_twice(double: Double, clock: Clock) -> None:
    with Client(double, hosts=(closed_port(), double.url), clock=clock) as client:
        assert client.pay.charge(ask("A-1")).state == "SUCCESS"  # the first was surely not reached
        assert client.pay.query("A-1").state == "SUCCESS"
    with Client(double, hosts=(double.url, double.url), clock=clock) as client:
        double.fault("5xx", "query")
        assert client.pay.query("A-1").state == "SUCCESS"  # asking twice is harmless
        double.fault("cut", "reverse")
        client.pay.reverse("A-1")
        double.fault("5xx", "charge")
        before = len(double.bank.calls)
        with pytest.raises(BadSignature):
            client.pay.charge(ask("A-2"))
        assert double.bank.calls[before:] == []
    with Client(double, hosts=(closed_port(), closed_port()), clock=clock) as client:
        with pytest.raises(NotReached) as caught:
            client.pay.charge(ask("A-3"))
        assert caught.value.maybe == "no"
    assert double.guard.reasons == []  # each try had a nonce of its own


def test_the_second_host_stays_first_for_a_while(double: Double, clock: Clock) -> None:
    timer = [0.0]
    dead = closed_port()
    hosts = (dead, double.url)
    transport = Transport(
        merchant(), verifier(clock), hosts=hosts, limits=PATIENT, clock=clock, timer=lambda: timer[0]
    )
    with transport:
        assert transport._order() == hosts
        with pytest.raises(Refused):
            transport.call("GET", "/v3/nothing", repeatable=True)
        assert transport._order() == hosts[::-1]
        timer[0] += 301
        assert transport._order() == hosts


def test_an_answer_that_drips_is_cut_off(double: Double, clock: Clock) -> None:
    timer = iter(range(1000))
    transport = Transport(
        merchant(), verifier(clock), hosts=(double.url,), clock=clock, timer=lambda: float(next(timer) * 20)
    )
    with transport, pytest.raises(TimedOut, match="ReadTimeout"):
        transport.call("GET", "/v3/nothing", repeatable=False)


def test_a_host_with_a_strange_certificate_gets_nothing(tmp_path: Path, clock: Clock) -> None:
    issued = Authority(tmp_path).server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                heard.append(secured.recv(1))

        served = pool.submit(serve)
        address = f"https://localhost:{listener.getsockname()[1]}"
        transport = Transport(merchant(), verifier(clock), hosts=(address,), limits=PATIENT, clock=clock)
        with transport, pytest.raises(NotReached, match="certificate verify failed"):
            transport.call("GET", "/v3/nothing", repeatable=True)
        served.result(timeout=10)
    assert heard in ([], [b""])


def test_a_wrong_clock_is_told(double: Double, clock: Clock) -> None:
    slow = Clock()
    slow.moved = -600
    with Client(double, clock=slow) as client:
        with pytest.raises(PayError) as caught:
            client.pay.charge(ask("A-1"))
        assert "clock" in str(caught.value)
        assert double.bank.calls == []


def test_rotated_platform_keys(double: Double, clock: Clock) -> None:
    installed = PlatformKeys({"OLD": merchant_public()}, "OLD")
    checks = Verifier(installed, clock)
    with Transport(merchant(), checks, hosts=(double.url,), limits=PATIENT, clock=clock) as transport:
        with pytest.raises(BadSignature, match="not installed"):
            transport.call("GET", "/v3/nothing", repeatable=True)
        fresh = {"OLD": merchant_public(), keys().platform_id: public_key(keys().platform_pem())}
        with pytest.raises(ValueError, match="no platform key"):
            installed.replace(fresh, "NONE")
        installed.replace(fresh, keys().platform_id)
        with pytest.raises(Refused, match="NOT_FOUND"):
            transport.call("GET", "/v3/nothing", repeatable=True)
    wrong = Verifier(PlatformKeys({keys().platform_id: merchant_public()}, keys().platform_id), clock)
    misled = Transport(merchant(), wrong, hosts=(double.url,), limits=PATIENT, clock=clock)
    with misled, pytest.raises(BadSignature, match="does not fit"):
        misled.call("GET", "/v3/nothing", repeatable=True)


def merchant_public():  # type: ignore[no-untyped-def]
    return keys().merchant.public_key()


def test_pay_score(double: Double, client: Client) -> None:
    made = ScoreCreate("V-1", "无人店", 50_000, openid="oUpF8uMuAJO")
    assert client.score.create(made).state == "DOING"
    assert client.score.create(made).state == "DOING"
    items = (Item("酸奶", 900), Item("茶", 600), Item("coupon", 200, discount=True))
    bill = ScoreComplete("V-1", items, 1300, "20240101120000")
    done = client.score.complete(bill)
    assert (done.state, done.total_fen, done.collected) == ("DONE", 1300, True)
    assert client.score.complete(bill) == done
    assert client.score.query_score("V-1") == done
    assert double.bank.net_fen("V-1") == 1300
    client.score.create(ScoreCreate("V-2", "shop", 50_000))
    assert client.score.query_score("V-2").state == "CREATED"
    assert client.score.cancel("V-2", "nothing taken").state == "REVOKED"
    with pytest.raises(Refused):
        client.score.cancel("V-1", "too late")
    with pytest.raises(ValueError, match="1300"):
        ScoreComplete("V-1", items, 1301, "20240101120000")


# -- callbacks -----------------------------------------------------------------------------------------


def test_a_callback_is_verified_decrypted_and_taken_once(double: Double, client: Client) -> None:
    client.pay.charge(ask("A-1", "22"))
    (headers, body), second = double.notifier.sent
    notice = client.callbacks.read(headers, body)
    assert notice.order is not None
    assert (notice.order.order, notice.order.state, notice.order.total_fen) == ("A-1", "SUCCESS", 1990)
    with pytest.raises(Replayed):
        client.callbacks.read(*second)


def test_spoilt_callbacks_are_refused(double: Double, client: Client, clock: Clock) -> None:
    client.pay.charge(ask("A-1"))
    headers, body = double.notifier.sent[0]
    for at in range(0, len(body), 7):
        with pytest.raises(BadSignature):
            client.callbacks.read(headers, body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
    for name in headers:
        if name != "Wechatpay-Signature-Type":
            with pytest.raises(BadSignature):
                client.callbacks.read({key: value for key, value in headers.items() if key != name}, body)
    with pytest.raises(BadSignature):
        client.callbacks.read(headers | {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/abc"}, body)
    with pytest.raises(BadAnswer, match="at most"):
        client.callbacks.read(headers, b" " * 70_000)
    other = Callbacks(verifier(clock), b"0" * 32, keys().mchid)
    with pytest.raises(BadAnswer, match="APIv3"):
        other.read(headers, body)
    strange = Callbacks(verifier(clock), keys().apiv3_key.encode(), "1")
    with pytest.raises(BadAnswer, match="merchant"):
        strange.read(headers, body)
    clock.moved += 301
    with pytest.raises(StaleAnswer, match="ago"):
        client.callbacks.read(headers, body)
    clock.moved -= 1000
    with pytest.raises(StaleAnswer, match="ahead"):
        client.callbacks.read(headers, body)


# -- what must not be said -----------------------------------------------------------------------------


def test_no_code_and_no_key_in_any_log_or_error(
    double: Double, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    secret = ask("A-1")
    for kind in ("", "cut", "5xx", "bad-signature", "stale", "system"):
        if kind:
            double.fault(kind, "charge")
        charge = ask(f"A-{kind}")
        try:
            said.append(repr(client.pay.charge(charge)))
        except PayError as error:
            said += [repr(error), str(error), "".join(traceback.format_exception(error))]
        said.append(repr(charge))
    said += [
        repr(thing) for thing in (merchant(), shop(), client.callbacks, client.transport, keys(), secret)
    ]
    said += [caplog.text]
    everything = "\n".join(said)
    assert code("00", 1)[:10] not in everything
    assert keys().apiv3_key not in everything
    assert "PRIVATE" not in everything
    assert "signature=" not in everything
    assert "Authorization: WECHATPAY2" not in everything


@pytest.mark.parametrize(
    "make",
    [
        lambda: Charge("A B", 1, "d", code("00")),
        lambda: Charge("A" * 33, 1, "d", code("00")),
        lambda: Charge("A", 0, "d", code("00")),
        lambda: Charge("A", True, "d", code("00")),
        lambda: Charge("A", 10**9, "d", code("00")),
        lambda: Charge("A", 1, "x" * 128, code("00")),
        lambda: Charge("A", 1, "d", "163456789012345678"),
        lambda: Charge("A", 1, "d", code("00"), "x" * 33),
        lambda: RefundAsk("A", "R", 2, 1),
        lambda: RefundAsk("A", "R", 1, 1, "好" * 27),
        lambda: private_key(b"nonsense"),
        lambda: public_key(b"nonsense"),
        lambda: Callbacks(verifier(Clock()), b"short", "1"),
        lambda: Merchant("1", "2", small_key()),
    ],
)
def test_wrong_fields_are_refused_before_anything_is_sent(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert code("00")[:12] not in str(caught.value)


def small_key():  # type: ignore[no-untyped-def]
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=1024)
