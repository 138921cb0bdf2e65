"""The raw-read log: what was recorded is what is told again, bounded, and damage is said in words."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from firmware.rawreads import RawReads, tick
from firmware.rawstory import (
    Declared,
    Entry,
    Gap,
    Judged,
    Noted,
    RawReadsError,
    Shown,
    Story,
    decode,
    pack,
)
from hal.ports import TagRead


@dataclass(frozen=True)
class Verdict:
    kind: str = "collecting"
    reason: str = ""
    items: tuple[bytes, ...] = ()
    weak: tuple[bytes, ...] = ()
    missing: int = 0
    unseen: float = 0.0
    strays: int = 0
    duplicates: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Rules:
    quiet_s: float = 0.4
    floors: dict[str, float] = field(default_factory=lambda: {"1": -60.0})


EPCS = [bytes([0x30, 0x34, *([n] * 10)]) for n in range(5)]


def a_read(at: float, epc: bytes = EPCS[0], dbm: float | None = -55.0, **more: Any) -> TagRead:
    raw = more.pop("raw", 200 if dbm is None else round(dbm) + 129)
    return TagRead(epc, more.pop("pc", 0x3000), more.pop("antenna", 1), dbm, raw, at, **more)


def told(raw: RawReads, now: float | None = None) -> Story:
    return decode(pack(raw.end(now)))


times = st.floats(0, 40, allow_nan=False)
reads = st.builds(
    a_read,
    times,
    st.one_of(st.sampled_from(EPCS), st.binary(max_size=62)),
    st.one_of(st.none(), st.floats(-130, 10), st.integers(-130, 0).map(float)),
    pc=st.sampled_from([0x3000, 0x3400, 0x0000, 0xFFFF]),
    antenna=st.integers(1, 16),
    raw=st.integers(0, 255),
    phase=st.one_of(st.none(), st.integers(0, 0xFFFF)),
    freq_khz=st.one_of(st.none(), st.integers(840_000, 960_000)),
    read_count=st.integers(1, 255),
)
epc_sets = st.lists(st.sampled_from(EPCS), max_size=5, unique=True).map(lambda epcs: tuple(sorted(epcs)))
verdicts = st.builds(
    Verdict, st.sampled_from(["a", "b"]), st.text(max_size=5), epc_sets, epc_sets, st.integers(0, 2)
)
steps = st.one_of(
    st.tuples(st.just("read"), reads),
    st.tuples(st.just("declared"), st.one_of(st.none(), st.integers(0, 99)), times),
    st.tuples(st.just("shown"), st.sampled_from(EPCS), times),
    st.tuples(st.just("note"), st.text(max_size=20), times),
    st.tuples(st.just("verdict"), verdicts, times),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=60), times)
def test_what_was_handed_on_is_what_is_told_again(script: list[Any], begin: float) -> None:
    raw = RawReads(phase=True)
    began = raw.begin(begin, rules=Rules(), board="portal-1")
    expected: list[Entry] = []
    verdict: Verdict | None = None
    for name, value, *at in script:
        if name == "read":
            expected.append(raw.read(value))
            continue
        kept = getattr(raw, name)(value, *at)
        assert kept >= tick(at[0])
        if name == "verdict":
            changed = value != verdict
            verdict = value
            expected.append(Judged(asdict(value), changed, kept))
        else:
            expected.append({"declared": Declared, "shown": Shown, "note": Noted}[name](value, kept))
    story = told(raw)
    assert list(story.entries) == expected
    assert story.begun == began
    assert story.complete
    assert story.about["rules"] == {"quiet_s": 0.4, "floors": {"1": -60.0}}
    assert story.about["board"] == "portal-1"


@given(reads)
def test_read_is_handed_on_as_it_was_but_for_time_and_level_steps(read: TagRead) -> None:
    raw = RawReads(phase=True)
    raw.begin(0.0, rules={})
    kept = raw.read(read)
    assert read.at <= kept.at < read.at + 1 / 1000
    if read.rssi_dbm is None:
        assert kept.rssi_dbm is None
    else:
        assert kept.rssi_dbm is not None
        assert abs(kept.rssi_dbm - read.rssi_dbm) <= 1 / 8
    for name in ("epc", "pc", "antenna", "rssi_raw", "phase", "freq_khz", "read_count"):
        assert getattr(kept, name) == getattr(read, name)
    assert raw.read(kept) is kept  # nothing to change: nothing made anew
    lean = RawReads()
    lean.begin(0.0, rules={})
    assert lean.read(read) == replace(kept, phase=None)


def test_tick_is_never_early_and_never_turns_the_order_around() -> None:
    assert tick(1.0) == 1.0
    for now in (0.1, 12345.678901, 1e6 + 1 / 3):
        assert now <= tick(now) < now + 1 / 1024
        assert tick(tick(now)) == tick(now)


def test_full_log_counts_what_it_leaves_out_and_says_that_it_is_incomplete() -> None:
    raw = RawReads(max_reads=3, max_tags=2, max_events=2)
    raw.begin(0.0, rules={})
    for n in range(5):
        assert raw.read(a_read(n / 8)) == a_read(n / 8)
    raw.verdict(Verdict(items=tuple(EPCS)), 1.0)  # three of them have no number any more
    raw.declared(3, 1.0)
    raw.note("too late", 1.0)
    story = told(raw)
    assert (len(story.reads), story.left_out, story.complete) == (3, (2, 1), False)
    judged = story.entries[3]
    assert isinstance(judged, Judged)
    assert judged.verdict["items"] == tuple(EPCS)
    raw.begin(0.0, rules={})
    for n in range(4):
        raw.read(a_read(0.0, EPCS[n]))
    assert told(raw).left_out == (2, 0)


def test_two_tags_under_one_epc_stay_two_however_they_take_turns() -> None:
    raw = RawReads(max_tags=2)
    raw.begin(0.0, rules={})
    kept = [raw.read(a_read(n / 8, pc=0x3000 + n % 2 * 0x400)) for n in range(10)]
    story = told(raw)
    assert (story.reads, story.complete) == (kept, True)
    assert [read.pc for read in kept[:3]] == [0x3000, 0x3400, 0x3000]


def test_background_and_pauses_are_told_again() -> None:
    raw = RawReads()
    raw.begin(10.0, rules={})
    raw.read(a_read(10.0, EPCS[1]))
    kept = raw.gap(10.1, 11.3)
    raw.background(40, {EPCS[1]: {"best": {1: -63.25, 3: -70.02}}, EPCS[2]: {"best": {1: -50.0}}})
    story = told(raw)
    assert (story.known, story.levels) == (40, {EPCS[1]: {"best": {"1": -63.25, "3": -70.02}}})
    assert story.entries[1] == Gap(*kept, 10.0)


def test_nothing_begun_gives_nothing_and_each_shopper_has_a_log_of_his_own() -> None:
    raw = RawReads()
    assert raw.read(a_read(1.0)) == a_read(1.0)
    assert raw.end() == b""
    raw.begin(5.0, rules={})
    raw.read(a_read(5.0))
    story = told(raw, 7.0)
    assert (len(story.reads), story.left_out, story.begun, story.ended) == (1, (0, 0), 5.0, 7.0)
    assert raw.end() == b""


def test_verdict_that_does_not_change_costs_two_bytes() -> None:
    sizes = []
    for count in (1, 101):
        raw = RawReads()
        raw.begin(0.0, rules={})
        for n in range(count):
            raw.verdict(Verdict(items=tuple(EPCS)), n / 16)
        sizes.append(len(pack(raw.end())))
    assert sizes[1] - sizes[0] <= 200


def a_file() -> bytes:
    raw = RawReads()
    raw.begin(0.0, rules=Rules())
    for n in range(300):
        raw.read(a_read(n / 64, EPCS[n % 5], -60.0 + n * 7 % 11, phase=n % 180, antenna=1 + n % 4))
    raw.verdict(Verdict(), 5.0)
    return pack(raw.end())


def test_every_cut_and_every_flipped_byte_is_told_in_words() -> None:
    data = a_file()
    assert decode(data)
    for cut in range(len(data)):
        with pytest.raises(RawReadsError, match="cut off|no raw-read log"):
            decode(data[:cut])
    for at in range(len(data)):
        with pytest.raises(RawReadsError, match="damaged|version|no raw-read log|cut off|too long"):
            decode(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_content_that_does_not_fit_together_is_told_in_words(data: st.DataObject) -> None:
    """A checksum that holds over nonsense: written by another program, or by a board with bad memory."""
    raw = RawReads()
    raw.begin(0.0, rules={})
    for n in range(20):
        raw.read(a_read(n / 64, EPCS[n % 5], phase=n))
    raw.verdict(Verdict(items=(EPCS[1],)), 5.0)
    body = bytearray(raw.end())
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    with suppress(RawReadsError):
        assert isinstance(decode(pack(bytes(body))), Story)


def test_a_file_that_unpacks_to_more_than_a_log_can_hold_is_refused(mocker: MockerFixture) -> None:
    mocker.patch("firmware.rawstory.MAX_BODY", 100_000)
    bomb = pack((100_001).to_bytes(4, "big") + bytes(100_001))
    assert len(bomb) < 1000
    with pytest.raises(RawReadsError, match="unpacks to more"):
        decode(bomb)
