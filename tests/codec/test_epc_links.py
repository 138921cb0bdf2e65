"""An item's QR label becomes an EPC: any serial comes back, in the fewest bits; nothing else is taken."""

from __future__ import annotations

from datetime import date
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.wire.epc import EpcError, decode, from_digital_link, sgtin_key
from firmware.wire.epc_value import CHARACTERS

ALPHABETS = (
    "0123456789",
    "0123456789ABCDEF",
    "0123456789abcdef",
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_",
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-.:",
    "".join(sorted(CHARACTERS)),
)
WIDTHS = (10 / 3, 4, 4, 6, 16 / 3, 7)
SERIALS = st.sampled_from(ALPHABETS).flatmap(lambda letters: st.text(letters, min_size=1, max_size=20))
GTIN = "09521141123454"


@given(SERIALS, st.integers(0, 7))
def test_any_serial_comes_back(serial: str, head: int) -> None:
    link = f"https://shop.example/x/01/{GTIN}/21/{quote(serial, safe='')}"
    epc = from_digital_link(link, head)
    found = decode(epc)
    assert (found.scheme, found.gtin14, found.serial, found.filter) == ("sgtin+", GTIN, serial, head)
    assert len(epc) % 2 == 0
    assert sgtin_key(epc) == GTIN
    assert found.digital_link is not None
    assert from_digital_link(found.digital_link, head) == epc
    fewest = min(
        width * len(serial)
        for width, letters in zip(WIDTHS, ALPHABETS, strict=True)
        if set(serial) <= set(letters)
    )
    assert 8 * len(epc) <= 76 + fewest + 11 + 15  # a code-40 group and the last word may not be full


@given(st.dates(min_value=date(2000, 1, 1), max_value=date(2099, 12, 31)))
def test_any_expiry_date_comes_back(day: date) -> None:
    epc = from_digital_link(f"/01/{GTIN}/21/A1?17={day:%y%m%d}")
    found = decode(epc)
    assert (found.scheme, found.expiry, found.date_type) == ("dsgtin+", str(day), "17")
    assert from_digital_link(found.digital_link or "") == epc


@pytest.mark.parametrize(
    ("link", "hex_"),
    [
        # Made by GS1's own translator and printed in TDS 2.3 E.3, filled up to whole words.
        ("/01/09521141123454/21/a%2Fb%21", "F710952114112345484C2BF12100"),
        ("/01/09521141123454/21/aZ_09-", "F710952114112345466699FF4F7E"),
        ("/01/09521141123454/21/DEADBEEF01", "F71095211411234542ADEADBEEF01000"),
        ("/01/09521141123454/21/ABC-123.X", "F7109521141123454A90694ADB9D2B90"),
        ("https://id.gs1.org/01/79521141123453/21/32a%2Fb?17=220630", "FB142CDE795211411234538566CB0AFC4000"),
    ],
)
def test_published_encodings(link: str, hex_: str) -> None:
    assert from_digital_link(link).hex().upper() == hex_


@pytest.mark.parametrize(
    "link",
    [
        "https://id.gs1.org/01/09521141123454/21/77",
        "HTTP://SHOP.EXAMPLE:8080/some/01/path/01/09521141123454/21/77/",
        "01/9521141123454/21/77",
        "/01/09521141123454/22/2A/10/LOT%201/21/77?linkType=gs1:pip&3103=000500#top",
        "/01/09521141123454/21/%37%37",
    ],
)
def test_the_same_item_in_other_words_has_the_same_epc(link: str) -> None:
    assert from_digital_link(link) == from_digital_link("/01/09521141123454/21/77")


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("", "no /01/"),
        ("https://shop.example/c?v1.demo", "no /01/"),
        ("/01", "no /01/"),
        ("ftp://id.gs1.org/01/09521141123454/21/7", "ftp://"),
        ("/01/09521141123454", "no serial number"),
        ("/01/09521141123454/10/LOT", "no serial number"),
        ("/01/09521141123453/21/7", "check digit 4"),
        ("/01/952114112345/21/7", "check digit"),
        ("/01/95211411234/21/7", "8, 12, 13 or 14 digits"),
        ("/01/0952114112345x/21/7", "8, 12, 13 or 14 digits"),
        ("/01/09521141123454/21/7/22/A", "in this order"),
        ("/01/09521141123454/235/A/21/7", "in this order"),
        ("/01/09521141123454/21/7/21/8", "in this order"),
        ("/01/09521141123454/21/7/8", "followed by its value"),
        ("/01/09521141123454/21//x", "followed by its value"),
        ("/01/09521141123454/21/" + "1" * 21, "1 to 20 characters"),
        ("/01/09521141123454/21/a%20b", "of the GS1 set"),
        ("/01/09521141123454/21/a%FFb", "of the GS1 set"),
        ("/01/09521141123454/21/a%2", "two hex digits"),
        ("/01/09521141123454/21/a%+1", "two hex digits"),
        ("/01/09521141123454/21/7?17=2212", "YYMMDD"),
        ("/01/09521141123454/21/7?17=221301", "221301 is no date"),
        ("/01/09521141123454/21/7?17=220631", "220631 is no date"),
        ("/01/09521141123454/21/7?17=220630&17=220630", "two expiry dates"),
        ("/01/09521141123454/21/7 ", "without spaces"),
        ("/01/09521141123454/21/é", "printable ASCII"),
        ("/" * 2001, "up to 2000"),
    ],
)
def test_what_is_no_item_link_is_refused(link: str, says: str) -> None:
    with pytest.raises(EpcError, match=says):
        from_digital_link(link)


@given(st.text(max_size=60) | st.text("/0121%?=&#7:h", max_size=40).map(lambda t: f"/01/{GTIN}/21/" + t))
def test_random_text_raises_only_epc_error(text: str) -> None:
    try:
        epc = from_digital_link(text)
    except EpcError:
        return
    assert decode(epc).gtin14 is not None
