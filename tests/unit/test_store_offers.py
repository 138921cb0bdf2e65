"""The store's offers: priced once, idempotent, and refused in words."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest

from firmware.wire.offers import Offer
from store.pricing.discounts import NForM, Percent, Rules, Selector
from tests.support.shoptill import OATS, TEA, Till, basket, check_sums, closing, item

NAME = "000000000000001f-1"


@pytest.fixture
def till(tmp_path: Path) -> Till:
    return Till(tmp_path)


def test_an_offer_is_the_sum_of_its_lines_and_stands(till: Till) -> None:
    frame = basket([item(1), item(2), item(1, TEA)])
    first = till.offer(frame)
    assert first == Offer(NAME, 1, 5560, 5560)
    assert till.offer(frame) == first
    till.records(frame)  # the journal's copy, late
    assert till.offer(frame) == first
    assert till.rows("SELECT count(*) FROM offers") == [(1,)]
    assert till.rows("SELECT count(*) FROM baskets") == [(1,)]
    check_sums(till.path)


def test_discounts_are_kept_item_by_item(tmp_path: Path) -> None:
    rules = Rules(
        UTC,
        n_for_m=(
            NForM(
                id="three-for-two",
                where=Selector(goods=frozenset({OATS})),
                n=3,
                m=2,
                en="3 for 2",
                zh="3 件付 2 件",
            ),
        ),
        percent=(
            Percent(id="tenth", where=Selector(goods=frozenset({TEA})), percent=10, en="10 % off", zh="九折"),
        ),
        digest="d" * 64,
    )
    till = Till(tmp_path, rules=rules)
    offer = till.offer(basket([item(1), item(2), item(3), item(1, TEA)]))
    assert (offer.list_fen, offer.total_fen) == (3 * 1280 + 3000, 2 * 1280 + 2700)
    assert till.rows("SELECT rules, sum(fen) FROM offers JOIN offer_cuts ON offer = id") == [("d" * 64, 1580)]
    check_sums(till.path)


def test_an_offer_does_not_wait_for_the_records_before_it(till: Till) -> None:
    ahead = basket([item(1)], seq=20_000)
    assert till.offer(ahead).total_fen == 1280
    assert till.rows("SELECT through FROM journals") == [(0,)]
    assert till.rows("SELECT count(*) FROM wire_faults") == [(0,)]


def test_unknown_goods_are_named(till: Till) -> None:
    offer = till.offer(basket([item(1), item(1, "09521234001003")]))
    assert "09521234001003" in offer.refused
    assert till.rows("SELECT count(*) FROM offers") == till.rows("SELECT count(*) FROM open_tags") == [(0,)]


def test_an_empty_basket_is_refused(till: Till) -> None:
    assert till.offer(basket([])).refused


def test_an_epc_is_in_one_open_basket_of_the_shop(till: Till) -> None:
    mine = basket([item(1)])
    other = basket([item(1), item(2)], epoch=32, of=8)
    assert till.offer(mine).total_fen == 1280
    assert "another basket" in till.offer(other, "portal-2").refused
    till.records(mine, closing(1))
    assert till.offer(other, "portal-2").total_fen == 2560
    assert "closed" in till.offer(mine).refused


def test_a_later_basket_of_the_same_portal_ends_the_one_before(till: Till) -> None:
    till.offer(basket([item(1)]))
    assert till.offer(basket([item(1)], seq=9)).total_fen == 1280
    assert "another basket" in till.offer(basket([item(1)])).refused


def test_tags_that_were_left_lying_are_free_after_a_while(till: Till) -> None:
    till.offer(basket([item(1)]))
    till.now += 31 * 60
    assert till.offer(basket([item(1)], epoch=32), "portal-2").total_fen == 1280


def test_a_new_version_replaces_the_old_one(till: Till) -> None:
    till.offer(basket([item(1), item(2)]))
    second = till.offer(basket([item(2), item(3)], seq=2, first=1, version=2))
    assert second == Offer(NAME, 2, 2560, 2560)
    assert "older version" in till.offer(basket([item(1), item(2)])).refused
    assert till.offer(basket([item(1)], epoch=32), "portal-2").total_fen == 1280


def test_goods_of_this_visit_are_not_charged_again(till: Till) -> None:
    offer = till.offer(basket([item(1)]))
    till.pay(offer)
    till.work()
    again = till.offer(basket([item(1)], seq=3))
    assert again.settled
    assert again.total_fen == 0
    assert till.offer(basket([item(1), item(2)], seq=4)).total_fen == 1280
    assert "sold" in till.offer(basket([item(1)], epoch=32, of=8), "portal-2").refused


def test_an_anonymous_shopper_keeps_what_was_paid_when_the_portal_starts_again(till: Till) -> None:
    till.pay(till.offer(basket([item(1)], of=None)))
    till.work()
    assert till.offer(basket([item(1)], seq=3, of=None)).settled
    till.now += 31 * 60
    assert till.offer(basket([item(1)], seq=4, of=None)).refused


def test_goods_for_nothing_are_sold_without_a_charge(till: Till) -> None:
    offer = till.offer(basket([bytes.fromhex("AA55")]))
    assert offer.settled
    assert till.offer(basket([bytes.fromhex("AA55")])) == offer
    assert till.rows("SELECT epc FROM sold_tags") == [("AA55",)]
    assert till.rows("SELECT count(*) FROM open_tags") == [(0,)]


def test_records_that_do_not_fit_together_are_refused(till: Till) -> None:
    till.offer(basket([item(1)]))
    other_content, other_board = basket([item(2)]), basket([item(3)])
    assert "fit together" in till.offer(other_content).refused
    assert "fit together" in till.offer(other_board, "portal-2").refused
    assert till.rows("SELECT count(*) FROM offers") == [(1,)]


@pytest.mark.parametrize("payload", [b"", b"nonsense", closing(1)])
def test_what_is_no_basket_is_not_answered(till: Till, payload: bytes) -> None:
    assert till.ask("offer", payload) == []
