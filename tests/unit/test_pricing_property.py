"""What must hold for every basket, every set of rules and every shopper."""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from fractions import Fraction
from itertools import combinations, permutations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware.wire.epc import encode_sgtin96
from firmware.wire.gtin import check_digit
from firmware.wire.pricelist import PriceEntry
from store.pricing.discounts import MemberPrice, NForM, Percent, Rules, Selector
from store.pricing.engine import Cut, Shopper, price
from store.pricing.lines import Basket, Item, basket
from store.pricing.receipt import ReceiptError, receipt, text
from store.pricing.refund import RefundError, of_goods, paid, worth
from store.pricing.shares import percent_of, share
from tests.support.pricing import (
    NOW_MS,
    SHANGHAI,
    all_rules,
    baskets,
    coupons,
    rules_of_one_kind,
    shoppers,
)

few = settings(max_examples=35)


@few
@given(baskets(), all_rules(), shoppers())
def test_the_total_is_the_sum_of_the_lines_and_between_nothing_and_the_list(
    goods: Basket, rules: Rules, shopper: Shopper
) -> None:
    priced = price(goods, rules, shopper)
    made = receipt(priced.items, priced.cuts)
    assert priced.items == goods.items
    assert priced.list_fen == made.list_fen == goods.list_fen == sum(line.list_fen for line in goods.lines)
    assert 0 <= priced.total_fen <= priced.list_fen
    assert priced.total_fen == made.total_fen == sum(line.total_fen for line in made.lines)
    assert made.list_fen - made.discount_fen == made.total_fen
    for line in made.lines:
        assert 0 <= line.total_fen <= line.list_fen
    for reduction in made.reductions:
        on_lines = [one for line in made.lines for one in line.reductions if one.rule == reduction.rule]
        assert sum(one.fen for one in on_lines) == reduction.fen > 0
    assert all(type(fen) is int for fen in (priced.total_fen, *(cut.fen for cut in priced.cuts)))


@few
@given(baskets(), all_rules(), shoppers(), st.randoms())
def test_recomputed_from_stored_rows_the_receipt_is_the_same(
    goods: Basket, rules: Rules, shopper: Shopper, chance: random.Random
) -> None:
    priced = price(goods, rules, shopper)
    rows = [asdict(cut) for cut in priced.cuts]
    chance.shuffle(rows)  # a ledger gives them in any order
    items = [Item(**asdict(item)) for item in priced.items]
    again = receipt(items, [Cut(**row) for row in rows])
    assert again == receipt(priced.items, priced.cuts)
    for language in ("en", "zh"):
        assert text(again, language) == text(receipt(priced.items, priced.cuts), language)
    assert price(goods, rules, shopper) == priced


@few
@given(baskets(), all_rules(), shoppers(), st.randoms())
def test_refunds_of_all_items_in_any_order_are_what_was_paid(
    goods: Basket, rules: Rules, shopper: Shopper, chance: random.Random
) -> None:
    priced = price(goods, rules, shopper)
    order = list(range(len(priced.items)))
    chance.shuffle(order)
    before: dict[int, int] = {}
    for position in order:
        (part,) = worth(priced.items, priced.cuts, priced.total_fen, before, [position])
        assert 0 <= part.fen <= priced.items[position].list_fen
        before[position] = part.fen
        assert sum(before.values()) <= priced.total_fen
        with pytest.raises(RefundError, match="refunded before"):
            worth(priced.items, priced.cuts, priced.total_fen, before, [position])
    assert sum(before.values()) == priced.total_fen
    for line in receipt(priced.items, priced.cuts).lines:
        positions = of_goods(priced.items, {}, line.goods, line.count)
        parts = worth(priced.items, priced.cuts, priced.total_fen, {}, positions)
        assert sum(part.fen for part in parts) == line.total_fen


@few
@given(baskets(), all_rules(2), shoppers(), st.data())
def test_an_exclusive_rule_never_makes_a_basket_dearer(
    goods: Basket, rules: Rules, shopper: Shopper, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from([MemberPrice, NForM, Percent]))
    rule = data.draw(rules_of_one_kind(kind, "new", exclusive=True))
    field = {MemberPrice: "member", NForM: "n_for_m", Percent: "percent"}[kind]
    for of in ((rule, *getattr(rules, field)), (*getattr(rules, field), rule)):
        more = replace(rules, **{field: of})
        assert price(goods, more, shopper).total_fen <= price(goods, rules, shopper).total_fen


@few
@given(baskets(), all_rules(2), shoppers(), coupons("c9"))
def test_a_coupon_never_makes_a_basket_dearer_and_is_used_once(goods, rules, shopper, coupon) -> None:
    with_it = replace(shopper, coupons=(*shopper.coupons, coupon, coupon))
    priced, without = price(goods, rules, with_it), price(goods, rules, shopper)
    assert priced.total_fen <= without.total_fen
    if priced.coupon == "c9":
        assert priced.total_fen < without.total_fen
    from_coupons = {cut.rule for cut in priced.cuts if cut.kind == "coupon"}
    used = {one.kind.id for one in with_it.coupons if one.id == priced.coupon}
    assert from_coupons == used  # at most one, and the one that is named
    spent = price(goods, rules, replace(with_it, spent=frozenset({"c9"})))
    assert spent.coupon != "c9"
    assert spent.total_fen == without.total_fen
    told = {one.coupon for one in priced.not_used} | {priced.coupon} - {""}
    assert told == {one.id for one in with_it.coupons}


@few
@given(baskets(), all_rules(2), st.booleans(), st.data())
def test_a_percentage_more_never_makes_a_basket_without_coupon_dearer(
    goods: Basket, rules: Rules, member: bool, data: st.DataObject
) -> None:
    shopper = Shopper(NOW_MS, member=member)
    rule = data.draw(rules_of_one_kind(Percent, "new", exclusive=False))
    more = replace(rules, percent=(*rules.percent, rule))
    assert price(goods, more, shopper).total_fen <= price(goods, rules, shopper).total_fen


@few
@given(baskets(), all_rules(), shoppers())
def test_who_is_a_member_never_pays_more_without_a_coupon(goods, rules, shopper) -> None:
    # With n for m only for everybody: a group of members' own could take items out of a better one.
    rules = replace(rules, n_for_m=tuple(replace(rule, members=False) for rule in rules.n_for_m[:1]))
    guest = Shopper(NOW_MS)
    assert price(goods, rules, replace(guest, member=True)).total_fen <= price(goods, rules, guest).total_fen


@few
@given(
    st.lists(st.integers(0, 4000), min_size=1, max_size=12),
    st.integers(2, 5),
    st.integers(1, 4),
    st.sampled_from([1, 2, 50]),
)
@example([1, 1, 1], 3, 2, 50)
@example([3, 3, 1], 3, 1, 50)
def test_n_for_m_gives_the_cheapest_of_each_group(prices: list[int], n: int, m: int, most: int) -> None:
    m = min(m, n - 1)
    items = tuple(Item(f"E{at:03}", f"g{at:03}", "x", fen) for at, fen in enumerate(prices))
    rule = NForM(id="r", en="N", zh="件", n=n, m=m, most=most)
    priced = price(Basket(items), Rules(SHANGHAI, n_for_m=(rule,)), Shopper(NOW_MS))
    dear = sorted(prices, reverse=True)
    free = [fen for at in range(min(most, len(dear) // n)) for fen in dear[at * n + m : (at + 1) * n]]
    assert priced.total_fen == sum(prices) - sum(free)
    assert all(fen >= 0 for fen in paid(priced.items, priced.cuts))
    if len(dear) == n <= 4:  # taken together, nobody finds a dearer m to pay or a cheaper rest to give
        assert sum(free) == min(sum(rest) for rest in combinations(dear, n - m))


@few
@given(st.lists(st.integers(0, 5000), max_size=12), st.integers(0, 100))
def test_shares_sum_up_and_none_is_off_by_a_fen(weights: list[int], percent: int) -> None:
    fen = percent_of(sum(weights), percent)
    shares = share(fen, weights)
    assert sum(shares) == fen
    for weight, own in zip(weights, shares, strict=True):
        assert 0 <= own <= weight
        if sum(weights):
            assert abs(own - Fraction(fen * weight, sum(weights))) < 1


@given(st.integers(0, 10**7), st.integers(0, 100))
def test_half_a_fen_is_the_shoppers(fen: int, percent: int) -> None:
    off = Fraction(fen * percent, 100) - percent_of(fen, percent)
    assert -Fraction(1, 2) <= off < Fraction(1, 2)


@pytest.mark.parametrize(("fen", "weights"), [(-1, [2]), (3, [1, 1]), (1, []), (0, [-1, 1])])
def test_what_cannot_be_shared_is_refused(fen: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match="cannot be shared"):
        share(fen, weights)


def _gtin(number: int) -> str:
    body = f"{952123400000 + number:013d}"
    return body + check_digit(body)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), max_size=6), all_rules(2), st.randoms())
def test_the_order_of_tags_does_not_matter(tags, rules: Rules, chance: random.Random) -> None:
    # The rules name goods 1 to 6 by number; here these are real GTINs.
    names = {f"{number:014d}": _gtin(number) for number in range(1, 7)}

    def renamed(rule):
        goods = frozenset(names[name] for name in rule.where.goods)
        return replace(rule, where=replace(rule.where, goods=goods))

    rules = replace(
        rules,
        member=tuple(map(renamed, rules.member)),
        n_for_m=tuple(map(renamed, rules.n_for_m)),
        percent=tuple(map(renamed, rules.percent)),
    )
    look = {
        int(_gtin(number)): PriceEntry(int(_gtin(number)), f"g{number}", 333 * number, zone="chiller")
        for number in range(1, 6)
    }.get
    epcs = [encode_sgtin96(_gtin(number), serial, 7) for number, serial in tags]
    shuffled = epcs + epcs[:2]
    chance.shuffle(shuffled)
    shopper = Shopper(NOW_MS, member=True)
    assert price(basket(epcs, look), rules, shopper) == price(basket(shuffled, look), rules, shopper)


def test_a_third_of_three_equal_items_is_shared_in_every_order_alike() -> None:
    rule = NForM(id="r", en="N", zh="件", n=3, m=2)
    prices = (100, 100, 50)
    totals = set()
    for order in permutations(prices):
        items = tuple(Item(f"E{at}", f"g{at}", "x", fen) for at, fen in enumerate(order))
        priced = price(Basket(items), Rules(SHANGHAI, n_for_m=(rule,)), Shopper(NOW_MS))
        totals.add((priced.total_fen, tuple(sorted(paid(priced.items, priced.cuts)))))
    assert totals == {(200, (40, 80, 80))}


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        (Cut(1, 1, "r", "percent", 1, "", ""), "item 1, of 1 items"),
        (Cut(0, 1, "r", "percent", 0, "", ""), "is 0 fen"),
        (Cut(0, 1, "r", "percent", 101, "", ""), "more than its 100 fen"),
    ],
)
def test_rows_of_another_basket_make_no_receipt(cut: Cut, words: str) -> None:
    with pytest.raises(ReceiptError, match=words):
        receipt([Item("E1", "g", "x", 100)], [cut])


def test_goods_that_became_free_still_count_for_a_group() -> None:
    items = tuple(Item(f"E{at}", f"{at:014d}", "x", 1000) for at in range(3))
    free = MemberPrice(
        id="m", en="M", zh="会", where=Selector(goods=frozenset([items[0].goods])), price_fen=0
    )
    group = NForM(id="r", en="N", zh="件", n=3, m=1)
    priced = price(Basket(items), Rules(SHANGHAI, (free,), (group,)), Shopper(NOW_MS, member=True))
    assert priced.total_fen == 1000


def test_an_exclusive_group_keeps_its_items_to_itself() -> None:
    items = tuple(Item(f"E{at}", "g", "x", 1000) for at in range(3))
    group = NForM(id="r", en="N", zh="件", n=3, m=1, exclusive=True)
    off = Percent(id="p", en="P", zh="折", percent=10, where=Selector())
    priced = price(Basket(items), Rules(SHANGHAI, n_for_m=(group,), percent=(off,)), Shopper(NOW_MS))
    assert {cut.rule for cut in priced.cuts} == {"r"}
    assert priced.total_fen == 1000
