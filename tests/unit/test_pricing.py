"""Rules, coupons, words, refunds, and that none of it touches the world."""

from __future__ import annotations

import ast
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

import store.pricing
from store.pricing.discounts import (
    MAX_EXCLUSIVE,
    Coupon,
    CouponKind,
    MemberPrice,
    NForM,
    Percent,
    Rules,
    Selector,
)
from store.pricing.engine import MAX_COUPONS, Shopper, price
from store.pricing.lines import Basket, Item
from store.pricing.receipt import receipt, text
from store.pricing.refund import RefundError, paid, position_of, worth
from store.pricing.refund import of_goods as refund_goods
from store.pricing.window import Window
from store.pricing.words import conditions, explain, yuan
from tests.support.pricing import NOW_MS, SHANGHAI

# -- rules and coupons ---------------------------------------------------------------------------------

NAMES = {"en": "A", "zh": "甲"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Percent(id="A b", percent=1, **NAMES), "id 'A b'"),
        (lambda: Percent(id="a", percent=0, **NAMES), "percent = 0 must be a whole number 1 to 100"),
        (lambda: Percent(id="a", percent=1.5, **NAMES), "whole number"),
        (lambda: Percent(id="a", percent=True, **NAMES), "whole number"),
        (lambda: Percent(id="a", percent=1, en="", zh="甲"), "en must be"),
        (lambda: Percent(id="a", percent=1, en="A", zh="\n"), "zh must be"),
        (lambda: NForM(id="a", n=2, m=2, **NAMES), "m = 2 must be less than n = 2"),
        (lambda: MemberPrice(id="a", price_fen=1, **NAMES), "goods must name"),
        (
            lambda: MemberPrice(
                id="a", price_fen=1, where=Selector(goods=frozenset("g")), members=False, **NAMES
            ),
            "members must be true",
        ),
        (lambda: CouponKind(id="a", **NAMES), "either amount_fen or percent"),
        (lambda: CouponKind(id="a", amount_fen=1, percent=1, **NAMES), "either amount_fen or percent"),
        (lambda: CouponKind(id="a", amount_fen=1, at_most_fen=1, **NAMES), "at_most_fen belongs to percent"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_too_many_or_equal_rules_are_refused() -> None:
    one = Percent(id="a", percent=1, **NAMES)
    with pytest.raises(ValueError, match="more than one rule is called a"):
        Rules(SHANGHAI, percent=(one, one))
    many = tuple(Percent(id=f"a{at}", percent=1, exclusive=True, **NAMES) for at in range(MAX_EXCLUSIVE + 1))
    with pytest.raises(ValueError, match=f"{MAX_EXCLUSIVE + 1} rules are exclusive"):
        Rules(SHANGHAI, percent=many)
    with pytest.raises(ValueError, match="201 rules"):
        Rules(SHANGHAI, percent=tuple(Percent(id=f"a{at}", percent=1, **NAMES) for at in range(201)))


def test_the_coupons_that_expire_first_are_tried_and_used_first() -> None:
    kind = CouponKind(id="k", percent=10, **NAMES)
    held = tuple(Coupon(f"c{at:02}", kind, "s1", 0, NOW_MS + 100 - at) for at in range(MAX_COUPONS + 1))
    priced = price(
        Basket((Item("E1", "g", "x", 1000),)), Rules(SHANGHAI), Shopper(NOW_MS, "s1", coupons=held)
    )
    assert priced.coupon == f"c{MAX_COUPONS:02}"
    assert {one.coupon: one.en for one in priced.not_used}["c00"] == f"only {MAX_COUPONS} coupons are tried"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (CouponKind(id="k", percent=10, members=True, **NAMES), "it is for members only"),
        (
            CouponKind(id="k", percent=10, when=Window(until_min=1), **NAMES),
            "it does not hold at this time",
        ),
    ],
)
def test_a_coupon_that_does_not_hold_says_so(kind: CouponKind, why: str) -> None:
    held = (Coupon("c1", kind, "s1", 0, NOW_MS + 1),)
    priced = price(
        Basket((Item("E1", "g", "x", 1000),)), Rules(SHANGHAI), Shopper(NOW_MS, "s1", coupons=held)
    )
    assert (priced.total_fen, [one.en for one in priced.not_used]) == (1000, [why])


def test_one_id_is_one_coupon() -> None:
    ten, half = (CouponKind(id=f"k{off}", percent=off, **NAMES) for off in (10, 50))
    basket_ = Basket((Item("E1", "g", "x", 1000),))
    held = (Coupon("c1", half, "s1", 0, NOW_MS + 2), Coupon("c1", ten, "s1", 0, NOW_MS + 1))
    priced = price(basket_, Rules(SHANGHAI), Shopper(NOW_MS, "s1", coupons=held))
    assert (priced.total_fen, priced.coupon, priced.not_used) == (900, "c1", ())
    late = price(basket_, Rules(SHANGHAI), Shopper(NOW_MS + 2, "s1", coupons=held))
    assert [one.coupon for one in late.not_used] == ["c1"]


def test_nobodys_coupon_is_taken_from_nobody() -> None:
    coupon = Coupon("c1", CouponKind(id="k", percent=10, **NAMES), "", 0, NOW_MS + 1)
    priced = price(
        Basket((Item("E1", "g", "x", 1000),)), Rules(SHANGHAI), Shopper(NOW_MS, "", coupons=(coupon,))
    )
    assert (priced.coupon, priced.total_fen) == ("", 1000)


# -- words ---------------------------------------------------------------------------------------------

GOODS = Selector(goods=frozenset(["g"]))


@pytest.mark.parametrize(
    ("rule", "en", "zh"),
    [
        (MemberPrice(id="r", where=GOODS, price_fen=1280, **NAMES), "12.80 each", "每件 12.80"),
        (
            NForM(id="r", n=3, m=2, **NAMES),
            "3 for 2, cheapest free, shared by all 3",
            "3 件付 2 件，最低价 1 件免单，3 件分摊",
        ),
        (
            NForM(id="r", n=5, m=3, **NAMES),
            "5 for 3, 2 cheapest free, shared by all 5",
            "5 件付 3 件，最低价 2 件免单，5 件分摊",
        ),
        (Percent(id="r", percent=10, **NAMES), "10 % off", "9 折"),
        (Percent(id="r", percent=15, **NAMES), "15 % off", "8.5 折"),
        (Percent(id="r", percent=95, **NAMES), "95 % off", "0.5 折"),
        (Percent(id="r", percent=100, **NAMES), "100 % off", "免费"),
        (CouponKind(id="r", amount_fen=500, **NAMES), "coupon, 5.00 off", "优惠券减 5.00"),
        (
            CouponKind(id="r", percent=20, at_most_fen=305, **NAMES),
            "coupon, 20 % off, 3.05 at most",
            "优惠券 8 折，最多减 3.05",
        ),
    ],
)
def test_a_discount_in_words(rule, en: str, zh: str) -> None:
    assert explain(rule) == (f"A: {en}", f"甲：{zh}")


def test_conditions_in_words() -> None:
    rule = NForM(
        id="r",
        n=3,
        m=2,
        most=4,
        where=Selector(zones=frozenset(["b", "a"])),
        when=Window(frozenset({4, 5}), 1200, 1440, date(2026, 12, 1), date(2026, 12, 31)),
        members=True,
        exclusive=True,
        **NAMES,
    )
    assert conditions(rule) == (
        "members only; zone a, b; fri sat 20:00 to 24:00 from 2026-12-01 to 2026-12-31; "
        "at most 4 times in a basket; not together with others"
    )
    assert conditions(Percent(id="r", percent=1, **NAMES)) == ""


def test_a_line_explains_itself() -> None:
    items = (Item("E1", "g", "茶", 1000), Item("E2", "h", "Bread", 5))
    rules = Rules(SHANGHAI, percent=(Percent(id="r", percent=10, where=GOODS, **NAMES),))
    made = receipt(*_rows(items, rules))
    assert [line.explain() for line in made.lines] == [
        "茶: 1 × 10.00 = 10.00; A: 10 % off -1.00; to pay 9.00",
        "Bread: 1 × 0.05 = 0.05; no discount; to pay 0.05",
    ]
    assert made.lines[0].explain("zh") == "茶：1 × 10.00 = 10.00；甲：9 折 -1.00；实付 9.00"
    assert made.lines[1].explain("zh") == "Bread：1 × 0.05 = 0.05；无优惠；实付 0.05"


def test_the_printed_receipt_keeps_its_columns() -> None:
    items = tuple(Item(f"E{at}", "g", "x", 1000) for at in range(3))
    rules = Rules(SHANGHAI, n_for_m=(NForM(id="r", n=3, m=2, **NAMES),))
    made = receipt(*_rows(items, rules))
    for language in ("en", "zh"):
        for row in text(made, language, width=40).splitlines():
            if row[-3:-2] == ".":
                assert sum(2 if ord(sign) >= 0x2E80 else 1 for sign in row) == 40
    assert text(made, width=40).splitlines()[-1] == f"Total{'20.00':>35}"
    assert yuan(-5) == "-0.05"


def _rows(items, rules):
    priced = price(Basket(items), rules, Shopper(NOW_MS))
    return priced.items, priced.cuts


# -- refunds -------------------------------------------------------------------------------------------


def test_one_of_three_for_two_is_worth_what_was_paid_for_it() -> None:
    items = tuple(Item(f"E{at}", "g", "x", 1000) for at in range(3))
    rows = _rows(items, Rules(SHANGHAI, n_for_m=(NForM(id="r", n=3, m=2, **NAMES),)))
    assert paid(*rows) == (666, 667, 667)
    assert worth(*rows, 2000, {}, [position_of(items, "e1")])[0].fen == 667
    assert refund_goods(items, {0: 666}, "g", 2) == (1, 2)


@pytest.mark.parametrize(
    ("charged", "before", "positions", "words"),
    [
        (1999, {}, [0], "sum up to 20.00, but 19.99 was charged"),
        (2000, {0: 1}, [1], "refund of 0.01 for item 0 is not what was paid"),
        (2000, {9: 0}, [1], "for item 9"),
        (2000, {}, [2], "no item 2 in this basket of 2"),
        (2000, {}, [-1], "no item -1"),
        (2000, {0: 1000}, [0], "x .E0. was refunded before"),
        (2000, {}, [1, 1], "x .E1. is named twice"),
    ],
)
def test_what_cannot_be_given_back_is_refused(charged, before, positions, words: str) -> None:
    items = tuple(Item(f"E{at}", "g", "x", 1000) for at in range(2))
    with pytest.raises(RefundError, match=words):
        worth(items, (), charged, before, positions)


def test_a_refund_of_other_goods_is_refused() -> None:
    items = (Item("E0", "g", "x", 1000),)
    with pytest.raises(RefundError, match="2 of g should come back, 1 are left"):
        refund_goods(items, {}, "g", 2)
    with pytest.raises(RefundError, match="no item of this basket has the tag E9"):
        position_of(items, "E9")


# -- purity --------------------------------------------------------------------------------------------


def test_pricing_knows_no_database_clock_or_file() -> None:
    code = (
        "import sys, store.pricing.engine, store.pricing.receipt, store.pricing.refund\n"
        "print(sorted({'sqlalchemy', 'sqlite3', 'store.ledger', 'hal'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_pricing_has_no_float() -> None:
    for path in Path(store.pricing.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not isinstance(node, ast.Div), f"{path.name}: a division with a fraction"
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), path.name
            assert not (isinstance(node, ast.Attribute) and node.attr in ("now", "today", "utcnow")), (
                path.name
            )
