"""ThingMagic codec: every collected frame in every cut; metadata, stream frames, noise, bounds."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.reader.crc import thingmagic
from hal.reader.events import Alive, Command, Condition, ErrorReply, Event, Response, RoundEnd, Tag
from hal.reader.thingmagic import (
    ALL_METADATA,
    HEADER,
    MAX_ANSWER,
    MAX_COMMAND,
    STREAM_SEARCH,
    Codec,
    encode,
    encode_answer,
    encode_cycle_end,
    encode_tag,
    encode_temperature,
    encode_wrapped_answer,
    start_search,
    wrapped,
)
from hal.reader.thingmagic_ops import ASSERTION, BUFFER_FULL, Op, Search, status_text
from hal.reader.thingmagic_tags import Extras, read_record, write_record

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rfid_frames.json").read_text())
GOOD = [row for row in VECTORS if row["protocol"] == "thingmagic" and row["checksum_ok"]]
ANNOTATED = bytes.fromhex(
    "FF 28 22 0000 10 001B 01FF 01 01 C4 11 0E1640 00000127 0000 05 0000 0F 0080"
    "3000 000000000000000000001545 E94A 561D"
)
EMPTY_EPC = bytes.fromhex("FF1C22000010001B01FF0101D9220DC65E0000001400B10500000000200218 17AB 1336")
EPC = bytes.fromhex("E20000015860E026815507DB")
TAG = Tag(EPC, 0x3000, 0xC4, 2, -60.0, 923_200, 174, 1, 57)


def direction(row: dict[str, Any]) -> str:
    return "host" if row["direction"].startswith("host") else "module"


def feed_in(data: bytes, sizes: list[int], side: str = "module") -> list[Event]:
    codec, events, at = Codec(side), [], 0  # type: ignore[arg-type]
    for size in sizes:
        events += codec.feed(data[at : at + size])
        at += size
    return events + codec.feed(data[at:])


def one(data: bytes) -> Event:
    (event,) = feed_in(data, [])
    return event


def tags_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    decoded = row["decoded"]
    return decoded.get("tags", [decoded["tag"]] if "tag" in decoded else [])


# -- every collected frame -------------------------------------------------------------------------


@pytest.mark.parametrize("row", GOOD, ids=lambda row: str(row["name"]))
def test_every_good_frame_is_understood_and_can_be_made_again(row: dict[str, Any]) -> None:
    data, decoded = bytes.fromhex(row["hex"]), row["decoded"]
    op, content = int(decoded["opcode"], 16), bytes.fromhex(decoded["data"])
    events = feed_in(data, [], direction(row))
    if direction(row) == "host":
        assert events == [Command(op, content)]
        assert encode(op, content) == data
        return
    status = int(decoded["status"], 16)
    assert encode_answer(op, content, status) == data
    wanted = tags_of(row)
    found = [event for event in events if isinstance(event, Tag)]
    assert [tag.epc.hex() for tag in found] == [tag["epc"] for tag in wanted]
    for tag, want in zip(found, wanted, strict=True):
        assert f"{tag.pc:04x}" == want["pc"]
        assert tag.rssi_dbm == want.get("rssi_dbm")
        assert tag.antenna == want.get("antenna_tx", 1)
        assert tag.freq_khz == want.get("freq_khz")
        assert tag.phase == want.get("phase")
        assert tag.module_ms == want.get("timestamp_ms")
        assert tag.read_count == want.get("read_count", 1)
    if "temperature_c" in decoded and op == Op.READ_MULTIPLE:
        assert events[0] == Condition("temperature", "the module's temperature", decoded["temperature_c"])
    elif status not in (0, 0x0400, 0x0504, 0x0505):
        assert events == [ErrorReply(op, status, status_text(status), content)]
    elif op not in (Op.READ_MULTIPLE, Op.READ_SINGLE, Op.GET_BUFFER):
        assert events == [Response(op, content)]
    assert events, "every good frame says something"


# -- stream frames ---------------------------------------------------------------------------------


def test_the_annotated_tag_frame() -> None:
    tag = Tag(bytes.fromhex("000000000000000000001545"), 0x3000, 0xC4, 1, -60.0, 923_200, 0, 1, 295)
    assert one(ANNOTATED) == tag
    assert encode_tag(tag, extras=Extras(gpio=0x0F)) == ANNOTATED
    assert len(ANNOTATED) == 47


def test_an_empty_epc_is_dropped_and_counted() -> None:
    codec = Codec()
    assert codec.feed(EMPTY_EPC) == []
    assert (codec.counters.frames, codec.counters.dropped_tags) == (1, 1)
    assert codec.feed(ANNOTATED) != []


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        ("FF0022040084E0", Alive("keep-alive")),
        (encode_answer(0x22).hex(), Alive("empty-round")),
        (encode_cycle_end(5).hex(), RoundEnd(0x22, 5)),
        (encode_cycle_end(7, Search.ANTENNA_LIST | Search.LARGE).hex(), RoundEnd(0x22, 7)),
        (encode_temperature(-3).hex(), Condition("temperature", "the module's temperature", -3.0)),
        ("FF012F00000230E6", Response(0x2F, b"\x02")),
        (encode_wrapped_answer(0x72, b"\x1e").hex(), Response(0x72, b"\x1e")),
        (encode_wrapped_answer(0x97, b"", 0x10B).hex(), ErrorReply(0x97, 0x10B, status_text(0x10B))),
    ],
)
def test_stream_frames(frame: str, event: Event) -> None:
    assert one(bytes.fromhex(frame)) == event


def test_end_of_cycle_with_embedded_operations_that_failed() -> None:
    data = bytes.fromhex("00 001F 00 00000003 01 28 0002 0001")
    assert one(encode_answer(0x22, data, 0x0400)) == RoundEnd(0x22, 3)


@pytest.mark.parametrize(
    ("status", "name"), [(0x503, "antenna-missing"), (0x504, "hot"), (0x505, "return-loss")]
)
def test_states_of_the_module_are_conditions(status: int, name: str) -> None:
    event = one(encode_answer(0x22, b"", status))
    assert isinstance(event, Condition)
    assert event.name == name
    first, second = feed_in(encode_answer(0x2F, b"", status), [])
    assert isinstance(first, Condition)
    assert isinstance(second, ErrorReply)
    assert second.cmd == 0x2F


def test_a_full_buffer_is_a_condition_and_the_end_of_the_search() -> None:
    data = encode_cycle_end(52, Search.ANTENNA_LIST)[5:-2]
    first, second = feed_in(encode_answer(0x22, data, BUFFER_FULL), [])
    assert isinstance(first, Condition)
    assert first.name == "buffer-full"
    assert second == RoundEnd(0x22, 52)


def test_the_boot_message_says_that_settings_are_lost() -> None:
    event = one(encode_answer(Op.BOOT, bytes(20)))
    assert isinstance(event, Condition)
    assert event.name == "reset"


def test_status_words() -> None:
    assert "region" in status_text(0x0405)
    assert "Gen2" in status_text(0x0423)
    assert status_text(0x0999) == "status 0999"
    assert "assertion" in status_text(ASSERTION)


def test_start_and_stop_are_those_of_the_guide() -> None:
    assert start_search().hex().upper() == "FF102F00000122000005072210001B03E801FFDD2B"
    with_stats = start_search(metadata=0x7F, search=STREAM_SEARCH | Search.STATS, stats=0x100)
    assert feed_in(with_stats, [], "host") == [
        Command(0x2F, bytes.fromhex("0000 01 22 0000 05 09 22 10 011B 03E8 007F 0100"))
    ]
    assert encode(Op.MULTI, b"\x00\x00\x02").hex().upper() == "FF032F000002" + "5E86"
    (command,) = feed_in(wrapped(0x72), [], "host")
    assert command == Command(0x2F, bytes.fromhex("0000040072"))


# -- tag records -----------------------------------------------------------------------------------

TAGS = st.builds(
    Tag,
    epc=st.integers(1, 31).flatmap(lambda words: st.binary(min_size=words * 2, max_size=words * 2)),
    pc=st.integers(0, 0xFFFF).map(lambda pc: pc & ~0x0200),
    rssi_raw=st.integers(0, 255),
    antenna=st.integers(1, 16),
    freq_khz=st.integers(0, 0xFFFFFF),
    phase=st.integers(0, 180),
    read_count=st.integers(1, 255),
    module_ms=st.integers(0, 0xFFFFFFFF),
)


@given(TAGS, st.integers(0, 0x0FFF), st.binary(max_size=40), st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_every_combination_of_metadata_comes_back(tag: Tag, flags: int, data: bytes, gpio: int) -> None:
    record = write_record(tag, flags, Extras(data=data, gpio=gpio))
    found, end = read_record(b"\xaa" + record + b"\xbb", 1, flags)
    assert end == 1 + len(record)
    assert found is not None
    assert (found.epc, found.pc) == (tag.epc, tag.pc)
    assert found.antenna == (tag.antenna if flags & 0x04 else 1)
    assert found.rssi_raw == (tag.rssi_raw if flags & 0x02 else 0)
    assert found.freq_khz == (tag.freq_khz if flags & 0x08 else None)
    assert found.module_ms == (tag.module_ms if flags & 0x10 else None)
    assert found.phase == (tag.phase if flags & 0x20 else None)
    assert found.read_count == (tag.read_count if flags & 0x01 else 1)


def test_nibble_0_is_antenna_16() -> None:
    record = write_record(replace(TAG, antenna=16), 0x04)
    assert record[0] == 0
    found, _ = read_record(record, 0, 0x04)
    assert found is not None
    assert found.antenna == 16
    found, _ = read_record(b"\x31" + record[1:], 0, 0x04)
    assert found is not None
    assert found.antenna == 3  # it transmits on 3, listens on 1


def test_rssi_is_signed() -> None:
    found, _ = read_record(write_record(TAG, 0x02), 0, 0x02)
    assert found is not None
    assert found.rssi_dbm == -60.0


def test_every_single_bit_and_both_newer_ones() -> None:
    for bit in range(12):
        found, _ = read_record(write_record(TAG, 1 << bit), 0, 1 << bit)
        assert found is not None
        assert found.epc == EPC
    plain = write_record(TAG, 0)
    typed, _ = read_record(b"\x81\x05" + plain, 0, 0x2000)
    assert typed is not None
    brand = b"\xbe\xef"
    body = plain[2:-2] + brand
    inside = ((len(body) + 2) * 8).to_bytes(2, "big") + body + plain[-2:]
    branded, end = read_record(inside, 0, 0x1000)
    assert branded is not None
    assert (branded.epc, end) == (EPC, len(inside))


def test_xpc_words_are_not_epc() -> None:
    for xpc in (b"\x00\x01", b"\x80\x01\x00\x02"):
        tag = Tag(EPC, 0x3200, 0, 1)
        found, _ = read_record(write_record(tag, 0, xpc=xpc), 0, 0)
        assert found is not None
        assert (found.epc, found.pc) == (EPC, 0x3200)
        empty = write_record(Tag(b"", 0x0200, 0), 0, xpc=xpc)
        assert read_record(empty, 0, 0) == (None, len(empty))


def test_what_cannot_be_measured_gives_up_the_frame() -> None:
    record = write_record(TAG, 0x01FF)
    assert read_record(record, 0, 0x4000 | 0x01FF) == (None, -1)
    for cut in range(len(record)):
        assert read_record(record[:cut], 0, 0x01FF)[0] is None
    codec = Codec()
    frame = encode_tag(TAG, 0x3F)
    body = frame[5:-2]
    assert codec.feed(encode_answer(0x22, body[:3] + b"\x40\x3f" + body[5:])) == []
    assert codec.feed(encode_answer(0x22, body + b"\x00")) == []
    assert codec.counters.dropped_tags == 2


def test_a_tag_with_a_wrong_crc_of_its_own_is_dropped() -> None:
    body = bytearray(encode_tag(TAG)[5:-2])
    body[-4] ^= 1
    codec = Codec()
    assert codec.feed(encode_answer(0x22, bytes(body))) == []
    assert codec.counters.dropped_tags == 1


def test_a_tag_that_is_not_gen2_is_dropped() -> None:
    codec = Codec()
    assert codec.feed(encode_tag(TAG, extras=Extras(protocol=3))) == []
    assert codec.counters.dropped_tags == 1


def test_a_bad_record_in_the_buffer_does_not_cost_the_others() -> None:
    good, bad = write_record(TAG, 0x03), bytearray(write_record(TAG, 0x03))
    bad[-1] ^= 1
    data = b"\x00\x03\x00\x03" + good + bad + good
    codec = Codec()
    events = codec.feed(encode_answer(Op.GET_BUFFER, bytes(data)))
    assert [type(event) for event in events] == [Tag, Tag, Response]
    assert codec.counters.dropped_tags == 1


# -- noise and bounds ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, MAX_ANSWER - 1, MAX_ANSWER])
def test_lengths_up_to_the_longest_frame(size: int) -> None:
    content = bytes([HEADER]) * size
    frame = encode_answer(0x65, content)
    assert len(frame) == size + 7
    assert feed_in(frame, [1] * len(frame)) == [Response(0x65, content)]
    assert feed_in(encode(0x65, content), [], "host") == [Command(0x65, content)]


def test_too_long_frames_are_neither_made_nor_waited_for() -> None:
    with pytest.raises(ValueError, match="at most 250"):
        encode(0x65, bytes(MAX_COMMAND + 1))
    with pytest.raises(ValueError, match="at most 248"):
        encode_answer(0x65, bytes(MAX_ANSWER + 1))
    with pytest.raises(ValueError, match="0800"):
        encode_tag(TAG, 0x1000)
    assert feed_in(bytes((HEADER, MAX_ANSWER + 1)) + ANNOTATED, []) == [one(ANNOTATED)]


def test_a_frame_that_was_cut_short_is_given_up_when_the_line_rests() -> None:
    codec = Codec()
    assert codec.feed(ANNOTATED[:-5] + ANNOTATED[:-5]) == []
    assert codec.pending > 0
    assert codec.feed(b"") == []
    cut = Codec()
    assert cut.feed(bytes((HEADER, 200, 0x22)) + ANNOTATED) == []
    assert cut.idle() == [one(ANNOTATED)]
    assert cut.pending == 0
    cut.feed(b"\xff\x05")
    cut.reset()
    assert cut.pending == 0


def test_no_intact_frame_is_lost_behind_noise() -> None:
    rng = random.Random(5)
    for _ in range(12):
        codec, stream, intact, events = Codec(), b"", 0, []
        for index in range(120):
            frame = bytearray(encode_tag(Tag(rng.randbytes(12), 0x3000, 200, 1, module_ms=index)))
            dice = rng.random()
            if dice < 0.05:
                del frame[rng.randrange(len(frame))]
            elif dice < 0.1:
                frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
            else:
                intact += 1
            noise = bytes(rng.choice((HEADER, rng.randrange(256))) for _ in range(rng.randrange(9)))
            stream = (noise if dice > 0.9 else b"") + bytes(frame)
            events += codec.feed(stream)
            if index % 10 == 9:
                events += codec.idle()
        assert len(events) == intact


@given(
    st.lists(
        st.one_of(st.binary(max_size=40), st.just(b"\xff\x00\x22"), st.just(ANNOTATED[:20])), max_size=40
    )
)
@settings(max_examples=60, deadline=None)
def test_garbage_never_raises_and_never_grows(parts: list[bytes]) -> None:
    for side in ("module", "host"):
        codec = Codec(side)  # type: ignore[arg-type]
        for part in parts:
            codec.feed(part)
            assert codec.pending <= 255
        codec.idle()
        assert codec.pending == 0
        frame = ANNOTATED if side == "module" else start_search()
        assert len(codec.feed(frame)) == 1


@given(st.binary(max_size=MAX_ANSWER), st.sampled_from([0, 0x400, 0x504, 0x601]))
@settings(max_examples=150, deadline=None)
def test_any_content_under_a_good_check_is_survived(content: bytes, status: int) -> None:
    for op in (0x22, 0x29, 0x2F):
        for head in (b"", b"\x10\x00\x1b\x01\xff\x01", b"\x00\x01\x1b\x02", b"\x04\x02"):
            Codec().feed(encode_answer(op, (head + content)[:MAX_ANSWER], status))


def test_editing_epc_and_tag_crc_together_leaves_the_frame_crc_alone() -> None:
    """The field's own proof of the CRC: thirteen captured EPCs under one frame check."""
    frames = {encode_tag(Tag(bytes([n]) * 12, 0x3000, 0), 0)[-2:] for n in range(13)}
    assert frames == {bytes.fromhex("6394")}
    assert thingmagic(b"123456789") == 0xA69D
    assert int(ALL_METADATA) == 0x01FF
