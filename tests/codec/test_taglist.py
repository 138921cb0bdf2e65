"""Tag lists: any set of EPCs comes back, small, and nothing but what the encoder writes is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.wire.records import Basket, Flags, Stamp
from firmware.wire.taglist import MAX_TAGS, TagListError, decode, encode
from tests.support.shopmodel import ShopModel

FILTERS = st.integers(0, 7)
_COMPANY = (40, 37, 34, 30, 27, 24, 20)


@st.composite
def sgtin96(draw: st.DrawFn) -> bytes:
    """A few makers, items and serial ranges, so that groups do form."""
    partition = draw(st.integers(0, 6))
    company = draw(st.sampled_from([0, 1, (1 << 20) - 1])) | draw(st.integers(0, 1)) << (
        _COMPANY[partition] - 1
    )
    item_bits = 44 - _COMPANY[partition]
    item = draw(st.integers(0, 3) | st.integers(0, (1 << item_bits) - 1)) & ((1 << item_bits) - 1)
    serial = draw(st.integers(0, 50) | st.integers(0, (1 << 38) - 1) | st.just((1 << 38) - 1))
    value = (0x30 << 6 | draw(FILTERS) << 3 | partition) << 44 | company << item_bits | item
    return (value << 38 | serial).to_bytes(12, "big")


EPCS = sgtin96() | st.binary(min_size=12, max_size=12) | st.binary(min_size=1, max_size=62)


@given(st.lists(EPCS, max_size=60), st.randoms())
def test_any_set_comes_back_sorted_whatever_its_order(tags: list[bytes], random: object) -> None:
    blob = encode(tags)
    assert decode(blob) == tuple(sorted(set(tags)))
    assert encode(reversed(tags)) == blob


@given(st.sets(sgtin96(), max_size=60))
def test_never_longer_than_the_tags_themselves(tags: set[bytes]) -> None:
    assert len(encode(tags)) <= 1 + 12 * len(tags)


@given(st.binary(max_size=200))
def test_random_bytes_raise_only_tag_list_error(blob: bytes) -> None:
    try:
        tags = decode(blob)
    except TagListError:
        return
    assert list(tags) == sorted(set(tags))


@settings(max_examples=200)
@given(st.lists(sgtin96(), min_size=2, max_size=20, unique=True), st.data())
def test_a_changed_list_is_refused_or_means_other_tags(tags: list[bytes], data: st.DataObject) -> None:
    blob = bytearray(encode(tags))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        again = decode(bytes(blob))
    except TagListError:
        return
    assert set(again) != set(tags)


def test_every_cut_of_a_grouped_list_is_refused() -> None:
    blob = encode(ShopModel(3).basket(20))
    assert blob[0] == 1
    for size in range(1, len(blob)):
        with pytest.raises(TagListError):
            decode(blob[:size])


@pytest.mark.parametrize(
    ("blob", "says"),
    [
        (b"", "empty"),
        (b"\x03", "unknown method"),
        (b"\x00" + bytes(11), "whole EPCs"),
        (b"\x00" + bytes(12 * 1001), "whole EPCs"),
        (b"\x00" + bytes(24), "ascending"),
        (b"\x00" + b"\x02" * 12 + b"\x01" * 12, "ascending"),
        (b"\x02\x00", "0 bytes"),
        (b"\x02\x3f" + bytes(63), "63 bytes"),
        (b"\x02\x05abcd", "4 left"),
        (b"\x02\x01b\x01a", "ascending"),
        (b"\x01", "ends in the middle"),
        (b"\x01" + bytes(20), "count over"),
        (b"\x01" + b"\xff" * 20, "38 bits"),
        (bytes(31 * 1024), "31744 bytes"),
    ],
)
def test_what_is_no_list_is_refused_with_the_reason(blob: bytes, says: str) -> None:
    with pytest.raises(TagListError, match=says):
        decode(blob)


def test_limits_of_the_encoder() -> None:
    full = [n.to_bytes(12, "big") for n in range(MAX_TAGS)]
    assert len(decode(encode(full))) == MAX_TAGS
    with pytest.raises(TagListError, match="1001 tags"):
        encode([*full, b"\xff" * 12])
    with pytest.raises(TagListError, match="0 bytes"):
        encode([b""])
    with pytest.raises(TagListError, match="63 bytes"):
        encode([bytes(63)])
    with pytest.raises(TagListError, match="bytes, at most"):
        encode(n.to_bytes(62, "big") for n in range(MAX_TAGS))


def test_thousand_grouped_tags() -> None:
    tags = ShopModel(5).basket(MAX_TAGS)
    blob = encode(tags)
    assert blob[0] == 1
    assert set(decode(blob)) == tags


def test_thirty_tags_of_the_shop_model_fit_250_bytes() -> None:
    """The whole record body, mean of 50 baskets."""
    model, stamp = ShopModel(1), Stamp(1_795_000_000_000, 3_600_000, b"boot", "synced")
    sizes = [
        len(Basket(stamp, encode(tags), 30, "quiet", b"v" * 8, flags=Flags.PROVISIONAL).body())
        for tags in (model.basket(30) for _ in range(50))
    ]
    assert sum(sizes) / len(sizes) <= 250
