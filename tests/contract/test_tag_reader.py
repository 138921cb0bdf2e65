"""The contract of ``hal.ports.TagReader``, held by the YRM100 driver on a pty and inline in stepped time."""

from __future__ import annotations

import asyncio
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware.loop import SteppedLoop
from hal.ports import DeviceBack, DeviceLost, DeviceNote, Event, Progress, TagRead
from hal.reader.serial_reader import SerialReader, Timing
from hal.reader.yrm100 import RESPONSE, Cmd, Tag, encode, encode_tag
from hal.sim.yrm100 import Faults, InlineLine, Module, SimulatedYrm100

EPCS = [bytes.fromhex(f"E28068900000500E88C6A4{n:02X}") for n in range(12)]


@dataclass
class Radio:
    baud: int = 115200
    region: str = "cn900"
    power_dbm: float = 20.0


class Rig:
    """One reader on one simulated module; ``until`` runs the loop, in real or in stepped time."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.events: list[Event] = []
        self.module = Module()
        self.port = folder / "ttyReader"
        self.loop: asyncio.AbstractEventLoop
        self.plug: Callable[[bool], None]
        if kind == "pty":
            self.loop = asyncio.new_event_loop()
            self.pty = SimulatedYrm100(self.loop, self.port, self.module, round_s=0.02)
            self.plug = self.pty.plug
        else:
            self.loop = SteppedLoop()
            self.inline = InlineLine(self.module, self.loop)
            self.plug = self.inline.plug
        self.reader = self.make()

    def make(self, port: str = "") -> SerialReader:
        return SerialReader(
            port or str(self.port),
            Radio(power_dbm=26),
            self.loop,
            power_offset_db=6,
            timing=Timing(silence_s=0.25, idle_check_s=0.5),
            line=None if self.kind == "pty" else self.inline,
        )

    def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        steps = 0
        while not condition():
            assert time.monotonic() < end
            steps += 1
            assert steps < 20000, "the condition did not come true"
            self.run(0.01)

    def run(self, seconds: float) -> None:
        if isinstance(self.loop, SteppedLoop):
            self.loop.advance(seconds)
        else:
            self.loop.run_until_complete(asyncio.sleep(seconds))

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def commands(self) -> list[int]:
        return [frame.cmd for frame in self.module.heard]

    def start(self) -> None:
        self.reader.start(self.events.append)
        self.until(lambda: self.reader._ready_at is not None)

    def close(self) -> None:
        self.reader.close()
        if self.kind == "pty":
            self.pty.close()
        self.loop.close()


@pytest.fixture(params=["pty", "inline"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(request.param, tmp_path)
    yield rig
    rig.close()


stepped = pytest.mark.parametrize("rig", ["inline"], indirect=True)
"""For what a terminal cannot change and only costs time on."""


def test_it_is_stopped_identified_and_set_up_before_anything_else(rig: Rig) -> None:
    rig.start()
    assert rig.commands() == [
        Cmd.STOP,
        Cmd.INFO,
        Cmd.INFO,
        Cmd.SET_REGION,
        Cmd.GET_REGION,
        Cmd.SET_HOPPING,
        Cmd.SET_POWER,
        Cmd.GET_POWER,
    ]
    assert (rig.module.region, rig.module.power) == (0x01, 2000)
    assert rig.reader.info == {"hardware": "M100 26dBm V1.0", "software": "V2.3.5"}
    assert not rig.module.polling
    assert rig.of(DeviceLost) == []


def test_tags_are_reported_between_begin_and_end_only(rig: Rig) -> None:
    rig.module.tags = EPCS
    rig.start()
    rig.run(0.2)
    assert rig.of(TagRead) == []
    rig.reader.begin()
    rig.until(lambda: {event.epc for event in rig.of(TagRead)} == set(EPCS))  # type: ignore[attr-defined]
    (read, *_) = rig.of(TagRead)
    assert isinstance(read, TagRead)
    assert (read.pc, read.antenna) == (0x3000, 1)
    assert read.rssi_dbm is not None
    assert -70 < read.rssi_dbm < -50
    assert read.rssi_raw == int(read.rssi_dbm) & 0xFF
    rig.reader.end()
    rig.until(lambda: not rig.module.polling)
    count = len(rig.of(TagRead))
    rig.run(0.3)
    assert len(rig.of(TagRead)) == count


@stepped
def test_begin_before_the_module_is_up_is_kept(rig: Rig) -> None:
    rig.module.tags = EPCS[:1]
    rig.reader.begin()
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.of(TagRead))


def test_end_and_begin_at_once_still_polls(rig: Rig) -> None:
    rig.start()
    rig.reader.begin()
    rig.until(lambda: rig.module.polling)
    rig.reader.end()
    rig.reader.begin()
    rig.module.tags = EPCS[:1]
    rig.until(lambda: rig.of(TagRead))


@stepped
def test_an_empty_field_is_a_living_reader(rig: Rig) -> None:
    rig.start()
    rig.reader.begin()
    rig.run(1.5)
    assert rig.of(DeviceLost) == rig.of(TagRead) == []
    assert len(rig.of(Progress)) >= 3
    assert rig.reader.stats()["reader_resumed"] == 0


def test_a_poll_that_ended_without_a_word_is_started_again(rig: Rig) -> None:
    rig.start()
    rig.reader.begin()
    rig.until(lambda: rig.module.polling)
    rig.module.rounds_left = 0
    rig.module.tags = EPCS[:1]
    rig.until(lambda: rig.of(TagRead))
    assert rig.of(DeviceLost) == []
    assert rig.reader.stats()["reader_resumed"] == 1


@stepped
def test_a_module_that_was_reset_is_set_up_again_and_noted(rig: Rig) -> None:
    rig.start()
    rig.reader.begin()
    rig.until(lambda: rig.module.polling)
    rig.module.power_cycle()
    rig.module.power = 1500
    rig.until(lambda: rig.module.polling and rig.module.power == 2000)
    assert [event.name for event in rig.of(DeviceNote)] == ["reader_resets"]  # type: ignore[attr-defined]


@stepped
@pytest.mark.parametrize(("region", "power"), [(0x02, 2000), (0x01, 1500)])
def test_no_inventory_starts_on_settings_that_a_reset_put_back(rig: Rig, region: int, power: int) -> None:
    rig.start()
    rig.run(0.3)
    rig.module.power_cycle()
    rig.module.region, rig.module.power = region, power
    rig.reader.begin()
    while not rig.module.polling:
        rig.run(0.01)
    assert (rig.module.region, rig.module.power) == (0x01, 2000)


@stepped
def test_a_reset_while_idle_is_found_too(rig: Rig) -> None:
    rig.start()
    rig.module.power_cycle()
    rig.module.power = 1500
    rig.until(lambda: rig.module.power == 2000)
    assert rig.module.region == 0x01


def test_a_mute_module_is_lost_once_and_back_once(rig: Rig) -> None:
    rig.start()
    rig.reader.begin()
    rig.module.tags = EPCS[:1]
    rig.until(lambda: rig.of(TagRead))
    rig.module.faults.mute = True
    rig.until(lambda: rig.of(DeviceLost))
    rig.run(1.0)
    rig.module.faults.mute = False
    rig.events[:] = rig.of(DeviceLost)
    rig.until(lambda: rig.of(DeviceBack) and rig.of(TagRead), 20)
    lost = rig.of(DeviceLost)
    assert len(lost) == 1
    assert isinstance(lost[0], DeviceLost)
    assert "are you there: no answer" in lost[0].reason
    assert "baud" in lost[0].check


def test_unplugged_and_plugged_in_again(rig: Rig) -> None:
    rig.start()
    rig.reader.begin()
    rig.module.tags = EPCS[:2]
    rig.until(lambda: rig.of(TagRead))
    rig.plug(False)
    rig.until(lambda: rig.of(DeviceLost))
    rig.plug(True)
    rig.events[:] = rig.of(DeviceLost)
    rig.until(lambda: rig.of(TagRead))
    assert [type(event) for event in rig.events if isinstance(event, DeviceLost | DeviceBack)] == [
        DeviceLost,
        DeviceBack,
    ]
    assert rig.module.power == 2000  # set again: the module came back with its own defaults


def test_a_reader_that_is_not_there_at_the_start(rig: Rig) -> None:
    rig.plug(False)
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.of(DeviceLost))
    rig.plug(True)
    rig.until(lambda: rig.of(DeviceBack))
    assert len(rig.of(DeviceLost)) == 1


@stepped
def test_a_module_with_the_other_framing_is_found(rig: Rig) -> None:
    rig.module.header = 0xAA
    rig.module.tags = EPCS[:1]
    rig.reader.begin()
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.of(TagRead))
    assert rig.of(DeviceLost) == []


def test_noise_on_the_line_loses_no_more_than_it_hits(rig: Rig) -> None:
    rig.start()
    rig.module.tags = EPCS
    rig.module.faults = Faults(drop=0.002, flip=0.002)
    rig.reader.begin()
    rig.until(lambda: len(rig.of(TagRead)) > 120)
    assert {event.epc for event in rig.of(TagRead)} == set(EPCS)  # type: ignore[attr-defined]
    stats = rig.reader.stats()
    assert stats["reader_bad_checks"] + stats["reader_junk_bytes"] > 0


@stepped
def test_unknown_optional_commands_do_not_matter(rig: Rig) -> None:
    rig.module.faults = Faults(refuse=frozenset({Cmd.SET_HOPPING}))
    rig.start()
    assert rig.of(DeviceLost) == []


@stepped
def test_a_refused_region_says_what_to_check(rig: Rig) -> None:
    rig.module.faults = Faults(refuse=frozenset({Cmd.SET_REGION}))
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.of(DeviceLost))
    (lost,) = rig.of(DeviceLost)
    assert isinstance(lost, DeviceLost)
    assert "set region: the module refused: the module does not know this command" in lost.reason
    assert "region in the board file" in lost.check


@stepped
def test_tags_that_still_come_after_end_are_not_reported(rig: Rig) -> None:
    rig.start()
    rig.module.tags = EPCS
    rig.reader.begin()
    rig.until(lambda: rig.of(TagRead))
    rig.module.faults = Faults(refuse=frozenset({Cmd.STOP}))
    rig.reader.end()
    rig.events.clear()
    rig.run(0.4)
    assert rig.module.polling
    assert rig.of(TagRead) == []


@stepped
def test_a_cut_frame_does_not_hold_back_a_tag(rig: Rig) -> None:
    """A frame that lost its end looks unfinished; the tag behind it must not wait for the next one."""
    rig.start()
    rig.reader.begin()
    rig.until(lambda: rig.module.polling)
    rig.module.rounds_left = 0
    cut = encode(Cmd.READ, bytes(200), type=RESPONSE)[:50]
    rig.reader._bytes(cut + encode_tag(Tag(EPCS[0], 0x3000, -60)))
    before = rig.loop.time()
    rig.until(lambda: rig.of(TagRead))
    if rig.kind == "inline":
        assert rig.loop.time() - before < 0.1


def test_closing_stops_the_inventory_and_is_final(rig: Rig) -> None:
    rig.start()
    rig.reader.begin()
    rig.until(lambda: rig.module.polling)
    rig.reader.close()
    rig.reader.close()
    rig.events.clear()
    rig.until(lambda: not rig.module.polling)
    rig.run(0.5)
    assert rig.events == []


@pytest.mark.parametrize("rig", ["pty"], indirect=True)
class TestOnATerminal:
    def test_a_second_program_cannot_open_the_port(self, rig: Rig) -> None:
        from serial import Serial, SerialException

        rig.start()
        with pytest.raises(SerialException):
            Serial(str(rig.port), exclusive=True)

    def test_a_path_that_is_no_serial_port_is_said(self, rig: Rig, tmp_path: Path) -> None:
        plain = tmp_path / "plain"
        plain.write_text("x")
        rig.reader = rig.make(port=str(plain))
        rig.reader.start(rig.events.append)
        rig.until(lambda: rig.of(DeviceLost))
        assert str(plain) in rig.of(DeviceLost)[0].reason  # type: ignore[attr-defined]

    def test_closing_while_the_port_is_being_opened_leaves_nothing(self, rig: Rig) -> None:
        before = len(list(Path("/proc/self/fd").iterdir()))
        rig.reader.start(rig.events.append)
        rig.reader.close()
        rig.run(0.3)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        assert not rig.module.heard

    def test_the_terminal_is_set_so_that_an_empty_read_means_gone(self, rig: Rig) -> None:
        rig.start()
        settings = termios.tcgetattr(rig.pty._slave)
        assert settings[6][termios.VMIN] in (1, b"\x01")
        assert not settings[2] & termios.HUPCL

    def test_nothing_is_left_open(self, rig: Rig) -> None:
        # The reader of the test before may still be closing its port.
        rig.until(lambda: all(thread.name != "serial-close" for thread in threading.enumerate()))
        before = _terminals()
        rig.start()
        assert _terminals() > before
        rig.reader.close()
        rig.until(lambda: _terminals() == before)


def _terminals() -> int:
    """Open descriptors of pseudo-terminals; other tests' files come and go."""
    count = 0
    for fd in Path("/proc/self/fd").iterdir():
        try:
            count += str(fd.readlink()).startswith("/dev/pts/")
        except OSError:
            continue  # the listing's own descriptor
    return count


@pytest.mark.parametrize(
    ("radio", "timing", "text"),
    [
        (Radio(region="mars"), Timing(), "cn900"),
        (Radio(power_dbm=40), Timing(), "0 to 30"),
        (Radio(), Timing(rounds=0), "rounds"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_opened(radio: Radio, timing: Timing, text: str) -> None:
    loop = SteppedLoop()
    with pytest.raises(ValueError, match=text):
        SerialReader("x", radio, loop, timing=timing)
    loop.close()


def test_the_simulated_module_finds_a_path_of_its_own_and_cleans_up() -> None:
    loop = asyncio.new_event_loop()
    module = SimulatedYrm100(loop)
    path = Path(module.port)
    assert path.exists()
    module.plug(False)
    assert not path.is_symlink()
    module.plug(True)
    assert path.exists()
    module.close()
    module.close()
    assert not path.parent.exists()
    loop.close()
