"""R2000 "A0" codec: every collected frame in every cut, both sides; what a PC decides; noise, bounds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.reader import crc
from hal.reader.events import Command, Condition, ErrorReply, Event, Response, RoundEnd, Tag
from hal.reader.r2000 import MAX_DATA, MAX_FRAME, Codec, encode, encode_code, encode_end, encode_tag
from hal.reader.r2000_commands import REGIONS, Cmd, channel_khz, power_value
from hal.reader.r2000_errors import ERRORS, OK

VECTORS = [
    row
    for row in json.loads((Path(__file__).parents[1] / "vectors" / "rfid_frames.json").read_text())
    if row["protocol"] == "r2000"
]
GOOD = [row for row in VECTORS if row["checksum_ok"]]
BAD = [row for row in VECTORS if not row["checksum_ok"]]
EPC = bytes.fromhex("E20000172211010118905454")
TAG = Tag(EPC, 0x3000, 69, 2, -60.0, 915_000)


def side(row: dict[str, Any]) -> str:
    return "host" if row["direction"].startswith("host") else "module"


def feed_in(data: bytes, sizes: list[int], direction: str = "module") -> list[Event]:
    codec, events, at = Codec(direction), [], 0  # type: ignore[arg-type]
    for size in sizes:
        events += codec.feed(data[at : at + size])
        at += size
    return events + codec.feed(data[at:])


def one(cmd: int, data: str, **how: Any) -> Event:
    (event,) = Codec(**how).feed(encode(cmd, bytes.fromhex(data)))
    return event


def name(row: dict[str, Any]) -> str:
    return str(row["name"])


def test_the_collected_frames_are_all_here() -> None:
    assert (len(GOOD), len(BAD)) == (21, 2)


@pytest.mark.parametrize("row", GOOD, ids=name)
def test_every_good_frame_means_what_was_collected(row: dict[str, Any]) -> None:
    raw, said = bytes.fromhex(row["hex"]), row["decoded"]
    cmd, data = int(said["cmd"], 16), bytes.fromhex(said["data"])
    (event,) = feed_in(raw, [], side(row))
    assert encode(cmd, data, address=said["addr"]) == raw
    if side(row) == "host":
        assert event == Command(cmd, data)
    elif said.get("epc"):
        assert isinstance(event, Tag)
        assert event.epc.hex() == said["epc"]
        assert f"{event.pc:04x}" == said["pc"]
        assert (event.rssi_raw, event.rssi_dbm) == (said["rssi_raw"], said["rssi_dbm"])
        assert event.antenna == said["antenna"]
        assert event.freq_khz == said["freq_mhz"] * 1000
        assert encode_tag(cmd, event, said["freq_index"]) == raw
    elif "error_code" in said:
        code = int(said["error_code"], 16)
        assert getattr(event, "antenna", None) == said.get("antenna")
        assert isinstance(event, Condition if code == 0x22 else ErrorReply)
        assert event.text == ERRORS[code]  # type: ignore[union-attr]
    else:
        assert isinstance(event, RoundEnd)
        assert event.reads == said.get("total_read", 1)  # the short end is listed as a tag without EPC
        assert event.antenna == said.get("antenna")


@pytest.mark.parametrize("row", GOOD + BAD, ids=name)
def test_every_split_gives_the_same_events(row: dict[str, Any]) -> None:
    raw = bytes.fromhex(row["hex"])
    whole = feed_in(raw, [], side(row))
    assert bool(whole) == (row in GOOD)
    for cut in range(len(raw)):
        assert feed_in(raw, [cut], side(row)) == whole
    assert feed_in(raw, [1] * len(raw), side(row)) == whole
    assert feed_in(raw + b"\xa0\x00", [], side(row)) == whole


@pytest.mark.parametrize("row", BAD, ids=name)
def test_bad_frames_are_counted_and_the_next_one_is_taken(row: dict[str, Any]) -> None:
    raw, codec = bytes.fromhex(row["hex"]), Codec()
    assert codec.feed(raw) == []
    assert codec.counters.bad_checks + codec.counters.dropped_tags == 1
    assert codec.counters.junk + 10 * codec.counters.dropped_tags == len(raw)
    assert codec.feed(encode_code(Cmd.REAL_TIME, 0x36)) == [
        ErrorReply(Cmd.REAL_TIME, 0x36, "no tag answered")
    ]
    assert codec.counters.frames == 1 + codec.counters.dropped_tags


# -- tags ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rssi", "ports", "antenna"), [(0x45, 8, 2), (0xC5, 8, 6), (0xC5, 4, 2)])
def test_ports_five_to_eight_are_told_by_the_high_bit_of_the_rssi(
    rssi: int, ports: int, antenna: int
) -> None:
    tag = one(Cmd.FAST_SWITCH, f"85 3000 {EPC.hex()} {rssi:02x}", ports=ports)
    assert tag == Tag(EPC, 0x3000, 0x45, antenna, -60.0, 915_000)


@pytest.mark.parametrize("antenna", range(1, 9))
@pytest.mark.parametrize("phase", [None, 0, 1234])
def test_a_tag_can_be_made_and_read_again(antenna: int, phase: int | None) -> None:
    tag = Tag(EPC, 0x3400, 80, antenna, -49.0, 924_500, phase)
    assert Codec().feed(encode_tag(Cmd.SESSION, tag, 52)) == [tag]


@pytest.mark.parametrize(
    ("index", "khz"), [(0, 865_000), (6, 868_000), (7, 902_000), (44, 920_500), (52, 924_500), (59, 928_000)]
)
def test_channels_are_counted_from_865_and_from_902_mhz(index: int, khz: int) -> None:
    assert channel_khz(index) == khz
    (tag,) = Codec().feed(encode_tag(Cmd.REAL_TIME, TAG, index))
    assert isinstance(tag, Tag)
    assert tag.freq_khz == khz


def test_a_channel_beyond_the_last_has_no_frequency() -> None:
    (tag,) = Codec().feed(encode_tag(Cmd.REAL_TIME, TAG, 60))
    assert isinstance(tag, Tag)
    assert tag.freq_khz is None


def test_a_user_region_counts_its_own_channels_until_another_one_is_read() -> None:
    codec = Codec()
    report = encode_tag(Cmd.REAL_TIME, TAG, 2)
    seen = []
    for answer in ("04 3C 04 0D35A4", "01 07 3B"):  # 865700 kHz, four channels 600 kHz apart
        codec.feed(encode(Cmd.GET_REGION, bytes.fromhex(answer)))
        (tag,) = codec.feed(report)
        assert isinstance(tag, Tag)
        seen.append(tag.freq_khz)
    assert seen == [866_900, 866_000]
    assert codec.feed(encode_tag(Cmd.REAL_TIME, TAG, 4)) != []


@pytest.mark.parametrize("words", [0, 1, 6, 8, 31])
@pytest.mark.parametrize("off", [-2, 0, 1, 2, 4])
def test_a_tag_whose_length_is_not_its_pcs_is_dropped_and_counted(words: int, off: int) -> None:
    """Off by two more bytes is a tag with its phase."""
    data = bytes((0x1C, words << 3, 0, *range(words * 2), 0x40))
    data = data + bytes(off) if off >= 0 else data[:off]
    codec = Codec()
    events = codec.feed(encode(Cmd.REAL_TIME, data) + encode_code(Cmd.REAL_TIME, 0x36))
    tags = [event for event in events if isinstance(event, Tag)]
    assert len(tags) == (off in (0, 2))
    assert codec.counters.dropped_tags == (0 if tags or (words == 31 and off > 2) else 1)
    assert events[-1] == ErrorReply(Cmd.REAL_TIME, 0x36, "no tag answered")


def test_seven_bytes_are_never_a_tag_of_three() -> None:
    # PC 1800 would be three words; three bytes of EPC do not exist.
    assert one(Cmd.REAL_TIME, "00 1800 112233 45") == RoundEnd(Cmd.REAL_TIME, 0x11223345, 1)
    assert one(Cmd.FAST_SWITCH, "00 1800 112233 45") == RoundEnd(Cmd.FAST_SWITCH, 0x1800)


def test_a_buffered_tag_must_have_its_own_check() -> None:
    pc_epc = bytes.fromhex("3000") + EPC
    check = crc.genibus(pc_epc)
    data = bytes.fromhex("0003 10") + pc_epc + check.to_bytes(2, "big") + bytes.fromhex("45 85 07")
    codec = Codec()
    (tag,) = codec.feed(encode(Cmd.GET_BUFFER, data))
    assert tag == Tag(EPC, 0x3000, 69, 2, -60.0, 915_000, None, 7)
    data = data.replace(EPC, bytes((EPC[0] ^ 1,)) + EPC[1:])
    assert codec.feed(encode(Cmd.GET_BUFFER, data)) == []
    assert codec.counters.dropped_tags == 1
    assert one(Cmd.BUFFERED, "01 0003 0011 00000005") == RoundEnd(Cmd.BUFFERED, 5, 2)


# -- answers and errors -----------------------------------------------------------------------------


def test_answers_are_a_code_or_a_value_by_command() -> None:
    assert one(Cmd.SET_POWER, "10") == Response(Cmd.SET_POWER, b"\x10")
    assert one(Cmd.SET_POWER, "54") == ErrorReply(Cmd.SET_POWER, 0x54, "the wanted power is not reached")
    assert one(Cmd.SET_REGION, "99") == ErrorReply(Cmd.SET_REGION, 0x99, "error 0x99")
    # 17 and 32 dBm, not "failed" and "reset error".
    assert one(Cmd.GET_POWER, "11") == Response(Cmd.GET_POWER, b"\x11")
    assert one(Cmd.GET_POWER, "20") == Response(Cmd.GET_POWER, b"\x20")
    assert one(Cmd.GET_VERSION, "0802") == Response(Cmd.GET_VERSION, b"\x08\x02")
    assert one(Cmd.GET_RETURN_LOSS, "12") == Response(Cmd.GET_RETURN_LOSS, b"\x12")
    assert isinstance(one(Cmd.GET_RETURN_LOSS, "EE"), ErrorReply)
    assert one(Cmd.TAKE_BUFFER, "38") == ErrorReply(Cmd.TAKE_BUFFER, 0x38, "the tag buffer is empty")


@pytest.mark.parametrize(("data", "celsius"), [("01 26", 38.0), ("00 05", -5.0)])
def test_the_temperature_has_a_sign_byte(data: str, celsius: float) -> None:
    event = one(Cmd.GET_TEMPERATURE, data)
    assert isinstance(event, Condition)
    assert (event.name, event.value) == ("temperature", celsius)


def test_a_missing_antenna_is_the_named_one_or_the_selected_one() -> None:
    codec = Codec()
    (event,) = codec.feed(encode_code(Cmd.FAST_SWITCH, 0x22, antenna=4))
    assert event == Condition("antenna-missing", "no antenna on this port", antenna=4)
    (event,) = codec.feed(encode_code(Cmd.REAL_TIME, 0x22))
    assert event == Condition("antenna-missing", "no antenna on this port")
    codec.working = 3
    (event,) = codec.feed(encode_code(Cmd.REAL_TIME, 0x22))
    assert event == Condition("antenna-missing", "no antenna on this port", antenna=3)
    (event,) = codec.feed(encode_code(Cmd.FAST_SWITCH, 0x54, antenna=2))
    assert event == ErrorReply(Cmd.FAST_SWITCH, 0x54, "the wanted power is not reached", antenna=2)


def test_other_addresses_are_for_others() -> None:
    frame = encode(Cmd.GET_VERSION, b"\x08\x02", address=7)
    assert Codec().feed(frame) == []
    assert len(Codec(address=7).feed(frame)) == 1
    assert len(Codec(address=0xFF).feed(frame)) == 1


@pytest.mark.parametrize("power", [-1, 34, 20.5])
def test_powers_that_cannot_be_sent_are_refused(power: float) -> None:
    with pytest.raises(ValueError, match="whole dBm, 0 to 33"):
        power_value(power)


def test_figures_and_limits() -> None:
    assert power_value(36, 6) == 30
    assert [(r.code, channel_khz(r.first), channel_khz(r.last)) for r in REGIONS.values()] == [
        (1, 902_500, 927_500),
        (2, 866_000, 867_500),
        (3, 920_500, 924_500),
    ]
    assert len(encode(Cmd.WRITE, bytes(MAX_DATA))) == MAX_FRAME
    assert Codec().feed(encode(Cmd.WRITE, bytes(MAX_DATA))) == [Response(Cmd.WRITE, bytes(MAX_DATA))]
    with pytest.raises(ValueError, match="at most 252"):
        encode(Cmd.WRITE, bytes(MAX_DATA + 1))
    assert encode_end(Cmd.REAL_TIME, 5, rate=17) == bytes.fromhex("A00A018900001100000005B6")
    assert encode_end(Cmd.FAST_SWITCH, 5, duration_ms=312) == bytes.fromhex("A00A018A000005000001388D")
    assert encode_code(Cmd.SET_POWER, OK)[-2] == OK


# -- streams -----------------------------------------------------------------------------------------


def tags(count: int, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    return [
        encode_tag(
            Cmd.REAL_TIME, Tag(rng.randbytes(12), 0x3000, rng.randrange(30, 100), 1), rng.randrange(60)
        )
        for _ in range(count)
    ]


@given(data=st.binary(max_size=700), cuts=st.lists(st.integers(1, 40), max_size=40))
@settings(max_examples=60, deadline=None)
def test_garbage_never_raises_grows_or_depends_on_its_chunks(data: bytes, cuts: list[int]) -> None:
    data = data.replace(b"\x00", b"\xa0\x05\x01\x89")
    whole, parts = Codec(), Codec()
    events = whole.feed(data)
    pieces, at = [], 0
    for cut in cuts:
        pieces += parts.feed(data[at : at + cut])
        assert parts.pending < MAX_FRAME
        at += cut
    pieces += parts.feed(data[at:])
    assert pieces == events
    assert parts.counters == whole.counters
    assert parts.pending == whole.pending
    parts.idle()
    assert parts.pending == 0
    assert parts.feed(encode_code(Cmd.SET_POWER, OK)) == [Response(Cmd.SET_POWER, b"\x10")]


@pytest.mark.parametrize("seed", range(3))
def test_no_intact_frame_is_lost_to_noise(seed: int) -> None:
    rng = random.Random(seed)
    stream, intact = bytearray(), []
    codec, got = Codec(), []
    for frame in tags(600, seed + 100):
        luck = rng.random()
        if luck < 0.05:
            lost = rng.randrange(len(frame))
            stream += frame[:lost] + frame[lost + 1 :]
        elif luck < 0.10:
            bent = bytearray(frame)
            bent[rng.randrange(len(bent))] ^= 1 << rng.randrange(8)
            stream += bent
        else:
            stream += rng.randbytes(rng.randrange(1, 20)) if luck < 0.14 else b""
            stream += frame
            intact.append(frame[7:19])
        if rng.random() < 0.1:
            got += codec.feed(bytes(stream)) + codec.idle()
            stream.clear()
    got += codec.feed(bytes(stream)) + codec.idle()
    epcs = [event.epc for event in got if isinstance(event, Tag)]
    at = 0
    for epc in intact:
        at = epcs.index(epc, at) + 1
    assert len(epcs) == len(intact)


def test_a_damaged_frame_that_passes_the_sum_swallows_nothing() -> None:
    # LEN reaches over the next two frames, and a bent byte makes the sum over all three right again.
    first, second, third = tags(3, 7)
    bent = bytearray(first)
    bent[1] += len(second) + len(third)
    bent[10] = (bent[10] - len(second) - len(third)) & 0xFF
    codec = Codec()
    events = codec.feed(bytes(bent) + second + third + b"\x01\x02\x03")
    assert [event.epc for event in events if isinstance(event, Tag)] == [second[7:19], third[7:19]]
    assert codec.counters.dropped_tags == 1
    assert codec.counters.frames == 3
    assert codec.counters.junk == 3


def test_a_frame_that_breaks_off_is_given_up_when_the_line_is_quiet() -> None:
    codec = Codec()
    (frame,) = tags(1, 3)
    assert codec.feed(frame[:9] + frame) == list(Codec().feed(frame))
    assert codec.feed(frame[:5]) == []
    assert codec.pending == 5
    assert codec.idle() == []
    assert codec.pending == 0
    codec.feed(frame[:5])
    codec.reset()
    assert codec.pending == 0
