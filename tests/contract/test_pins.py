"""The contract of ``hal.ports.Pins``, held by the mock factory and by lgpio on a stand-in chip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware.loop import SteppedLoop
from hal.pins.gpio import GpioPins, PinIn, PinOut, PinsError, assert_safe, open_pins
from hal.ports import DeviceBack, DeviceLost, DeviceNote, Event, InputChanged
from tests.support.fakechip import FakeChip

INS = [
    PinIn("leaf", 4, active_low=True, pull="up", debounce_s=0.02),
    PinIn("beam_outer", 5, pull="down", debounce_s=0.02),
    PinIn("fire", 6, active_low=False, pull="up", debounce_s=0.05),
]
OUTS = [
    PinOut("release", 17, energised="locks", fail="safe", hold_limit_s=1.0),
    PinOut("motor_open", 22, active_low=True, hold_limit_s=0.5),
    PinOut("motor_close", 23, active_low=True, hold_limit_s=0.5),
    PinOut("lamp_green", 24, hold_limit_s=30),
]


class Bench:
    """One driver with a hand on its wires."""

    def __init__(self, kind: str, mocker: Any, tmp_path: Path) -> None:
        self.kind = kind
        self.loop = SteppedLoop()
        self.events: list[Event] = []
        self.faults: list[str] = []
        self.chip = FakeChip()
        if kind == "lgpio":
            self.chip.install(mocker)
            dev = tmp_path / "dev"
            dev.mkdir()
            (dev / "gpiochip0").touch()
            mocker.patch("hal.pins.factory.find_chip", return_value=0)
        self.pins = self.open(tmp_path)

    def open(self, tmp_path: Path) -> GpioPins:
        return open_pins(
            self.kind,  # type: ignore[arg-type]
            INS,
            OUTS,
            loop=self.loop,
            work_dir=tmp_path,
            hold_timer=False,
            fault=lambda what, _error: self.faults.append(what),
        )

    def drive(self, pin: int, level: bool) -> None:
        if self.kind == "lgpio":
            self.chip.drive(pin, int(level))
        else:
            wire = self.pins.factory.pin(pin)
            wire.drive_high() if level else wire.drive_low()

    def level(self, pin: int) -> bool:
        return bool(self.chip.level[pin] if self.kind == "lgpio" else self.pins.factory.pin(pin).state)

    def start(self) -> None:
        self.pins.start(self.events.append)


@pytest.fixture(params=["mock", "lgpio"])
def bench(request: pytest.FixtureRequest, mocker: Any, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(request.param, mocker, tmp_path)
    yield bench
    bench.pins.close()
    bench.loop.close()


def test_outputs_start_at_their_safe_values(bench: Bench) -> None:
    assert bench.pins.outputs() == {
        "release": True,
        "motor_open": False,
        "motor_close": False,
        "lamp_green": False,
    }
    # released = no current in a lock that current locks; an active-low relay rests high
    assert [bench.level(pin) for pin in (17, 22, 23, 24)] == [False, True, True, False]


def test_a_driven_output_reaches_its_level(bench: Bench) -> None:
    bench.pins.set("release", False)
    bench.pins.set("motor_open", True)
    assert (bench.level(17), bench.level(22)) == (True, False)
    assert bench.pins.outputs()["release"] is False


def test_an_unrenewed_output_falls_safe_at_its_limit(bench: Bench) -> None:
    bench.start()
    bench.pins.set("motor_open", True)
    bench.pins.set("lamp_green", True)
    bench.loop.advance(0.49)
    assert bench.pins.outputs()["motor_open"]
    bench.loop.advance(0.02)
    assert not bench.pins.outputs()["motor_open"]
    assert bench.level(22)
    assert bench.pins.outputs()["lamp_green"]  # its own limit is longer
    (note,) = bench.events
    assert isinstance(note, DeviceNote)
    assert (note.name, "motor_open" in note.detail) == ("hold_expired", True)


def test_a_lock_that_fails_safe_must_be_renewed_to_stay_locked(bench: Bench) -> None:
    bench.start()
    bench.pins.set("release", False)
    for _ in range(20):
        bench.loop.advance(0.2)
        bench.pins.renew()
    assert bench.pins.outputs()["release"] is False
    bench.loop.advance(1.2)
    assert bench.pins.outputs()["release"] is True


def test_setting_again_renews(bench: Bench) -> None:
    bench.start()
    for _ in range(10):
        bench.pins.set("motor_close", True)
        bench.loop.advance(0.4)
    assert bench.pins.outputs()["motor_close"]


def test_both_directions_of_the_motor_are_never_driven_together(bench: Bench) -> None:
    bench.pins.set("motor_open", True)
    bench.pins.set("motor_close", True)
    assert (bench.level(22), bench.level(23)) == (True, False)


def test_a_stable_level_is_reported_once_after_the_debounce_time(bench: Bench) -> None:
    bench.start()
    before = bench.loop.time()
    assert bench.pins.read()["beam_outer"] is False
    bench.drive(5, True)
    bench.loop.advance(0.019)
    assert bench.events == []
    bench.loop.advance(0.5)
    (event,) = bench.events
    assert event == InputChanged("beam_outer", True, pytest.approx(before + 0.02, abs=1e-6))
    assert bench.pins.read()["beam_outer"] is True


def test_every_edge_is_prompt_not_only_the_first(bench: Bench) -> None:
    bench.start()
    for level in (True, False, True, False):
        count = len(bench.events)
        bench.drive(5, level)
        bench.loop.advance(0.03)
        assert len(bench.events) == count + 1


def test_an_output_set_back_in_time_leaves_no_note(bench: Bench) -> None:
    bench.start()
    bench.pins.set("motor_open", True)
    bench.loop.advance(0.2)
    bench.pins.set("motor_open", False)
    bench.loop.advance(2)
    assert bench.events == []


def test_chatter_and_short_pulses_are_not_reported(bench: Bench) -> None:
    bench.start()
    for _ in range(20):
        bench.drive(5, True)
        bench.loop.advance(0.01)
        bench.drive(5, False)
        bench.loop.advance(0.01)
    bench.loop.advance(0.3)
    assert bench.events == []


def test_a_level_without_any_edge_is_found_by_reading_again(bench: Bench) -> None:
    bench.start()
    if bench.kind == "lgpio":
        bench.chip.callbacks.clear()
    else:
        bench.pins.factory.pin(5).when_changed = None
    bench.drive(5, True)
    bench.loop.advance(0.25)
    assert [event.name for event in bench.events if isinstance(event, InputChanged)] == ["beam_outer"]


def test_active_low_input_is_read_as_logical_value(bench: Bench) -> None:
    bench.start()
    bench.drive(4, True)
    bench.loop.advance(0.2)
    assert bench.pins.read()["leaf"] is False
    bench.drive(4, False)
    bench.loop.advance(0.2)
    assert bench.pins.read()["leaf"] is True


def test_safe_and_close_are_idempotent_and_refuse_later_sets(bench: Bench) -> None:
    bench.start()
    bench.pins.set("release", False)
    bench.pins.safe()
    bench.pins.safe()
    assert bench.pins.outputs()["release"] is True
    bench.pins.close()
    bench.pins.close()
    bench.pins.safe()
    with pytest.raises(PinsError, match="closed"):
        bench.pins.set("release", False)
    assert bench.faults == []


def test_an_unknown_output_is_refused_by_name(bench: Bench) -> None:
    with pytest.raises(PinsError, match="buzzer.*not on this board"):
        bench.pins.set("buzzer", True)


def test_nothing_is_reported_after_close(bench: Bench) -> None:
    bench.start()
    bench.pins.close()
    bench.loop.advance(1)
    assert bench.events == []


@pytest.mark.parametrize("bench", ["lgpio"], indirect=True)
class TestOnLgpio:
    """What only the real factory can get wrong."""

    def test_every_output_is_claimed_once_at_its_safe_level_before_any_input(self, bench: Bench) -> None:
        claims = [row for row in bench.chip.log if row[0] in ("in", "out", "alert")]
        assert claims[:4] == [("out", 17, 0), ("out", 22, 1), ("out", 23, 1), ("out", 24, 0)]
        assert [row[1] for row in claims[4:]] == [4, 5, 6]
        assert not [row for row in bench.chip.log if row[0] == "write"]

    def test_inputs_are_claimed_with_their_pull_in_one_call(self, bench: Bench) -> None:
        import lgpio

        claims = {pin: flags for what, pin, flags in bench.chip.log if what == "in"}
        assert claims == {4: lgpio.SET_PULL_UP, 5: lgpio.SET_PULL_DOWN, 6: lgpio.SET_PULL_UP}

    def test_an_exception_in_an_edge_stays_in_its_callback(self, bench: Bench, mocker: Any) -> None:
        bench.start()
        mocker.patch.object(bench.loop, "call_soon_threadsafe", side_effect=RuntimeError("closed"))
        bench.drive(5, True)
        assert bench.faults == ["an input's edge"]

    def test_an_exception_below_the_driver_stays_too(self, bench: Bench, mocker: Any) -> None:
        bench.start()
        mocker.patch("gpiozero.pins.local.LocalPiPin._call_when_changed", side_effect=ValueError("x"))
        bench.drive(5, True)
        assert bench.faults == ["edge of GPIO 5"]

    def test_an_unreadable_input_is_lost_once_and_back_once(self, bench: Bench) -> None:
        bench.start()
        bench.chip.broken.add(5)
        bench.loop.advance(1)
        bench.chip.broken.clear()
        bench.loop.advance(1)
        assert [type(event) for event in bench.events] == [DeviceLost, DeviceBack]
        assert "beam_outer (GPIO 5)" in bench.events[0].reason  # type: ignore[union-attr]

    def test_a_dead_output_says_so_and_the_others_still_fall_safe(self, bench: Bench) -> None:
        bench.pins.set("release", False)
        bench.pins.set("motor_open", True)
        bench.chip.broken.add(17)
        with pytest.raises(PinsError, match=r"release \(GPIO 17\)"):
            bench.pins.set("release", True)
        bench.pins.safe()
        assert bench.chip.level[22] == 1
        assert bench.faults == ["output release to its safe value"]

    def test_closing_leaves_the_outputs_driven_safe_not_floating(self, bench: Bench) -> None:
        bench.pins.set("motor_open", True)
        bench.chip.log.clear()
        bench.pins.close()
        assert ("write", 22, 1) in bench.chip.log
        assert not [row for row in bench.chip.log if row[0] in ("in", "alert") and row[1] == 22]

    def test_a_pin_in_use_elsewhere_is_named_and_nothing_stays_driven(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        bench.pins.close()
        bench.chip.busy.add(6)
        with pytest.raises(PinsError, match="fire: GPIO 6 cannot be claimed.*busy.*no other process"):
            bench.open(tmp_path)

    def test_assert_safe_does_every_output_it_can(self, bench: Bench) -> None:
        bench.pins.close()
        bench.chip.busy.add(17)
        bench.chip.log.clear()
        failed = assert_safe(OUTS, bench.pins.factory)
        assert [text.split(":")[0] for text in failed] == ["release"]
        assert bench.chip.log == [("out", 22, 1), ("out", 23, 1), ("out", 24, 0)]
