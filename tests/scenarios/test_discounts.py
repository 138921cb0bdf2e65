"""Plays tests/scenarios/discounts/baskets.txt: what is bought, by whom and when, and what each line costs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from firmware.wire.pricelist import PriceEntry
from store import rulesfile
from store.discountscli import at_of
from store.pricing.discounts import Coupon, issue
from store.pricing.engine import Priced, Shopper, price
from store.pricing.lines import of_goods
from store.pricing.receipt import receipt
from store.pricing.words import yuan

FOLDER = Path(__file__).with_name("discounts")
RULES = rulesfile.load(FOLDER / "rules.toml")
GOODS = {
    entry.name: entry
    for entry in (
        PriceEntry(95271118, "tea", 990, brand="lotus-lane"),
        PriceEntry(95272221, "water", 1080, brand="lotus-lane"),
        PriceEntry(95273334, "loaf", 2600, zone="bakery"),
        PriceEntry(95274447, "crisps", 777, zone="shelf"),
        PriceEntry(95275550, "jam", 2890, zone="shelf"),
        PriceEntry(95276663, "salad", 1505, zone="deli"),
        PriceEntry(95277776, "pan", 2000),
    )
}
DAY_MS = 86_400_000
WHO = re.compile(
    r"A (member|guest)(?: with (?:(expired|used|foreign) )?coupons? ([\w-]+)(?: and ([\w-]+))?)?"
)
WHEN = re.compile(r"At (20\S+ \S+?)(?: pays (\d+\.\d\d))?")


@dataclass
class Case:
    """One scenario; ``lines``: (number in the file, text)."""

    name: str
    lines: list[tuple[int, str]] = field(default_factory=list)


def _load(text: str) -> list[Case]:
    cases: list[Case] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("Scenario: "):
            cases.append(Case(line.removeprefix("Scenario: ")))
        elif line.startswith("  "):
            cases[-1].lines.append((number, line.strip()))
        else:
            assert not line or line.startswith("#"), f"line {number}: {line}"
    return cases


class Player:
    def __init__(self) -> None:
        self.who = ("guest", None, None, None)
        self.counts: dict[int | bytes, int] = {}
        self.priced: Priced | None = None
        self.expected: list[str] = []

    def line(self, text: str) -> None:
        if match := WHO.fullmatch(text):
            self.who = match.groups()
        elif text.startswith("Buys "):
            for some in text.removeprefix("Buys ").split(", ") if text != "Buys nothing" else ():
                count, name = some.split()
                self.counts[GOODS[name].key] = int(count)
        elif match := WHEN.fullmatch(text):
            self.priced = self.buy(match[1])
            if match[2]:
                assert yuan(self.priced.total_fen) == match[2]
        elif text.startswith("Pays "):
            assert self.priced is not None
            assert sorted(self.said(self.priced)) == sorted(self.expected)
            assert f"Pays {yuan(self.priced.total_fen)}" == text
            self.expected.clear()
        else:
            self.expected.append(text)

    def buy(self, when: str) -> Priced:
        at_ms = at_of(when, RULES.zone)
        entries = {entry.key: entry for entry in GOODS.values()}
        kind, fault, *names = self.who
        held = tuple(_coupon(name, fault, at_ms) for name in names if name)
        spent = frozenset(coupon.id for coupon in held if fault == "used")
        shopper = Shopper(at_ms, "s1", kind == "member", held, spent)
        return price(of_goods(self.counts, entries.get), RULES, shopper)

    def said(self, priced: Priced) -> list[str]:
        said = [f"{one.coupon} is not used: {one.en}" for one in priced.not_used]
        names = {rule.id: rule.en for rule in (*RULES.in_order, *RULES.coupons)}
        for line in receipt(priced.items, priced.cuts).lines:
            cuts = ", ".join(f"{names[one.rule]} {yuan(-one.fen)}" for one in line.reductions)
            if cuts:
                said.append(f"{line.name} {yuan(line.list_fen)}: {cuts} = {yuan(line.total_fen)}")
        return said


def _coupon(name: str, fault: str | None, at_ms: int) -> Coupon:
    kind = next(kind for kind in RULES.coupons if kind.id == name)
    issued_ms = at_ms - (400 * DAY_MS if fault == "expired" else 0)
    return issue(kind, name, "s2" if fault == "foreign" else "s1", issued_ms, RULES.zone)


CASES = _load((FOLDER / "baskets.txt").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_basket(case: Case) -> None:
    player = Player()
    for number, text in case.lines:
        try:
            player.line(text)
        except AssertionError as error:
            raise AssertionError(f"baskets.txt:{number}: {text}\n{error}") from None
    assert player.priced is not None
    assert player.expected == [], "a scenario with lines of goods ends with what is paid"


def test_every_rule_has_a_scenario() -> None:
    text = (FOLDER / "baskets.txt").read_text(encoding="utf-8")
    quiet = {"night", "small-hours"}  # told by what is paid at which time
    assert {rule.id for rule in RULES.in_order if rule.en not in text} <= quiet
    assert {kind.id for kind in RULES.coupons if kind.id not in text} == set()
