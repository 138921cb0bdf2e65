"""From tags to lines with prices, and when a window holds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.wire.epc import encode_sgtin96, from_digital_link
from firmware.wire.pricelist import PriceEntry
from store.pricing.discounts import (
    CouponKind,
    Rules,
    issue,
)
from store.pricing.engine import PricingError, Shopper, price
from store.pricing.lines import Basket, Item, basket, of_goods
from store.pricing.window import Window, local_time
from tests.support.pricing import NOW_MS, SHANGHAI

GTIN = "09521234000013"
OAT = PriceEntry(int(GTIN), "Oat drink", 1480, brand="north-mill", zone="chiller")
TAG = encode_sgtin96(GTIN, 7, 7)
LABEL = from_digital_link(f"/01/{GTIN}/21/7")
BERLIN = ZoneInfo("Europe/Berlin")


# -- lines ---------------------------------------------------------------------------------------------


def test_lines_are_grouped_per_goods() -> None:
    other = encode_sgtin96(GTIN, 8, 7)
    found = basket([other, TAG, TAG], {OAT.key: OAT}.get)
    (line,) = found.lines
    assert (line.goods, line.name, line.count, line.each_fen) == (GTIN, "Oat drink", 2, 1480)
    assert (line.brand, line.zone, found.list_fen) == ("north-mill", "chiller", 2960)
    assert line.epcs == tuple(sorted(epc.hex().upper() for epc in (TAG, other)))


def test_an_items_own_price_goes_before_its_goods() -> None:
    own = PriceEntry(TAG, "Oat drink, dented", 700, zone="chiller")
    found = basket([TAG, encode_sgtin96(GTIN, 8, 7)], {OAT.key: OAT, TAG: own}.get)
    assert [(line.goods, line.list_fen) for line in found.lines] == [
        (GTIN, 1480),
        (f"epc:{TAG.hex().upper()}", 700),
    ]


@pytest.mark.parametrize("own", [None, TAG, LABEL])
def test_two_tags_on_one_item_are_charged_once(own: bytes | None) -> None:
    entries = {OAT.key: OAT}
    if own is not None:
        entries[own] = PriceEntry(own, "Oat drink, dented", 700)
    for order in ([TAG, LABEL], [LABEL, TAG]):
        found = basket(order, entries.get)
        assert [item.list_fen for item in found.items] == [1480 if own is None else 700]
        assert len(found.doubles) == 1
        assert found.doubles[0] != found.items[0].epc


@pytest.mark.parametrize(
    ("epc", "gtin14", "why"),
    [
        (TAG, GTIN, f"GTIN {GTIN} is not in the price list"),
        (bytes(12), None, "not programmed"),
        (bytes.fromhex("3500E86F8000A9E000000586"), None, "gid-96 names no goods"),
        (b"", None, "empty EPC"),
        (bytes(63), None, "not programmed"),
    ],
)
def test_what_has_no_price_is_named_and_never_priced(epc: bytes, gtin14: str | None, why: str) -> None:
    found = basket([epc], {}.get)
    (tag,) = found.unknown
    assert tag.gtin14 == gtin14
    assert why in tag.why
    with pytest.raises(PricingError, match="price"):
        price(found, Rules(SHANGHAI), Shopper(NOW_MS))


# -- windows -------------------------------------------------------------------------------------------


@settings(max_examples=80)
@given(
    st.datetimes(datetime(2026, 3, 28), datetime(2026, 3, 31)),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(1, 1440),
)
def test_a_window_is_the_minutes_that_it_names(at, days, begin, end) -> None:
    if begin == end:
        return
    local = local_time(int(at.replace(tzinfo=UTC).timestamp()) * 1000, BERLIN)
    minute = local.hour * 60 + local.minute
    length = (end - begin) % 1440 or 1440
    since = (minute - begin) % 1440  # wall minutes since it last began
    began = local.date() - timedelta(days=0 if minute >= begin else 1)
    assert Window(days, begin, end).holds(local) == (since < length and began.weekday() in days)


def test_the_last_days_night_is_within() -> None:
    window = Window(from_min=1320, until_min=120, first_day=date(2026, 12, 1), last_day=date(2026, 12, 1))
    assert not window.holds(datetime(2026, 12, 1, 1, 0))
    assert window.holds(datetime(2026, 12, 2, 1, 59, 59))
    assert not window.holds(datetime(2026, 12, 2, 22, 0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"weekdays": frozenset()},
        {"weekdays": frozenset({7})},
        {"from_min": 1440},
        {"until_min": 0},
        {"from_min": 60, "until_min": 60},
        {"first_day": date(2026, 2, 2), "last_day": date(2026, 2, 1)},
    ],
)
def test_a_window_that_means_nothing_is_refused(wrong) -> None:
    with pytest.raises(ValueError):
        Window(**wrong)


def test_a_coupon_is_good_to_the_end_of_its_last_day() -> None:
    kind = CouponKind(id="c", en="C", zh="券", percent=10, valid_days=1)
    noon = int(datetime(2026, 10, 24, 12, tzinfo=BERLIN).timestamp()) * 1000
    coupon = issue(kind, "c1", "s1", noon, BERLIN)  # the last day has 25 hours
    assert local_time(coupon.expires_ms, BERLIN) == datetime(2026, 10, 26, tzinfo=BERLIN)
    item = Basket((Item("E1", "g", "x", 1000),))

    def at(at_ms: int) -> int:
        return price(item, Rules(BERLIN), Shopper(at_ms, "s1", coupons=(coupon,))).total_fen

    assert [at(noon - 1), at(noon), at(coupon.expires_ms - 1), at(coupon.expires_ms)] == [
        1000,
        900,
        900,
        1000,
    ]


def test_of_goods_names_what_is_missing() -> None:
    found = of_goods({int(GTIN): 2, b"\x30": 1}, {OAT.key: OAT}.get)
    assert [item.epc for item in found.items] == [f"{GTIN}#1", f"{GTIN}#2"]
    assert [tag.why for tag in found.unknown] == ["epc:30 is not in the price list"]
