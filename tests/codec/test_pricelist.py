"""The price list's bytes: one spelling both ways, hostile input, and how many goods fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware.wire import pricelist
from firmware.wire.gtin import check_digit
from firmware.wire.pricelist import (
    CAPACITY,
    MAX_ENTRY_BYTES,
    MAX_FEN,
    MAX_GTIN,
    Key,
    PriceEntry,
    PriceListError,
    bucket_of,
    count,
    decode_bucket,
    encode_bucket,
    find,
)
from firmware.wire.tables import MAX_DATA, SPECS

MILK = PriceEntry(9521234000013, "Oat drink 1 l", 1280, "1 l", 1280, "north-mill", "chiller")
texts = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "))
names = texts.map(lambda text: text.strip()[:60].strip()).filter(bool)
keys: st.SearchStrategy[Key] = st.one_of(
    st.integers(1, MAX_GTIN), st.binary(min_size=12, max_size=12), st.binary(min_size=1, max_size=62)
)
ids = st.text("abcz019-", max_size=16)
fen = st.one_of(st.integers(0, 20_000), st.integers(0, MAX_FEN))


@st.composite
def entries(draw: st.DrawFn) -> PriceEntry:
    unit = draw(st.sampled_from(["", "100 g", "1 l", "piece", "500 克"]))
    unit_fen = draw(fen) if unit else None
    return PriceEntry(draw(keys), draw(names), draw(fen), unit, unit_fen, draw(ids), draw(ids))


def by_bucket(found: list[PriceEntry]) -> dict[str, list[PriceEntry]]:
    buckets: dict[str, list[PriceEntry]] = {}
    for entry in {entry.key: entry for entry in found}.values():
        buckets.setdefault(bucket_of(entry.key), []).append(entry)
    return buckets


@given(st.lists(entries(), max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_a_list_comes_back_whatever_its_order(found: list[PriceEntry], chance: object) -> None:
    for bucket, members in by_bucket(found).items():
        data = encode_bucket(members)
        back = decode_bucket(data, bucket)
        assert {entry.key: entry for entry in back} == {entry.key: entry for entry in members}
        assert encode_bucket(reversed(back)) == data
        assert count(data) == len(back)
        for entry in members:
            assert find(data, entry.key) == entry


@given(st.lists(entries(), min_size=1, max_size=30), keys)
@settings(max_examples=40)
def test_a_key_that_is_not_there_is_not_found(found: list[PriceEntry], key: Key) -> None:
    members = by_bucket(found)[bucket_of(found[0].key)]
    data = encode_bucket(members)
    assert find(data, key) == next((entry for entry in members if entry.key == key), None)


@given(st.binary(max_size=120), st.data())
@example(b"", None)
@settings(max_examples=150)
def test_any_bytes_are_refused_or_are_the_one_spelling(junk: bytes, data: st.DataObject | None) -> None:
    given_bytes = [junk, b"\x01" + junk, b"\x01" + len(junk).to_bytes(2, "big") + junk]
    if data is not None:
        whole = bytearray(encode_bucket([MILK]))
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
        given_bytes.append(bytes(whole))
    for payload in given_bytes:
        try:
            found = decode_bucket(payload)
        except PriceListError:
            continue
        if len({bucket_of(entry.key) for entry in found}) <= 1:
            assert encode_bucket(found) == payload


def test_every_cut_and_every_tail_is_refused() -> None:
    whole = encode_bucket([MILK])
    for length in range(len(whole)):
        if length != 1:
            with pytest.raises(PriceListError):
                decode_bucket(whole[:length])
    for tail in (b"\x00", b"\x00\x00", b"\x00\x01\x01"):
        with pytest.raises(PriceListError):
            decode_bucket(whole + tail)
    with pytest.raises(PriceListError, match="length is not that of its fields"):
        decode_bucket(whole[:1] + (len(whole) - 2).to_bytes(2, "big") + whole[3:] + b"\x00")
    here = bucket_of(MILK.key)
    later = next(key for key in range(MAX_GTIN, 0, -1) if bucket_of(key) == here)
    other = encode_bucket([replace(MILK, key=later)])
    assert len(decode_bucket(whole + other[1:])) == 2
    with pytest.raises(PriceListError, match="does not belong into bucket"):
        decode_bucket(whole + encode_bucket([replace(MILK, key=later - 1)])[1:])
    for wrong in (whole + whole[1:], other + whole[1:]):
        with pytest.raises(PriceListError, match="not in ascending order"):
            decode_bucket(wrong)


def test_the_bytes_as_the_page_describes_them() -> None:
    body = (
        bytes.fromhex("01 08a8d5c5388d 00000500")
        + b"\x0dOat drink 1 l"
        + b"\x031 l"
        + bytes.fromhex("00000500")
    )
    body += b"\x0anorth-mill" + b"\x07chiller"
    assert encode_bucket([MILK]) == b"\x01" + len(body).to_bytes(2, "big") + body
    epc = PriceEntry(bytes(range(12)), "Bag", 0)
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
    assert bytes.fromhex(next(line for line in page.splitlines() if line.startswith("    01 "))) == (
        encode_bucket([MILK])
    )
    body = b"\x00\x0c" + bytes(range(12)) + bytes(4) + b"\x03Bag" + bytes(3)
    assert encode_bucket([epc]) == b"\x01" + len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (replace(MILK, key=0), "GTIN-14 0"),
        (replace(MILK, key=MAX_GTIN + 1), "GTIN-14"),
        (replace(MILK, key=b""), "EPC of 0 bytes"),
        (replace(MILK, key=bytes(63)), "EPC of 63 bytes"),
        (replace(MILK, name=""), "name is empty"),
        (replace(MILK, name="x" * 61), "61 characters"),
        (replace(MILK, name="a\nb"), "cannot be shown"),
        (replace(MILK, name=" a"), "a space at an end"),
        (replace(MILK, name="\ud800"), "cannot be shown"),
        (replace(MILK, price_fen=-1), "price of -1"),
        (replace(MILK, price_fen=MAX_FEN + 1), "price of"),
        (replace(MILK, unit=""), "go together"),
        (replace(MILK, unit_fen=None), "go together"),
        (replace(MILK, unit="x" * 13), "13 characters"),
        (replace(MILK, unit_fen=-5), "unit price of -5"),
        (replace(MILK, brand="North"), "brand 'North'"),
        (replace(MILK, zone="x" * 17), "zone"),
        (replace(MILK, zone="a\n"), "zone"),
    ],
)
def test_what_has_no_encoding(entry: PriceEntry, says: str) -> None:
    with pytest.raises(PriceListError, match=says):
        encode_bucket([entry])


def test_twice_and_in_the_wrong_bucket() -> None:
    with pytest.raises(PriceListError, match="GTIN 09521234000013 is in the list twice"):
        encode_bucket([MILK, replace(MILK, price_fen=1)])
    other = next(replace(MILK, key=n) for n in range(1, 99) if bucket_of(n) != bucket_of(MILK.key))
    with pytest.raises(PriceListError, match="2 buckets"):
        encode_bucket([MILK, other])
    wrong = bucket_of(other.key)
    with pytest.raises(PriceListError, match=f"does not belong into bucket {wrong}"):
        decode_bucket(encode_bucket([MILK]), wrong)


def gtins(number: int) -> list[int]:
    """As a shop has them: item references counted up behind few company prefixes, with check digits."""
    found = []
    for n in range(number):
        digits = f"{9521000 + n % 5:07d}{n // 5:05d}"
        found.append(int(digits + check_digit(digits)))
    return found


def test_a_shop_of_the_stated_size_fits_and_a_bucket_over_it_is_said_in_words() -> None:
    fullest: dict[str, int] = {}
    for key in gtins(CAPACITY):
        fullest[bucket_of(key)] = fullest.get(bucket_of(key), 0) + 1
    assert set(fullest) == set(SPECS["prices"].names())
    ordinary = len(encode_bucket([MILK])) - 1
    assert 50 <= ordinary <= 70
    assert max(fullest.values()) * ordinary < MAX_DATA

    fullest.clear()
    for key in gtins(6000):
        fullest[bucket_of(key)] = fullest.get(bucket_of(key), 0) + 1
    assert max(fullest.values()) * MAX_ENTRY_BYTES < MAX_DATA
    longest = PriceEntry(bytes(62), "\U0001f600" * 60, 1, "\U0001f600" * 12, 1, "a" * 16, "a" * 16)
    assert len(encode_bucket([longest])) == 1 + MAX_ENTRY_BYTES

    many = [key for key in gtins(CAPACITY * 2) if bucket_of(key) == "7"]
    with pytest.raises(PriceListError, match=r"bucket 7 of the price list would hold \d+ entries"):
        encode_bucket([replace(MILK, key=key) for key in many])


def test_an_entry_names_its_gtin() -> None:
    assert MILK.gtin14 == "09521234000013"
    assert PriceEntry(b"\x01", "x", 1).gtin14 is None
    assert pricelist.TABLE in SPECS
