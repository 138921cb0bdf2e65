"""What the YRM100's codec and commands have of their own; the common contract is in test_reader_codecs.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.reader.crc import genibus
from hal.reader.events import Command, ErrorReply, Event, Response, Tag
from hal.reader.port import Settings
from hal.reader.yrm100 import (
    MAX_PARAMS,
    NOTICE,
    RESPONSE,
    Cmd,
    Codec,
    encode,
    encode_tag,
    error_text,
    parse_tag,
)
from hal.reader.yrm100_commands import REGIONS, multi_poll, power_value, query_word, select
from hal.reader.yrm100_family import Family
from tests.support.readers import vectors

EPC = bytes.fromhex("E20010710000529B0940B402")
TAG = Tag(EPC, 0x3400, 0xC8, 1, -56.0)
FRAME = encode_tag(EPC, 0x3400, -56)


def heard(data: bytes, direction: str = "module") -> list[Event]:
    codec = Codec(direction)
    return codec.feed(data) + codec.idle()


@pytest.mark.parametrize("row", vectors("yrm100", "host->reader"), ids=lambda row: row["hex"][:23])
def test_commands_can_be_made_again(row: dict[str, object]) -> None:
    data = bytes.fromhex(str(row["hex"]))
    for event in heard(data, "host"):
        assert isinstance(event, Command)
        assert encode(event.cmd, event.data, header=data[0]) == data


def test_the_guides_tag_frame() -> None:
    data = bytes.fromhex("BB022200 11C83400E20010710000529B0940B402163DD37E")
    assert heard(data) == [TAG]
    assert data == FRAME
    other = bytes.fromhex("AA022200 11C73000E28068900000500E88C6A4A7119B29DD")
    (tag,) = heard(other)
    assert isinstance(tag, Tag)
    assert (tag.rssi_dbm, tag.rssi_raw) == (-57, 0xC7)
    assert encode_tag(tag.epc, tag.pc, -57, header=0xAA) == other


def test_multi_poll_notices_with_27_are_taken_too() -> None:
    assert heard(encode(Cmd.MULTI_POLL, FRAME[5:-2], type=NOTICE)) == [TAG]


def test_commands_are_those_of_the_guide() -> None:
    assert encode(Cmd.STOP).hex(" ").upper() == "BB 00 28 00 00 28 7E"
    assert encode(Cmd.INFO, b"\x00").hex(" ").upper() == "BB 00 03 00 01 00 04 7E"
    region = bytes((REGIONS["cn900"].code,))
    assert encode(Cmd.SET_REGION, region).hex(" ").upper() == "BB 00 07 00 01 01 09 7E"
    assert encode(Cmd.SET_HOPPING, b"\xff").hex(" ").upper() == "BB 00 AD 00 01 FF AD 7E"
    power = power_value(26, 6).to_bytes(2, "big")
    assert encode(Cmd.SET_POWER, power).hex(" ").upper() == "BB 00 B6 00 02 07 D0 8F 7E"
    assert encode(*multi_poll()).hex(" ").upper() == "BB 00 27 00 03 22 FF FF 4A 7E"
    query = query_word(0).to_bytes(2, "big")
    assert encode(Cmd.SET_QUERY, query).hex(" ").upper() == "BB 00 0E 00 02 10 20 40 7E"
    cmd, data = select(bytes.fromhex("30751FEB705C5904E3D50D70"))
    assert (cmd, data.hex()) == (0x0C, "0100000020600030751feb705c5904e3d50d70")


@pytest.mark.parametrize(
    ("dbm", "wire"),
    [(18.5, 0x04E2), (20, 0x0578), (21.5, 0x060E), (23, 0x06A4), (24.5, 0x073A), (26, 0x07D0)],
)
def test_power_of_the_26_dbm_module(dbm: float, wire: int) -> None:
    assert power_value(dbm, 6) == wire


def test_channels_of_a_region() -> None:
    assert REGIONS["cn900"].channel(920.125) == 0
    assert REGIONS["cn900"].channel(924.375) == 17
    assert REGIONS["us"].channel(902.75) == 1
    for mhz in (919.0, 920.2, 2000.0):
        with pytest.raises(ValueError, match=f"{mhz:g} MHz is no channel"):
            REGIONS["cn900"].channel(mhz)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 512"):
        encode(Cmd.WRITE, bytes(513))
    with pytest.raises(ValueError, match="header"):
        encode(Cmd.STOP, header=0xFF)
    for rounds in (0, 65536):
        with pytest.raises(ValueError, match="rounds"):
            multi_poll(rounds)
    for dbm, offset in ((5, 6), (31, 0), (-1, 0)):
        with pytest.raises(ValueError, match="0 to 30"):
            power_value(dbm, offset)
    with pytest.raises(ValueError, match="session is 4"):
        query_word(4)
    with pytest.raises(ValueError, match="32 bytes"):
        select(bytes(32))


def test_errors_are_values_with_words() -> None:
    (event,) = heard(bytes.fromhex("BB01FF000115167E"))
    assert event == ErrorReply(None, 0x15, "no tag answered")
    assert error_text(0x17) == "the module does not know this command"
    assert error_text(0xB3) == "writing the tag failed: the tag says no such memory"
    assert error_text(0x77) == "error 0x77"
    (failed,) = heard(encode(Cmd.ERROR, b"\x10\x0e\x34\x00" + EPC, type=RESPONSE))
    assert failed == ErrorReply(None, 0x10, "writing the tag failed", b"\x0e\x34\x00" + EPC)


def test_each_side_hears_its_own_frames_only() -> None:
    answer = encode(Cmd.GET_POWER, b"\x07\xd0", type=RESPONSE)
    assert heard(answer) == [Response(Cmd.GET_POWER, b"\x07\xd0")]
    assert heard(encode(Cmd.STOP), "host") == [Command(Cmd.STOP, b"")]
    for data, direction in ((answer, "host"), (FRAME, "host"), (encode(Cmd.STOP), "module")):
        codec = Codec(direction)
        assert codec.feed(data) == []
        assert codec.counters.unknown == 1


def test_a_module_hears_its_own_framing_only() -> None:
    codec = Codec("host", headers=(0xAA,))
    assert codec.feed(encode(Cmd.STOP)) == []
    assert codec.feed(encode(Cmd.STOP, header=0xAA)) == [Command(Cmd.STOP, b"")]


def test_empty_errors_and_unknown_notices_are_counted_not_reported() -> None:
    codec = Codec()
    data = encode(Cmd.ERROR, b"", type=RESPONSE) + encode(0x99, b"abc", type=NOTICE)
    assert codec.feed(data) == []
    assert codec.counters.unknown == 2


@pytest.mark.parametrize("words", [0, 1, 6, 8, 31])
def test_epcs_of_every_length(words: int) -> None:
    epc = bytes(range(words * 2))
    (tag,) = heard(encode_tag(epc, words << 11, -70))
    assert isinstance(tag, Tag)
    assert (tag.epc, tag.pc, tag.rssi_dbm) == (epc, words << 11, -70)


def test_a_damaged_epc_with_a_matching_sum_is_dropped_and_counted() -> None:
    """Two flips that cancel in the 8-bit sum: only the tag's own CRC sees them."""
    params = bytearray(FRAME[5:-2])
    params[4] += 1
    params[5] -= 1
    codec = Codec()
    assert codec.feed(encode(Cmd.SINGLE_POLL, bytes(params), type=NOTICE)) == []
    assert (codec.counters.frames, codec.counters.dropped_tags) == (1, 1)


def test_a_pc_that_names_another_length_is_dropped() -> None:
    body = (0x3000 | 7 << 11).to_bytes(2, "big") + EPC
    assert parse_tag(b"\xc8" + body + genibus(body).to_bytes(2, "big")) is None
    for length in range(5):
        assert parse_tag(bytes(length)) is None


@given(st.integers(0, 31), st.data())
def test_no_single_bit_flip_in_a_tag_is_accepted(words: int, data: st.DataObject) -> None:
    epc = data.draw(st.binary(min_size=words * 2, max_size=words * 2))
    bad = bytearray(encode_tag(epc, words << 11, -60))
    bit = data.draw(st.integers(0, len(bad) * 8 - 1))
    bad[bit // 8] ^= 1 << bit % 8
    assert not [event for event in heard(bytes(bad)) if isinstance(event, Tag)]


def test_a_module_may_keep_its_own_q_but_not_another_session() -> None:
    rows = {row.name: row for row in Family(Settings("yrm100", session=2)).setup_rows({})}
    accepts = rows["read query back"].accepts
    assert accepts is not None
    assert accepts(Response(Cmd.GET_QUERY, b"\x02\x38")) is True
    assert accepts(Response(Cmd.GET_QUERY, b"\x10\x20")) == "it answered 1020, not 1220"
    assert accepts(Response(Cmd.GET_QUERY, b"")) == "it answered , not 1220"
    assert accepts(ErrorReply(None, 0x15, "no tag answered")) is None
    assert accepts(Response(Cmd.GET_POWER, b"\x02\x38")) is None


PARAMS = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"\x7e" * 9, b"\xbb\x02\x22\x00", b"\xaa\x01", b"\xdd"])
)


@given(
    st.lists(st.tuples(st.integers(0, 0xFE), PARAMS, st.sampled_from([0xBB, 0xAA])), max_size=8),
    st.lists(st.integers(0, 30), max_size=40),
)
def test_any_frames_in_any_chunks_come_out_in_order(
    frames: list[tuple[int, bytes, int]], sizes: list[int]
) -> None:
    data = b"".join(encode(cmd, params, type=RESPONSE, header=header) for cmd, params, header in frames)
    codec, out, at = Codec(), [], 0
    for size in sizes:
        out += codec.feed(data[at : at + size])
        at += size
    out += codec.feed(data[at:])
    assert out == [Response(cmd, params) for cmd, params, _ in frames]
    assert (codec.pending, codec.counters.junk) == (0, 0)
    assert not frames or codec.header == frames[-1][2]


@pytest.mark.parametrize("size", [0, 1, 254, 255, 256, 257, 511, MAX_PARAMS])
def test_lengths_around_the_bounds(size: int) -> None:
    params = (bytes(range(256)) * 2 + b"x")[:size]
    frame = encode(0x39, params, type=RESPONSE)
    assert heard(frame + frame) == [Response(0x39, params)] * 2


def test_a_length_over_the_cap_is_not_waited_for() -> None:
    assert len(Codec().feed(b"\xbb\x02\x22\x02\x01" + FRAME)) == 1
    assert len(Codec().feed(b"\xbb\x02\x22\xff\xff" + FRAME)) == 1
