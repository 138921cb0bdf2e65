"""YRM100 codec: every collected frame, whole, byte by byte and in chunks; noise, bounds, both framings."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.reader.yrm100 import (
    END,
    MAX_FRAME,
    MAX_PARAMS,
    NOTICE,
    REGIONS,
    RESPONSE,
    Cmd,
    Codec,
    Command,
    Deframer,
    ErrorReply,
    Event,
    Frame,
    Response,
    Tag,
    encode,
    encode_tag,
    multi_poll,
    parse_tag,
    power_value,
    tag_crc,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "yrm100_frames.json").read_text())
GOOD = [row for row in VECTORS if row["checksum_ok"]]
BAD = [row for row in VECTORS if not row["checksum_ok"]]
EPC = bytes.fromhex("E20010710000529B0940B402")
TAG = Tag(EPC, 0x3400, -56)


def raw(row: dict[str, Any]) -> bytes:
    return bytes.fromhex(row["hex"])


def name(row: dict[str, Any]) -> str:
    return str(row["name"])


def feed_in(data: bytes, sizes: list[int]) -> list[Event]:
    codec, events, at = Codec(), [], 0
    for size in sizes:
        events += codec.feed(data[at : at + size])
        at += size
    return events + codec.feed(data[at:])


@pytest.mark.parametrize("row", GOOD, ids=name)
def test_every_good_frame_is_taken_and_can_be_made_again(row: dict[str, Any]) -> None:
    data = raw(row)
    (frame,) = Deframer().feed(data)
    assert frame.type == row["decoded"]["type"]
    assert frame.cmd == int(row["decoded"]["cmd"], 16)
    assert len(frame.params) == row["decoded"]["pl"]
    assert frame.params.hex() == row["decoded"].get("params", frame.params.hex())
    assert encode(frame.cmd, frame.params, type=frame.type, header=frame.header) == data


@pytest.mark.parametrize("row", GOOD, ids=name)
def test_every_split_gives_the_same_events(row: dict[str, Any]) -> None:
    data = raw(row)
    whole = feed_in(data, [])
    assert feed_in(data, [1] * len(data)) == whole
    for cut in range(len(data)):
        assert feed_in(data, [cut]) == whole
    assert feed_in(data + b"\x00\x7e", []) == whole


@pytest.mark.parametrize("row", BAD, ids=name)
def test_frames_with_a_wrong_checksum_are_refused(row: dict[str, Any]) -> None:
    codec = Codec()
    assert codec.feed(raw(row)) + codec.idle() == []
    assert codec.counters.bad_checks + codec.counters.junk > 0


def test_every_collected_tag_passes_its_own_crc() -> None:
    tags = [row for row in GOOD if row["decoded"]["type"] == NOTICE]
    assert len(tags) >= 5
    for row in tags:
        (event,) = feed_in(raw(row), [])
        assert isinstance(event, Tag), row["name"]
        assert len(event.epc) == 12


def test_the_guides_tag_frame() -> None:
    data = bytes.fromhex("BB022200 11C83400E20010710000529B0940B402163DD37E")
    assert feed_in(data, []) == [TAG]
    assert encode_tag(TAG) == data
    other = bytes.fromhex("AA022200 11C73000E28068900000500E88C6A4A7119B29DD")
    (tag,) = feed_in(other, [])
    assert isinstance(tag, Tag)
    assert tag.rssi_dbm == -57
    assert encode_tag(tag, header=0xAA) == other


def test_multi_poll_notices_with_27_are_taken_too() -> None:
    data = encode(Cmd.MULTI_POLL, encode_tag(TAG)[5:-2], type=NOTICE)
    assert feed_in(data, []) == [TAG]


def test_the_initial_commands_are_those_of_the_guide() -> None:
    assert encode(Cmd.STOP).hex(" ").upper() == "BB 00 28 00 00 28 7E"
    assert encode(Cmd.INFO, b"\x00").hex(" ").upper() == "BB 00 03 00 01 00 04 7E"
    region = bytes((REGIONS["cn900"].code,))
    assert encode(Cmd.SET_REGION, region).hex(" ").upper() == "BB 00 07 00 01 01 09 7E"
    assert encode(Cmd.SET_HOPPING, b"\xff").hex(" ").upper() == "BB 00 AD 00 01 FF AD 7E"
    power = power_value(26, 6).to_bytes(2, "big")
    assert encode(Cmd.SET_POWER, power).hex(" ").upper() == "BB 00 B6 00 02 07 D0 8F 7E"
    assert encode(*multi_poll()).hex(" ").upper() == "BB 00 27 00 03 22 FF FF 4A 7E"


@pytest.mark.parametrize(
    ("dbm", "wire"),
    [(18.5, 0x04E2), (20, 0x0578), (21.5, 0x060E), (23, 0x06A4), (24.5, 0x073A), (26, 0x07D0)],
)
def test_power_of_the_26_dbm_module(dbm: float, wire: int) -> None:
    assert power_value(dbm, 6) == wire


@pytest.mark.parametrize(("dbm", "offset"), [(5, 6), (31, 0), (-1, 0)])
def test_power_outside_the_range_is_refused(dbm: float, offset: float) -> None:
    with pytest.raises(ValueError, match="0 to 30"):
        power_value(dbm, offset)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 512"):
        encode(Cmd.WRITE, bytes(513))
    with pytest.raises(ValueError, match="header"):
        encode(Cmd.STOP, header=0xFF)
    for rounds in (0, 65536):
        with pytest.raises(ValueError, match="rounds"):
            multi_poll(rounds)


def test_errors_are_values_with_words() -> None:
    (event,) = feed_in(bytes.fromhex("BB01FF000115167E"), [])
    assert event == ErrorReply(0x15, b"")
    assert event.text == "no tag answered"
    assert ErrorReply(0x17, b"").text == "the module does not know this command"
    assert ErrorReply(0xB3, b"").text == "error 0xB3"


def test_responses_and_commands_are_told_apart() -> None:
    answer = encode(Cmd.GET_POWER, b"\x07\xd0", type=RESPONSE)
    assert feed_in(answer, []) == [Response(Cmd.GET_POWER, b"\x07\xd0")]
    assert feed_in(encode(Cmd.STOP), []) == [Command(Cmd.STOP, b"")]


def test_empty_errors_and_unknown_notices_are_counted_not_reported() -> None:
    codec = Codec()
    data = encode(Cmd.ERROR, b"", type=RESPONSE) + encode(0x99, b"abc", type=NOTICE)
    assert codec.feed(data) == []
    assert codec.counters.unknown == 2


# -- the tag's own checks ----------------------------------------------------------------------


@pytest.mark.parametrize("words", [0, 1, 6, 8, 31])
def test_epcs_of_every_length(words: int) -> None:
    epc = bytes(range(words * 2))
    tag = Tag(epc, words << 11, -70)
    assert feed_in(encode_tag(tag), []) == [tag]


def test_a_damaged_epc_with_a_matching_sum_is_dropped_and_counted() -> None:
    """Two flips that cancel in the 8-bit sum: only the tag's own CRC sees them."""
    params = bytearray(encode_tag(TAG)[5:-2])
    params[4] += 1
    params[5] -= 1
    codec = Codec()
    assert codec.feed(encode(Cmd.SINGLE_POLL, bytes(params), type=NOTICE)) == []
    assert (codec.counters.frames, codec.counters.dropped_tags) == (1, 1)


def test_a_pc_that_names_another_length_is_dropped() -> None:
    body = (0x3000 | 7 << 11).to_bytes(2, "big") + EPC
    params = b"\xc8" + body + tag_crc(body).to_bytes(2, "big")
    assert parse_tag(params) is None
    for length in range(5):
        assert parse_tag(bytes(length)) is None


@given(st.integers(0, 31), st.data())
def test_no_single_bit_flip_in_a_tag_is_accepted(words: int, data: st.DataObject) -> None:
    epc = data.draw(st.binary(min_size=words * 2, max_size=words * 2))
    good = encode_tag(Tag(epc, words << 11, -60))
    bit = data.draw(st.integers(0, len(good) * 8 - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    codec = Codec()
    assert not [event for event in codec.feed(bytes(bad)) + codec.idle() if isinstance(event, Tag)]


# -- streams -----------------------------------------------------------------------------------

FRAMES = st.builds(
    lambda type, cmd, params, header: Frame(type, cmd, params, header),
    st.integers(0, 2),
    st.integers(0, 255),
    st.one_of(
        st.binary(max_size=40), st.sampled_from([b"\x7e" * 9, b"\xbb\x02\x22\x00", b"\xaa\x01", b"\xdd"])
    ),
    st.sampled_from([0xBB, 0xAA]),
)


def wire(frame: Frame) -> bytes:
    return encode(frame.cmd, frame.params, type=frame.type, header=frame.header)


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(0, 30), max_size=40))
def test_any_frames_in_any_chunks_come_out_in_order(frames: list[Frame], sizes: list[int]) -> None:
    data = b"".join(map(wire, frames))
    deframer, out, at = Deframer(), [], 0
    for size in sizes:
        out += deframer.feed(data[at : at + size])
        at += size
    assert out + deframer.feed(data[at:]) == frames
    assert deframer.pending == 0
    assert deframer.counters.junk == 0


@given(st.lists(st.binary(max_size=2000), max_size=10))
def test_garbage_never_raises_and_never_grows(chunks: list[bytes]) -> None:
    codec = Codec()
    for chunk in chunks:
        codec.feed(chunk)
        assert codec.pending < MAX_FRAME
    codec.idle()
    assert codec.pending == 0


@pytest.mark.parametrize("size", [0, 1, 254, 255, 256, 257, 511, MAX_PARAMS])
def test_lengths_around_the_bounds(size: int) -> None:
    frame = Frame(RESPONSE, 0x39, bytes(range(256)) * 2 + b"x")
    frame = Frame(RESPONSE, 0x39, frame.params[:size])
    assert Deframer().feed(wire(frame) + wire(frame)) == [frame, frame]


def test_a_length_over_the_cap_is_not_waited_for() -> None:
    deframer = Deframer()
    tag = encode_tag(TAG)
    assert len(deframer.feed(b"\xbb\x02\x22\x02\x01" + tag)) == 1
    assert len(deframer.feed(b"\xbb\x02\x22\xff\xff" + tag)) == 1


def test_a_cut_frame_holds_nothing_back_once_the_line_is_quiet() -> None:
    codec = Codec()
    cut = encode(Cmd.READ, bytes(200), type=RESPONSE)[:50]
    assert codec.feed(cut + encode_tag(TAG)) == []  # it may still be inside the long one
    assert codec.idle() == [TAG]
    assert codec.pending == 0


def noisy(rng: random.Random, count: int) -> tuple[bytes, list[bytes]]:
    """A stream in which 2 % of frames lose a byte, 2 % get a flip, 1 % follow junk; and what stayed whole."""
    stream, intact = bytearray(), []
    for _ in range(count):
        epc = rng.randbytes(12)
        data = bytearray(encode_tag(Tag(epc, 0x3000, -rng.randint(30, 80)), header=rng.choice([0xBB, 0xAA])))
        dice = rng.random()
        if dice < 0.02:
            del data[rng.randrange(len(data))]
        elif dice < 0.04:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            intact.append(epc)
            if dice > 0.99:
                stream += rng.randbytes(rng.randint(1, 19))
        stream += data
    return bytes(stream), intact


@pytest.mark.parametrize("seed", range(5))
def test_after_noise_no_intact_frame_is_lost_and_none_is_invented(seed: int) -> None:
    rng = random.Random(seed)
    stream, intact = noisy(rng, 1500)
    codec, got, at = Codec(), [], 0
    while at < len(stream):
        size = rng.randint(1, 200)
        got += codec.feed(stream[at : at + size])
        at += size
    got += codec.idle()
    assert [event.epc for event in got if isinstance(event, Tag)] == intact


@settings(max_examples=50)
@given(st.binary(max_size=60), FRAMES)
def test_a_frame_behind_any_noise_is_found_when_the_line_is_quiet(noise: bytes, frame: Frame) -> None:
    deframer = Deframer()
    out = deframer.feed(noise + wire(frame)) + deframer.idle()
    clean = Deframer()
    if not clean.feed(noise) and not any(byte in END for byte in noise):
        assert out == [frame]
    assert deframer.pending == 0
