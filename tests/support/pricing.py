"""Goods, rules and baskets for tests of prices: strategies, and short ways to write them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from firmware.wire.pricelist import Key, PriceEntry
from store.pricing.discounts import (
    MAX_EXCLUSIVE,
    Coupon,
    CouponKind,
    MemberPrice,
    NForM,
    Percent,
    Rule,
    Rules,
    Selector,
)
from store.pricing.engine import Shopper
from store.pricing.lines import Basket, of_goods
from store.pricing.window import Window

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW_MS = 1_790_000_000_000
"""2026-09-21 22:13:20 in Shanghai, a Monday."""
BRANDS = ("north-mill", "lotus-lane", "")
ZONES = ("chiller", "bakery")

ids = st.integers(1, 6)
fen = st.one_of(st.integers(0, 30), st.integers(0, 5000))


def goods_id(number: int) -> str:
    return f"{number:014d}"


@st.composite
def baskets(draw: st.DrawFn, most: int = 5) -> Basket:
    """Up to six goods with up to ``most`` of each."""
    counts: dict[Key, int] = draw(st.dictionaries(ids, st.integers(1, most), max_size=6))
    entries = {
        number: PriceEntry(
            number,
            f"goods {number}",
            draw(fen),
            brand=draw(st.sampled_from(BRANDS)),
            zone=draw(st.sampled_from(ZONES)),
        )
        for number in counts
    }
    return of_goods(counts, entries.get)


selectors = st.builds(
    Selector,
    goods=st.frozensets(ids.map(goods_id), max_size=4),
    brands=st.frozensets(st.sampled_from(BRANDS[:2]), max_size=1),
    zones=st.frozensets(st.sampled_from(ZONES), max_size=1),
)
windows = st.none() | st.builds(
    Window,
    weekdays=st.frozensets(st.integers(0, 6), min_size=1),
    from_min=st.just(0),
    until_min=st.sampled_from([600, 1333, 1334, 1440]),
)


@st.composite
def rules_of_one_kind(draw: st.DrawFn, kind: type[Rule], name: str, exclusive: bool | None = None) -> Rule:
    flags = {
        "when": draw(windows),
        "exclusive": draw(st.booleans()) if exclusive is None else exclusive,
    }
    where = draw(selectors)
    if kind is MemberPrice:
        goods = where.goods or frozenset([goods_id(1)])
        return MemberPrice(
            id=name, en="M", zh="会", where=Selector(goods=goods), price_fen=draw(fen), **flags
        )
    flags |= {"members": draw(st.booleans())}
    if kind is NForM:
        n = draw(st.integers(2, 5))
        m = draw(st.integers(1, n - 1))
        return NForM(
            id=name, en="N", zh="件", where=where, n=n, m=m, most=draw(st.sampled_from([1, 2, 50])), **flags
        )
    if kind is Percent:
        return Percent(id=name, en="P", zh="折", where=where, percent=draw(st.integers(1, 100)), **flags)
    minimum = draw(st.sampled_from([0, 0, 100, 2000]))
    if draw(st.booleans()):
        amount = draw(st.integers(1, 6000))
        return CouponKind(
            id=name, en="C", zh="券", where=where, amount_fen=amount, minimum_fen=minimum, **flags
        )
    return CouponKind(
        id=name,
        en="C",
        zh="券",
        where=where,
        percent=draw(st.integers(1, 100)),
        at_most_fen=draw(st.none() | st.integers(1, 1000)),
        minimum_fen=minimum,
        **flags,
    )


@st.composite
def all_rules(draw: st.DrawFn, most: int = 3) -> Rules:
    made: dict[type[Rule], list[Rule]] = {}
    number = exclusive = 0
    for kind in (MemberPrice, NForM, Percent):
        made[kind] = []
        for _ in range(draw(st.integers(0, most))):
            number += 1
            free = exclusive < min(2, MAX_EXCLUSIVE)
            rule = draw(rules_of_one_kind(kind, f"r{number}", None if free else False))
            exclusive += rule.exclusive
            made[kind].append(rule)
    return Rules(SHANGHAI, tuple(made[MemberPrice]), tuple(made[NForM]), tuple(made[Percent]))


@st.composite
def coupons(draw: st.DrawFn, name: str = "c1", shopper: str = "s1") -> Coupon:
    kind = draw(rules_of_one_kind(CouponKind, f"kind-{name}"))
    assert isinstance(kind, CouponKind)
    return Coupon(name, kind, shopper, NOW_MS - 1000, NOW_MS + draw(st.integers(1, 1000)))


@st.composite
def shoppers(draw: st.DrawFn) -> Shopper:
    held = tuple(draw(coupons(f"c{number}")) for number in range(draw(st.integers(0, 2))))
    return Shopper(NOW_MS, "s1", draw(st.booleans()), held)
