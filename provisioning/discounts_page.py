"""The made parts of ``docs/discounts.md``: the worked example and the keys of the file, from the code itself.

``python -m provisioning.discounts_page`` rewrites them between their marks; ``--check`` (and a test) only
compares. The words around them are written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from provisioning.generated_page import write_or_check_texts
from store import discountscli, pricefile, rulesfile
from store.pricing.discounts import issue
from store.pricing.engine import Priced, Shopper, price
from store.pricing.lines import of_goods
from store.pricing.receipt import Receipt, receipt, text
from store.pricing.refund import paid
from store.pricing.words import yuan
from store.rulesfields import COMMON, SECTIONS, Field

TREE = Path(__file__).resolve().parents[1]
PAGE = TREE / "docs" / "discounts.md"
COMMAND = "python -m provisioning.discounts_page"
RULES = TREE / "store" / "demo_discounts.toml"
PRICES = TREE / "store" / "demo_prices.csv"
BASKET = ("9521234000013x2", "9527654000015", "9527654000084")
AT = "2026-12-05 20:30"
COUPONS = ("welcome", "five")


def page() -> str:
    """The whole page, with its made parts as they must be."""
    made = PAGE.read_text(encoding="utf-8")
    for name, part in (("example", example()), ("keys", keys())):
        mark = f"<!-- {name}: made by {COMMAND} -->"
        pattern = re.compile(re.escape(mark) + r"\n.*?<!-- end -->", re.DOTALL)
        whole = f"{mark}\n{part}\n<!-- end -->"
        if len(pattern.findall(made)) != 1:
            raise SystemExit(f"{PAGE.name} needs one place that begins with {mark}")
        made = pattern.sub(whole.replace("\\", r"\\"), made)
    return made


def example() -> str:
    """The rules in words, a member's receipt in both languages, and what each item is worth."""
    rules = rulesfile.load(RULES)
    priced = _priced()
    made = receipt(priced.items, priced.cuts)
    parts = [_block(discountscli.told(rules))]
    held = " and ".join(f"`{name}`" for name in COUPONS)
    parts.append(f"A member buys {_sentence(made)} and holds the coupons {held}:")
    parts.append(_block(text(made)))
    parts += [f"Coupon `{one.coupon}` is not used: {one.en}." for one in priced.not_used]
    parts.append("The same in Chinese, as sentences:")
    parts.append(_block("\n".join(line.explain("zh") for line in made.lines)))
    parts.append("What each item is worth when it comes back:")
    rows = ["| item | list | paid |", "|---|--:|--:|"]
    each = paid(priced.items, priced.cuts)
    rows += [
        f"| {item.name} | {yuan(item.list_fen)} | {yuan(fen)} |"
        for item, fen in zip(priced.items, each, strict=True)
    ]
    rows.append(f"| **sum** | **{yuan(priced.list_fen)}** | **{yuan(sum(each))}** |")
    parts.append("\n".join(rows))
    return "\n\n".join(parts)


def keys() -> str:
    """One table per kind of rule, and one of the keys that they share."""
    parts = []
    for name, section in SECTIONS.items():
        own = {key: field for key, field in section.fields.items() if field is not COMMON.get(key)}
        parts.append(f"### [{name}.NAME]\n\n{section.words}\n\n{_table(own)}")
    parts.append(
        "### Keys of every rule\n\n"
        "Left out: all goods, always, everybody. A rule is for goods that fit each of `goods`, `brands` and "
        "`zones` that it gives. An item with a price of its own (`epc:`) is not meant by its GTIN.\n\n"
        + _table(COMMON)
    )
    return "\n\n".join(parts)


def _priced() -> Priced:
    rules = rulesfile.load(RULES)
    entries = {entry.key: entry for entry in pricefile.read(PRICES.read_bytes(), PRICES.name)}
    at_ms = discountscli.at_of(AT, rules.zone)
    kinds = {kind.id: kind for kind in rules.coupons}
    held = tuple(issue(kinds[name], name, "shopper", at_ms, rules.zone) for name in COUPONS)
    basket = of_goods(discountscli.goods_in(BASKET), entries.get)
    return price(basket, rules, Shopper(at_ms, "shopper", member=True, coupons=held))


def _sentence(made: Receipt) -> str:
    named = [f"{line.count} × {line.name}" for line in made.lines]
    return f"{', '.join(named[:-1])} and {named[-1]}"


def _block(words: str) -> str:
    return f"```text\n{words}\n```"


def _table(fields: Mapping[str, Field]) -> str:
    rows = ["| key | values | what |", "|---|---|---|"]
    for name, field in fields.items():
        needed = " Needed." if field.needed else ""
        rows.append(f"| `{name}` | {field.values} | {field.words}{needed} |")
    return "\n".join(rows)


def main() -> int:
    """The exit code."""
    return write_or_check_texts(COMMAND, "the code", {PAGE: page()})


if __name__ == "__main__":
    sys.exit(main())
