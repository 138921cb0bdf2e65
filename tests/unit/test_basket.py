"""The provisional basket: what a fixed quiet time makes of tag reports."""

from __future__ import annotations

from firmware.basket import AWAY_S, LONGEST_S, QuietBasket
from firmware.wire.record_types import MAX_TAGS, Flags, Stamp
from firmware.wire.taglist import decode
from hal.ports import TagRead


def read(number: int, at: float) -> TagRead:
    return TagRead(number.to_bytes(12, "big"), 0x3000, 1, -60.0, 0xC4, at)


def test_closes_after_the_quiet_time_of_the_last_new_tag() -> None:
    basket = QuietBasket(1.0)
    assert basket.due() is None
    basket.add(read(1, 10.0))
    basket.add(read(2, 10.4))
    basket.add(read(1, 10.9))
    assert basket.due() == 11.4
    note = basket.close(11.4)
    assert note.fields["count"] == 2
    assert list(decode(note.fields["tags"])) == [read(1, 0).epc, read(2, 0).epc]
    assert note.flags == Flags.PROVISIONAL
    assert basket.due() is None


def test_a_tag_that_stays_begins_no_second_basket() -> None:
    basket = QuietBasket(1.0)
    basket.add(read(1, 10.0))
    basket.close(11.0)
    at = 11.0
    while at < 40:
        basket.add(read(1, at))
        at += 1.0
    assert basket.due() is None
    basket.add(read(1, at + AWAY_S))
    assert basket.due() == at + AWAY_S + 1.0


def test_a_stream_of_new_tags_ends_at_the_longest_time() -> None:
    basket = QuietBasket(1.0)
    for n in range(100):
        basket.add(read(n, 10.0 + n * 0.5))
    assert basket.due() == 10.0 + LONGEST_S


def test_more_tags_than_a_record_holds_are_counted() -> None:
    basket = QuietBasket(1.0)
    for n in range(MAX_TAGS + 5):
        basket.add(read(n, 10.0))
    assert basket.overflow == 5
    assert basket.close(11.0).fields["count"] == MAX_TAGS


def test_tags_that_fit_no_record_are_counted_and_left_out() -> None:
    basket = QuietBasket(1.0)
    basket.add(TagRead(b"", 0, 1, None, 0, 10.0))
    basket.add(TagRead(bytes(63), 0, 1, None, 0, 10.0))
    assert basket.due() is None
    for number in range(MAX_TAGS):
        basket.add(TagRead(number.to_bytes(62, "big"), 0, 1, None, 0, 10.0))
    note = basket.close(11.0)
    assert len(decode(note.fields["tags"])) == note.fields["count"]
    assert note.fields["count"] + basket.overflow == MAX_TAGS + 2
    assert note.kind(Stamp(1, 1, bytes(4), "synced"), **note.fields).body()
