"""``python -m store discounts check``: what it prints, and why it cannot."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from firmware.wire.pricelist import PriceEntry
from store import discountscli, pricefile, rulesfile
from store.ledger import LedgerError, migrate, open_ledger
from store.prices import buckets, replace
from store.pricing.discounts import Rules

STORE = Path(rulesfile.__file__).parent
DEMO = STORE / "demo_discounts.toml"
PRICES = STORE / "demo_prices.csv"
ZONE = 'time_zone = "Asia/Shanghai"\n'
NAMES = 'en = "A"\nzh = "甲"\n'


def read(text: str) -> Rules:
    return rulesfile.read(text.encode(), "rules.toml")


def run(*words: str) -> str:
    parser = argparse.ArgumentParser()
    discountscli.add_commands(parser.add_subparsers())
    return discountscli.run(parser.parse_args(["discounts", "check", *words]))


def test_the_dry_run_tells_rules_and_price() -> None:
    said = run(
        str(DEMO), "--prices", str(PRICES), "--at", "2026-12-01 12:00", "--member", "--coupon", "five",
        "--coupon", "welcome", "--basket", "9521234000013x2", "9521234000020×1", "9521234000037",
    )  # fmt: skip
    assert "drinks: Drinks: 3 for 2, cheapest free, shared by all 3 (zone chiller)" in said
    assert "doubtful" not in said
    # list 14.80 x 2 + 6.90 + 26.00; member 12.80 each; one for 6.90 free; 10 % are more than five off
    assert "\n4 items                                    62.50\n" in said
    total = 6250 - 400 - 690
    total -= total // 10
    assert f"\nTotal{pricefile.yuan(total):>43}\n" in said
    assert said.endswith("coupon five not used: without it the price is as low or lower")


def test_the_dry_run_speaks_chinese() -> None:
    said = run(str(DEMO), "--prices", str(PRICES), "--basket", "9521234000167", "--language", "zh")
    assert "新品尝鲜：8 折" in said
    assert said.splitlines()[-1].startswith("应付")


def test_the_price_list_may_be_the_ledgers(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    engine = open_ledger(url)
    migrate(engine)
    entries = pricefile.read(PRICES.read_bytes(), "demo")
    with engine.begin() as connection:
        replace(connection, entries, buckets(entries))
    engine.dispose()
    with_ledger = run(str(DEMO), "--db", url, "--basket", "9521234000167")
    assert with_ledger == run(str(DEMO), "--prices", str(PRICES), "--basket", "9521234000167")
    with pytest.raises(LedgerError, match="there is no ledger"):
        run(str(DEMO), "--db", f"{url}.other", "--basket", "9521234000167")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--basket", "9521234000167"], "--basket needs a price list"),
        (["--prices", str(PRICES), "--basket", "9521234000168"], "should end in check digit 7"),
        (["--prices", str(PRICES), "--basket", "tea"], "write GTIN and count like"),
        (["--prices", str(PRICES), "--basket", "9521234000167x0"], "1 to 500 of one goods"),
        (["--prices", str(PRICES), "--basket", "9521234000167x400", "9521234000167x101"], "1 to 500 of one"),
        (["--prices", str(PRICES), "--basket", "epc:30"], "epc:30 is not in the price list"),
        (["--prices", str(PRICES), "--basket", "epc:303"], "non-hexadecimal"),
        (["--prices", str(PRICES), "--basket", "9521234000990"], "09521234000990 is not in the price list"),
        (["--prices", str(PRICES), "--basket", "9521234000167", "--at", "noon"], "--at 'noon': write"),
        (["--prices", str(PRICES), "--basket", "9521234000167", "--at", "0001-01-01"], "--at '0001-01-01'"),
        (
            ["--prices", str(PRICES), "--basket", "9521234000167", "--coupon", "ten"],
            "no such coupon .known: welcome, five",
        ),
        (["--prices", "none.csv"], "none.csv cannot be read"),
    ],
)
def test_a_dry_run_that_cannot_be_says_why(words: list[str], why: str) -> None:
    with pytest.raises(LedgerError, match=why):
        run(str(DEMO), *words)


def test_what_fits_no_goods_is_doubted() -> None:
    rules = read(
        ZONE
        + f'[member_price.m]\n{NAMES}goods = ["9521234000013", "9521234000020"]\nprice_fen = 700\n'
        + f'[percent.p]\n{NAMES}percent = 5\nbrands = ["b"]\nzones = ["z", "y"]\n'
    )
    entries = [PriceEntry(9521234000013, "Oat", 700, zone="y")]
    assert rulesfile.doubts(rules, entries) == [
        "m: no goods of the price list have goods 09521234000020",
        "m: Oat costs 7.00, the member price 7.00 is not less",
        "p: no goods of the price list have brand b",
        "p: no goods of the price list have zone z",
    ]
    assert "doubtful: p: no goods of the price list have brand b" in discountscli.told(rules, entries)


def test_the_demo_file_fits_the_demo_prices() -> None:
    assert rulesfile.doubts(rulesfile.load(DEMO), pricefile.read(PRICES.read_bytes(), "demo")) == []
