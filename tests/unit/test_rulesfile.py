"""The file of discount rules: every fault named at once, and the dry run."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning import discounts_page
from store import rulesfile
from store.pricing.discounts import LIMITS, CouponKind, MemberPrice, NForM, Percent, Rules
from store.pricing.window import Window
from store.rulesfields import SECTIONS
from store.rulesfile import RulesFileError

ZONE = 'time_zone = "Asia/Shanghai"\n'
NAMES = 'en = "A"\nzh = "甲"\n'


def read(text: str) -> Rules:
    return rulesfile.read(text.encode(), "rules.toml")


def faults(text: str) -> list[str]:
    with pytest.raises(RulesFileError) as caught:
        read(text)
    assert all(fault.startswith("rules.toml: ") for fault in caught.value.faults)
    return [fault.removeprefix("rules.toml: ") for fault in caught.value.faults]


def test_every_key_arrives_in_its_rule() -> None:
    rules = read(
        ZONE
        + f'[member_price.m]\n{NAMES}goods = ["9521234000013", "epc:3034f1"]\nprice_fen = 0\n'
        + "exclusive = true\n"
        + f'[n_for_m.n]\n{NAMES}n = 3\nm = 1\nmost = 2\nbrands = ["b"]\nmembers = true\n'
        + f'[percent.p]\n{NAMES}percent = 5\nzones = ["z"]\nweekdays = ["mon", "sun"]\nfrom = "22:30"\n'
        + 'until = "24:00"\nfirst_day = 2026-12-01\nlast_day = 2026-12-24\n'
        + f"[coupon.c]\n{NAMES}percent = 7\nat_most_fen = 9\nminimum_fen = 10\nvalid_days = 3\n"
        + f"[coupon.d]\n{NAMES}amount_fen = 8\n"
    )
    (member,), (n_for_m,), (percent,), (c, d) = rules.member, rules.n_for_m, rules.percent, rules.coupons
    assert isinstance(member, MemberPrice)
    assert member.where.goods == {"09521234000013", "epc:3034F1"}
    assert (member.id, member.en, member.zh, member.price_fen, member.exclusive) == ("m", "A", "甲", 0, True)
    assert isinstance(n_for_m, NForM)
    assert (n_for_m.n, n_for_m.m, n_for_m.most, n_for_m.members, n_for_m.when) == (3, 1, 2, True, None)
    assert n_for_m.where.brands == {"b"}
    assert isinstance(percent, Percent)
    assert (percent.percent, percent.where.zones, percent.exclusive) == (5, {"z"}, False)
    assert percent.when == Window(frozenset({0, 6}), 1350, 1440, date(2026, 12, 1), date(2026, 12, 24))
    assert isinstance(c, CouponKind)
    assert (c.percent, c.at_most_fen, c.minimum_fen, c.valid_days, c.amount_fen) == (7, 9, 10, 3, None)
    assert (d.amount_fen, d.percent, d.minimum_fen, d.valid_days) == (8, None, 0, 30)
    assert (str(rules.zone), len(rules.digest)) == ("Asia/Shanghai", 64)


def test_a_shop_may_have_no_rules_at_all() -> None:
    assert read(ZONE).in_order == ()


def test_all_faults_are_told_at_once() -> None:
    found = faults(
        'time_zon = "x"\n'
        '[n_for_m.x]\nen = "a"\nn = 2\nm = 2\ngoods = ["9521234000014", 1, "1"]\nform = "12:00"\n'
        f'[percent."A b"]\n{NAMES}percent = 12.5\nfrom = "1:00"\n'
        f'[percent.y]\n{NAMES}percent = 101\nfrom = "24:00"\nuntil = "00:00"\n'
        f"[member_price.x]\n{NAMES}goods = []\nprice_fen = 12.80\nmembers = false\n"
        f"[coupon.c]\n{NAMES}\n"
        f"[coupon.d]\n{NAMES}amount_fen = 1\nat_most_fen = 2\nfirst_day = 2026-02-02\nlast_day = 2026-02-01\n"
    )
    assert found == [
        'unknown key "time_zon"; did you mean "time_zone"?',
        'time_zone is missing; write time_zone = "Asia/Shanghai"',
        'unknown key "member_price.x.members" (known: goods, price_fen, en, zh, brands, zones, weekdays, '
        "from, until, first_day, last_day, exclusive)",
        "member_price.x.goods: must be a list of 1 to 5000 goods; leave the key out for all",
        "member_price.x.price_fen: 12.8 must be a whole number of fen: 12.80 yuan is written 1280",
        'unknown key "n_for_m.x.form"; did you mean "from"?',
        "n_for_m.x.zh is missing (text of up to 40 characters)",
        "n_for_m.x.goods: GTIN 9521234000014 should end in check digit 3; 1 must be in quotes; "
        "a GTIN has 8, 12, 13 or 14 digits, not '1'",
        "n_for_m.x: m = 2 must be less than n = 2",
        "percent.A b.percent: a number with a fraction, must be a whole number 1 to 100 (percent off)",
        'percent.A b.from: \'1:00\' must be a time of day in quotes, "00:00" to "24:00"',
        "percent.A b: 'A b' is no name for a rule: 1 to 32 of a-z 0-9 -",
        "percent.A b: from and until go together: give both or none",
        "percent.y.percent: 101 must be 1 to 100 (percent off)",
        'percent.y: from: a day begins at "00:00"',
        'percent.y: until: a day ends at "24:00"',
        "coupon.c: give either amount_fen or percent",
        "coupon.d: first_day 2026-02-02 is after last_day 2026-02-01",
        "coupon.d: at_most_fen belongs to percent, amount_fen is its own limit",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("time_zone = 8", "time_zone: must be the name of a time zone in quotes"),
        ('time_zone = "Asia/Pekin"', "time_zone: 'Asia/Pekin' is no time zone of this machine"),
        ('time_zone = "../etc/passwd"', "is no time zone of this machine"),
        ('time_zone = ""', "is no time zone of this machine"),
        (ZONE + "percent = 5", "percent: must be tables with a name each, [percent.NAME]"),
        (ZONE + "[percent]\nx = 5", "percent.x: must be a table, [percent.NAME]"),
        (ZONE + f"[percent.x]\n{NAMES}percent = true", "true or false, must be a whole number"),
        (ZONE + f'[percent.x]\n{NAMES}percent = "5"', "a text, must be a whole number"),
        (ZONE + f"[percent.x]\n{NAMES}percent = [5]", "a list, must be a whole number"),
        (ZONE + f"[percent.x]\n{NAMES}percent = {{}}", "a table, must be a whole number"),
        (ZONE + f"[percent.x]\n{NAMES}percent = 2026-12-01", "a day, must be a whole number"),
        (ZONE + f"[percent.x]\n{NAMES}percent = 12:00:00", "a time, must be a whole number"),
        (ZONE + f"[percent.x]\n{NAMES}percent = nan", "a number with a fraction"),
        (ZONE + f"[percent.x]\n{NAMES}percent = 5\nexclusive = 1", "exclusive: a whole number, must be true"),
        (ZONE + f'[percent.x]\n{NAMES}percent = 5\nfirst_day = "2026-12-01"', "a day without quotes"),
        (ZONE + f"[percent.x]\n{NAMES}percent = 5\nlast_day = 2026-12-01T00:00:00", "a day without quotes"),
        (ZONE + f'[percent.x]\n{NAMES}percent = 5\nweekdays = ["Mon"]', "'Mon' must be one of mon, tue"),
        (ZONE + f'[percent.x]\n{NAMES}percent = 5\nbrands = ["A b"]', "'A b' must be 1 to 16 of a-z 0-9 -"),
        (ZONE + f'[percent.x]\n{NAMES}percent = 5\nfrom = "08:00"\nuntil = "08:00"', "both 08:00"),
        (ZONE + f"[coupon.x]\n{NAMES}amount_fen = 5\npercent = 5", "give either amount_fen or percent"),
        (
            ZONE + f"[percent.x]\n{NAMES}percent = 5\n[coupon.x]\n{NAMES}percent = 5",
            "more than one rule is called x",
        ),
        (
            "".join([ZONE, *(f"[percent.x{at}]\n{NAMES}percent = 5\nexclusive = true\n" for at in range(7))]),
            "7 rules are exclusive, at most 6 are possible",
        ),
        ("x = ", "not valid TOML: "),
        ("x = " + "9" * 5000, "not valid TOML: "),
        ("x = " + "[" * 5000, "not valid TOML: "),
        ('time_zone = "Asia/Shanghai\x00"', "not valid TOML: "),
    ],
)
def test_a_fault_names_key_and_limit(text: str, fault: str) -> None:
    (found,) = faults(text)
    assert fault in found


def test_limits_are_those_of_the_rules() -> None:
    for name, (low, high, _) in LIMITS.items():
        section = next(name_ for name_, of in SECTIONS.items() if name in of.fields)
        for value in (low - 1, high + 1):
            assert any(
                f"{name}: {value} must be {low} to {high}" in fault
                for fault in faults(ZONE + f"[{section}.x]\n{NAMES}{name} = {value}\n")
            )


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RulesFileError, match="none.toml cannot be read: No such file"):
        rulesfile.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'x = "\xff"')
    with pytest.raises(RulesFileError, match="not valid TOML"):
        rulesfile.load(tmp_path / "latin.toml")
    with pytest.raises(RulesFileError, match="over 1048576 bytes"):
        rulesfile.read(b"#" * (1024 * 1024 + 1), "big.toml")


words = st.sampled_from(["time_zone", *SECTIONS, *(key for of in SECTIONS.values() for key in of.fields)])
values = st.recursive(
    st.one_of(st.integers(-5, 200), st.booleans(), st.text("ab:0", max_size=6), st.dates()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=35)
@given(st.dictionaries(words, values, max_size=4), st.dictionaries(words, values, max_size=6))
def test_whatever_stands_in_the_file_it_is_rules_or_faults(top: dict, table: dict) -> None:
    text = _toml(top | {"percent": {"x": table}, "coupon": {"y": table}})
    said: list[str] = []
    try:
        read(text)
    except RulesFileError as error:
        said = error.faults
    assert all("\n" not in fault for fault in said)
    assert said or "time_zone" in top


def _toml(value: object) -> str:
    """One-line TOML of a value; at the top level one key a line."""
    if isinstance(value, dict):
        return "\n".join(f"{key} = {_inline(inner)}" for key, inner in value.items())
    return _inline(value)


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)


def test_the_page_shows_what_the_code_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["discounts_page", "--check"])
    assert discounts_page.main() == 0
    monkeypatch.setattr(discounts_page, "AT", "2026-12-07 20:30")  # a Monday: another price
    assert discounts_page.main() == 1
    assert discounts_page.COMMAND in capsys.readouterr().err
