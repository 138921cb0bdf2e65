"""The contract of ``hal.reader.port.Codec``, held by every reader protocol on collected and on noisy frames.

``tests/vectors/rfid_frames.json``: frames captured, documented or computed, by protocol; rows of protocols
that this project does not speak are left out by their name.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.reader import r2000, thingmagic, uhfreader18
from hal.reader.events import Command, Event, Tag
from hal.reader.families import codec, known
from tests.support.noise import noisy
from tests.support.readers import FAMILIES, VECTORS, spec, vectors

SIDES = {"reader->host": "module", "host->reader": "host"}
ROWS = [pytest.param(row, id=f"{row['protocol']}-{row['name']}-{row['hex'][:17]}") for row in VECTORS]
GOOD = [row for row in ROWS if row.values[0]["protocol"] in FAMILIES and row.values[0]["checksum_ok"]]  # type: ignore[index]
BAD = [row for row in ROWS if row.values[0]["protocol"] in FAMILIES and not row.values[0]["checksum_ok"]]  # type: ignore[index]
each_family = pytest.mark.parametrize("protocol", FAMILIES)


def raw(row: dict[str, Any]) -> bytes:
    return bytes.fromhex(row["hex"])


def make(row: dict[str, Any]) -> Any:
    return codec(row["protocol"], SIDES[row["direction"]])  # type: ignore[arg-type]


def chunked(one: Any, data: bytes, sizes: list[int]) -> list[Event]:
    events, at = [], 0
    for size in sizes:
        events += one.feed(data[at : at + size])
        at += size
    return events + one.feed(data[at:]) + one.idle()


def told(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The tags that a row's own decoding lists."""
    decoded = row["decoded"]
    if row["name"] in spec(row["protocol"]).not_tags or decoded.get("consumed_all") is False:
        return []
    tags = decoded.get("tags") or [decoded.get("tag") or decoded]
    return [{**decoded, **tag} for tag in tags if tag.get("epc")]


@pytest.mark.parametrize("row", GOOD)
def test_every_good_frame_is_one_frame_in_any_pieces(row: dict[str, Any]) -> None:
    data = raw(row)
    whole = make(row)
    events = whole.feed(data) + whole.idle()
    counters = whole.counters
    assert (counters.frames, counters.junk, counters.bad_checks) == (1, 0, 0)
    assert events or counters.unknown or counters.dropped_tags
    assert chunked(make(row), data, [1] * len(data)) == events
    for cut in range(1, len(data)):
        assert chunked(make(row), data, [cut]) == events


@pytest.mark.parametrize("row", [row for row in GOOD if row.values[0]["direction"] == "reader->host"])  # type: ignore[index]
def test_tags_are_those_that_the_frame_holds(row: dict[str, Any]) -> None:
    one = make(row)
    tags = [event for event in one.feed(raw(row)) + one.idle() if isinstance(event, Tag)]
    expected = told(row)
    assert [tag.epc.hex() for tag in tags] == [tag["epc"] for tag in expected]
    for tag, wanted in zip(tags, expected, strict=True):
        for name in ("rssi_raw", "rssi_dbm", "antenna"):
            if name in wanted:
                assert getattr(tag, name) == wanted[name], name
        if "pc" in wanted:
            assert tag.pc == int(wanted["pc"], 16)


@pytest.mark.parametrize("row", [row for row in GOOD if row.values[0]["direction"] == "host->reader"])  # type: ignore[index]
def test_commands_are_read_from_the_hosts_side(row: dict[str, Any]) -> None:
    one = make(row)
    (event,) = one.feed(raw(row)) + one.idle()
    assert isinstance(event, Command)
    decoded = row["decoded"]
    assert event.cmd == int(decoded.get("opcode") or decoded["cmd"], 16)
    data = decoded.get("data", decoded.get("params"))
    if isinstance(data, str):
        assert event.data.hex() == data


@pytest.mark.parametrize("row", BAD)
def test_frames_with_a_wrong_check_are_refused(row: dict[str, Any]) -> None:
    one = make(row)
    assert one.feed(raw(row)) + one.idle() == []
    assert one.counters.frames == 0
    assert one.counters.bad_checks + one.counters.junk > 0


@each_family
@pytest.mark.parametrize("direction", SIDES)
@settings(max_examples=15)
@given(sizes=st.lists(st.integers(0, 60), max_size=80), seed=st.integers(0, 99))
def test_a_whole_conversation_in_any_pieces(
    protocol: str, direction: str, sizes: list[int], seed: int
) -> None:
    rows = [row for row in vectors(protocol, direction) if row["checksum_ok"]]
    random.Random(seed).shuffle(rows)
    data = b"".join(raw(row) for row in rows)
    one = codec(protocol, SIDES[direction])  # type: ignore[arg-type]
    alone = [event for row in rows for event in make(row).feed(raw(row))]
    assert chunked(one, data, sizes) == alone
    assert one.counters.frames == len(rows)
    assert one.counters.junk == 0


@each_family
@pytest.mark.parametrize("side", ["module", "host"])
@settings(max_examples=40)
@given(chunks=st.lists(st.binary(max_size=2000), max_size=6))
def test_garbage_never_raises_and_never_grows(protocol: str, side: str, chunks: list[bytes]) -> None:
    one = codec(protocol, side)  # type: ignore[arg-type]
    most = spec(protocol).max_frame
    for chunk in chunks:
        one.feed(chunk)
        assert one.pending < most
    one.idle()
    assert one.pending == 0
    one.feed(b"\xff\xbb\xa0\x10")
    one.reset()
    assert one.pending == 0


@each_family
def test_headers_and_lengths_never_raise(protocol: str) -> None:
    """Garbage that looks like frames: good frames with every byte changed, cut at every place."""
    rng = random.Random(3)
    for row in vectors(protocol, "reader->host") + vectors(protocol, "host->reader"):
        one, data = make(row), raw(row)
        for at in range(len(data)):
            one.feed(data[:at] + bytes((rng.randrange(256),)) + data[at + 1 :])
            one.feed(data[:at])
        one.idle()
        assert one.pending == 0


@each_family
def test_a_cut_frame_holds_nothing_back_once_the_line_is_quiet(protocol: str) -> None:
    tag = spec(protocol).tag(bytes(range(12)))
    for cut in range(1, len(tag)):
        one = codec(protocol)
        events = one.feed(tag[:cut]) + one.idle() + one.feed(tag) + one.idle()
        assert [event.epc for event in events if isinstance(event, Tag)] == [bytes(range(12))]


@each_family
@pytest.mark.parametrize("seed", range(3))
def test_after_noise_no_intact_frame_is_lost_and_none_is_invented(protocol: str, seed: int) -> None:
    """2 % of the frames lose a byte, 2 % get a bent bit, 1 % come after 1 to 19 bytes of junk."""
    one, rng = spec(protocol), random.Random(seed)
    sent = list(noisy(one.tag, rng, 1200))
    stream = b"".join(frame.junk + frame.frame for frame in sent)
    ours, got, at = codec(protocol), [], 0
    while at < len(stream):
        size = rng.randint(1, 200)
        got += ours.feed(stream[at : at + size])
        at += size
    got += ours.idle()
    epcs = {event.epc for event in got if isinstance(event, Tag)}
    assert len({frame.epc for frame in sent if frame.intact} - epcs) <= one.invents
    assert len(epcs - {frame.epc for frame in sent}) <= one.invents


ANSWERS = {
    "thingmagic": (lambda n: thingmagic.encode_answer(0x03, n.to_bytes(20, "big")), 0xFF),
    "uhfreader18": (lambda n: uhfreader18.reply(0x21, 0, n.to_bytes(8, "big")), 0x0D),
    "r2000": (lambda n: r2000.encode(0x79, n.to_bytes(3, "big")), 0xA0),
}


@pytest.mark.parametrize("protocol", ANSWERS)
@pytest.mark.parametrize("size", [1, 5, 300])
def test_a_lost_last_byte_that_is_like_the_next_frames_first_costs_nothing(protocol: str, size: int) -> None:
    make_answer, first = ANSWERS[protocol]
    good = make_answer(7)
    assert good[0] == first
    ends_alike = next(data for data in map(make_answer, range(5000)) if data[-1] == first)
    stream = good + ends_alike[:-1] + good + good + ends_alike + b"\1\2\3" + good + ends_alike[:-1]
    one = codec(protocol)  # type: ignore[arg-type]
    events = chunked(one, stream, [size] * (len(stream) // size))
    told_by = {data: codec(protocol).feed(data) for data in (good, ends_alike)}  # type: ignore[arg-type]
    order = [good, ends_alike, good, good, ends_alike, good]
    assert events == [event for data in order for event in told_by[data]]
    assert (one.counters.frames, one.counters.junk) == (6, 3 + len(ends_alike) - 1)


def test_a_protocol_that_is_not_known_is_said() -> None:
    with pytest.raises(ValueError, match="use one of yrm100"):
        known("llrp")
