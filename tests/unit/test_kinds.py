"""Goods, and what else is in the field: nothing is dropped without a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.portal.kinds import KINDS, KindRules, one_each, sort_tag
from firmware.wire.epc import decode, encode_sgtin96, from_digital_link

OURS = encode_sgtin96("06901234000016", 5, 7)
OTHERS = encode_sgtin96("09521141123454", 5, 7)
SHOP = KindRules(companies=("6901234", "038000"))
TAGS = {
    "unprogrammed": ["000000000000000000000000", "E2801160600002095109A2B4", "AD1234", ""],
    "not-goods": [
        "31A03932449F000000000000",  # SSCC
        "3276451FD46072000000162E",  # SGLN
        "3376451FD40C0E400000162E",  # GRAI
        "3476451FD40000000000162E",  # GIAI
        "350007AB70425D4000000586",  # GID
        "F90095201234567891235000",  # SSCC+
        "2D000000000000000000000A",  # GSRN, not decoded
    ],
    "malformed": ["303C83F1B7DD441678901234", "3066C4409047E140075BCD", "F7109521141123450000"],
}


def nobody(_: bytes) -> bool:
    return False


@pytest.mark.parametrize(("kind", "hexes"), TAGS.items())
def test_what_is_no_item(kind: str, hexes: list[str]) -> None:
    for rules in (KindRules(), SHOP):
        assert {sort_tag(bytes.fromhex(hex_), rules, nobody) for hex_ in hexes} == {kind}


def test_without_companies_every_gtin_counts() -> None:
    assert {sort_tag(epc, KindRules(), nobody) for epc in (OURS, OTHERS)} == {"item"}


def test_with_companies_others_are_foreign() -> None:
    assert sort_tag(OURS, SHOP, nobody) == "item"
    assert sort_tag(OTHERS, SHOP, nobody) == "foreign"


def test_the_company_counts_however_the_epc_is_cut() -> None:
    """A tag made with another prefix length, and one that says none."""
    for digits in range(6, 13):
        assert sort_tag(encode_sgtin96("06901234000016", 5, digits), SHOP, nobody) == "item"
    assert sort_tag(from_digital_link("/01/06901234000016/21/5"), SHOP, nobody) == "item"
    assert sort_tag(from_digital_link("/01/09521141123454/21/5"), SHOP, nobody) == "foreign"
    case = encode_sgtin96("16901234000013", 5, 7)  # the indicator digit is no part of the company
    assert sort_tag(case, SHOP, nobody) == "item"


@given(st.binary(max_size=40))
def test_a_known_tag_is_an_item_whatever_it_is(epc: bytes) -> None:
    assert sort_tag(epc, SHOP, lambda tag: tag == epc) == "item"
    assert sort_tag(epc, SHOP, nobody) in KINDS


def test_known_is_asked_for_the_tag_itself() -> None:
    def catalogue(epc: bytes) -> bool:
        return epc[0] != 0xE2 and decode(epc).gtin14 == "09521141123454"

    assert sort_tag(OTHERS, SHOP, catalogue) == "item"
    assert sort_tag(bytes.fromhex("E2801160600002095109A2B4"), SHOP, catalogue) == "unprogrammed"


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"companies": ("690123x",)}, "companies: '690123x'"),
        ({"companies": ("123",)}, "4 to 12 digits"),
        ({"companies": ("1" * 13,)}, "4 to 12 digits"),
        ({"unprogrammed": "drop"}, "allowed are ignore and report"),
    ],
)
def test_rules_are_checked(rules: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        KindRules(**rules)  # type: ignore[arg-type]


def test_an_item_read_and_shown_is_one_item() -> None:
    shown = from_digital_link("/01/06901234000016/21/5")
    dated = from_digital_link("/01/06901234000016/21/5?17=261231")
    case = from_digital_link("/01/06901234000016/21/5", 2)
    other = from_digital_link("/01/06901234000016/21/05")  # serial numbers are text: another item
    blank = bytes.fromhex("E2801160600002095109A2B4")
    for order in ((OURS, shown, dated, case, other, blank), (blank, other, case, dated, shown, OURS, shown)):
        assert one_each(order) == ((OURS, blank, other), tuple(sorted((shown, dated, case))))
    assert one_each(()) == ((), ())
