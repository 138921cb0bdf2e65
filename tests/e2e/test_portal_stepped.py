"""A whole portal in stepped time: tags that its module really sends, its disk, a shop that may misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware.sync.journal import JournalFault, JournalFull
from firmware.wire.offers import Offer, PayStand, decode_offer, decode_pay_stand
from firmware.wire.record_types import Alarm
from firmware.wire.taglist import decode
from hal.ports import DeviceCondition
from tests.support.portalboard import CODE, Asked, PortalBoard, Shop
from tests.support.portaldouble import epc

OTHER_CODE = "130000000000000001"
Make = Callable[..., PortalBoard]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes portals on one data folder; making another one cuts the power of the one before."""
    boards: list[PortalBoard] = []

    def build(lane: str = "store", **change: Any) -> PortalBoard:
        if boards:
            boards[-1].cut()
        boards.append(PortalBoard(tmp_path / "data", lane, **change))
        return boards[-1]

    yield build
    boards[-1].cut()


def standing(board: PortalBoard, *numbers: int) -> None:
    board.inside(1)
    board.lay(*numbers)


def closed(board: PortalBoard) -> list[str]:
    return [one.why for one in board.closings()]


def names(board: PortalBoard) -> list[tuple[int, int]]:
    """(seq of the first version, version) of every basket record."""
    frames = board.records()
    return [
        (record.ref_seq or number, record.version)
        for number, record in enumerate(frames, 1)
        if type(record).__name__ == "Basket"
    ]


# -- a shopper -------------------------------------------------------------------------------------


def test_a_shopper_pays_for_what_the_module_read(make: Make) -> None:
    board = make()
    shop = Shop(board)
    standing(board, 1, 2, 3)
    board.until("awaiting-payment", 10)
    assert decode(board.baskets()[0].tags) == tuple(epc(n) for n in (1, 2, 3))
    assert board.baskets()[0].verdict == "complete"
    assert board.screen == "¥ 3.00 / to pay for 3 items / Show your payment code"
    board.show(CODE)
    board.until("paid", 1)
    board.inside(0)
    board.until("idle", 5)
    assert shop.charged == [300]
    assert [one.order for one in board.paid()] == ["o1"]
    assert not closed(board)


def test_an_item_that_appears_before_payment_is_in_the_next_version(make: Make) -> None:
    board = make()
    shop = Shop(board)
    standing(board, 1, 2)
    board.until("awaiting-payment", 10)
    board.lay(1, 2, 3)
    board.until("collecting", 5)
    board.until("awaiting-payment", 20)
    assert names(board) == [(2, 1), (2, 2)]
    board.show(CODE)
    board.until("paid", 1)
    assert shop.charged == [300]


def test_an_item_that_appears_after_payment_is_a_new_basket(make: Make) -> None:
    board = make()
    shop = Shop(board)
    standing(board, 1, 2)
    board.until("awaiting-payment", 10)
    board.show(CODE)
    board.until("paid", 1)
    board.lay(1, 2, 3)
    board.until("awaiting-payment", 20)
    assert decode(board.baskets()[-1].tags) == (epc(3),)
    board.show(OTHER_CODE)
    board.until("paid", 1)
    assert shop.charged == [200, 100]


def test_whoever_leaves_without_paying(make: Make) -> None:
    board = make()
    shop = Shop(board)
    standing(board, 1, 2)
    board.until("awaiting-payment", 10)
    board.inside(0)
    board.until("idle", 5)
    assert closed(board) == ["abandoned"]
    assert not shop.charged


def test_only_counting(make: Make) -> None:
    board = make("count")
    standing(board, 1, 2, 3, 4)
    board.until("counted", 10)
    board.show(CODE)
    board.inside(0)
    board.until("idle", 5)
    assert [one.count for one in board.baskets()] == [4]
    board = make("count")
    assert closed(board) == []


def test_a_pass_names_the_visit(make: Make) -> None:
    board = make()
    Shop(board)
    board.show_pass(board.issue(7))
    standing(board, 1)
    board.until("awaiting-payment", 10)
    assert board.baskets()[0].visit == (7).to_bytes(8, "big")


# -- the shop --------------------------------------------------------------------------------------


def test_without_the_shop_nothing_is_charged_and_the_offer_comes_when_it_is_back(make: Make) -> None:
    board = make()
    shop = Shop(board, up=False)
    standing(board, 1, 2)
    board.until("unserved", 10)
    assert "does not answer" in board.screen
    shop.up = True
    board.until("awaiting-payment", 6)
    shop.up = False
    board.show(CODE)
    board.until("declined", 1)
    shop.up = True
    board.until("awaiting-payment", 10)
    board.show(OTHER_CODE)
    board.until("paid", 1)
    assert shop.charged == [200]


WRONG: dict[str, Callable[[Shop, Asked, bytes], None]] = {
    "another version": lambda shop, asked, good: shop.say(asked, _offer(good, version=2)),
    "another basket": lambda shop, asked, good: shop.say(asked, _offer(good, basket="0" * 16 + "-9")),
    "no correlation": lambda shop, asked, good: shop.say(asked, good, correlation=None),
    "another correlation": lambda shop, asked, good: shop.say(asked, good, correlation=b"8 bytes!"),
    "another topic": lambda shop, asked, good: shop.say(asked, good, names=("pay",)),
    "garbage": lambda shop, asked, good: shop.say(asked, b"\xff{"),
    "too long": lambda shop, asked, good: shop.say(asked, b" " * 5000),
}


def _offer(good: bytes, **change: Any) -> bytes:
    one = decode_offer(good)
    return Offer(
        change.get("basket", one.basket), change.get("version", one.version), one.total_fen, one.list_fen
    ).encode()


def _stand(good: bytes, **change: Any) -> bytes:
    one = decode_pay_stand(good)
    plain = {name: getattr(one, name) for name in one.__slots__} | change
    return PayStand(**plain).encode()


def test_wrong_answers_to_an_offer_are_counted_and_change_nothing(make: Make) -> None:
    board = make()
    shop = Shop(board, offers=lambda asked: None)
    standing(board, 1, 2)
    board.until("offering", 10)
    asked = shop.asked[-1]
    for say in WRONG.values():
        say(shop, asked, shop.price(asked))
        assert board.state == "offering"
    counts = board.app.station.counts
    assert (counts["stray_answers"], counts["bad_answers"]) == (5, 2)
    shop.say(asked, shop.price(asked))
    assert board.state == "awaiting-payment"
    shop.say(asked, shop.price(asked))
    assert counts["stray_answers"] == 6


def test_wrong_and_repeated_answers_to_a_payment(make: Make) -> None:
    board = make()
    shop = Shop(board, pays=lambda asked: None)
    standing(board, 1, 2)
    board.until("awaiting-payment", 10)
    board.show(CODE)
    asked = shop.asked[-1]
    good = shop.take(asked)
    for bad in (_stand(good, version=2), _stand(good, basket="0" * 16 + "-9"), b"{}", good[:-5]):
        shop.say(asked, bad)
        assert board.state == "paying"
    shop.say(asked, _stand(good, state="pending", order=""))
    assert board.state == "unclear"
    shop.say(asked, good)
    shop.say(asked, good)
    board.advance(0.1)
    assert board.state == "paid"
    assert len(board.paid()) == 1


def test_a_payment_that_is_never_answered_is_asked_for_without_a_code(make: Make) -> None:
    board = make()
    shop = Shop(board, pays=lambda asked: None)
    standing(board, 1, 2)
    board.until("awaiting-payment", 10)
    board.show(CODE)
    board.until("unsettled", 300)
    board.show(OTHER_CODE)
    questions = shop.pay_questions()
    assert [one.get("code") for one in questions][:1] == [CODE]
    assert all("code" not in one for one in questions[1:])
    assert len(questions) > 30
    assert [one.kind for one in board.records() if isinstance(one, Alarm)] == ["payment-unclear"]
    shop.say(shop.asked[-1], shop.take(shop.asked[-1]))
    assert board.state == "paid"


def test_the_code_is_in_no_record_file_or_message(make: Make, tmp_path: Path) -> None:
    board = make(trace={"enabled": True})
    Shop(board)
    standing(board, 1)
    board.until("awaiting-payment", 10)
    board.show(CODE)
    board.until("paid", 2)
    board.advance(2)
    assert CODE not in repr(board.told)
    assert CODE not in repr(vars(board.app.station))
    for file in (tmp_path / "data").rglob("*"):
        assert not file.is_file() or CODE.encode() not in file.read_bytes(), file


# -- the reader ------------------------------------------------------------------------------------


def test_a_reader_that_is_unplugged_while_reading_and_comes_back(make: Make) -> None:
    board = make("count")
    module = board.app.hardware.module
    standing(board, 1, 2, 3)
    board.until("collecting", 2)
    module.plug(False)
    board.until("no-reader", 20)
    assert board.screen == "Out of order / Please ask for help"
    assert "reader" in [fault.part for fault in board.app.station.faults]
    module.plug(True)
    board.until("counted", 60)
    assert [one.count for one in board.baskets()] == [3]


def test_a_hot_reader_says_so_and_charges_nothing(make: Make) -> None:
    board = make()
    Shop(board)
    standing(board, 1, 2)
    board.until("collecting", 2)
    at = board.loop.time()
    board.app.station.post(DeviceCondition("reader", "hot", True, "80 C", "air", at))
    assert board.state == "no-reader"
    board.advance(5)
    assert not board.baskets()
    board.app.station.post(DeviceCondition("reader", "hot", False, "", "", at))
    board.until("awaiting-payment", 15)


@pytest.mark.parametrize("fault", ["reset in a frame", "flipped bits", "lost bytes", "junk", "mute"])
def test_a_bad_line_to_the_module_makes_no_wrong_basket(make: Make, fault: str) -> None:
    board = make("count")
    module = board.app.hardware.module
    standing(board, 1, 2, 3)
    board.until("collecting", 2)
    wire = module.wire
    if fault == "reset in a frame":
        module.brown_out(in_frame=True)
    else:
        name = {"flipped bits": "flip", "lost bytes": "drop", "junk": "junk", "mute": "mute"}[fault]
        setattr(wire, name, True if name == "mute" else 0.01)
        board.advance(4)
        setattr(wire, name, False if name == "mute" else 0.0)
    board.until("counted", 90)
    board.inside(0)
    board.until("idle", 5)
    last = board.baskets()[-1]
    assert set(decode(last.tags)) <= {epc(n) for n in (1, 2, 3)}
    assert all(set(decode(one.tags)) <= {epc(n) for n in (1, 2, 3)} for one in board.baskets())


# -- the disk --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [JournalFault("no space left", "df"), JournalFull("full", "broker")])
def test_a_disk_that_fails_stops_sales_and_loses_no_basket(make: Make, error: Exception) -> None:
    board = make()
    shop = Shop(board)
    board.worker().fault = error
    standing(board, 1, 2)
    board.until("unwritten", 15)
    assert board.screen == "No sales right now / Please ask for help"
    assert not shop.asked
    board.worker().fault = None
    board.until("awaiting-payment", 10)
    assert names(board)[-1][1] == 1
    board.show(CODE)
    board.until("paid", 2)
    assert shop.charged == [200]


def test_a_disk_that_fails_after_the_payment_keeps_its_record_for_later(make: Make) -> None:
    board = make()
    shop = Shop(board, pays=lambda asked: None)
    standing(board, 1, 2)
    board.until("awaiting-payment", 10)
    board.show(CODE)
    board.worker().fault = JournalFault("no space left", "df")
    shop.say(shop.asked[-1], shop.take(shop.asked[-1]))
    board.until("paid", 1)
    board.advance(5)
    board.worker().fault = None
    board.advance(5)
    assert len(board.paid()) == 1


def test_a_disk_that_fails_while_a_basket_is_closed(make: Make) -> None:
    board = make()
    Shop(board)
    standing(board, 1, 2)
    board.until("awaiting-payment", 10)
    board.worker().fault = JournalFault("no space left", "df")
    board.inside(0)
    board.until("idle", 5)
    board.advance(3)
    board.worker().fault = None
    board.advance(5)
    assert closed(board) == ["abandoned"]


def test_a_disk_that_hangs_and_answers_after_the_shopper_has_left(make: Make) -> None:
    board = make()
    Shop(board)
    board.worker().delay_s = 8.0
    standing(board, 1, 2)
    board.until("unwritten", 20)
    board.inside(0)
    board.until("idle", 5)
    board.worker().delay_s = 0.0
    board.advance(15)
    assert board.state == "idle"
    first = {ref for ref, _ in names(board)}
    assert {one.ref_seq for one in board.closings()} == first


# -- the power -------------------------------------------------------------------------------------


def _reach(board: PortalBoard, state: str) -> None:
    """Any state that a shopper can be in."""
    shop = Shop(board)
    if state in ("offering", "unserved"):
        shop.offers = lambda asked: None
    if state in ("paying", "unclear", "unsettled", "settling"):
        shop.pays = lambda asked: None
    if state == "declined":
        shop.pays = lambda asked: shop.take(asked, "declined", "no money")
    if state == "submitting":
        board.worker().delay_s = 1.0
    if state == "unwritten":
        board.worker().fault = JournalFault("no space left", "df")
    standing(board, 1, 2)
    if state in ("paying", "unclear", "unsettled", "settling", "declined", "paid"):
        board.until("awaiting-payment", 15)
        board.show(CODE)
    if state == "settling":
        board.inside(0)
    if state == "abandoned":
        board.until("awaiting-payment", 15)
    if state == "crowded":
        board.inside(2)
    board.until(state, 300)


CUT = ("collecting", "submitting", "unwritten", "offering", "unserved", "awaiting-payment", "paying")
CUT += ("unclear", "settling", "declined", "paid", "abandoned", "crowded")


@pytest.mark.parametrize("state", CUT)
def test_the_power_is_cut(make: Make, state: str) -> None:
    board = make()
    _reach(board, state)
    submitted = len([one for one in board.told if one["event"] == "basket"]) if state != "unwritten" else 0
    ended = {"paid": (0, 1), "abandoned": (1, 0)}.get(state, (0, 0))
    board = make()
    board.advance(2)
    assert len(board.baskets()) == submitted, "a basket that was submitted is there, once"
    assert len(board.paid()) == ended[1]
    open_before = submitted and not any(ended)
    assert closed(board) == (["restart"] if open_before else ["time-out"] * ended[0])
    board = make()
    board.advance(2)
    assert len(closed(board)) <= 1
    assert all(one.ref_epoch is None for one in board.closings())


def test_after_the_power_was_cut_the_next_basket_is_another_one(make: Make) -> None:
    board = make()
    _reach(board, "awaiting-payment")
    board = make()
    shop = Shop(board)
    standing(board, 1, 2)
    board.until("awaiting-payment", 15)
    board.show(CODE)
    board.until("paid", 2)
    seqs = names(board)
    assert len({first for first, _ in seqs}) == 2
    assert [one.ref_seq for one in board.closings()] == [seqs[0][0]]
    assert [one.ref_seq for one in board.paid()] == [seqs[1][0]]
    assert shop.charged == [200]
