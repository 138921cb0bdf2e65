"""Whatever happens in whatever order: what a portal may never do with a basket or with money."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.portal import facts
from firmware.portal.stay import LAST_VERSION
from firmware.portal.table import LANES
from firmware.portal.words import screen_for
from firmware.wire.epc import from_digital_link
from hal.ports import DeviceBack, DeviceCondition, DeviceLost, InputChanged
from tests.support.portaldouble import ScriptedDecision, epc, label, policy_of, read

PLAIN: tuple[Any, ...] = (
    DeviceLost("pins", "", "", 0.0),
    DeviceLost("reader", "", "", 0.0),
    DeviceBack("reader", 0.0),
    DeviceBack("pins", 0.0),
    DeviceBack("camera", 0.0),
    DeviceCondition("reader", "hot", True, "", "", 0.0),
    DeviceCondition("reader", "hot", False, "", "", 0.0),
    InputChanged("occupied", True, 0.0),
    InputChanged("occupied", False, 0.0),
    InputChanged("crowded", True, 0.0),
    InputChanged("crowded", False, 0.0),
    InputChanged("help", True, 0.0),
    facts.Levels({"occupied": True, "crowded": False, "help": False}),
    facts.Levels({"occupied": False, "crowded": True, "help": False}),
    facts.Levels({}),
    facts.ShopState("open"),
    facts.ShopState("lockdown"),
    facts.PassShown(b"\1" * 8, "entry"),
    facts.PassShown(b"\2" * 8, "staff"),
    facts.PaycodeShown(),
    facts.ItemShown(from_digital_link(label(3))),
    facts.CountShown(2),
    facts.CountShown(200),
    facts.CodeRefused("url-here"),
    facts.LeftOpen(9, 4),
    facts.StaffAccepts(),
)
# A shopper gets so far, then something else happens, then the next one: so the far states are met too.
HAPPY = ("open", "in", "tags", "complete", "written", "offer", "code", "paid", "out")
OTHERS = st.one_of(
    st.sampled_from(
        ("tags", "complete", "uncertain", "reading", "twins", "written", "failed", "full", "in", "out")
    ),
    st.sampled_from(("offer", "settled", "refused", "code", "paid", "declined", "pending", "due")),
    st.sampled_from(("old-declined", "old-paid", "old-offer", "foreign")),
    st.sampled_from(PLAIN),
    st.sampled_from((0.05, 0.5, 3.0, 5.0, 16.0, 61.0, 181.0)),
)
ROUNDS = st.lists(
    st.tuples(st.integers(3, len(HAPPY)), st.lists(OTHERS, min_size=1, max_size=4)), min_size=1, max_size=4
)


class Run:
    """A policy, a disk and a shop that answer only about what they were asked."""

    def __init__(self, lane: str) -> None:
        self.lane, self.now = lane, 100.0
        self.decision = ScriptedDecision()
        self.policy = policy_of(self.decision, lane)
        self.submits: dict[int, facts.Submit] = {}
        self.waiting: list[facts.Submit] = []
        self.first_of: dict[int, int] = {}  # token → first token of its basket, as the journal has it
        self.open: set[int] = set()
        self.ended: dict[int, str] = {}
        self.offers: dict[int, set[int]] = {}  # token → totals
        self.written: set[int] = set()
        self.asked: list[facts.AskPay] = []
        self.charging: dict[tuple[int, int], int] = {}  # (first, version) → attempt that may still be paid
        self.numbers = 0

    def send(self, event: Any) -> None:
        for order in self.policy.handle(event, self.now):
            self.take(order)
        if self.lane == "store":
            assert len(self.open) <= 1, f"open at once: {self.open}"

    def take(self, order: Any) -> None:
        match order:
            case facts.Submit():
                assert order.items
                assert order.token > max(self.submits, default=0)
                self.submits[order.token] = order
                self.waiting.append(order)
                self.open.add(order.first)
                assert order.first not in self.ended, "a basket that has ended is submitted again"
            case facts.CloseBasket(first, why, ref):
                if ref is None:
                    assert self.lane == "store"
                    self.end(first, why)
            case facts.Paid(first):
                self.end(first, "paid")
            case facts.AskOffer(token):
                assert token in self.written
            case facts.AskPay(token, version, total, again, attempt):
                assert token in self.written
                assert total in self.offers[token]
                assert self.submits[token].version == version
                key = (self.submits[token].first, version)
                if not again:
                    assert key not in self.charging, "two codes for one basket"
                    self.charging[key] = attempt
                    self.asked.append(order)
            case facts.Show(key, fields):
                assert screen_for(key, fields).lines

    def end(self, first: int, how: str) -> None:
        assert first in self.open, f"{how}: basket {first} is not open"
        self.open.discard(first)
        self.ended[first] = how

    def answer_disk(self, what: str) -> None:
        if not self.waiting:
            return
        order = self.waiting.pop(0)
        if what == "written":
            self.written.add(order.token)
            self.send(facts.Submitted(order.token, 7, order.first, order.version))
        else:
            earlier = {token for token in self.written if self.submits[token].first == order.first}
            if (
                order.first == order.token
                and not earlier
                and not any(one.first == order.first for one in self.waiting)
            ):
                self.open.discard(order.first)
            self.send(facts.SubmitFailed(order.token, "disk", what == "full"))

    def answer_shop(self, what: str) -> None:
        tokens = sorted(self.written)
        if what in ("offer", "settled", "refused", "old-offer") and tokens:
            token = tokens[0] if what == "old-offer" else tokens[-1]
            self.numbers += 1
            if what == "refused":
                self.send(facts.OfferRefused(token, "no"))
                return
            total = 100 + self.numbers
            self.offers.setdefault(token, set()).add(total)
            self.send(facts.Offered(token, total, total, what == "settled"))
        elif what in ("paid", "declined", "pending", "old-declined", "old-paid") and self.asked:
            asked = self.asked[0] if what.startswith("old") else self.asked[-1]
            state = what.removeprefix("old-")
            if state == "declined":
                key = (self.submits[asked.token].first, asked.version)
                if self.charging.get(key) == asked.attempt:
                    del self.charging[key]
            order, total = "o" * (state == "paid"), asked.total_fen
            self.send(facts.PayAnswer(asked.token, state, order, total, attempt=asked.attempt))
        elif what == "foreign":
            self.send(facts.Offered(10_000, 1, 1))
            self.send(facts.PayAnswer(10_000, "paid", "o", 1))
            self.send(facts.Submitted(10_000, 7, 10_000, 1))

    def step(self, step: Any) -> None:
        if isinstance(step, float):
            until = self.now + step
            for _ in range(60):
                if not self.due(until):
                    break
            self.now = until
        elif step == "open":
            self.send(DeviceBack("reader", self.now))
            self.send(facts.ShopState("open"))
            self.send(facts.Levels({"occupied": False, "crowded": False, "help": False}))
        elif step in ("in", "out"):
            self.send(InputChanged("occupied", step == "in", self.now))
            if step == "out":
                self.step(1.6)
        elif step in ("complete", "uncertain", "reading", "twins", "tags"):
            self.read(step)
        elif step in ("written", "failed", "full"):
            self.answer_disk(step)
        elif step == "code":
            self.send(facts.PaycodeShown())
        elif step == "due":
            self.due(float("inf"))
        elif isinstance(step, str):
            self.answer_shop(step)
        else:
            self.send(step)

    def read(self, step: str) -> None:
        many = len(self.decision.items) + 1 if step == "tags" else max(1, len(self.decision.items))
        items = [epc(number) for number in range(many % 6)]
        kinds = {"complete": "complete", "uncertain": "uncertain", "twins": "complete"}
        self.decision.say(
            kinds.get(step, "collecting"), items, duplicates=items[:1] if step == "twins" else ()
        )
        for item in items:
            self.send(read(item, self.now))
        self.step(0.2)

    def due(self, until: float) -> bool:
        due = self.policy.deadline()
        if due > until:
            return False
        self.now = max(self.now, due)
        self.send(facts.Tick())
        assert self.policy.deadline() > self.now, f"{self.policy.state}: the deadline is not in the future"
        return True


@pytest.mark.parametrize("lane", LANES)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rounds=ROUNDS)
def test_whatever_happens(lane: str, rounds: list[tuple[int, list[Any]]]) -> None:
    run = Run(lane)
    for far, others in rounds:
        for step in (*HAPPY[:far], *others):
            run.step(step)
    # Every basket that was submitted is paid, closed, counted, or still the one on the screen.
    if lane == "store":
        assert run.open <= {run.policy.basket.first} - {0}
    # And nothing can hold the portal for ever once it is empty and all devices work.
    for step in ("open", *["written"] * len(run.waiting), "out", "paid"):
        run.step(step)
    for _ in range(8):
        run.step(60.0)
        run.step("written")
    assert run.policy.state in ("idle",)
    assert not run.open or lane == "count"


def test_the_happy_way_is_among_them() -> None:
    run = Run("store")
    for step in HAPPY:
        run.step(step)
    assert list(run.ended.values()) == ["paid"]
    assert run.policy.state == "idle"


def test_tags_of_a_shopper_whom_nobody_can_serve_are_no_background() -> None:
    run = Run("store")
    for step in ("open", "in", DeviceCondition("reader", "hot", True, "", "", 0.0)):
        run.step(step)
    assert run.policy.state == "no-reader"
    run.send(read(epc(1), run.now))
    assert ("background", epc(1)) not in run.decision.calls
    run.step("out")
    run.send(read(epc(2), run.now))
    assert ("background", epc(2)) in run.decision.calls


def test_a_reader_that_was_silent_while_the_price_was_shown_is_a_gap() -> None:
    run = Run("store")
    for step in HAPPY[:6]:
        run.step(step)
    run.send(DeviceLost("reader", "", "", run.now))
    lost = run.now
    run.step(3.0)
    run.send(DeviceBack("reader", run.now))
    assert ("gap", lost, run.now) in run.decision.calls


def test_a_basket_of_too_many_versions_goes_on_as_another_one() -> None:
    for lane in LANES:
        run = Run(lane)
        for step in HAPPY[:4]:
            run.step(step)
        run.policy.basket.version = LAST_VERSION
        run.step("written")
        run.policy.basket.version = LAST_VERSION
        run.send(facts.PassShown(b"\3" * 8, "entry"))
        assert run.policy.basket.version == LAST_VERSION
        for step in ("tags", "complete"):
            run.step(step)
        last = run.submits[max(run.submits)]
        assert (last.version, last.first) == (1, last.token)
        assert len(last.items) == (2 if lane == "store" else 1)
        assert len(run.ended) == (1 if lane == "store" else 0)
