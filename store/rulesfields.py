"""The keys of a file of discount rules: what each may say, in words and as a check. Pure.

Every check raises ValueError with the limit and what to write instead. Must never round, nor take a number
with a fraction for money.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from firmware.wire.gtin import to_gtin14
from store.pricing.discounts import LIMITS, MAX_WORDS
from store.pricing.window import WEEKDAYS

MAX_NAMES = 5000
"""Goods, brands or zones that one rule may name."""
MOST_FAULTS = 10
_TAG = re.compile(r"[a-z0-9-]{1,16}")
_EPC = re.compile(r"epc:((?:[0-9A-Fa-f]{2}){1,62})")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")


@dataclass(frozen=True, slots=True)
class Field:
    """One key. ``check``: the value as the rule takes it; ``values``, ``words``: for the page."""

    check: Callable[[Any], Any]
    values: str
    words: str
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of rule, ``[name.ID]``."""

    words: str
    fields: Mapping[str, Field]


def _kind(value: Any) -> str:
    known = {bool: "true or false", int: "a whole number", float: "a number with a fraction", str: "a text"}
    return known.get(type(value), {list: "a list", dict: "a table", date: "a day"}.get(type(value), "a time"))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{_kind(value)}, must be true or false")
    return value


def _whole(name: str) -> Callable[[Any], int]:
    low, high, words = LIMITS[name]

    def check(value: Any) -> int:
        if isinstance(value, float) and name.endswith("_fen"):
            raise ValueError(f"{value} must be a whole number of fen: 12.80 yuan is written 1280")
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{_kind(value)}, must be a whole number {low} to {high} ({words})")
        if not low <= value <= high:
            raise ValueError(f"{value} must be {low} to {high} ({words})")
        return value

    return check


def _number(name: str, words: str, needed: bool = False) -> Field:
    low, high, _ = LIMITS[name]
    return Field(_whole(name), f"whole number {low} to {high}", words, needed)


def _words(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_WORDS or not value.isprintable():
        raise ValueError(f"must be a text of 1 to {MAX_WORDS} printable characters")
    return value


def _names(what: str, read: Callable[[str], str]) -> Callable[[Any], frozenset[str]]:
    def check(value: Any) -> frozenset[str]:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_NAMES:
            raise ValueError(f"must be a list of 1 to {MAX_NAMES} {what}; leave the key out for all")
        found, faults = [], []
        for entry in value:
            try:
                if not isinstance(entry, str):
                    raise ValueError(f"{str(entry)[:40]} must be in quotes")
                found.append(read(entry))
            except ValueError as error:
                faults.append(str(error))
        if faults:
            raise ValueError("; ".join(faults[:MOST_FAULTS]))
        return frozenset(found)

    return check


def _goods(text: str) -> str:
    if match := _EPC.fullmatch(text):
        return f"epc:{match[1].upper()}"
    return to_gtin14(text)


def _tag(text: str) -> str:
    if not _TAG.fullmatch(text):
        raise ValueError(f"{text[:40]!r} must be 1 to 16 of a-z 0-9 -")
    return text


def _weekday(text: str) -> str:
    if text not in WEEKDAYS:
        raise ValueError(f"{text[:20]!r} must be one of {', '.join(WEEKDAYS)}")
    return text


def _weekdays(value: Any) -> frozenset[int]:
    return frozenset(WEEKDAYS.index(name) for name in _names("weekdays", _weekday)(value))


def _minute(value: Any) -> int:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{str(value)[:20]!r} must be a time of day in quotes, "00:00" to "24:00"')
    return int(match[1]) * 60 + int(match[2]) if match[1] else 24 * 60


def _day(value: Any) -> date:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise ValueError(f"{str(value)[:30]!r} must be a day without quotes, like 2026-12-01")
    return value


def zone(value: Any) -> ZoneInfo:
    """A time zone by its name in the IANA data base. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError('must be the name of a time zone in quotes, like "Asia/Shanghai"')
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"{value[:40]!r} is no time zone of this machine: write a name like "
            '"Asia/Shanghai"; if that is missing too, install tzdata'
        ) from None


COMMON: Mapping[str, Field] = {
    "en": Field(_words, f"text of up to {MAX_WORDS} characters", "Its name on the receipt, English.", True),
    "zh": Field(_words, f"text of up to {MAX_WORDS} characters", "Its name on the receipt, Chinese.", True),
    "goods": Field(
        _names("goods", _goods),
        "list of GTINs or `epc:HEX`",
        "Only these goods, as the price list keys them.",
    ),
    "brands": Field(_names("brands", _tag), "list of brands", "Only goods of these brands."),
    "zones": Field(_names("zones", _tag), "list of zones", "Only goods of these zones."),
    "weekdays": Field(_weekdays, f"list of {', '.join(WEEKDAYS)}", "Only on these days of the week."),
    "from": Field(_minute, '"00:00" to "23:59"', "Only from this time of day; goes with `until`."),
    "until": Field(
        _minute, '"00:01" to "24:00"', "Up to this time, not at it. Before `from`: past midnight, next day."
    ),
    "first_day": Field(_day, "day, 2026-12-01", "Not before this day."),
    "last_day": Field(_day, "day, 2026-12-31", "Not after this day."),
    "members": Field(_flag, "true, false", "Only for members, as a member price always is."),
    "exclusive": Field(_flag, "true, false", "An item that it touches gets nothing else."),
}

_MEMBER = {
    "goods": Field(COMMON["goods"].check, COMMON["goods"].values, "The goods that it is for.", True),
    "price_fen": _number("price_fen", "What a member pays for one, where that is less, fen.", True),
}
_N_FOR_M = {
    "n": _number("n", "Items that are taken together.", True),
    "m": _number("m", "Items of them that are paid; the cheapest are free.", True),
    "most": _number("most", "Times that it is given in one basket; 50 where left out."),
}
_COUPON = {
    "amount_fen": _number("amount_fen", "What it takes off, fen. This or `percent`."),
    "percent": _number("percent", "Percent that it takes off."),
    "at_most_fen": _number("at_most_fen", "Most that the percentage takes off, fen."),
    "minimum_fen": _number("minimum_fen", "What its items cost at least, after all else, fen."),
    "valid_days": _number(
        "valid_days", "Good to the end of the day so many days after issue; 30 where left out."
    ),
}

_MEMBER_COMMON = {name: field for name, field in COMMON.items() if name not in ("members", "goods")}

SECTIONS: Mapping[str, Section] = {
    "member_price": Section("A price of its own for members.", {**_MEMBER, **_MEMBER_COMMON}),
    "n_for_m": Section("n items for the price of m.", {**_N_FOR_M, **COMMON}),
    "percent": Section(
        "A percentage off each item.", {"percent": _number("percent", "Percent off.", True), **COMMON}
    ),
    "coupon": Section("Terms of coupons that shoppers are given.", {**_COUPON, **COMMON}),
}
