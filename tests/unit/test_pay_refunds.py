"""Refunds: never more than was paid, of the order or of a line; asked again without a second refund."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.pay.attempt import Alarm, Call
from store.pay.double.bank import Bank
from store.pay.double.faults import FAULTS, Fault
from store.pay.local import LocalProvider
from store.pay.provider import PayError, Refunded, Refused, TimedOut
from store.pay.refunds import (
    MAX_REFUNDS,
    WHOLE,
    Refund,
    RefundLimit,
    RefundPersist,
    RefundSaved,
    left_fen,
    new_refund,
)
from tests.support.payruns import code

LINES = {"1": 900, "2": 600, "3": 0}
ORDER = "ORDER-1"
TOTAL = 1500


class Run:
    """Refunds of one paid order on the double; a crash forgets everything but ``kept``."""

    def __init__(self) -> None:
        self.now = 0.0
        self.bank = Bank()
        self.provider = LocalProvider(self.bank, lambda: self.now)
        self.bank.charge(ORDER, TOTAL, code("00"), 0.0)
        self.kept: dict[str, RefundSaved] = {}
        self.open: dict[str, Refund] = {}
        self.alarms: list[str] = []

    def ask(self, line: str, amount_fen: int) -> None:
        saved = new_refund(ORDER, TOTAL, LINES, list(self.kept.values()), line, amount_fen)
        self.kept[saved.refund] = saved
        self.open[saved.refund] = Refund(saved)
        self.work(saved.refund, self.open[saved.refund].start(self.now))

    def crash(self) -> None:
        self.open = {number: Refund(saved, resumed=True) for number, saved in self.kept.items()}
        for number, refund in self.open.items():
            self.work(number, refund.start(self.now))

    def work(self, number: str, steps: list[Call | Alarm | RefundPersist]) -> None:
        refund = self.open[number]
        for step in steps:
            if isinstance(step, RefundPersist):
                self.kept[number] = step.saved
            elif isinstance(step, Alarm):
                self.alarms.append(step.kind)
            else:
                result: Refunded | PayError
                try:
                    if step.name == "refund":
                        result = self.provider.refund(refund.saved.ask())
                    else:
                        result = self.provider.query_refund(number)
                except PayError as error:
                    result = error
                self.work(number, refund.answered(result, self.now))

    def until(self, end: float) -> None:
        while self.now < end:
            times = [due for refund in self.open.values() if (due := refund.due()) is not None]
            self.now = min([end, *[max(due, self.now + 0.001) for due in times]])
            for number, refund in list(self.open.items()):
                self.work(number, refund.tick(self.now))


def test_a_line_then_the_rest() -> None:
    run = Run()
    run.ask("2", 600)
    run.ask("1", 400)
    assert run.bank.net_fen() == 500
    with pytest.raises(RefundLimit, match="line 1 .* 500 fen are left"):
        run.ask("1", 501)
    with pytest.raises(RefundLimit, match="line 2 .* 0 fen"):
        run.ask("2", 1)
    run.ask(WHOLE, 500)
    with pytest.raises(RefundLimit, match="0 fen are left"):
        run.ask(WHOLE, 1)
    assert run.bank.net_fen() == 0
    assert [saved.refund for saved in run.kept.values()] == [f"{ORDER}-R{n}" for n in (1, 2, 3)]


def test_wrong_questions() -> None:
    for line, amount in (("9", 1), ("1", 0), ("1", -5), ("1", True)):
        with pytest.raises(ValueError):
            new_refund(ORDER, TOTAL, LINES, [], line, amount)
    with pytest.raises(ValueError, match="cost more"):
        new_refund(ORDER, TOTAL - 1, LINES, [], "1", 1)
    other = RefundSaved("X-R1", "X", WHOLE, 1, TOTAL)
    with pytest.raises(ValueError, match="another order"):
        new_refund(ORDER, TOTAL, LINES, [other], "1", 1)
    many = [RefundSaved(f"{ORDER}-R{n}", ORDER, WHOLE, 1, TOTAL) for n in range(MAX_REFUNDS)]
    with pytest.raises(RefundLimit, match="50 refunds"):
        new_refund(ORDER, TOTAL, LINES, many, "1", 1)
    with pytest.raises(ValueError, match="newer ledger"):
        Refund(RefundSaved("R", ORDER, WHOLE, 1, TOTAL, "flying"))


def test_an_answer_that_is_lost_is_asked_for_again_under_the_same_number() -> None:
    run = Run()
    run.provider.faults.add(Fault("silent", "refund", times=3))
    run.ask("1", 900)
    assert run.bank.net_fen() == 600
    assert left_fen(TOTAL, list(run.kept.values())) == 600  # it counts while nothing is known
    run.until(300)
    assert run.kept[f"{ORDER}-R1"].state == "done"
    assert [entry.amount_fen for entry in run.bank.entries] == [1500, -900]


def test_a_refusal_frees_the_money_only_when_nothing_can_still_arrive() -> None:
    saved = RefundSaved(f"{ORDER}-R1", ORDER, "1", 900, TOTAL)
    refused = Refused("NOT_ENOUGH", "the merchant's balance")
    fresh = Refund(saved)
    fresh.start(0.0)
    steps = fresh.answered(refused, 1.0)
    assert fresh.saved.state == "failed"
    assert not fresh.saved.counts
    assert [type(step) for step in steps] == [RefundPersist, Alarm]
    unclear = Refund(saved)
    unclear.start(0.0)
    unclear.answered(TimedOut(), 1.0)
    unclear.tick(100.0)
    unclear.answered(refused, 101.0)
    assert unclear.saved.counts
    assert unclear.due() is not None
    resumed = Refund(saved, resumed=True)
    resumed.start(0.0)
    resumed.answered(refused, 1.0)
    assert resumed.saved.counts


@pytest.mark.parametrize(
    ("state", "ours", "counts"),
    [
        ("SUCCESS", "done", True),
        ("PROCESSING", "processing", True),
        ("ABNORMAL", "abnormal", True),
        ("CLOSED", "failed", False),
    ],
)
def test_what_the_provider_says(state: str, ours: str, counts: bool) -> None:
    refund = Refund(RefundSaved(f"{ORDER}-R1", ORDER, "1", 900, TOTAL))
    refund.start(0.0)
    refund.answered(Refunded(f"{ORDER}-R1", state, 900, "50"), 1.0)
    assert (refund.saved.state, refund.saved.counts) == (ours, counts)
    if state == "PROCESSING":
        assert refund.tick(20.0) == [Call("query_refund")]
    with pytest.raises(ValueError, match="nothing was asked"):
        Refund(refund.saved).answered(TimedOut(), 2.0)


@settings(max_examples=150)
@given(
    asks=st.lists(
        st.tuples(st.sampled_from([WHOLE, "1", "2", "3"]), st.integers(1, 1000)), min_size=1, max_size=8
    ),
    faults=st.lists(
        st.builds(
            Fault,
            kind=st.sampled_from(sorted(FAULTS)),
            on=st.sampled_from(["refund", "query_refund"]),
            times=st.integers(1, 3),
            delay_s=st.sampled_from([1.0, 30.0]),
        ),
        max_size=5,
    ),
    crashes=st.sets(st.integers(0, 7)),
)
def test_never_more_than_was_paid(
    asks: list[tuple[str, int]], faults: list[Fault], crashes: set[int]
) -> None:
    run = Run()
    for fault in faults:
        run.provider.faults.add(fault)
    for number, (line, amount) in enumerate(asks):
        try:
            run.ask(line, amount)
        except RefundLimit:
            pass
        if number in crashes:
            run.crash()
        run.until(run.now + 7)
        assert 0 <= run.bank.net_fen() <= TOTAL
        assert left_fen(TOTAL, list(run.kept.values())) >= 0
    run.until(run.now + 5000)
    run.bank.settle(run.now)
    given_back = sum(saved.amount_fen for saved in run.kept.values() if saved.state == "done")
    assert all(saved.state in ("done", "failed") for saved in run.kept.values())
    assert run.bank.net_fen() == TOTAL - given_back
    for line, cost in LINES.items():
        back = sum(saved.amount_fen for saved in run.kept.values() if saved.line == line and saved.counts)
        assert back <= cost
