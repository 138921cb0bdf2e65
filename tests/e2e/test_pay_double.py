"""The pay desk with real threads over real HTTP, and the double as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store.pay.attempt import Saved
from store.pay.attempts import MemoryAttempts
from store.pay.desk import PayDesk
from store.pay.double.__main__ import main
from store.pay.double.faults import RULES
from store.pay.double.server import Double
from store.pay.provider import Charge, PayError
from store.pay.settings import load, open_provider
from store.pay.table import Timing
from store.pay.wechat.transport import Limits
from tests.support.payruns import code
from tests.support.wechat import Client, Clock, closed_port, keys

TREE = Path(__file__).parents[2]
QUICK = Timing(
    check_s=0.05,
    userpaying_s=0.1,
    limit_s=0.5,
    reverse_after_s=0.15,
    reverse_again_s=0.05,
    settle_s=0.2,
    gone_s=2.0,
)
"""The documented waits, a hundred times faster."""
SHORT = Limits(connect_s=5.0, read_s=1.0, whole_s=5.0)


def wait(condition: Callable[[], bool], what: str, limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


@pytest.fixture
def double() -> Iterator[Double]:
    with Double(keys(), clock=Clock()) as running:
        yield running


def test_every_rule_at_once_over_threads(double: Double) -> None:
    """All kinds of shoppers at the same time, one host dead: the end is the double's ledger."""
    ended: list[Saved] = []
    attempts = MemoryAttempts()
    with (
        Client(double, hosts=(closed_port(), double.url), clock=double.clock, limits=SHORT) as client,  # type: ignore[arg-type]
        ThreadPoolExecutor(4, "pay") as pool,
    ):
        desk = PayDesk(client.pay, attempts, pool.submit, changed=ended.append, timing=QUICK)
        endings = ["00", *sorted(RULES.keys() - {"21"})]  # 21 arrives after 8 s: longer than these waits
        for number, digits in enumerate(endings):
            basket = f"{number + 1:016x}-1"
            desk.start(basket, 100 + number, code(digits, number), time.monotonic(), description="a shop")

        def turn() -> bool:
            desk.turn(time.monotonic())
            return len(ended) == len(endings)

        wait(turn, "not every attempt ended")
    for saved in attempts.rows.values():
        held = double.bank.net_fen(saved.order)
        assert held == (saved.total_fen if saved.end == "paid" else 0), saved
        assert double.bank.calls.count(("charge", saved.order)) <= 1
    assert double.guard.reasons == []
    paid = sum(saved.total_fen for saved in ended if saved.end == "paid")
    assert double.ledger()["net_fen"] == paid > 0


def test_callbacks_settle_what_nobody_would_have_asked_about_yet(double: Double) -> None:
    ended: list[Saved] = []
    with (
        Client(double, clock=double.clock) as client,  # type: ignore[arg-type]
        ThreadPoolExecutor(1, "pay") as pool,
    ):
        desk = PayDesk(client.pay, MemoryAttempts(), pool.submit, changed=ended.append)
        saved = desk.start(f"{1:016x}-1", 500, code("02"), time.monotonic(), description="a shop")
        wait(lambda: saved.order in double.bank.orders, "no charge arrived")
        double.confirm(saved.order)
        notice = client.callbacks.read(*double.notifier.sent[-1])
        assert notice.order is not None
        desk.tell(notice.order, time.monotonic())
        assert [saved.state for saved in ended] == ["paid"]


def test_the_double_as_a_process(tmp_path: Path) -> None:
    folder = tmp_path / "pay"
    process = subprocess.Popen(
        [sys.executable, "-m", "store.pay.double", str(folder)], stdout=subprocess.PIPE, text=True, cwd=TREE
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("payment double on http://127.0.0.1:"), said
        config = load(folder / "pay.toml")
        assert config.wechat is not None
        opened = open_provider(config, folder, "demo")
        (url,) = config.wechat.hosts
        assert opened.provider.charge(Charge("A-1", 1990, "a shop", code("00"))).state == "SUCCESS"
        assert admin(url, "fault", {"kind": "5xx", "on": "query"}) == {"waiting": 1}
        with pytest.raises(PayError):
            opened.provider.query("A-1")
        assert opened.provider.query("A-1").state == "SUCCESS"
        assert opened.provider.charge(Charge("A-2", 10, "a shop", code("02", 2))).state == "USERPAYING"
        admin(url, "pay", {"order": "A-2"})
        admin(url, "notify", {"order": "A-2", "times": 2})
        assert admin(url, "ledger")["net_fen"] == 2000
        for name, data in (("fault", {"kind": "rain"}), ("pay", {"order": "X"}), ("nothing", {})):
            with pytest.raises(urllib.error.HTTPError) as caught:
                admin(url, name, data)
            caught.value.close()
        opened.close()
    finally:
        process.terminate()
        code_at_end = process.wait(timeout=10)
        assert process.stdout is not None
        process.stdout.close()
    assert code_at_end == 0


def admin(url: str, name: str, data: dict[str, object] | None = None) -> dict[str, object]:
    body = None if data is None else json.dumps(data).encode()
    with urllib.request.urlopen(f"{url}/double/{name}", body, timeout=5) as answer:
        found: dict[str, object] = json.loads(answer.read())
        return found


def test_the_rules_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rules"]) == 0
    assert "…01  the shopper confirms on the phone" in capsys.readouterr().out
