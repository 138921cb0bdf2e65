"""The pay desk: callbacks, the order of steps, disks that fail, and what a provider does wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from store.pay.attempts import NotNow, order_number
from store.pay.double.faults import Fault
from store.pay.provider import Order, Refused, TimedOut
from store.pay.score import Item, ScoreComplete, ScoreCreate
from tests.support.payruns import BASKET, PayRun, code

FIRST = order_number(BASKET, 1)


def calls(run: PayRun) -> list[tuple[str, int]]:
    return [(name, round(at)) for name, _, at, _ in run.provider.asked]


# -- callbacks -----------------------------------------------------------------------------------------


def test_a_callback_settles_at_once_and_a_second_one_changes_nothing() -> None:
    run = PayRun()
    run.pay(code("01"))
    run.until(6)
    paid = Order(FIRST, "SUCCESS", 1990, "4200", 1)
    run.desk.tell(paid, run.now)
    run.desk.tell(paid, run.now)
    assert [saved.state for saved in run.ended] == ["paid"]
    run.until(60)
    assert calls(run) == [("charge", 0)]
    assert run.alarms == []


def test_a_callback_of_another_sum_or_of_nobodys_order_is_an_alarm() -> None:
    run = PayRun()
    run.pay(code("01"))
    run.desk.tell(Order(FIRST, "SUCCESS", 1, "4200", 1), run.now)
    run.desk.tell(Order("SOMEBODY-1", "SUCCESS", 1, "4200", 1), run.now)
    assert run.alarms == ["paid-wrong-sum", "paid-unknown"]
    run.until(1)
    assert run.last.state == "waiting"


def test_a_callback_after_our_reverse_says_nothing_new() -> None:
    run = PayRun()
    run.pay(code("02"))
    run.until(100)
    run.desk.tell(Order(FIRST, "SUCCESS", 1990, "4200", 1), run.now)
    assert run.last.state == "reversed"
    assert run.alarms == []


# -- order of steps ------------------------------------------------------------------------------------


def test_every_step_is_stored_before_it_is_taken() -> None:
    stored_at = {
        "charge": {"asked"},
        "query": {"checking", "waiting", "settling"},
        "reverse": {"reversing"},
        "refund": {"late"},
    }
    for digits in ("00", "01", "02", "03", "04", "05", "08", "12", "13", "17", "21"):
        run = PayRun()
        run.pay(code(digits))
        run.until(300)
        assert run.last.end in ("paid", "unpaid")
        for name, _, _, stored in run.provider.asked:
            assert stored in stored_at[name], (digits, name, stored)


def test_while_the_disk_fails_nothing_is_asked() -> None:
    run = PayRun()
    run.attempts.fail = 3
    run.pay(code("00"))
    assert calls(run) == []
    run.until(10)
    assert calls(run) == [("charge", 3)]
    assert run.last.state == "paid"


def test_an_attempt_whose_first_commit_was_reported_as_failed_is_taken_up() -> None:
    run = PayRun()
    run.attempts.begin(BASKET, 1990)  # committed, but the desk was told otherwise
    run.pay(code("00"))
    run.until(1)
    assert [saved.state for saved in run.attempts.rows.values()] == ["declined", "paid"]
    with pytest.raises(NotNow, match="is paid"):
        run.pay(code("00", 2))


def test_a_pay_call_that_the_disk_held_up_too_long_is_not_made() -> None:
    run = PayRun()
    run.attempts.fail = 40
    run.pay(code("00"))
    run.until(60)
    assert run.bank.calls == []
    assert run.last.state == "declined"


def test_a_defect_of_a_provider_is_an_unclear_answer() -> None:
    run = PayRun()
    original = run.provider.query

    def broken(order: str) -> Order:
        run.provider.query = original  # type: ignore[method-assign]
        raise KeyError("134567890123456789")

    run.provider.query = broken  # type: ignore[method-assign]
    run.pay(code("04"))
    run.until(60)
    assert run.last.state == "paid"


def test_a_payment_of_another_sum_is_not_taken_for_this_one() -> None:
    run = PayRun()
    original = run.provider.charge
    run.provider.charge = lambda ask: replace(original(ask), total_fen=1)  # type: ignore[method-assign]
    run.pay(code("00"))
    run.until(60)
    assert run.alarms == ["pay-answer"]
    assert run.last.state == "paid"  # the query told the right sum
    assert calls(run) == [("charge", 0), ("query", 5)]


def test_pay_score_without_http() -> None:
    run = PayRun()
    made = ScoreCreate("V-1", "shop", 5000, openid="o")
    assert run.provider.create(made).state == "DOING"
    run.faults.add(Fault("silent", "score"))
    bill = ScoreComplete("V-1", (Item("tea", 600),), 600, "20240101120000")
    with pytest.raises(TimedOut):
        run.provider.complete(bill)
    assert run.provider.complete(bill).state == "DONE"
    assert run.bank.net_fen("V-1") == 600
    with pytest.raises(Refused):
        run.provider.create(replace(made, risk_fen=1))
    with pytest.raises(Refused):
        run.provider.cancel("V-1", "late")
    run.provider.create(ScoreCreate("V-2", "shop", 5000))
    run.provider.scores.confirm("V-2")
    assert run.provider.query_score("V-2").state == "DOING"
    with pytest.raises(Refused, match="risk"):
        run.provider.complete(ScoreComplete("V-2", (Item("wine", 5001),), 5001, "20240101120000"))
    assert run.provider.cancel("V-2", "nothing taken").state == "REVOKED"
