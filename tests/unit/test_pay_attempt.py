"""One payment attempt: the table, each documented wait, and that a step is stored before it is taken."""

from __future__ import annotations

import pytest

from store.pay import table
from store.pay.attempt import Alarm, Attempt, Call, Done, Persist, Saved
from store.pay.attempts import MemoryAttempts, NotNow, next_attempt, order_number
from store.pay.double.faults import Fault
from store.pay.meaning import event_of
from store.pay.provider import (
    ORDER,
    BadSignature,
    NotReached,
    Order,
    PayError,
    Refused,
    StaleAnswer,
    TimedOut,
    mask,
)
from store.pay.table import SAME, STATES, TABLE, Timing
from tests.support.payruns import BASKET, PayRun, code

FIRST = order_number(BASKET, 1)


def calls(run: PayRun) -> list[tuple[str, int]]:
    return [(name, round(at)) for name, _, at, _ in run.provider.asked]


# -- the table ---------------------------------------------------------------------------------------


def test_every_answer_has_a_row_wherever_it_can_come() -> None:
    answers = {
        "charge": "paid userpaying notpay payerror closed declined unreached systemerror unclear",
        "query": "paid userpaying notpay payerror closed missing systemerror unclear",
        "reverse": "reversed refused missing unclear systemerror unreached",
        "refund": "refunded refused unclear systemerror unreached",
    }
    for name, state in STATES.items():
        for event in answers.get(state.call, "").split():
            assert (name, event) in TABLE, (name, event)


def test_every_state_is_reached_and_every_open_one_has_an_end() -> None:
    reached = {to for to in TABLE.values() if to != SAME} | {"created"}
    assert reached == set(STATES)
    ends = {name for name, state in STATES.items() if state.end in ("paid", "unpaid")}
    while more := {name for (name, _), to in TABLE.items() if to in ends and name not in ends}:
        ends |= more
    assert ends == set(STATES)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("checking", "missing", "closed"), "nothing proves it unpaid"),
        (("waiting", "limit", "closed"), "two rows"),
        (("paid", "reversed", "reversed"), "is final"),
        (("asked", "cancel", "nowhere"), "no such state"),
    ],
)
def test_a_table_that_could_lose_money_is_refused(row: tuple[str, str, str], words: str) -> None:
    rules = tuple(r for r in table.RULES if r[:2] != ("checking", "systemerror unclear notpay missing"))
    with pytest.raises(ValueError, match=words):
        table.check(table.rows((*rules, row)))


def test_only_a_charge_that_was_surely_not_made_is_called_so() -> None:
    for error in (TimedOut(), BadSignature(), StaleAnswer(), PayError(), Refused("ANYTHING_NEW", "?")):
        assert event_of("charge", error) == "unclear"
    assert event_of("charge", NotReached()) == "unreached"
    assert event_of("charge", Refused("AUTH_CODE_EXPIRED", "old")) == "declined"
    assert event_of("charge", Refused("USERPAYING", "password")) == "userpaying"
    assert event_of("query", NotReached()) == "unclear"


def test_a_code_that_the_provider_echoes_is_hidden() -> None:
    echoed = Refused("AUTH_CODE_INVALID", f"auth_code={code('00')}\nwas used")
    attempt = Attempt(Saved(FIRST, BASKET, 1, 500), 0.0)
    attempt.start(0.0)
    attempt.answered(echoed, 1.0)
    assert attempt.saved.reason == "Refused: AUTH_CODE_INVALID: auth_code=(hidden)?was used"
    assert code("00") not in str(echoed) + repr(echoed)
    assert mask("x" * 500) == "x" * 200
    assert mask("x" * 190 + code("00")) == "x" * 190 + "(hidden)"


# -- order numbers and the next attempt ----------------------------------------------------------------


def test_order_numbers() -> None:
    assert order_number(BASKET, 1) == "ACQ3FQ6U4X3AOAAAAAAAY-1"
    longest = order_number("f" * 16 + "-9999999999", 999)
    assert len(longest) == 25
    assert ORDER.fullmatch(longest)
    for basket, attempt in (("x", 1), (BASKET, 0), (BASKET, 1000), (BASKET.upper(), 1)):
        with pytest.raises(ValueError):
            order_number(basket, attempt)


@pytest.mark.parametrize("state", STATES)
def test_the_next_attempt_needs_a_final_unpaid_one(state: str) -> None:
    before = Saved(FIRST, BASKET, 1, 500, state)
    if STATES[state].end == "unpaid":
        assert next_attempt(BASKET, 700, [before]).order == order_number(BASKET, 2)
    else:
        with pytest.raises(NotNow):
            next_attempt(BASKET, 700, [before])


def test_a_paid_order_stays_paid() -> None:
    kept = MemoryAttempts()
    saved = kept.begin(BASKET, 500)
    kept.save(Saved(saved.order, BASKET, 1, 500, "paid"))
    with pytest.raises(ValueError, match="is paid"):
        kept.save(Saved(saved.order, BASKET, 1, 500, "reversed"))
    with pytest.raises(ValueError, match="never change"):
        kept.save(Saved(saved.order, BASKET, 1, 501, "paid"))


# -- waits ---------------------------------------------------------------------------------------------


def test_paid_at_once() -> None:
    run = PayRun()
    run.pay(code("00"))
    run.until(1)
    assert [saved.state for saved in run.ended] == ["paid"]
    assert run.last.transaction
    assert run.last.paid_ms
    assert calls(run) == [("charge", 0)]


def test_a_shopper_who_confirms_is_asked_about_every_ten_seconds() -> None:
    run = PayRun()
    run.pay(code("01"))
    run.until(60)
    assert run.last.state == "paid"
    assert calls(run) == [("charge", 0), ("query", 10), ("query", 20)]


def test_a_shopper_who_never_confirms_is_reversed_after_45_seconds() -> None:
    run = PayRun()
    run.pay(code("02"))
    run.until(100)
    assert run.last.state == "reversed"
    queries = [("query", at) for at in (10, 20, 30, 40, 45)]
    assert calls(run) == [("charge", 0), *queries, ("reverse", 45)]
    assert run.bank.net_fen() == 0


def test_systemerror_waits_five_seconds_and_asks() -> None:
    run = PayRun()
    run.pay(code("04"))
    run.until(60)
    assert calls(run) == [("charge", 0), ("query", 5)]
    assert run.last.state == "paid"


def test_no_reverse_before_fifteen_seconds() -> None:
    run = PayRun()
    run.pay(code("08"))
    run.until(100)
    assert calls(run) == [("charge", 0), ("reverse", 15)]
    assert run.bank.early_reverses == []
    assert run.last.state == "reversed"


def test_giving_up_reverses_what_is_out_and_not_too_soon() -> None:
    run = PayRun()
    run.pay(code("01"))
    run.until(3)
    run.desk.cancel(FIRST, run.now)
    run.until(100)
    assert calls(run) == [("charge", 0), ("reverse", 15)]
    assert run.last.state == "reversed"
    assert run.bank.net_fen() == 0  # it had been paid at 12 s: given back


def test_giving_up_while_the_pay_call_is_out_waits_for_its_answer() -> None:
    attempt = Attempt(Saved(FIRST, BASKET, 1, 500), 0.0)
    attempt.start(0.0)
    assert attempt.told("cancel", 1.0) == []
    attempt.answered(Order(FIRST, "USERPAYING", 500), 2.0)
    assert (attempt.saved.state, attempt.due()) == ("doomed", 15.0)
    paid = Attempt(Saved(FIRST, BASKET, 1, 500), 0.0)
    paid.start(0.0)
    paid.told("cancel", 1.0)
    paid.answered(Order(FIRST, "SUCCESS", 500, "42", 5), 2.0)
    assert paid.saved.state == "paid"


def test_what_a_person_should_look_at_is_an_alarm_once() -> None:
    run = PayRun()
    run.faults.add(Fault("stale", "query", times=3))
    run.pay(code("04"))
    run.until(100)
    assert run.alarms == ["pay-answer"]
    attempt = Attempt(Saved(FIRST, BASKET, 1, 500), 0.0)
    attempt.start(0.0)
    commands = attempt.answered(Refused("NO_AUTH", "not opened for this merchant"), 1.0)
    assert [type(command) for command in commands] == [Persist, Done, Alarm]
    assert commands[-1] == Alarm("pay-settings", f"order {FIRST}, charge: {attempt.saved.reason}")


def test_a_reverse_is_repeated_until_it_is_answered_and_the_alarm_comes_once() -> None:
    run = PayRun()
    run.faults.add(Fault("silent", "reverse", times=7))
    run.pay(code("02"))
    run.until(600)
    reverses = [at for name, at in calls(run) if name == "reverse"]
    assert reverses == [45, 50, 60, 80, 120, 180, 240, 300]
    assert run.alarms == ["reverse-unanswered"]
    assert run.last.state == "reversed"


def test_paid_while_the_reverse_was_on_its_way() -> None:
    run = PayRun()
    run.pay(code("03"))
    run.until(200)
    assert run.last.state == "paid"  # the reverse was refused, then the order was asked about
    assert run.bank.net_fen(FIRST) == 1990
    assert calls(run)[-1] == ("query", 60)


def test_an_order_that_never_arrived_ends_when_the_code_is_dead() -> None:
    run = PayRun()
    run.pay(code("12"))
    run.until(200)
    assert run.last.state == "gone"
    assert run.bank.orders == {}
    assert calls(run)[-1] == ("query", 60)


def test_a_charge_that_arrives_late_is_found() -> None:
    run = PayRun()
    run.pay(code("21"))
    run.until(200)
    assert run.last.state == "paid"
    assert calls(run) == [("charge", 0), ("query", 5), ("query", 10)]


def test_no_network_is_told_at_once_and_the_next_attempt_may_begin() -> None:
    run = PayRun()
    run.faults.add(Fault("refused", "charge"))
    run.pay(code("00"))
    run.until(1)
    assert run.last.state == "declined"
    run.pay(code("00", 2))
    run.until(2)
    assert run.last.order == order_number(BASKET, 2)
    assert run.last.state == "paid"


def test_money_after_the_end_is_given_back() -> None:
    run = PayRun()
    run.pay(code("12"))
    run.until(100)
    assert run.last.state == "gone"
    order = run.bank.charge(FIRST, 1990, code("00"), run.now)  # what WeChat Pay says cannot happen
    run.faults.add(Fault("silent", "refund"))
    run.desk.tell(order, run.now)
    assert run.last.state == "late"
    with pytest.raises(NotNow):
        run.attempts.begin(BASKET, 1990)
    run.until(300)
    assert run.last.state == "returned"
    assert run.bank.net_fen() == 0
    assert run.alarms == ["paid-late"]


def test_misuse_is_an_error() -> None:
    saved = Saved(FIRST, BASKET, 1, 500)
    attempt = Attempt(saved, 0.0)
    commands = attempt.start(0.0)
    assert [type(command) for command in commands] == [Persist, Call]
    with pytest.raises(ValueError, match="asked for once"):
        attempt.start(1.0)
    commands = attempt.answered(Order(FIRST, "SUCCESS", 500, "42", 5), 1.0)
    assert [type(command) for command in commands] == [Persist, Done]
    with pytest.raises(ValueError, match="nothing was asked"):
        attempt.answered(None, 2.0)
    with pytest.raises(ValueError, match="nobody can tell"):
        attempt.told("reversed", 2.0)
    with pytest.raises(ValueError, match="newer ledger"):
        Attempt(Saved(FIRST, BASKET, 1, 500, "flying"), 0.0)
    assert Timing().reverse_after_s == 15
    assert Alarm("a", "b").kind == "a"
