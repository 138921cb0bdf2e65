"""The kinds of discount, as values that cannot be wrong: each refuses what it cannot mean. Pure.

A rule of the shop (member price, n for m, percentage) is for everybody whose basket fits; a coupon is one
shopper's own and is used once. What they do to a basket, and in which order, is in ``store.pricing.engine``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import ClassVar

from firmware.wire.pricelist import MAX_FEN
from store.pricing.lines import Item
from store.pricing.window import Window, local_time

LIMITS: Mapping[str, tuple[int, int, str]] = {
    "price_fen": (0, MAX_FEN, "price of one item, in fen"),
    "n": (2, 20, "items that are taken together"),
    "m": (1, 19, "items that are paid of them, fewer than n"),
    "most": (1, 50, "times that it is given in one basket"),
    "percent": (1, 100, "percent off"),
    "amount_fen": (1, 10_000_000, "what is taken off, in fen"),
    "at_most_fen": (1, 10_000_000, "most that a percentage takes off, in fen"),
    "minimum_fen": (0, 10_000_000, "what its items must cost at least, in fen"),
    "valid_days": (1, 366, "whole days after the day of issue"),
}
MAX_EXCLUSIVE = 6
"""Every choice among exclusive rules is tried: 64 at most."""
MAX_RULES = 200
MAX_WORDS = 40
RULE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Selector:
    """Which items: of these goods, of these brands, and in these zones; an empty set asks nothing.

    ``goods``: as ``Item.goods``, so an item with a price of its own is not meant by its GTIN."""

    goods: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()

    def fits(self, item: Item) -> bool:
        return (
            (not self.goods or item.goods in self.goods)
            and (not self.brands or item.brand in self.brands)
            and (not self.zones or item.zone in self.zones)
        )


EVERYTHING = Selector()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What all discounts have. ``id``: 1 to 32 of a-z 0-9 -. ``en``, ``zh``: its name on the receipt.
    ``when``: None is always. ``members``: for members only. ``exclusive``: an item that it touches gets
    nothing else. Raises ValueError, naming the field."""

    KIND: ClassVar[str] = ""

    id: str
    en: str
    zh: str
    where: Selector = EVERYTHING
    when: Window | None = None
    members: bool = False
    exclusive: bool = False

    def __post_init__(self) -> None:
        if not RULE_ID.fullmatch(self.id):
            raise ValueError(f"id {self.id[:40]!r} must be 1 to 32 of a-z 0-9 -")
        for name, words in (("en", self.en), ("zh", self.zh)):
            if not words.strip() or len(words) > MAX_WORDS or not words.isprintable():
                raise ValueError(f"{name} must be 1 to {MAX_WORDS} printable characters")

    def holds(self, local: datetime, member: bool) -> bool:
        """``local``: the shop's wall clock."""
        return (member or not self.members) and (self.when is None or self.when.holds(local))


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberPrice(Rule):
    """Members pay ``price_fen`` for one of these goods where that is less."""

    KIND = "member"

    price_fen: int
    members: bool = True

    def __post_init__(self) -> None:
        Rule.__post_init__(self)
        _within("price_fen", self.price_fen)
        if not self.where.goods:
            raise ValueError("goods must name at least one: a member price is a price of goods")
        if not self.members:
            raise ValueError("members must be true: a member price is for members")


@dataclass(frozen=True, slots=True, kw_only=True)
class NForM(Rule):
    """Of each ``n`` items taken together only ``m`` are paid, the cheapest are free; at most ``most`` times
    in one basket. The dearest items are taken together first, which is best for the shopper."""

    KIND = "n-for-m"

    n: int
    m: int
    most: int = LIMITS["most"][1]

    def __post_init__(self) -> None:
        Rule.__post_init__(self)
        _within("n", self.n)
        _within("m", self.m)
        _within("most", self.most)
        if self.m >= self.n:
            raise ValueError(f"m = {self.m} must be less than n = {self.n}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Percent(Rule):
    """``percent`` off each item; usually within a window."""

    KIND = "percent"

    percent: int

    def __post_init__(self) -> None:
        Rule.__post_init__(self)
        _within("percent", self.percent)


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponKind(Rule):
    """Terms of coupons: ``amount_fen`` or ``percent`` (with ``at_most_fen``) off the items it is for, once
    these cost ``minimum_fen`` after all other discounts."""

    KIND = "coupon"

    amount_fen: int | None = None
    percent: int | None = None
    at_most_fen: int | None = None
    minimum_fen: int = 0
    valid_days: int = 30

    def __post_init__(self) -> None:
        Rule.__post_init__(self)
        for name in ("amount_fen", "percent", "at_most_fen", "minimum_fen", "valid_days"):
            value = getattr(self, name)
            if value is not None:
                _within(name, value)
        if (self.amount_fen is None) == (self.percent is None):
            raise ValueError("give either amount_fen or percent")
        if self.at_most_fen is not None and self.percent is None:
            raise ValueError("at_most_fen belongs to percent, amount_fen is its own limit")


@dataclass(frozen=True, slots=True)
class Coupon:
    """One coupon of one shopper, good before ``expires_ms``. ``id``: unique in the shop, ``shopper``: an
    opaque id. The terms go with it: a changed rules file changes no coupon that is out."""

    id: str
    kind: CouponKind
    shopper: str
    issued_ms: int
    expires_ms: int


def issue(kind: CouponKind, coupon_id: str, shopper: str, at_ms: int, zone: tzinfo) -> Coupon:
    """A new coupon: good until the end of the shop's day that is ``valid_days`` after the day of issue."""
    day = local_time(at_ms, zone).date() + timedelta(days=kind.valid_days + 1)
    end = datetime.combine(day, time(), zone)
    return Coupon(coupon_id, kind, shopper, at_ms, int(end.timestamp()) * 1000)


@dataclass(frozen=True, slots=True)
class Rules:
    """The shop's rules, each kind in the order of the file. ``digest``: which file that was.
    Raises ValueError for an id twice or too many."""

    zone: tzinfo
    member: tuple[MemberPrice, ...] = ()
    n_for_m: tuple[NForM, ...] = ()
    percent: tuple[Percent, ...] = ()
    coupons: tuple[CouponKind, ...] = ()
    digest: str = ""

    def __post_init__(self) -> None:
        ids = [rule.id for rule in (*self.in_order, *self.coupons)]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"more than one rule is called {', '.join(twice)}")
        if len(ids) > MAX_RULES:
            raise ValueError(f"{len(ids)} rules, at most {MAX_RULES} are possible")
        exclusive = sum(rule.exclusive for rule in self.in_order)
        if exclusive > MAX_EXCLUSIVE:
            raise ValueError(f"{exclusive} rules are exclusive, at most {MAX_EXCLUSIVE} are possible")

    @property
    def in_order(self) -> tuple[Rule, ...]:
        """As they are applied; coupons come behind them."""
        return (*self.member, *self.n_for_m, *self.percent)


def _within(name: str, value: int) -> None:
    low, high, words = LIMITS[name]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} = {value!r} must be a whole number {low} to {high} ({words})")
