"""``python -m store discounts check``: is a file of rules right, what does it say, what would a basket cost.

It reads files (and, where asked, the ledger's price list) and changes nothing.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

from firmware.wire.gtin import to_gtin14
from firmware.wire.pricelist import Key, PriceEntry
from store import pricefile, prices, rulesfile
from store.ledger import LedgerError, open_ledger
from store.ledger import check as check_ledger
from store.pricing.discounts import Coupon, Rule, Rules, issue
from store.pricing.engine import Priced, Shopper, price
from store.pricing.lines import of_goods
from store.pricing.receipt import Language, receipt, text
from store.pricing.words import conditions, explain

MAX_COUNT = 500
DRY_SHOPPER = "dry-run"
_GOODS = re.compile(r"(\d{8,14}|epc:[0-9A-Fa-f]{2,124})(?:[x×*](\d{1,3}))?")
_HEADS = {"member": "member prices", "n-for-m": "n for m", "percent": "percentages", "coupon": "coupons"}


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Needs no ledger: the price list may come from a CSV file."""
    parser = commands.add_parser("discounts", help="check a file of discount rules, try a basket")
    actions = parser.add_subparsers(dest="action", required=True)
    check = actions.add_parser("check", help="is the file right, and what would a basket cost")
    check.add_argument("file", type=Path, metavar="FILE.toml", help="the rules; keys in docs/discounts.md")
    source = check.add_mutually_exclusive_group()
    source.add_argument("--prices", type=Path, metavar="FILE.csv", help="the price list, from a CSV file")
    source.add_argument("--db", metavar="URL", help="the price list, from this ledger")
    check.add_argument(
        "--basket", nargs="+", metavar="GTIN×N", help="goods and how many, like 9521234000013x2"
    )
    check.add_argument("--at", metavar="TIME", help='on the shop\'s clock, "2026-12-01 20:30" (default: now)')
    check.add_argument("--member", action="store_true", help="the shopper is a member")
    check.add_argument(
        "--coupon", action="append", default=[], metavar="NAME", help="with a coupon like this"
    )
    check.add_argument("--language", choices=("en", "zh"), default="en", help="of the receipt")


def run(options: argparse.Namespace) -> str:
    """What to print. Raises LedgerError, RulesFileError and PriceFileError among them, with what is wrong."""
    rules = rulesfile.load(options.file)
    entries = _entries(options)
    said = [told(rules, entries)]
    if options.basket:
        if entries is None:
            raise LedgerError("--basket needs a price list: give --prices FILE.csv or --db URL")
        at_ms = at_of(options.at, rules.zone) if options.at else time.time_ns() // 1_000_000
        said.append(
            trial(
                rules,
                entries,
                goods_in(options.basket),
                at_ms,
                options.member,
                options.coupon,
                options.language,
            )
        )
    return "\n\n".join(said)


def told(rules: Rules, entries: Sequence[PriceEntry] | None = None) -> str:
    """The rules in words, in the order in which they are applied; doubts where a price list is there."""
    everything: list[Rule] = [*rules.in_order, *rules.coupons]
    lines = [f"{len(everything)} rules, times of day in {rules.zone}"]
    kind = ""
    for rule in everything:
        if kind != rule.KIND:
            kind = rule.KIND
            lines.append(f"{_HEADS[kind]}:")
        when = conditions(rule)
        lines.append(f"  {rule.id}: {explain(rule)[0]}" + (f" ({when})" if when else ""))
    if entries is not None:
        lines += [f"doubtful: {doubt}" for doubt in rulesfile.doubts(rules, entries)]
    return "\n".join(lines)


def trial(
    rules: Rules,
    entries: Iterable[PriceEntry],
    goods: dict[Key, int],
    at_ms: int,
    member: bool = False,
    coupons: Sequence[str] = (),
    language: Language = "en",
) -> str:
    """The receipt that a basket would get. ``coupons``: names of coupon terms in the rules. Raises
    LedgerError for goods or coupons that are not there."""
    found = of_goods(goods, {entry.key: entry for entry in entries}.get)
    if found.unknown:
        raise LedgerError("; ".join(f"--basket: {tag.why}" for tag in found.unknown))
    held = tuple(_coupon(rules, name, at_ms) for name in coupons)
    priced = price(found, rules, Shopper(at_ms, DRY_SHOPPER, member, held))
    return "\n".join([text(receipt(priced.items, priced.cuts), language), *_left_over(priced, language)])


def goods_in(words: Iterable[str]) -> dict[Key, int]:
    """ "9521234000013x2" and the like to keys of the price list and counts. Raises LedgerError."""
    found: dict[Key, int] = {}
    for word in words:
        match = _GOODS.fullmatch(word)
        if match is None:
            raise LedgerError(f"--basket {word[:40]!r}: write GTIN and count like 9521234000013x2")
        count = int(match[2] or 1)
        try:
            named = match[1]
            key: Key = bytes.fromhex(named[4:]) if named.startswith("epc:") else int(to_gtin14(named))
        except ValueError as error:
            raise LedgerError(f"--basket {word[:40]}: {error}") from None
        found[key] = found.get(key, 0) + count
        if not 1 <= found[key] <= MAX_COUNT:
            raise LedgerError(f"--basket {word[:40]}: 1 to {MAX_COUNT} of one goods can be tried")
    return found


def at_of(words: str, zone: tzinfo) -> int:
    """A time on the shop's clock as milliseconds of the Unix epoch; of an hour that comes twice the first.
    Raises LedgerError."""
    try:
        local = datetime.fromisoformat(words)
        if local.tzinfo is None:
            local = local.replace(tzinfo=zone)
        if not 2000 <= local.year < 2200:
            raise ValueError("a wrong year")
        return int(local.timestamp()) * 1000
    except ValueError:
        raise LedgerError(f'--at {words[:40]!r}: write "2026-12-01 20:30", on the shop\'s clock') from None


def _coupon(rules: Rules, name: str, at_ms: int) -> Coupon:
    for kind in rules.coupons:
        if kind.id == name:
            return issue(kind, name, DRY_SHOPPER, at_ms, rules.zone)
    known = ", ".join(kind.id for kind in rules.coupons) or "none"
    raise LedgerError(f"--coupon {name[:40]}: the file has no such coupon (known: {known})")


def _left_over(priced: Priced, language: Language) -> list[str]:
    zh = language == "zh"
    return [
        f"优惠券 {one.coupon} 未使用：{one.zh}" if zh else f"coupon {one.coupon} not used: {one.en}"
        for one in priced.not_used
    ]


def _entries(options: argparse.Namespace) -> list[PriceEntry] | None:
    if options.prices is not None:
        try:
            with options.prices.open("rb") as file:
                data = file.read(pricefile.MAX_BYTES + 1)
        except OSError as error:
            raise LedgerError(f"{options.prices} cannot be read: {error.strerror or error}") from None
        return pricefile.read(data, options.prices.name)
    if options.db is not None:
        engine = open_ledger(options.db, read_only=True)
        try:
            check_ledger(engine)
            with engine.connect() as connection:
                return list(prices.entries(connection))
        finally:
            engine.dispose()
    return None
