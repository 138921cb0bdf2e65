"""The shop's discount rules from a TOML file, strictly checked.

A file is taken whole or not at all; every fault of it is one sentence naming file, key and limit, and all are
reported together. Must never guess what a wrong key or value was meant to say.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

from firmware.wire.pricelist import PriceEntry
from store.ledger import LedgerError
from store.pricing.discounts import RULE_ID, CouponKind, MemberPrice, NForM, Percent, Rule, Rules, Selector
from store.pricing.lines import goods_of
from store.pricing.window import DAY_MIN, EVERY_DAY, Window, clock
from store.pricing.words import yuan
from store.rulesfields import SECTIONS, Field, zone

MAX_BYTES = 1024 * 1024
_KINDS: Mapping[str, type[Rule]] = {
    "member_price": MemberPrice,
    "n_for_m": NForM,
    "percent": Percent,
    "coupon": CouponKind,
}
_SELECTS = ("goods", "brands", "zones")
_TIMES = ("weekdays", "from", "until", "first_day", "last_day")
_TOP = ("time_zone", *SECTIONS)


class RulesFileError(LedgerError):
    """One or more faults in a file of rules; ``faults`` holds one sentence each. Nothing was changed."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def load(path: Path) -> Rules:
    """The rules of the file at ``path``. Raises RulesFileError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RulesFileError([f"{path} cannot be read: {error.strerror or error}"]) from None
    return read(data, str(path))


def read(data: bytes, name: str) -> Rules:
    """The rules of a file's bytes; ``name``: the file as people know it. Raises RulesFileError."""
    if len(data) > MAX_BYTES:
        raise RulesFileError([f"{name} is over {MAX_BYTES} bytes: is it the file of rules?"])
    try:
        found = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RulesFileError([f"{name}: not valid TOML: {error}"]) from None
    faults: list[str] = []
    _unknown(found, _TOP, "", faults)
    where: tzinfo = UTC
    if "time_zone" in found:
        try:
            where = zone(found["time_zone"])
        except ValueError as error:
            faults.append(f"time_zone: {error}")
    else:
        faults.append('time_zone is missing; write time_zone = "Asia/Shanghai"')
    rules: dict[str, list[Any]] = {section: [] for section in SECTIONS}
    for section, made in rules.items():
        tables = found.get(section, {})
        if not isinstance(tables, dict):
            faults.append(f"{section}: must be tables with a name each, [{section}.NAME]")
            continue
        for key, table in tables.items():
            rule = _rule(section, key, table, faults)
            if rule is not None:
                made.append(rule)
    member, n_for_m, percent, coupons = (tuple(of) for of in rules.values())
    try:
        whole = Rules(where, member, n_for_m, percent, coupons, hashlib.sha256(data).hexdigest())
    except ValueError as error:
        faults.append(str(error))
    else:
        if not faults:
            return whole
    raise RulesFileError([f"{name}: {fault}" for fault in faults])


def doubts(rules: Rules, entries: Iterable[PriceEntry]) -> list[str]:
    """What fits no goods of the price list, or gives a member nothing: no fault, but hardly meant."""
    goods = {goods_of(entry.key): entry for entry in entries}
    brands = {entry.brand for entry in goods.values()}
    zones = {entry.zone for entry in goods.values()}
    found = []
    for rule in (*rules.in_order, *rules.coupons):
        for what, named, known in (
            ("goods", rule.where.goods, goods.keys()),
            ("brand", rule.where.brands, brands),
            ("zone", rule.where.zones, zones),
        ):
            found += [
                f"{rule.id}: no goods of the price list have {what} {one}" for one in sorted(named - known)
            ]
        if isinstance(rule, MemberPrice):
            for one in sorted(rule.where.goods & goods.keys()):
                if goods[one].price_fen <= rule.price_fen:
                    found.append(
                        f"{rule.id}: {goods[one].name} costs {yuan(goods[one].price_fen)}, "
                        f"the member price {yuan(rule.price_fen)} is not less"
                    )
    return found


def _rule(section: str, key: str, table: Any, faults: list[str]) -> Rule | None:
    at = f"{section}.{key}"
    if not isinstance(table, dict):
        faults.append(f"{at}: must be a table, [{section}.NAME]")
        return None
    before = len(faults)
    fields = SECTIONS[section].fields
    _unknown(table, fields, f"{at}.", faults)
    values = _values(table, fields, at, faults)
    faults += [f"{at}: {fault}" for fault in _contradictions(key, table, values)]
    if len(faults) > before:
        return None
    try:
        when = _window(values)
        where = Selector(**{name: values.pop(name) for name in _SELECTS if name in values})
        return _KINDS[section](id=key, where=where, when=when, **values)
    except ValueError as error:
        faults.append(f"{at}: {error}")
        return None


def _values(table: dict[str, Any], fields: Mapping[str, Field], at: str, faults: list[str]) -> dict[str, Any]:
    values = {}
    for name, field in fields.items():
        if name in table:
            try:
                values[name] = field.check(table[name])
            except ValueError as error:
                faults.append(f"{at}.{name}: {error}")
        elif field.needed:
            faults.append(f"{at}.{name} is missing ({field.values})")
    return values


def _contradictions(key: str, table: dict[str, Any], values: dict[str, Any]) -> Iterator[str]:
    """What is wrong between keys that are right by themselves; the rules refuse it too, but one at a time."""
    if not RULE_ID.fullmatch(key):
        yield f"{key[:40]!r} is no name for a rule: 1 to 32 of a-z 0-9 -"
    begin, end = values.get("from"), values.get("until")
    if ("from" in table) != ("until" in table):
        yield "from and until go together: give both or none"
    if begin == DAY_MIN:
        yield 'from: a day begins at "00:00"'
    if end == 0:
        yield 'until: a day ends at "24:00"'
    if begin is not None and begin == end:
        yield f"from and until are both {clock(begin)}: leave both out for the whole day"
    first, last = values.get("first_day"), values.get("last_day")
    if first is not None and last is not None and first > last:
        yield f"first_day {first} is after last_day {last}"
    if "n" in values and "m" in values and values["m"] >= values["n"]:
        yield f"m = {values['m']} must be less than n = {values['n']}"
    if "amount_fen" in table and "percent" in table:
        yield "give either amount_fen or percent"
    if "at_most_fen" in table and "percent" not in table:
        yield "at_most_fen belongs to percent, amount_fen is its own limit"


def _window(values: dict[str, Any]) -> Window | None:
    """Takes its keys out of ``values``."""
    given = {name: values.pop(name) for name in _TIMES if name in values}
    if not given:
        return None
    return Window(
        given.get("weekdays", EVERY_DAY),
        given.get("from", 0),
        given.get("until", DAY_MIN),
        given.get("first_day"),
        given.get("last_day"),
    )


def _unknown(table: dict[str, Any], known: Iterable[str], where: str, faults: list[str]) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
            hint = f'; did you mean "{near[0]}"?' if near else f" (known: {', '.join(names)})"
            faults.append(f'unknown key "{where}{key}"{hint}')
