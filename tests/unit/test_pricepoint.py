"""The price point as scenes with a stepped clock: what stands on the screen, when, and what is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.gate.orders import Note, Tell
from firmware.portal import pricetext
from firmware.portal.facts import Tick
from firmware.portal.pricepoint import MOST_TAGS, Order, PriceEvent, PricePoint, PricesChanged, ShowScreen
from firmware.portal.pricerules import Rules
from firmware.portal.pricetext import short, yuan
from firmware.pricebook import PriceBook
from firmware.wire.epc import encode_sgtin96, from_digital_link
from firmware.wire.pricelist import PriceEntry, bucket_of, encode_bucket
from firmware.wire.records import Stamp
from firmware.wire.tables import SPECS, Snapshot
from hal.ports import DeviceBack, DeviceLost, Screen, TagRead

MILK = PriceEntry(9521234000013, "Oat drink, barista, 1 l", 1280, "1 l", 1280, "north-mill", "chiller")
NUTS = PriceEntry(9521234000020, "Roasted nuts 250 g", 1990, "100 g", 796)
SALE = 30
"""Serial of a box of nuts that has a price of its own."""
STAMP = Stamp(1_790_000_000_000, 5_000, b"boot", "synced")


def tag(entry: PriceEntry, serial: int) -> bytes:
    assert entry.gtin14 is not None
    return encode_sgtin96(entry.gtin14, serial, 7)


A, A2, B = tag(MILK, 1), tag(MILK, 2), tag(NUTS, 1)
UNKNOWN = encode_sgtin96("09521234000990", 7, 7)
OFFER = PriceEntry(tag(NUTS, SALE), "Roasted nuts, dented box", 900)


def snapshots(*entries: PriceEntry, version: int = 1) -> dict[str, Snapshot]:
    buckets: dict[str, list[PriceEntry]] = {name: [] for name in SPECS["prices"].names()}
    for entry in entries:
        buckets[bucket_of(entry.key)].append(entry)
    return {name: Snapshot(version, 0, encode_bucket(found)) for name, found in buckets.items()}


class Scene:
    """A price point on a clock that is stepped; tags that lie there are read 50 times a second."""

    def __init__(self, rules: Rules | None = None, *entries: PriceEntry) -> None:
        self.now = 100.0
        self.book = PriceBook()
        self.book.changed(snapshots(*(entries or (MILK, NUTS, OFFER))))
        self.today: str | None = "2026-11-22"
        self.point = PricePoint(
            rules or Rules(), self.book.look, lambda: self.book.complete, lambda: self.today
        )
        self.screens: list[tuple[float, Screen]] = []
        self.looks: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []
        self.take(self.point.start())

    def take(self, orders: list[Order]) -> None:
        for order in orders:
            if isinstance(order, ShowScreen):
                self.screens.append((self.now, order.screen))
            elif isinstance(order, Note):
                assert order.kind(STAMP, **order.fields).body()
                self.looks.append(order.fields)
            else:
                assert isinstance(order, Tell)
                self.told.append(order.fields)

    def give(self, event: PriceEvent) -> None:
        self.take(self.point.handle(event, self.now))

    def read(self, epc: bytes, dbm: float | None = -35.0, raw: int = 0) -> Scene:
        self.give(TagRead(epc, 0x3000, 1, dbm, raw, self.now))
        return self

    def wait(self, seconds: float) -> Scene:
        """Nothing is read; timers run when they are due."""
        end = self.now + seconds
        while (due := self.point.deadline()) is not None and due <= end:
            assert due > self.now
            self.now = due
            self.give(Tick())
        self.now = end
        return self

    def lie(self, seconds: float, *tags: bytes | tuple[bytes, float]) -> Scene:
        """These tags are read in turn, each about 50 times a second; (tag, dBm)."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            for one in tags:
                self.read(*(one if isinstance(one, tuple) else (one,)))
                self.wait(0.02 / len(tags))
        return self

    @property
    def screen(self) -> Screen:
        return self.screens[-1][1]

    @property
    def lines(self) -> tuple[str, ...]:
        return self.screen.lines

    def since(self) -> float:
        """How long after the scene's begin the present screen came."""
        return round(self.screens[-1][0] - 100.0, 3)


MILK_LINES = ("¥ 12.80", "Oat drink, barista, 1 l", "¥ 12.80 / 1 l")
NUTS_LINES = ("¥ 19.90", "Roasted nuts 250 g", "¥ 7.96 / 100 g")


def test_the_first_read_shows_the_price_and_it_leaves_after_the_last() -> None:
    scene = Scene()
    assert scene.screen == pricetext.IDLE
    scene.read(A)
    assert (scene.lines, scene.since()) == (MILK_LINES, 0.0)
    scene.lie(3.0, A)
    assert len(scene.screens) == 2
    last = scene.now
    scene.wait(5.0)
    assert scene.screen == pricetext.IDLE
    assert 1.4 <= scene.screens[-1][0] - last <= 1.5
    assert scene.point.deadline() is None
    assert scene.told == [
        {"shows": "idle"},
        {"shows": "item", "epc": A.hex(), "name": MILK.name, "fen": 1280},
        {"shows": "idle"},
    ]


def test_a_near_tag_among_those_on_the_shelf() -> None:
    scene = Scene()
    shelf = [(tag(NUTS, n), -62.0 - n) for n in range(2, 8)]
    scene.lie(1.0, *shelf)
    assert scene.screen == pricetext.IDLE
    scene.lie(1.0, (A, -38.0), *shelf)
    assert scene.lines == MILK_LINES
    scene.lie(1.0, (A, -38.0), (B, -49.0), *shelf)  # one of the shelf is just strong enough
    assert scene.lines == MILK_LINES
    assert len(scene.screens) == 2


def test_a_tag_that_fades_stays_and_one_that_is_carried_off_leaves() -> None:
    scene = Scene().read(A, -49.0)
    for dbm in (-55.0, -51.0, -55.9) * 20:
        scene.read(A, dbm).wait(0.05)
    assert scene.lines == MILK_LINES
    scene.lie(2.0, (A, -60.0))
    assert scene.screen == pricetext.IDLE
    scene.lie(1.0, (A, -55.0))
    assert scene.screen == pricetext.IDLE


@pytest.mark.parametrize("pause", [0.0, 0.05, 0.3, 1.0])
def test_a_swap_shows_the_new_one_within_200_ms(pause: float) -> None:
    scene = Scene().lie(1.0, A).wait(pause)
    begun = scene.now
    scene.lie(2.0, B)
    assert scene.lines == NUTS_LINES
    assert scene.screens[-1][0] - begun <= 0.11  # the rest of 200 ms is for the display
    assert [screen.lines for _, screen in scene.screens[1:]] == [MILK_LINES, NUTS_LINES]


def test_back_and_forth_between_two() -> None:
    scene = Scene().lie(1.0, A).lie(1.0, B).lie(1.0, A).lie(1.0, B)
    assert [screen.lines for _, screen in scene.screens[1:]] == [MILK_LINES, NUTS_LINES] * 2


def test_the_new_one_is_shown_though_it_is_read_only_once() -> None:
    scene = Scene().lie(1.0, A).read(B).wait(0.2)
    assert scene.lines == NUTS_LINES


def test_two_together_are_said_until_one_is_taken_away() -> None:
    scene = Scene().lie(1.0, A).lie(1.0, A, B)
    assert scene.screen == pricetext.SEVERAL
    assert scene.since() <= 1.1
    scene.lie(3.0, A, B)
    assert len(scene.screens) == 3
    scene.lie(1.0, B)
    assert scene.lines == NUTS_LINES
    scene.lie(1.0, A, A2)
    assert scene.screen == pricetext.SEVERAL  # the same goods twice are two items
    scene.wait(2.0)
    assert scene.screen == pricetext.IDLE


def test_of_two_the_clearly_nearer_one_is_meant_and_the_screen_rests() -> None:
    scene = Scene().lie(1.0, (A, -30.0), (B, -45.0))
    assert scene.lines == MILK_LINES
    scene = Scene().lie(0.5, (A, -36.0), (B, -42.0))
    assert scene.screen == pricetext.SEVERAL
    scene.lie(2.0, (A, -36.0), (B, -45.0))
    assert scene.screen == pricetext.SEVERAL  # 9 dB: not enough to go back
    scene.lie(2.0, (A, -33.0), (B, -45.0))
    assert scene.lines == MILK_LINES
    scene.lie(1.0, (A, -45.0), (B, -33.0))
    assert scene.lines == NUTS_LINES


def test_raw_strength_works_as_well_and_a_module_without_any() -> None:
    scene = Scene(Rules(near_raw=170, hysteresis=6))
    scene.read(B, None, 160)
    assert scene.screen == pricetext.IDLE
    scene.read(A, None, 175)
    assert scene.lines == MILK_LINES
    assert Scene().read(A, None, 3).lines == MILK_LINES


def test_an_item_with_a_price_of_its_own() -> None:
    assert Scene().read(tag(NUTS, SALE)).lines == ("¥ 9.00", "Roasted nuts, dented box")


def test_tags_without_a_price() -> None:
    scene = Scene().read(UNKNOWN)
    assert scene.screen == pricetext.UNKNOWN
    assert Scene().read(bytes(12)).screen == pricetext.UNPROGRAMMED
    assert Scene().read(b"").screen == pricetext.UNPROGRAMMED
    assert Scene().read(bytes.fromhex("E280116060000207")).screen == pricetext.UNPROGRAMMED
    empty = Scene(Rules(), MILK)
    empty.book.changed({})
    assert empty.read(A).screen == pricetext.NO_LIST
    scene.wait(1.0).lie(1.0, bytes(12)).wait(1.0)
    assert scene.looks == [{"epc": UNKNOWN, "shown_fen": None}, {"epc": bytes(12), "shown_fen": None}]


DATED = "https://example.org/01/09521234000013/21/7?17=261201"


def test_the_date_that_a_tag_carries() -> None:
    dated = from_digital_link(DATED)
    scene = Scene().read(dated)
    assert scene.lines == (*MILK_LINES[:2], "¥ 12.80 / 1 l, use by 2026-12-01")
    for today, shown in (("2026-12-01", True), ("2026-12-02", False), (None, True)):
        scene = Scene()
        scene.today = today
        scene.read(dated).wait(2.0)
        if shown:
            assert scene.screens[1][1].lines[0] == "¥ 12.80"
            assert scene.looks == [{"epc": dated, "shown_fen": 1280}]
        else:
            assert scene.screens[1][1].tone == "stop"
            assert scene.screens[1][1].lines[0] == "Past its date"
            assert "use by 2026-12-01" in scene.screens[1][1].lines[2]
            assert not any("¥" in line for line in scene.screens[1][1].lines)
            assert scene.looks == [{"epc": dated, "shown_fen": None}]


def test_a_reader_that_is_lost_and_back() -> None:
    scene = Scene().lie(1.0, A)
    scene.give(DeviceLost("display", "gone", "cable", scene.now))
    assert scene.lines == MILK_LINES
    scene.give(DeviceLost("reader", "gone", "cable", scene.now))
    assert scene.screen == pricetext.OUT_OF_ORDER
    scene.wait(10.0)
    assert scene.screen == pricetext.OUT_OF_ORDER
    scene.read(A)  # what it had still in the line
    assert scene.screen == pricetext.OUT_OF_ORDER
    scene.give(DeviceBack("reader", scene.now))
    assert scene.screen == pricetext.IDLE
    scene.give(DeviceBack("reader", scene.now))
    scene.wait(0.1)
    assert scene.screen == pricetext.IDLE
    scene.read(A)
    assert scene.lines == MILK_LINES
    assert len(scene.screens) == 5
    scene.give(DeviceLost("reader", "gone", "cable", scene.now))
    scene.give(DeviceBack("reader", scene.wait(0.1).now))
    assert scene.screen == pricetext.IDLE  # what lay there before is not known any more


def test_a_price_that_changes_while_it_is_shown() -> None:
    scene = Scene().lie(0.3, A)
    same = len(scene.screens)
    scene.book.changed(snapshots(MILK, replace(NUTS, price_fen=1), version=2))
    scene.give(PricesChanged())
    assert len(scene.screens) == same
    scene.book.changed(snapshots(replace(MILK, price_fen=1380), version=3))
    scene.give(PricesChanged())
    assert scene.lines[0] == "¥ 13.80"
    scene.lie(1.0, A)
    assert scene.looks == [{"epc": A, "shown_fen": 1380}]
    scene.book.changed(snapshots(NUTS, version=4))
    scene.give(PricesChanged())
    assert scene.screen == pricetext.UNKNOWN


def test_one_look_is_written_for_a_presentation_and_a_tag_left_there_fills_nothing() -> None:
    scene = Scene().lie(30.0, A)
    assert scene.looks == [{"epc": A, "shown_fen": 1280}]
    for _ in range(10):
        scene.wait(2.0).lie(0.6, A)
    assert len(scene.looks) == 1
    scene.wait(60.0).lie(0.6, A)
    assert len(scene.looks) == 2
    scene.lie(0.3, B)  # passed by
    scene.lie(0.3, A)
    assert len(scene.looks) == 2


def test_a_price_that_is_cleared_early_works_the_same() -> None:
    scene = Scene(Rules(clear_s=0.3)).lie(1.0, A).lie(1.0, A, B)
    assert scene.screen == pricetext.SEVERAL
    scene.lie(0.5, B)
    assert scene.lines == NUTS_LINES
    scene.wait(0.3)
    assert scene.screen == pricetext.IDLE


def test_looks_are_bounded_an_hour() -> None:
    scene = Scene(Rules(looks_an_hour=12))
    for serial in range(40):
        scene.read(tag(MILK, serial)).wait(2.0)
    assert len(scene.looks) == 12
    assert scene.point.counts["looks_over"] == 28
    scene.wait(3600.0)
    for serial in range(100, 140):
        scene.read(tag(MILK, serial)).wait(2.0)
    assert len(scene.looks) == 24


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["read", "read", "read", "wait", "lost", "back", "changed"]),
            st.sampled_from([A, B, UNKNOWN, bytes(12), b"", bytes(62)]) | st.binary(max_size=62),
            st.sampled_from([-70.0, -52.0, -45.0, -30.0, None]),
            st.sampled_from([0.0, 0.001, 0.05, 0.3, 0.7, 2.0]),
        ),
        max_size=40,
    )
)
@settings(max_examples=60)
def test_whatever_happens_it_is_idle_in_the_end_and_never_shows_another_items_price(steps: list[Any]) -> None:
    scene = Scene()
    names = {A: MILK.name, B: NUTS.name}
    for what, epc, dbm, seconds in steps:
        if what == "read":
            scene.read(epc, dbm)
        elif what == "lost":
            scene.give(DeviceLost("reader", "", "", scene.now))
        elif what == "back":
            scene.give(DeviceBack("reader", scene.now))
        elif what == "changed":
            scene.give(PricesChanged())
        shown = scene.point.shown
        if shown in names and shown is not None:
            assert scene.lines[1] == names[shown]
        scene.wait(seconds)
    scene.wait(2.0)
    assert scene.point.shown is None
    assert scene.screen in (pricetext.IDLE, pricetext.OUT_OF_ORDER)
    assert scene.point.deadline() is None


def test_many_tags_cost_a_bounded_memory() -> None:
    scene = Scene()
    for serial in range(MOST_TAGS * 3):
        scene.read(tag(MILK, serial))
    assert len(scene.point._tags) == MOST_TAGS


def test_money_and_names_as_people_read_them() -> None:
    assert [yuan(fen) for fen in (0, 5, 100, 1280, 123456)] == [
        "¥ 0.00", "¥ 0.05", "¥ 1.00", "¥ 12.80", "¥ 1234.56",
    ]  # fmt: skip
    assert short("Oat drink") == "Oat drink"
    assert short("Sourdough crackers with rosemary and sea salt 150 g") == (
        "Sourdough crackers with rosemary and…"
    )
    assert short("x" * 60) == "x" * 17 + "- " + "x" * 17 + "-…"
    assert short("Bio-Haferflockenfrischkornbrei 500 g") == "Bio-Haferflockenf- rischkornbrei 500 g"
    assert short("燕" * 60) == "燕" * 39 + "…"
    assert all(len(short(f"{'word ' * n}end")) <= 40 for n in range(12))
    for name in ("W" * 60, "Donaudampfschifffahrtsgesellschaft", "w" * 18):
        longest = max(short(name).split(" "), key=len)
        assert len(longest) <= 19  # else it shrinks the price
    for screen in (pricetext.IDLE, pricetext.SEVERAL, pricetext.NO_LIST, pricetext.UNKNOWN):
        assert len(screen.lines) <= 3
        assert screen.tone in ("price", "wait")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Rules(near_dbm=5),
        lambda: Rules(clear_s=0.2),
        lambda: Rules(swap_s=0.3),
        lambda: Rules(looks_an_hour=0),
    ],
)
def test_rules_out_of_range_are_refused_in_words(wrong: Callable[[], Rules]) -> None:
    with pytest.raises(ValueError, match="price point"):
        wrong()


# -- the book ---------------------------------------------------------------------------------------


def test_the_book_sums_and_says_what_it_has() -> None:
    book = PriceBook()
    assert (book.complete, book.look(A)) == (False, None)
    assert book.changed(snapshots(MILK, NUTS, OFFER))
    assert not book.changed(snapshots(MILK, NUTS, OFFER))
    assert book.complete
    assert book.knows(A)
    assert not book.knows(UNKNOWN)
    assert book.sum_fen([A, A2, B, tag(NUTS, SALE), UNKNOWN, b"", bytes(12)]) == (1280 * 2 + 1990 + 900, 3)
    assert book.figures()["prices_items"] == 3
    fewer = snapshots(MILK, version=2)
    assert book.changed(fewer)
    assert (book.look(B), book.look(A)) == (None, MILK)
    assert book.figures()["prices_items"] == 1
    del fewer["7"]
    assert book.changed(fewer)
    assert not book.complete


def test_the_book_refuses_what_is_no_bucket() -> None:
    assert PriceBook.check(Snapshot(1, 0, encode_bucket([MILK]))) is None
    assert "cannot be read" in str(PriceBook.check(Snapshot(1, 0, b"\x02")))
    two = encode_bucket([MILK]) + encode_bucket([replace(NUTS, key=9521234000099)])[1:]
    assert "does not belong into bucket" in str(PriceBook.check(Snapshot(1, 0, two)))
