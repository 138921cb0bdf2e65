"""The reader driver under random faults in stepped time: whatever happened, it reads again afterwards."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import pytest

from hal.ports import DeviceCondition, DeviceLost, DeviceNote, Event, TagRead
from hal.reader.bringup import Row, Sequence
from hal.reader.events import Condition
from hal.reader.serial_reader import SerialReader
from hal.sim.module import InlineModule
from tests.support.readerfaults import abuse
from tests.support.readers import FAMILIES, Rig, spec

RADIO = spec("yrm100").settings


@pytest.mark.parametrize("protocol", FAMILIES)
@pytest.mark.parametrize("seed", range(4))
def test_it_always_reads_again_after_any_faults(protocol: str, seed: int) -> None:
    abuse(protocol, seed, 50)


def test_back_off_grows_and_starts_over_after_a_stable_time() -> None:
    rig = Rig("yrm100")
    line = rig.carrier
    assert isinstance(line, InlineModule)
    line.plug(False)
    opens: list[float] = []
    real_open = line.open
    line.open = lambda *args: (opens.append(rig.loop.time()), real_open(*args))[1]  # type: ignore[method-assign]
    rig.reader.start(lambda _: None)
    rig.run(40)
    waits = [round(b - a, 2) for a, b in zip(opens, opens[1:], strict=False)]
    assert waits[:7] == [0.5, 1, 2, 4, 8, 8, 8]
    line.plug(True)
    rig.run(30)
    opens.clear()
    line.plug(False)
    rig.run(1.6)
    assert [round(b - a, 2) for a, b in zip(opens, opens[1:], strict=False)] == [1.0]
    rig.close()


def test_a_module_that_answers_but_takes_no_inventory_is_lost() -> None:
    rig = Rig("yrm100")
    rig.module.refuse.add(0x27)
    rig.start()
    rig.reader.begin()
    rig.until(lambda: rig.of(DeviceLost))
    assert "takes no inventory" in rig.of(DeviceLost)[0].reason
    rig.module.refuse.clear()
    rig.carrier.present([bytes(12)])
    rig.until(lambda: rig.of(TagRead))
    rig.close()


def test_a_poll_that_ended_without_a_word_is_started_again() -> None:
    rig = Rig("yrm100")
    rig.start()
    rig.reader.begin()
    rig.run(1)
    rig.module.rounds_left = 0
    rig.carrier.present([bytes(12)])
    rig.until(lambda: rig.of(TagRead))
    assert rig.of(DeviceLost) == []
    assert rig.reader.stats()["reader_resumed"] == 1
    rig.close()


def test_a_sleeping_module_loses_the_first_command_only() -> None:
    rig = Rig("yrm100")
    rig.start()
    rig.module.asleep = True
    rig.carrier.present([bytes(12)])
    rig.reader.begin()
    rig.until(lambda: rig.of(TagRead))
    assert rig.of(DeviceLost) == []
    rig.close()


def test_a_boot_message_has_it_set_up_again_without_waiting_for_silence() -> None:
    rig = Rig("thingmagic")
    rig.start()
    rig.carrier.present([bytes(12)])
    rig.reader.begin()
    rig.until(lambda: rig.of(TagRead))
    rig.carrier.brown_out()
    rig.until(lambda: rig.of(DeviceNote), 1.0)
    assert rig.of(DeviceNote)[0].name == "reader_resets"
    rig.events.clear()
    rig.until(lambda: rig.of(TagRead) and rig.stored)
    rig.close()


def test_several_ends_of_a_round_ask_for_one_next_round() -> None:
    rig = Rig("yrm100", inventory="single")
    rig.start()
    rig.carrier.present([bytes([number] * 12) for number in range(24)])
    rig.reader.begin()
    rig.until(lambda: len(rig.epcs()) == 24)
    rig.module.heard.clear()
    rig.run(1)
    assert 5 < len(rig.module.heard) <= 50  # one at most each round_pause_s
    rig.close()


def test_what_happens_in_a_moment_is_counted_and_told_now_and_then() -> None:
    rig = Rig("yrm100")
    rig.start()
    for _ in range(250):
        rig.reader._event(Condition("buffer-full", "the buffer was full"), rig.loop.time())
    assert [note.name for note in rig.of(DeviceNote)] == ["reader_buffer_full"] * 3
    assert rig.reader.stats()["reader_buffer_full"] == 250
    assert rig.of(DeviceCondition) == []
    rig.close()


def test_a_module_in_place_of_one_with_the_other_framing_is_understood() -> None:
    rig = Rig("yrm100")
    rig.start()
    for header in (0xAA, 0xBB):
        rig.carrier.plug(False)
        rig.until(lambda: rig.of(DeviceLost))
        rig.module.header = header
        rig.carrier.plug(True)
        rig.until(lambda: rig.reader.ready and rig.stored)
        assert len(rig.of(DeviceLost)) == 1
        rig.events.clear()
    rig.close()


def test_an_open_that_hangs_is_lost_and_never_piles_up_threads(mocker: Any) -> None:
    release = threading.Event()
    calls: list[int] = []

    def hang(*_args: object, **_options: object) -> None:
        calls.append(1)
        release.wait(20)
        raise OSError("gone")

    mocker.patch("serial.Serial", hang)
    mocker.patch("hal.reader.serial_reader.OPEN_LIMIT_S", 0.05)
    mocker.patch("hal.reader.serial_reader.BACKOFF_S", (0.02,))
    loop = asyncio.new_event_loop()
    events: list[Event] = []
    reader = SerialReader("/dev/ttyX", RADIO, loop)
    reader.start(events.append)
    end = time.monotonic() + 0.4
    while time.monotonic() < end:
        loop.run_until_complete(asyncio.sleep(0.01))
    (lost,) = events
    assert isinstance(lost, DeviceLost)
    assert "takes longer than" in lost.reason
    assert len(calls) == 1
    release.set()
    deadline = time.monotonic() + 5
    while len(calls) < 2:
        assert time.monotonic() < deadline
        loop.run_until_complete(asyncio.sleep(0.01))
    reader.close()
    loop.close()


def test_a_port_nobody_drains_is_reported_not_waited_for(mocker: Any, tmp_path: Any) -> None:
    """A write that the kernel does not take at once means that nobody reads the line."""
    loop = asyncio.new_event_loop()
    master, slave = os.openpty()
    from hal.serial_line import SerialLine

    line = SerialLine(os.ttyname(slave), 115200, loop)
    lost: list[str] = []
    opened: list[int] = []
    line.open(lambda: opened.append(1), lambda _: None, lost.append)
    deadline = time.monotonic() + 5
    while not opened:
        assert time.monotonic() < deadline
        loop.run_until_complete(asyncio.sleep(0.005))
    assert not os.get_blocking(line._fd), "a write must never wait"
    for _ in range(40):
        line.write(bytes(4096))
    loop.run_until_complete(asyncio.sleep(0))
    assert len(lost) == 1
    assert "writing failed" in lost[0]
    line.close()
    os.close(master)
    os.close(slave)
    loop.close()


# -- the table's interpreter --------------------------------------------------------------------


def rows(**changes: Any) -> list[Row[str]]:
    first = {"name": "hello", "send": b"h", "timeout_s": 1.0, "retries": 1, "check": "the cable", **changes}
    return [
        Row(accepts=lambda e: {"hi": True, "no": "said no"}.get(e), **first),
        Row("bye", b"b", lambda e: e == "bye" or None, 1.0, 0, "x"),
    ]


def test_rows_run_in_order() -> None:
    sent: list[bytes] = []
    one = Sequence(rows(), sent.append, 0.0)
    one.event("noise", 0.1)
    assert sent == [b"h"]
    one.event("hi", 0.2)
    assert sent == [b"h", b"b"]
    one.event("bye", 0.3)
    assert (one.done, one.failed) == (True, None)


def test_a_silent_row_is_tried_again_then_fails_with_what_to_check() -> None:
    sent: list[bytes] = []
    one = Sequence(rows(), sent.append, 0.0)
    one.time(0.5)
    assert sent == [b"h"]
    one.time(1.0)
    one.time(2.0)
    assert sent == [b"h", b"h"]
    assert one.done
    assert one.failed == "hello: no answer in 1 s (2 tries)"
    assert one.check == "the cable"


def test_a_wrong_answer_gives_the_reason() -> None:
    one = Sequence(rows(retries=0), lambda _: None, 0.0)
    one.event("no", 0.1)
    assert one.failed == "hello: said no (1 tries)"


def test_an_optional_row_is_skipped() -> None:
    sent: list[bytes] = []
    one = Sequence(rows(optional=True, retries=0), sent.append, 0.0)
    one.time(1.0)
    assert (sent, one.skipped) == ([b"h", b"b"], ["hello"])


def test_a_drain_waits_for_quiet_and_gives_up_on_a_line_that_never_is() -> None:
    sent: list[bytes] = []
    drain: list[Row[str]] = [Row("drain", b"s", None, 1.0, 1, "x", quiet_s=0.1)]
    one = Sequence(drain, sent.append, 0.0)
    one.traffic(0.05)
    one.time(0.1)
    assert not one.done
    one.time(0.15)
    assert one.done
    assert one.failed is None
    one = Sequence(drain, sent.append, 0.0)
    for step in range(1, 60):
        one.traffic(step * 0.05)
        one.time(step * 0.05)
    assert one.failed == "drain: kept sending (2 tries)"
