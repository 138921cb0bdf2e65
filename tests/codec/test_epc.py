"""EPCs of tags: the published vectors, every way to be wrong with its reason, and nothing but EpcError."""

from __future__ import annotations

import itertools
import json
import random
from calendar import monthrange
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firmware.wire.epc import Epc, EpcError, decode, decode_hex, encode_sgtin96, item_key, sgtin_key
from firmware.wire.gtin import check_digit, is_valid, to_gtin14

FILE = json.loads((Path(__file__).parents[1] / "vectors" / "epc.json").read_text())
VECTORS: list[dict[str, Any]] = FILE["vectors"]
FIELDS = {
    "scheme": "scheme",
    "tag": "tag_uri",
    "pure": "pure_uri",
    "gtin14": "gtin14",
    "serial": "serial",
    "dl": "digital_link",
    "expiry": "expiry",
}
KEYS = {"gln": "/414/", "sscc": "/00/", "grai": "/8003/0", "giai": "/8004/"}
"""Keys that a vector gives are held against the Digital Link."""


def on_tag(digits: str) -> bytes:
    """As a tag stores it: whole 16-bit words."""
    return bytes.fromhex(digits + "0" * (-len(digits) % 4))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["expect"]["scheme"] + " " + v["hex"])
def test_published_vectors(vector: dict[str, Any]) -> None:
    for found in (decode_hex(vector["hex"]), decode(on_tag(vector["hex"]))):
        for name, wanted in vector["expect"].items():
            if name in FIELDS:
                assert getattr(found, FIELDS[name]) == wanted, name
            else:
                assert found.digital_link is not None
                path = unquote(found.digital_link)
                assert path.startswith(KEYS[name] + wanted.removeprefix("0" if name == "grai" else ""))
    assert decode_hex(vector["hex"].lower()).hex == vector["hex"].upper()


@pytest.mark.parametrize("vector", FILE["must_reject"], ids=lambda v: v["hex"])
def test_what_must_be_refused_is_with_the_reason(vector: dict[str, str]) -> None:
    with pytest.raises(EpcError, match=vector["says"]) as caught:
        decode_hex(vector["hex"])
    assert caught.value.kind == vector["kind"]


def sgtin96(partition: int, company: int, item: int, serial: int = 1) -> str:
    bits = (40, 37, 34, 30, 27, 24, 20, 20)[partition]
    field = (0x30 << 6 | 1 << 3 | partition) << 44 | company << (44 - bits) | item
    return f"{field << 38 | serial:024X}"


def sgtin198(serial: int) -> str:
    """``serial``: the whole field of 140 bits."""
    return f"{(0x3636451FD40C0E4 >> 2) << 142 | serial << 2:050X}"


def sscc96(reference: int) -> str:
    return f"{((0x31 << 6 << 40 | 61414) << 18 | reference) << 24:024X}"


def giai202(characters: int) -> str:
    """Partition 0 and so many letters A."""
    field = int("1000001" * characters, 2) << (148 - 7 * characters)
    return f"{((0x38 << 6 << 40 | 61414) << 148 | field) << 2:051X}"


SGTIN_PLUS = "F7109521141123454"
DSGTIN_PLUS = "FB1"
SGTIN_198 = "3636451FD40C0E51214A993A852A95AC5AB97B072E9DBC7A00"


@pytest.mark.parametrize(
    ("digits", "says", "kind"),
    [
        ("", "empty", "unprogrammed"),
        ("0", "empty", "unprogrammed"),
        ("FFFFFFFFFFFFFFFFFFFFFFFF", "FF belongs to no GS1 scheme", "unprogrammed"),
        ("0F" + "1" * 22, "0F belongs to no GS1 scheme", "unprogrammed"),
        ("00" + "1" * 22, "chip's maker", "unprogrammed"),
        ("2C" + "0" * 22, "GDTI-96", "other"),
        ("FA" + "0" * 22, "GIAI\\+", "other"),
        ("zz", "not hex", "malformed"),
        ("0x30", "not hex", "malformed"),
        ("3_0", "not hex", "malformed"),
        ("３０", "not hex", "malformed"),
        ("0" * 126, "at most 124", "malformed"),
        (sgtin96(5, 10**7, 0), "company prefix 10000000 is out of range", "malformed"),
        (sgtin96(5, 0, 10**6), "item reference 1000000 is out of range", "malformed"),
        (sgtin96(0, 10**12 - 1, 10), "item reference 10 is out of range", "malformed"),
        (sgtin96(5, 1, 1)[:-2], "88 bits.*cut short", "malformed"),
        (sgtin96(5, 1, 1)[:-1], "92 bits.*cut short", "malformed"),
        (sgtin96(5, 1, 1) + "0000", "112 bits.*too long", "malformed"),
        (SGTIN_198[:-4], "184 bits.*cut short", "malformed"),
        (SGTIN_198[:-2] + "01", "2 bits behind the 198.*zero", "malformed"),
        (SGTIN_198 + "000", "too long", "malformed"),
        (sgtin198(0), "serial number is empty", "malformed"),
        (sgtin198(0x41 << 133 | 1), "bits behind the zero that ends its 1 characters", "malformed"),
        (sgtin198(0x41 << 133 | 0x42 << 119), "bits behind the zero", "malformed"),
        (sgtin198(0x41 << 133 | 0x23 << 126), "character 2 has code 35, none of the GS1 set", "malformed"),
        ("31A03932449F000000000001", "24 bits.*reserved", "malformed"),
        (sscc96(100_000), "serial reference 100000 is out of range", "malformed"),
        ("3300393243FFFF7400000000", "asset type", "malformed"),
        ("32003931A5144A0000000001", "location reference 1 is out of range: partition 0 has 0", "malformed"),
        ("341C" + "0" * 20, "partition 7", "malformed"),
        ("387C" + "0" * 48, "partition 7", "malformed"),
        (giai202(19), "19 characters, at most 18", "malformed"),
        ("F710952114112345", "ends in the middle", "malformed"),
        ("F71095211411234A4012", "no digit", "malformed"),
        ("F7109521141123455012", "end in check digit 4", "malformed"),
        (SGTIN_PLUS + "000", "0 characters", "malformed"),
        (SGTIN_PLUS + "15" + "0" * 30, "21 characters", "malformed"),
        (SGTIN_PLUS + "01A0", "10 is out of range for 1 digit", "malformed"),
        (SGTIN_PLUS + "C1" + "1", "encoding 6 is reserved", "malformed"),
        (SGTIN_PLUS + "E1" + "1", "encoding 7 is reserved", "malformed"),
        (SGTIN_PLUS + "8146", "outside the GS1 set", "malformed"),
        (SGTIN_PLUS + "A10000", "no URN Code 40 group", "malformed"),
        (SGTIN_PLUS + "A1FA01", "no URN Code 40 group", "malformed"),
        (SGTIN_PLUS + "A1066A", "padding is not where", "malformed"),
        (SGTIN_PLUS + "A20641", "padding is not where", "malformed"),
        (
            SGTIN_PLUS + "0218001",
            "13 bits behind the 83 of SGTIN\\+ are padding and must be zero",
            "malformed",
        ),
        (SGTIN_PLUS + "02180000", "too long", "malformed"),
        (DSGTIN_PLUS + "7" + "0" * 30, "date type 7 is reserved", "malformed"),
        (DSGTIN_PLUS + "4" + "C821" + "09521141123454011", "100-01-01 is no date", "malformed"),
        (DSGTIN_PLUS + "4" + "3401" + "09521141123454011", "26-00-01 is no date", "malformed"),
        (DSGTIN_PLUS + "4" + "35A1" + "09521141123454011", "26-13-01 is no date", "malformed"),
        (DSGTIN_PLUS + "4" + "3400" + "09521141123454011", "26-00-00 is no date", "malformed"),
        (DSGTIN_PLUS + "4" + "345D" + "09521141123454011", "26-02-29 is no date", "malformed"),
        ("F90095201234567891236", "end in check digit 5", "malformed"),
        ("F90095201234567891235001", "must be zero", "malformed"),
        ("F13195211411234548566CB0AFC4", "begins with a 0", "malformed"),
        ("FD3795211411234538566CB0AFC5000", "host name is empty", "malformed"),
    ],
)
def test_every_way_to_be_wrong_has_its_reason(digits: str, says: str, kind: str) -> None:
    with pytest.raises(EpcError, match=says) as caught:
        decode_hex(digits)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "digits",
    [
        sgtin96(5, 10**7, 0),
        sgtin96(5, 0, 10**6),
        sgtin96(0, 10**12 - 1, 10),
        sgtin96(7, 1, 1),
        SGTIN_198 + "00",
    ],
)
def test_the_fast_key_is_as_strict(digits: str) -> None:
    epc = bytes.fromhex(digits)
    assert sgtin_key(epc) == (decode(epc).gtin14 if digits.startswith("36") else None)


def test_extension_0_of_a_place_says_that_there_is_none() -> None:
    assert decode_hex("3276451FD460720000000000").digital_link == "/414/9521141123454"


def test_day_zero_is_the_last_day_of_its_month() -> None:
    for year, month in itertools.product((0, 26, 28, 99), range(1, 13)):
        found = decode_hex(DSGTIN_PLUS + "4" + f"{year << 9 | month << 5:04X}" + "09521141123454011")
        assert found.expiry == found.date == f"{2000 + year}-{month:02d}-{monthrange(2000 + year, month)[1]}"
        assert found.digital_link == f"/01/09521141123454/21/1?17={year:02d}{month:02d}00"


@pytest.mark.parametrize(
    ("kind", "ai"), list(enumerate(("11", "13", "15", "16", "17", "7006", "7007"))), ids=str
)
def test_only_type_17_is_an_expiry_date(kind: int, ai: str) -> None:
    found = decode_hex(f"{DSGTIN_PLUS}{kind:X}{26 << 9 | 12 << 5 | 31:04X}09521141123454011")
    assert (found.date_type, found.date) == (ai, "2026-12-31")
    assert found.expiry == ("2026-12-31" if ai == "17" else None)
    assert found.digital_link == f"/01/09521141123454/21/1?{ai}=261231"


# Behind SGTIN+ with toggle and serial "1" (encoding 0, length 1: 12 bits), then element strings, by hand.
MORE = "F7909521141123454011"
LOT_AB = "10" + f"{0b001_00010:02X}" + "AB"
USE_BY = f"17{26 << 9 | 12 << 5 | 31:04X}"


@pytest.mark.parametrize(
    ("behind", "expiry"),
    [
        (USE_BY, "2026-12-31"),
        (LOT_AB + USE_BY, "2026-12-31"),
        ("3103" + "001F4" + USE_BY, "2026-12-31"),
        ("24021A" + USE_BY, "2026-12-31"),
        ("2402FA" + USE_BY, None),  # says 15 characters, and the EPC ends
        ("A0" + USE_BY, None),
        ("8005" + USE_BY, None),
        ("17FFFF", None),
        ("", None),
        ("0000", None),
    ],
)
def test_expiry_behind_the_epc_where_the_toggle_says_that_more_follows(
    behind: str, expiry: str | None
) -> None:
    found = decode_hex(MORE + behind)
    assert (found.gtin14, found.serial, found.expiry) == ("09521141123454", "1", expiry)
    assert found.digital_link == "/01/09521141123454/21/1"


HEADS = [0x00, 0xE2, *range(0x30, 0x3A), 0xF1, 0xF7, 0xF9, 0xFB, 0xEB, 0xEF, 0xFC, 0xFD]


@given(st.binary(max_size=40) | st.tuples(st.sampled_from(HEADS), st.binary(max_size=40)))
@example(bytes(62))
def test_random_bytes_raise_only_epc_error_and_the_fast_key_agrees(
    given_: bytes | tuple[int, bytes],
) -> None:
    epc = given_ if isinstance(given_, bytes) else bytes([given_[0]]) + given_[1]
    try:
        found: Epc | None = decode(epc)
    except EpcError:
        found = None
    assert sgtin_key(epc) == (found.gtin14 if found else None)
    assert item_key(epc) == ((found.gtin14, found.serial) if found and found.gtin14 else None)
    if found:
        assert found == decode_hex(epc.hex())
        assert found.gtin14 is None or is_valid(found.gtin14)


@given(
    st.integers(0, 10**13 - 1),
    st.integers(0, (1 << 38) - 1),
    st.integers(6, 12),
    st.integers(0, 7),
)
def test_sgtin96_comes_back(body: int, serial: int, company_digits: int, head: int) -> None:
    gtin14 = f"{body:013d}" + check_digit(f"{body:013d}")
    epc = encode_sgtin96(gtin14, serial, company_digits, head)
    found = decode(epc)
    assert (found.gtin14, found.serial, found.filter) == (gtin14, str(serial), head)
    assert found.company_prefix == gtin14[1 : 1 + company_digits]
    assert sgtin_key(epc) == gtin14


def test_a_whole_vector_encodes_to_itself() -> None:
    assert encode_sgtin96("09506000134352", 123456789, 11, 3).hex().upper() == "3066C4409047E140075BCD15"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("09506000134353", 1, 11), "check digit"),
        (("9506000134352", 1, 11), "GTIN-14"),
        (("0950600013435x", 1, 11), "GTIN-14"),
        (("09506000134352", 1 << 38, 11), "serial number"),
        (("09506000134352", -1, 11), "serial number"),
        (("09506000134352", 1, 5), "6 to 12"),
        (("09506000134352", 1, 13), "6 to 12"),
        (("09506000134352", 1, 11, 8), "filter 8"),
    ],
)
def test_what_is_no_sgtin96_is_not_made(arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(EpcError, match=says):
        encode_sgtin96(*arguments)


def test_a_flipped_bit_in_an_sgtin_plus_never_gives_another_gtin() -> None:
    """The check digit finds every single wrong digit; a flip elsewhere leaves the GTIN alone."""
    epc = bytes.fromhex(SGTIN_PLUS + "2ADEADBEEF01000")
    gtin = decode(epc).gtin14
    for bit in range(12, 68):
        flipped = (int.from_bytes(epc, "big") ^ 1 << (8 * len(epc) - 1 - bit)).to_bytes(len(epc), "big")
        with pytest.raises(EpcError):
            decode(flipped)
    assert gtin == "09521141123454"


def test_check_digits() -> None:
    assert to_gtin14("96385074") == "00000096385074"
    assert to_gtin14("036000291452") == "00036000291452"
    assert check_digit("09520123456789123") == "5"
    assert not is_valid("0")
    for wrong in ("", "1234567", "96385075", "９６３８５０７４"):
        with pytest.raises(ValueError, match="GTIN"):
            to_gtin14(wrong)
    digits = "".join(random.Random(1).choices("0123456789", k=17))
    weights = [3 if (len(digits) - at) % 2 else 1 for at in range(len(digits))]
    total = sum(int(d) * w for d, w in zip(digits, weights, strict=True))
    assert (total + int(check_digit(digits))) % 10 == 0
