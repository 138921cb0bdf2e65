"""What a basket costs: the one order in which discounts are applied. Pure.

1. Exclusive rules, at list prices; an item that one has touched gets nothing else.
2. The rules that go together, each on what the ones before have left:
   member price → n for m → percentages, each kind in the order of the rules file.
   An item is in one group of one n-for-m rule only. A percentage is taken of each item on its own.
3. At most one coupon, on what is left of its items. An exclusive coupon is applied behind the exclusive rules
   instead.

Which exclusive rules and which coupon: every choice is tried and the lowest total is charged; where two are
equal, the one with fewer exclusive rules and without a coupon, then the coupon that expires first. So neither
an exclusive rule nor a coupon ever makes a basket dearer.

Every discount is cut into whole fen per item (``shares``): an item's cuts never exceed its list price, and
what was paid for an item is its list price less its cuts. A coupon of more than its items cost is used up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from store.pricing.discounts import Coupon, CouponKind, MemberPrice, NForM, Percent, Rule, Rules
from store.pricing.lines import Basket, Item
from store.pricing.shares import percent_of, share
from store.pricing.window import local_time
from store.pricing.words import explain, yuan

MAX_COUPONS = 10
"""Coupons of one shopper that are tried for a basket: those that expire first."""


class PricingError(ValueError):
    """This basket cannot be priced; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Shopper:
    """Who buys, and when. ``at_ms``: milliseconds of the Unix epoch. ``id``: opaque, "" for nobody known.
    ``spent``: ids of coupons that are used or held by another open basket."""

    at_ms: int
    id: str = ""
    member: bool = False
    coupons: tuple[Coupon, ...] = ()
    spent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Cut:
    """One discount on one item. ``position``: of the item in ``Priced.items``. ``step``: 1 is applied first.
    ``rule``: its id; of a coupon that of its kind. ``en``, ``zh``: the words for the receipt."""

    position: int
    step: int
    rule: str
    kind: str
    fen: int
    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class NotUsed:
    """A coupon that was offered and not used, and why."""

    coupon: str
    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Priced:
    """A basket with its price: exactly what the ledger keeps. ``coupon``: id of the coupon used, or "";
    whoever charges the basket marks it spent in the same transaction."""

    items: tuple[Item, ...]
    cuts: tuple[Cut, ...]
    coupon: str = ""
    not_used: tuple[NotUsed, ...] = ()

    @property
    def list_fen(self) -> int:
        return sum(item.list_fen for item in self.items)

    @property
    def total_fen(self) -> int:
        return self.list_fen - sum(cut.fen for cut in self.cuts)


def price(basket: Basket, rules: Rules, shopper: Shopper) -> Priced:
    """Raises PricingError for a basket with goods that have no price."""
    if basket.unknown:
        raise PricingError("; ".join(f"{tag.epc}: {tag.why}" for tag in basket.unknown))
    local = local_time(shopper.at_ms, rules.zone)
    active = [
        rule
        for rule in rules.in_order
        if rule.holds(local, shopper.member) and any(map(rule.where.fits, basket.items))
    ]
    alone = [rule for rule in active if rule.exclusive]
    together = [rule for rule in active if not rule.exclusive]
    coupons, not_used = _coupons(rules, shopper)
    fits: _Fits = {}
    best: _Work | None = None
    for chosen in _choices(alone):
        for work in _ways(basket.items, chosen, together, coupons, fits):
            if best is None or work.total < best.total:
                best = work
    assert best is not None
    not_used += [_not_used(coupon, best) for coupon in coupons if coupon.id != best.coupon]
    return Priced(basket.items, best.worded(), best.coupon, tuple(not_used))


def _choices(alone: Sequence[Rule]) -> Iterator[tuple[Rule, ...]]:
    for count in range(len(alone) + 1):
        yield from combinations(alone, count)


def _ways(
    items: Sequence[Item],
    chosen: Sequence[Rule],
    together: Sequence[Rule],
    coupons: Sequence[Coupon],
    fits: _Fits,
) -> Iterator[_Work]:
    """No coupon first, then each of them."""
    start = _Work.of(items, fits)
    for rule in chosen:
        start.apply(rule)
    plain = start.copy()
    for rule in together:
        plain.apply(rule)
    yield plain
    for coupon in coupons:
        work = (start if coupon.kind.exclusive else plain).copy()
        work.apply(coupon.kind)
        work.coupon = coupon.id
        if coupon.kind.exclusive:
            for rule in together:
                work.apply(rule)
        yield work


_Fits = dict[int, list[int]]
"""id() of a rule → positions of the items that it is for. Shared by all ways to price one basket."""


class _Work:
    """One way to price the basket, half done."""

    def __init__(
        self, items: Sequence[Item], left: list[int], taken: set[int], grouped: set[int], fits: _Fits
    ) -> None:
        self.items = items
        self.fits = fits
        self.left = left
        self.taken = taken  # by an exclusive rule
        self.grouped = grouped  # in a group of n for m
        self.cuts: list[tuple[int, int, Rule, int]] = []  # position, step, rule, fen
        self.steps = 0
        self.coupon = ""

    @classmethod
    def of(cls, items: Sequence[Item], fits: _Fits) -> _Work:
        return cls(items, [item.list_fen for item in items], set(), set(), fits)

    def copy(self) -> _Work:
        other = _Work(self.items, self.left.copy(), self.taken.copy(), self.grouped.copy(), self.fits)
        other.cuts, other.steps = self.cuts.copy(), self.steps
        return other

    @property
    def total(self) -> int:
        return sum(self.left)

    def worded(self) -> tuple[Cut, ...]:
        words = {step: explain(rule) for _, step, rule, _ in self.cuts}
        return tuple(
            Cut(at, step, rule.id, rule.KIND, fen, *words[step]) for at, step, rule, fen in self.cuts
        )

    def apply(self, rule: Rule) -> None:
        if id(rule) not in self.fits:
            self.fits[id(rule)] = [at for at, item in enumerate(self.items) if rule.where.fits(item)]
        free = [at for at in self.fits[id(rule)] if at not in self.taken]
        before = len(self.cuts)
        self.steps += 1
        if isinstance(rule, MemberPrice):
            self._cut(rule, free, [max(0, self.left[at] - rule.price_fen) for at in free])
        elif isinstance(rule, NForM):
            self._n_for_m(rule, free)
        elif isinstance(rule, Percent):
            self._cut(rule, free, [percent_of(self.left[at], rule.percent) for at in free])
        elif isinstance(rule, CouponKind):
            weights = [self.left[at] for at in free]
            self._cut(rule, free, share(_coupon_fen(rule, sum(weights)), weights))
        if len(self.cuts) == before:
            self.steps -= 1

    def _n_for_m(self, rule: NForM, free: list[int]) -> None:
        open_ = [at for at in free if at not in self.grouped]
        open_.sort(key=lambda at: (-self.left[at], at))
        for number in range(min(rule.most, len(open_) // rule.n)):
            group = open_[number * rule.n : (number + 1) * rule.n]
            weights = [self.left[at] for at in group]
            saved = sum(weights[rule.m :])
            if not saved:
                break
            self._cut(rule, group, share(saved, weights))
            self.grouped.update(group)
            if rule.exclusive:
                self.taken.update(group)

    def _cut(self, rule: Rule, positions: Iterable[int], amounts: Iterable[int]) -> None:
        for at, fen in zip(positions, amounts, strict=True):
            if fen:
                self.left[at] -= fen
                self.cuts.append((at, self.steps, rule, fen))
                if rule.exclusive:
                    self.taken.add(at)


def _coupon_fen(kind: CouponKind, cost: int) -> int:
    """What a coupon takes off items that cost ``cost``."""
    if cost < kind.minimum_fen:
        return 0
    if kind.amount_fen is not None:
        return min(kind.amount_fen, cost)
    fen = percent_of(cost, kind.percent or 0)
    return fen if kind.at_most_fen is None else min(fen, kind.at_most_fen)


def _coupons(rules: Rules, shopper: Shopper) -> tuple[list[Coupon], list[NotUsed]]:
    """Coupons to try, those that expire first in front; each id once."""
    found: list[Coupon] = []
    seen: set[str] = set()
    not_used = []
    for coupon in sorted(shopper.coupons, key=lambda coupon: (coupon.expires_ms, coupon.id)):
        if coupon.id in seen:
            continue
        seen.add(coupon.id)
        why = _unusable(coupon, rules, shopper)
        if why is None and len(found) >= MAX_COUPONS:
            why = f"only {MAX_COUPONS} coupons are tried", f"最多试用 {MAX_COUPONS} 张优惠券"
        if why is None:
            found.append(coupon)
        else:
            not_used.append(NotUsed(coupon.id, *why))
    return found, not_used


def _unusable(coupon: Coupon, rules: Rules, shopper: Shopper) -> tuple[str, str] | None:
    if coupon.id in shopper.spent:
        return "it is used already", "优惠券已使用"
    if not shopper.id or coupon.shopper != shopper.id:
        return "it is another shopper's", "优惠券不属于您"
    if shopper.at_ms < coupon.issued_ms:
        return "it is not good yet", "优惠券尚未生效"
    if shopper.at_ms >= coupon.expires_ms:
        return "it has expired", "优惠券已过期"
    if coupon.kind.members and not shopper.member:
        return "it is for members only", "优惠券仅限会员"
    if not coupon.kind.holds(local_time(shopper.at_ms, rules.zone), shopper.member):
        return "it does not hold at this time", "当前时段不可用"
    return None


def _not_used(coupon: Coupon, best: _Work) -> NotUsed:
    """Why one that could have been used was not; ``best``: what is charged instead."""
    kind = coupon.kind
    fits = [at for at, item in enumerate(best.items) if kind.where.fits(item)]
    cost = sum(best.left[at] for at in fits)
    if not fits:
        return NotUsed(coupon.id, "nothing in the basket is for it", "没有适用的商品")
    if not best.coupon and cost < kind.minimum_fen:
        least = yuan(kind.minimum_fen)
        return NotUsed(coupon.id, f"its items cost less than {least}", f"适用商品未满 {least}")
    return NotUsed(coupon.id, "without it the price is as low or lower", "不使用此券价格相同或更低")
