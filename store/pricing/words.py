"""Discounts in words, English and Chinese: what stands on receipts and in the dry run. Pure.

Must never say a sum that was not computed: words explain, the engine counts.
"""

from __future__ import annotations

from store.pricing.discounts import LIMITS, CouponKind, MemberPrice, NForM, Percent, Rule
from store.pricing.window import EVERY_DAY, WEEKDAYS, Window, clock


def yuan(fen: int) -> str:
    """1280 → "12.80"; -5 → "-0.05"."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def explain(rule: Rule) -> tuple[str, str]:
    """(English, Chinese): the rule's name and what it gives."""
    en, zh = _gives(rule)
    return f"{rule.en}: {en}", f"{rule.zh}：{zh}"


def conditions(rule: Rule) -> str:
    """For whom, on what and when it holds, in English; "" where it always does."""
    parts = []
    if rule.members:
        parts.append("members only")
    where = rule.where
    for name, wanted in (("goods", where.goods), ("brand", where.brands), ("zone", where.zones)):
        if wanted:
            parts.append(f"{name} {', '.join(sorted(wanted))}")
    if rule.when is not None:
        parts.append(_when(rule.when))
    if isinstance(rule, NForM) and rule.most < LIMITS["most"][1]:
        parts.append(f"at most {rule.most} times in a basket")
    if isinstance(rule, CouponKind):
        if rule.minimum_fen:
            parts.append(f"from {yuan(rule.minimum_fen)}")
        parts.append(f"good for {rule.valid_days} days")
    if rule.exclusive:
        parts.append("not together with others")
    return "; ".join(parts)


def _gives(rule: Rule) -> tuple[str, str]:
    if isinstance(rule, MemberPrice):
        return f"{yuan(rule.price_fen)} each", f"每件 {yuan(rule.price_fen)}"
    if isinstance(rule, NForM):
        free = rule.n - rule.m
        cheapest = "cheapest free" if free == 1 else f"{free} cheapest free"
        return (
            f"{rule.n} for {rule.m}, {cheapest}, shared by all {rule.n}",
            f"{rule.n} 件付 {rule.m} 件，最低价 {free} 件免单，{rule.n} 件分摊",
        )
    if isinstance(rule, Percent):
        return f"{rule.percent} % off", _zhe(rule.percent)
    if isinstance(rule, CouponKind) and rule.amount_fen is not None:
        return f"coupon, {yuan(rule.amount_fen)} off", f"优惠券减 {yuan(rule.amount_fen)}"
    if isinstance(rule, CouponKind) and rule.percent is not None:
        most_en = most_zh = ""
        if rule.at_most_fen is not None:
            most_en, most_zh = f", {yuan(rule.at_most_fen)} at most", f"，最多减 {yuan(rule.at_most_fen)}"
        return f"coupon, {rule.percent} % off{most_en}", f"优惠券 {_zhe(rule.percent)}{most_zh}"
    raise TypeError(f"{type(rule).__name__} is no discount that is known")


def _zhe(percent: int) -> str:
    """What is left to pay, in tenths, as a Chinese shop says it: 10 % off is 9 折, 15 % off is 8.5 折."""
    tenths, part = divmod(100 - percent, 10)
    if percent == 100:
        return "免费"
    return f"{tenths}.{part} 折" if part else f"{tenths} 折"


def _when(window: Window) -> str:
    parts = []
    if window.weekdays != EVERY_DAY:
        parts.append(" ".join(WEEKDAYS[day] for day in sorted(window.weekdays)))
    if not window.all_day:
        parts.append(f"{clock(window.from_min)} to {clock(window.until_min)}")
    if window.first_day is not None:
        parts.append(f"from {window.first_day}")
    if window.last_day is not None:
        parts.append(f"to {window.last_day}")
    return " ".join(parts) or "always"
