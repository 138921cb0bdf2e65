"""The scanner head as a code source: on a pseudo-terminal in real time, and inline in stepped time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.loop import SteppedLoop
from hal.ports import CodeSeen, DeviceBack, DeviceLost, DeviceNote, Event, Progress
from hal.scanner.gm65 import Gm65, Timing
from hal.scanner.lines import MAX_LINE, Answer, Line, Lines, answer, read_command
from hal.sim.gm65 import Head, InlineHead, SimulatedGm65

PASS = b"TG1:" + b"A1" * 93
QUICK = Timing(rearm_s=0.25, gap_s=0.05, ask_s=0.1, answer_s=0.1, open_s=5.0, backoff_s=(0.02, 0.05))


class Rig:
    """One scanner on one simulated head; ``until`` runs the loop, in real or in stepped time."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.events: list[Event] = []
        self.head = Head()
        self.loop: asyncio.AbstractEventLoop
        self.line: InlineHead | None = None
        if kind == "pty":
            self.loop = asyncio.new_event_loop()
            self.front: SimulatedGm65 | InlineHead = SimulatedGm65(
                self.loop, folder / "ttyScanner", self.head, 0.02
            )
        else:
            self.loop = SteppedLoop()
            self.front = self.line = InlineHead(self.head, self.loop, 0.02)
        self.scanner = self.make()

    def make(self, timing: Timing = QUICK, **options: object) -> Gm65:
        return Gm65(self.front.port, 9600, self.loop, timing=timing, line=self.line, **options)

    def start(self) -> None:
        self.scanner.start(self.events.append)
        self.until(lambda: self.scanner.stats()["scanner_opened"])
        self.until(lambda: self.of(Progress) or not self.head.answers)

    def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        steps = 0
        while not condition():
            assert time.monotonic() < end, "the condition did not come true"
            steps += 1
            assert steps < 20000
            self.run(0.005)

    def run(self, seconds: float) -> None:
        if isinstance(self.loop, SteppedLoop):
            self.loop.advance(seconds)
        else:
            self.loop.run_until_complete(asyncio.sleep(seconds))

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def codes(self) -> list[bytes]:
        return [event.data for event in self.events if isinstance(event, CodeSeen)]


@pytest.fixture(params=["pty", "inline"])
def rig(request, tmp_path) -> Iterator[Rig]:
    made = Rig(request.param, tmp_path)
    yield made
    made.scanner.close()
    made.front.hold(None)
    if isinstance(made.front, SimulatedGm65):
        made.front.close()
    made.run(0.0)
    made.loop.close()


class TestPort:
    def test_code_is_reported_once_while_it_is_held(self, rig):
        rig.start()
        rig.front.hold(PASS)
        rig.until(lambda: rig.scanner.stats()["scanner_repeats"] >= 5)
        assert rig.codes() == [PASS]
        (seen,) = rig.of(CodeSeen)
        assert seen.source == "scanner"
        assert seen.frame_at <= seen.at <= rig.loop.time()

    def test_code_counts_again_after_it_left(self, rig):
        rig.start()
        rig.front.hold(PASS)
        rig.until(lambda: rig.scanner.stats()["scanner_repeats"] >= 2)
        rig.front.hold(None)
        rig.run(QUICK.rearm_s + 0.05)
        rig.front.hold(PASS)
        rig.until(lambda: len(rig.codes()) == 2)

    def test_codes_in_turn(self, rig):
        rig.start()
        rig.front.send(b"one\rtwo\r\nthree\nfour\r")
        rig.until(lambda: len(rig.codes()) == 4)
        assert rig.codes() == [b"one", b"two", b"three", b"four"]

    def test_half_a_code_is_never_reported(self, rig):
        rig.start()
        rig.front.send(PASS[:50])
        rig.until(lambda: rig.scanner.stats()["scanner_unfinished"])
        rig.front.send(PASS + b"\r")
        rig.until(rig.codes)
        assert rig.codes() == [PASS]

    def test_noise_and_overlong_lines_cost_only_themselves(self, rig):
        rig.start()
        rig.front.send(bytes(range(256)) + b"\r")
        rig.front.send(b"A" * 2000 + b"\r")
        rig.front.send(PASS + b"\r")
        rig.until(lambda: PASS in rig.codes())
        assert max(map(len, rig.codes())) <= MAX_LINE
        assert rig.scanner.stats()["scanner_overlong"] == 1
        assert rig.scanner.stats()["scanner_noise"] >= 1

    def test_unplugged_is_lost_once_and_back_once(self, rig):
        rig.start()
        rig.front.plug(False)
        rig.until(lambda: rig.of(DeviceLost))
        rig.until(lambda: rig.scanner._failures >= 2)
        rig.front.plug(True)
        rig.until(lambda: rig.of(DeviceBack))
        rig.front.hold(PASS)
        rig.until(rig.codes)
        (lost,) = rig.of(DeviceLost)
        assert lost.device == "scanner"
        assert "scanner.port" in lost.check
        assert len(rig.of(DeviceBack)) == 1

    def test_head_that_falls_silent_is_lost_and_comes_back(self, rig):
        """On a UART nothing tells of a head without supply but that it no longer answers."""
        rig.start()
        rig.head.answers = False
        rig.until(lambda: rig.of(DeviceLost))
        assert "not answered" in rig.of(DeviceLost)[0].reason
        rig.head.answers = True
        rig.until(lambda: rig.of(DeviceBack))

    def test_head_that_never_answers_is_read_all_the_same(self, rig):
        rig.head.answers = False
        rig.start()
        rig.until(lambda: rig.of(DeviceNote))
        rig.front.hold(PASS)
        rig.until(rig.codes)
        assert [note.name for note in rig.of(DeviceNote)] == ["scanner_silent"]
        assert not rig.of(DeviceLost)
        assert rig.head.asked == 3

    def test_missing_port_is_lost_with_what_to_check(self, rig):
        rig.front.plug(False)
        rig.scanner.start(rig.events.append)
        rig.until(lambda: rig.of(DeviceLost))
        rig.front.plug(True)
        rig.until(lambda: rig.of(DeviceBack))

    def test_head_without_line_end_is_named(self, rig):
        rig.head.tail = b""
        rig.start()
        rig.front.send(PASS)
        rig.until(lambda: rig.of(DeviceNote))
        assert "tail CR" in rig.of(DeviceNote)[0].detail
        assert not rig.codes()

    def test_head_without_line_end_can_be_agreed(self, rig):
        rig.scanner = rig.make(terminators=b"")
        rig.start()
        rig.front.send(PASS)
        rig.until(rig.codes)
        assert rig.codes() == [PASS]

    def test_head_that_must_not_be_asked(self, rig):
        rig.scanner = rig.make(ask=False)
        rig.scanner.start(rig.events.append)
        rig.until(lambda: rig.scanner.stats()["scanner_opened"])
        rig.front.hold(PASS)
        rig.until(rig.codes)
        rig.run(0.2)
        assert rig.head.asked == 0
        assert not rig.of(DeviceLost)

    def test_nothing_comes_after_close(self, rig):
        rig.start()
        rig.scanner.close()
        rig.scanner.close()
        rig.events.clear()
        rig.front.send(PASS + b"\r")
        rig.front.plug(False)
        rig.run(0.05)
        assert rig.events == []

    def test_what_is_in_view_is_bounded(self, rig):
        rig.start()
        for number in range(100):
            rig.front.send(b"code %d\r" % number)
        rig.until(lambda: len(rig.codes()) == 100)
        assert len(rig.scanner._in_view) <= 32


def test_rearm_is_three_seconds_from_the_last_reading():
    loop = SteppedLoop()
    head = InlineHead(Head(), loop, 0.5)
    events: list[Event] = []
    scanner = Gm65("sim", 9600, loop, line=head)
    scanner.start(events.append)
    loop.advance(1)

    def codes() -> int:
        return sum(isinstance(event, CodeSeen) for event in events)

    head.hold(PASS)
    loop.advance(60)  # a minute in view is one code
    head.hold(None)
    assert codes() == 1
    loop.advance(2.9)
    head.send(PASS + b"\r")
    loop.advance(2.9)
    assert codes() == 1
    loop.advance(0.2)
    head.send(PASS + b"\r")
    loop.advance(0.1)
    assert codes() == 2
    scanner.close()
    loop.close()


class TestLines:
    def test_read_command_is_the_manual_s(self):
        assert read_command(0x000A) == bytes.fromhex("7E000701000A01EE8A")

    def test_answers_are_told_from_codes(self):
        lines = Lines()
        found = lines.feed(answer(b"\r") + b"code\r" + bytes.fromhex("020000016BABCD") + b"next\r\n")
        assert found == [Answer(b"\r"), Line(b"code"), Answer(b"\x6b"), Line(b"next")]
        assert bytes.fromhex("02000001003331") == answer(b"\0")

    def test_damaged_answer_takes_only_its_line_along(self):
        lines = Lines()
        assert lines.feed(answer(b"\x01")[:-1] + b"\xff" + b"rest\rcode\r") == [Line(b"code")]
        assert lines.counters["noise"] == 1

    @pytest.mark.parametrize("length", [1, 255, 256, MAX_LINE - 1, MAX_LINE])
    def test_lengths(self, length):
        assert Lines().feed(b"x" * length + b"\r") == [Line(b"x" * length)]
        assert Lines().feed(b"x" * (MAX_LINE + 1) + b"\rok\r") == [Line(b"ok")]

    @settings(max_examples=50)
    @given(
        st.lists(
            st.one_of(
                st.text(
                    st.characters(
                        min_codepoint=32, blacklist_characters="\x7f", blacklist_categories=("Cs",)
                    ),
                    min_size=1,
                    max_size=40,
                )
                .map(str.encode)
                .map(Line),
                st.binary(min_size=1, max_size=16).map(Answer),
            )
        ),
        st.lists(st.integers(1, 9), min_size=1),
    )
    def test_any_chunks_give_the_same_events(self, events, sizes):
        stream = b"".join(
            event.data + b"\r\n" if isinstance(event, Line) else answer(event.data) for event in events
        )
        lines, found, at, turn = Lines(), [], 0, 0
        while at < len(stream):
            size = sizes[turn % len(sizes)]
            found += lines.feed(stream[at : at + size])
            at, turn = at + size, turn + 1
        assert found == events
        assert not lines.pending

    @given(st.lists(st.binary(max_size=900), max_size=6))
    def test_garbage_never_breaks_it_and_memory_is_bounded(self, chunks):
        lines = Lines()
        for chunk in chunks:
            for found in lines.feed(chunk):
                assert len(found.data) <= MAX_LINE
            assert len(lines._buffer) <= MAX_LINE
        lines.idle()
        assert lines.feed(PASS + b"\r")[-1:] == [Line(PASS)]


def test_two_programs_cannot_share_the_head(tmp_path):
    rig = Rig("pty", tmp_path)
    other: list[Event] = []
    second = rig.make()
    rig.start()
    second.start(other.append)
    rig.until(lambda: other)
    assert isinstance(other[0], DeviceLost)
    assert "cannot be opened" in other[0].reason
    second.close()
    rig.scanner.close()
    rig.front.close()
    rig.loop.close()


def test_port_that_is_no_serial_line(tmp_path):
    (tmp_path / "file").write_text("")
    loop = asyncio.new_event_loop()
    events: list[Event] = []
    scanner = Gm65(str(tmp_path / "file"), 9600, loop)
    scanner.start(events.append)
    end = time.monotonic() + 10
    while not events:
        assert time.monotonic() < end
        loop.run_until_complete(asyncio.sleep(0.005))
    assert isinstance(events[0], DeviceLost)
    assert os.fspath(tmp_path) in events[0].reason
    scanner.close()
    loop.close()
