"""The reader driver under random faults in stepped time: whatever happened, it reads again afterwards."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest

from firmware.loop import SteppedLoop
from hal.ports import DeviceBack, DeviceLost, Event, TagRead
from hal.reader.bringup import Row, Sequence
from hal.reader.serial_reader import SerialReader
from hal.sim.yrm100 import Faults, InlineLine, Module

EPC = bytes.fromhex("E28068900000500E88C6A4A7")


@dataclass
class Radio:
    baud: int = 115200
    region: str = "eu"
    power_dbm: float = 20.0


def abuse(seed: int, actions: int) -> dict[str, int]:
    """``actions`` random things happen to one module; returns the driver's counters."""
    rng = random.Random(seed)
    loop = SteppedLoop()
    module = Module(header=rng.choice([0xBB, 0xAA]))
    line = InlineLine(module, loop)
    reader = SerialReader("sim", Radio(), loop, line=line)
    events: list[Event] = []
    reader.start(events.append)
    wanted = False
    for _ in range(actions):
        match rng.randrange(9):
            case 0:
                wanted = True
                reader.begin()
            case 1:
                wanted = False
                reader.end()
            case 2:
                line.plug(rng.random() < 0.5)
            case 3:
                module.faults = Faults(mute=rng.random() < 0.5, seed=rng.randrange(99))
            case 4:
                share = rng.choice([0.0, 0.001, 0.05, 0.5])
                module.faults = Faults(drop=share, flip=share)
            case 5:
                module.power_cycle()
            case 6:
                module.rounds_left = 0
            case 7:
                module.tags = [EPC] if rng.random() < 0.5 else []
            case 8:
                line.write(rng.randbytes(rng.randrange(20)))
        before = len(events)
        loop.advance(rng.choice([0.0, 0.01, 0.1, 1.0, 5.0]))
        if not wanted:
            assert not [one for one in events[before:] if isinstance(one, TagRead)]
    module.faults = Faults()
    module.tags = [EPC]
    line.plug(True)
    reader.begin()
    events_before = len(events)
    loop.advance(60)
    last = [one for one in events[events_before:] if isinstance(one, TagRead)]
    assert last, "it does not read any more"
    assert last[-1].epc == EPC
    assert last[-1].at > loop.time() - 1
    turns = [type(one) for one in events if isinstance(one, DeviceLost | DeviceBack)]
    assert turns == [DeviceLost, DeviceBack] * (len(turns) // 2)
    assert (module.region, module.power) == (0x03, 2000)
    reader.close()
    loop.close()
    return reader.stats()


@pytest.mark.parametrize("seed", range(12))
def test_it_always_reads_again_after_any_faults(seed: int) -> None:
    abuse(seed, 60)


def test_back_off_grows_and_starts_over_after_a_stable_time() -> None:
    loop = SteppedLoop()
    line = InlineLine(Module(), loop, plugged=False)
    opens: list[float] = []
    real_open = line.open
    line.open = lambda *args: (opens.append(loop.time()), real_open(*args))[1]  # type: ignore[method-assign]
    reader = SerialReader("sim", Radio(), loop, line=line)
    reader.start(lambda _: None)
    loop.advance(40)
    waits = [round(b - a, 2) for a, b in zip(opens, opens[1:], strict=False)]
    assert waits[:7] == [0.5, 1, 2, 4, 8, 8, 8]
    line.plug(True)
    loop.advance(30)
    opens.clear()
    line.plug(False)
    loop.advance(1.6)
    assert [round(b - a, 2) for a, b in zip(opens, opens[1:], strict=False)] == [1.0]
    reader.close()
    loop.close()


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
    reader = SerialReader("/dev/ttyX", Radio(), loop)
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
    from hal.reader.serial_line import SerialLine

    line = SerialLine(os.ttyname(slave), 115200, loop)
    lost: list[str] = []
    opened: list[int] = []
    line.open(lambda: opened.append(1), lambda _: None, lost.append)
    deadline = time.monotonic() + 5
    while not opened:
        assert time.monotonic() < deadline
        loop.run_until_complete(asyncio.sleep(0.005))
    began = time.monotonic()
    for _ in range(40):
        line.write(bytes(4096))
    assert time.monotonic() - began < 2
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
