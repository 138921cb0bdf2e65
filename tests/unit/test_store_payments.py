"""Paying at the store: exactly what was offered, once, and the truth about it after any end."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from firmware.wire.offers import Offer, PayQuestion
from store.answers import Asked
from tests.support.shoptill import Till, basket, check_sums, closing, item
from tests.support.tillkill import killed


@pytest.fixture
def till(tmp_path: Path) -> Till:
    return Till(tmp_path)


@pytest.fixture
def offer(till: Till) -> Offer:
    return till.offer(basket([item(1), item(2)]))


def test_paid_is_one_charge_sold_tags_and_a_settled_visit(till: Till, offer: Offer) -> None:
    pending = till.pay(offer)
    assert pending.state == "pending"
    till.work()
    paid = till.told()
    assert (paid.state, paid.total_fen, paid.order) == ("paid", 2560, pending.order)
    assert paid.visit == "0000000000000007"
    assert check_sums(till.path) == till.bank.net_fen() == 2560
    assert till.rows("SELECT count(*) FROM sold_tags") == [(2,)]
    assert till.rows("SELECT count(*) FROM open_tags") == [(0,)]
    assert till.rows("SELECT settled_ms IS NOT NULL FROM visits") == [(1,)]
    states = [state for (state,) in till.rows("SELECT state FROM attempt_steps ORDER BY step")]
    assert states == ["created", "asked", "paid"]


@pytest.mark.parametrize(
    "changes",
    [{"total_fen": 2559}, {"version": 2}, {"basket": "000000000000001f-2"}, {"board": "portal-2"}],
)
def test_anything_but_what_was_offered_is_declined(till: Till, offer: Offer, changes: dict[str, Any]) -> None:
    assert till.pay(offer, **changes).state == "declined"
    till.work()
    assert till.bank.calls == []
    assert till.rows("SELECT count(*) FROM attempts") == [(0,)]


def test_an_old_version_is_declined(till: Till, offer: Offer) -> None:
    new = till.offer(basket([item(1)], seq=2, first=1, version=2))
    assert till.pay(offer).state == "declined"
    assert till.pay(new).state == "pending"


def test_a_second_code_while_one_is_asked_is_no_second_charge(till: Till, offer: Offer) -> None:
    first = till.pay(offer)
    second = till.pay(offer)
    assert (second.state, second.order) == ("pending", first.order)
    till.work()
    third = till.pay(offer)
    assert (third.state, third.order) == ("paid", first.order)
    assert till.bank.net_fen() == 2560
    assert till.offer(basket([item(1), item(2)])).settled


def test_declined_and_then_paid_with_another_code(till: Till, offer: Offer) -> None:
    till.pay(offer, "06")
    till.work()
    declined = till.told()
    assert declined.state == "declined"
    assert "money" in declined.why
    assert till.pay(offer, None).state == "declined"
    assert till.offer(basket([item(1), item(2)])) == offer
    till.pay(offer)
    till.work()
    assert till.told().order.endswith("-2")
    assert check_sums(till.path) == 2560


def test_without_a_code_it_is_only_told_how_it_stands(till: Till, offer: Offer) -> None:
    assert till.pay(offer, None).state == "declined"
    till.pay(offer, "01")
    till.work()
    assert till.pay(offer, None).state == "pending"
    till.later(25)
    assert till.pay(offer, None).state == "paid"
    assert [call for call, _ in till.bank.calls].count("charge") == 1


def test_a_basket_that_changes_while_it_is_paid_has_to_wait(till: Till, offer: Offer) -> None:
    till.pay(offer)
    second = basket([item(1), item(2), item(3)], seq=2, first=1, version=2)
    assert "under way" in till.offer(second).refused
    till.work()
    assert "paid" in till.offer(second).refused
    assert till.offer(basket([item(1), item(2), item(3)], seq=3)).total_fen == 1280


def test_a_basket_closed_while_it_is_paid(till: Till, offer: Offer) -> None:
    till.pay(offer, "06")
    till.records(basket([item(1), item(2)]), closing(1))
    assert "another basket" in till.offer(basket([item(1)], epoch=32), "portal-2").refused
    till.work()  # not paid: only now are its tags free
    assert till.offer(basket([item(1)], epoch=32), "portal-2").total_fen == 1280
    assert till.pay(offer).state == "declined"


def test_a_portal_that_starts_again_while_it_is_paid(till: Till, offer: Offer) -> None:
    till.pay(offer)
    after = basket([item(1), item(2)], seq=9)
    assert "another basket" in till.offer(after).refused
    till.work()
    assert till.offer(after).settled
    assert check_sums(till.path) == 2560


def test_a_step_that_cannot_be_stored_is_stored_later(till: Till, offer: Offer) -> None:
    till.pay(offer)
    full = True

    def commit(_: Any) -> None:
        if full:
            raise OperationalError("COMMIT", {}, Exception("disk is full"))

    event.listen(till.engine, "commit", commit)
    till.work()  # the provider says paid
    assert till.bank.net_fen() == 2560
    assert till.pay(offer, None).state == "pending"
    full = False
    till.later(2)
    assert till.told().state == "paid"
    assert check_sums(till.path) == 2560


def test_no_offer_while_the_ledger_fails_and_the_same_one_after(till: Till) -> None:
    full = True

    def commit(_: Any) -> None:
        if full:
            raise OperationalError("COMMIT", {}, Exception("disk is full"))

    event.listen(till.engine, "commit", commit)
    assert till.ask("offer", basket([item(1)])) == []
    assert till.cashier.degraded
    full = False
    assert till.offer(basket([item(1)])).total_fen == 1280
    assert not till.cashier.degraded


def test_a_basket_that_lost_an_item_cannot_be_paid(till: Till, offer: Offer) -> None:
    till.now += 31 * 60
    till.offer(basket([item(1)], epoch=32), "portal-2")
    assert till.pay(offer).state == "declined"
    till.work()
    assert till.bank.calls == []


def test_a_payment_code_is_nowhere(till: Till, offer: Offer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for digits in ("00", "06", "13"):
        till.pay(offer, digits)
        till.work()
    till.ask("pay", b'{"basket":"x","version":1,"total_fen":1,"code":"130000000000000777"}')
    assert "13000000" not in caplog.text
    assert b"13000000000000" not in till.path.read_bytes()
    assert b"13000000000000" not in till.path.with_name("ledger.sqlite-wal").read_bytes()


def test_a_defect_stops_one_answer_and_tells_no_code(
    till: Till, offer: Offer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*asked: object, **_: object) -> None:
        raise RuntimeError(str(asked))  # with the code

    with monkeypatch.context() as patch:
        patch.setattr("store.payments.PayDesk.start", broken)
        question = PayQuestion(offer.basket, offer.version, offer.total_fen, "130000000000000777")
        assert till.ask("pay", question.encode()) == []
    assert "RuntimeError" in caplog.text
    assert "13000000" not in caplog.text
    assert till.pay(offer).state == "pending"


def test_an_old_question_is_not_answered(till: Till, offer: Offer) -> None:
    till.cashier.take(Asked("portal-1", "offer", basket([item(3)], seq=3), b"c", till.now - 11))
    till.cashier.turn(till.now)
    assert [answer for answer in till.sent if answer.correlation == b"c"] == []


def test_killed_at_every_step(tmp_path: Path) -> None:
    """Before each commit, and around each call."""
    at = 1
    while killed(tmp_path / str(at), "15", at):
        at += 1
    assert at > 6
