"""Pins below the port: polarity, hold limits in their own thread, lgpio's set-up, strict_gpiod."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.loop import SteppedLoop
from hal.pins import factory as factory_module
from hal.pins.debounce import Debounce
from hal.pins.factory import find_chip, lgpio_factory, mock_factory
from hal.pins.gpio import open_pins
from hal.pins.outputs import PinIn, PinOut, PinsError
from hal.pins.strict import strict_gpiod_warning
from hal.ports import DeviceNote, Event
from tests.support.fakechip import FakeChip


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.002)


# -- polarity -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("energised", "active_low", "active", "level"),
    [
        ("locks", False, True, False),
        ("locks", False, False, True),
        ("locks", True, True, True),
        ("locks", True, False, False),
        ("releases", False, True, True),
        ("releases", False, False, False),
        ("releases", True, True, False),
        ("releases", True, False, True),
    ],
)
def test_release_polarity(energised: Any, active_low: bool, active: bool, level: bool) -> None:
    out = PinOut("release", 17, active_low=active_low, energised=energised)
    assert out.level(active) is level
    assert out.active(level) is active


def test_safe_values() -> None:
    assert PinOut("release", 1, energised="locks", fail="safe").safe_value is True
    assert PinOut("release", 1, energised="locks", fail="secure").safe_value is False
    assert PinOut("buzzer", 1).safe_value is False


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: PinOut("relase", 1), "relase.*known are release"),
        (lambda: PinOut("release", 1), "locks or releases"),
        (lambda: PinOut("buzzer", 1, energised="locks"), "use on"),
        (lambda: PinOut("buzzer", 1, fail="secure"), "only for the lock"),
        (lambda: PinOut("buzzer", 28), "0 to 27"),
        (lambda: PinOut("buzzer", 1, hold_limit_s=0), "hold_limit_s"),
        (lambda: PinIn("leaf", 1, debounce_s=-1), "debounce_s"),
        (lambda: PinIn("leaf", 1, pull="sideways"), "up, down or none"),  # type: ignore[arg-type]
    ],
)
def test_bad_wires_are_refused_in_words(make: Callable[[], object], text: str) -> None:
    with pytest.raises(PinsError, match=text):
        make()


def test_a_pin_used_twice_is_refused() -> None:
    loop = asyncio.new_event_loop()
    with pytest.raises(PinsError, match="GPIO 4 is used by leaf and buzzer"):
        open_pins("mock", [PinIn("leaf", 4)], [PinOut("buzzer", 4)], loop=loop)
    with pytest.raises(PinsError, match="leaf is declared twice"):
        open_pins("mock", [PinIn("leaf", 4), PinIn("leaf", 5)], [], loop=loop)
    loop.close()


# -- debounce -----------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0.001, 0.2), st.booleans()), max_size=60))
def test_debounce_accepts_only_levels_that_stayed(readings: list[tuple[float, bool]]) -> None:
    one = Debounce(0.05, False)
    now, since, last = 0.0, 0.0, False
    for wait, raw in readings:
        now += wait
        if raw != last:
            last, since = raw, now
        if one.feed(raw, now):
            assert one.value == raw
            assert now - since >= 0.05 - 1e-6
    assert one.due is None or one.due <= now + 0.05 + 1e-6


# -- the hold timer -----------------------------------------------------------------------------


def test_a_hung_loop_lets_the_leaf_go() -> None:
    """The loop never runs here at all: the driver's own thread drops the output."""
    loop = asyncio.new_event_loop()
    pins = open_pins("mock", [], [PinOut("release", 17, energised="locks", hold_limit_s=0.05)], loop=loop)
    events: list[Event] = []
    pins.start(events.append)
    pins.set("release", False)
    assert pins.factory.pin(17).state
    until(lambda: not pins.factory.pin(17).state)
    assert pins.outputs() == {"release": True}
    assert events == []  # told on the loop's thread only
    until(lambda: (loop.run_until_complete(asyncio.sleep(0)), events)[1])
    assert isinstance(events[0], DeviceNote)
    assert events[0].name == "hold_expired"
    pins.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "hold-timer"]
    loop.close()


def test_a_pin_that_cannot_be_dropped_is_tried_again() -> None:
    loop = asyncio.new_event_loop()
    faults: list[str] = []
    pins = open_pins(
        "mock",
        [],
        [PinOut("buzzer", 17, hold_limit_s=0.05)],
        loop=loop,
        fault=lambda what, _e: faults.append(what),
    )
    pins.set("buzzer", True)
    pin = pins.factory.pin(17)
    pin._function = "input"  # an output that refuses to be driven
    until(lambda: len(faults) >= 2)
    assert set(faults) == {"hold limit of buzzer"}
    pin._function = "output"
    until(lambda: not pin.state)
    pins.close()
    loop.close()


def test_safe_does_not_wait_for_a_stuck_thread(mocker: Any) -> None:
    mocker.patch("hal.pins.outbank.LOCK_WAIT_S", 0.05)
    loop = asyncio.new_event_loop()
    pins = open_pins("mock", [], [PinOut("release", 17, energised="locks")], loop=loop, hold_timer=False)
    pins.set("release", False)
    held, done = threading.Event(), threading.Event()

    def stuck() -> None:
        with pins._bank._lock:
            held.set()
            done.wait(20)

    thread = threading.Thread(target=stuck)
    thread.start()
    assert held.wait(5)
    pins.safe()
    assert not pins.factory.pin(17).state
    done.set()
    thread.join(5)
    pins.close()
    loop.close()


ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("set"), st.sampled_from(["release", "motor_open", "motor_close", "buzzer"]), st.booleans()
        ),
        st.tuples(st.just("renew"), st.none(), st.none()),
        st.tuples(st.just("wait"), st.floats(0.01, 1.5), st.none()),
        st.tuples(st.just("safe"), st.none(), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS, st.sampled_from(["safe", "secure"]), st.sampled_from(["locks", "releases"]))
def test_no_output_outlives_its_hold_limit(actions: list[Any], fail: Any, energised: Any) -> None:
    """Whatever policy does, the wire shows a non-safe level only within the limit of the last word."""
    loop = SteppedLoop()
    outs = [
        PinOut("release", 17, energised=energised, fail=fail, hold_limit_s=0.7),
        PinOut("motor_open", 22, active_low=True, hold_limit_s=0.3),
        PinOut("motor_close", 23, hold_limit_s=0.3),
        PinOut("buzzer", 24, hold_limit_s=1.0),
    ]
    pins = open_pins("mock", [], outs, loop=loop, hold_timer=False)
    pins.start(lambda _: None)
    until_at = dict.fromkeys(pins.outputs(), 0.0)
    for what, first, second in actions:
        now = loop.time()
        if what == "set":
            pins.set(first, second)
            until_at[first] = now + next(out.hold_limit_s for out in outs if out.name == first)
        elif what == "renew":
            pins.renew()
            driven = pins.outputs()
            for out in outs:
                if driven[out.name] != out.safe_value:
                    until_at[out.name] = now + out.hold_limit_s
        elif what == "safe":
            pins.safe()
            assert all(pins.outputs()[out.name] == out.safe_value for out in outs)
        else:
            loop.advance(first)
        driven = pins.outputs()
        assert not (driven["motor_open"] and driven["motor_close"])
        for out in outs:
            level = bool(pins.factory.pin(out.pin).state)
            assert out.active(level) == driven[out.name]
            if out.active(level) != out.safe_value:
                assert loop.time() <= until_at[out.name] + 1e-6
    pins.close()
    loop.close()


def test_safe_works_from_many_threads_at_once() -> None:
    loop = asyncio.new_event_loop()
    pins = open_pins("mock", [], [PinOut("release", 17, energised="releases", fail="secure")], loop=loop)
    pins.set("release", True)
    threads = [threading.Thread(target=pins.safe) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert pins.outputs() == {"release": False}
    pins.close()
    loop.close()


def test_the_mock_output_never_shows_the_other_level() -> None:
    seen: list[int] = []
    factory = mock_factory(lambda: seen.append(1))
    pin = factory.pin(22)
    pin.output_with_state(True)
    assert [state.state for state in pin.states] == [False, True]  # the pull, then the asked level
    assert seen == [1]


# -- lgpio's set-up -----------------------------------------------------------------------------


def chip_folder(tmp_path: Path, *numbers: int) -> Path:
    dev = tmp_path / "dev"
    dev.mkdir()
    for number in numbers:
        (dev / f"gpiochip{number}").touch()
    return dev


def test_the_chip_is_found_by_label_and_all_are_closed_again(tmp_path: Path) -> None:
    chip = FakeChip("brcmvirt-gpio", numbers=(0, 1, 10))
    chip.labels[10] = "pinctrl-rp1"
    dev = chip_folder(tmp_path, 0, 1, 10)
    (dev / "gpiochip4").symlink_to(dev / "gpiochip10")
    assert find_chip(chip, dev) == 10
    assert chip.opened == {}


def test_no_header_chip_names_what_is_there(tmp_path: Path) -> None:
    chip = FakeChip("i915", numbers=(0,))
    with pytest.raises(PinsError, match="gpiochip0 is i915; gpiochip3.*can not open.*Raspberry Pi"):
        find_chip(chip, chip_folder(tmp_path, 0, 3))
    with pytest.raises(PinsError, match="no gpiochip device at all"):
        find_chip(chip, tmp_path / "nothing")


def test_loading_lgpio_leaves_the_process_where_it_was(
    tmp_path: Path, mocker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "run"
    work.mkdir()
    monkeypatch.chdir(tmp_path)

    def load(_name: str) -> Any:
        os.chdir(os.environ["LG_WD"])  # what the library does
        return types.SimpleNamespace(get_module_version=lambda: "lgpio.py_0.2.2.0")

    mocker.patch.dict(os.environ)
    mocker.patch.object(factory_module.importlib, "import_module", load)
    factory_module._import_lgpio(work)
    assert Path.cwd() == tmp_path
    assert os.environ["LG_WD"] == str(work)


@pytest.mark.parametrize("module", [types.SimpleNamespace(), None])
def test_an_old_or_empty_lgpio_is_refused(module: Any, tmp_path: Path, mocker: Any) -> None:
    mocker.patch.dict(os.environ)
    if module is None:
        module = types.SimpleNamespace(get_module_version=lambda: "lgpio.py_0.2.0.0")
    mocker.patch.dict(sys.modules, {"lgpio": module})
    with pytest.raises(PinsError, match=r"0\.2\.2 or newer"):
        lgpio_factory(tmp_path, lambda *_: None)


def test_lgpio_without_a_writable_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PinsError, match="RuntimeDirectory"):
        lgpio_factory(tmp_path / "missing", lambda *_: None)
    with pytest.raises(PinsError, match="RuntimeDirectory"):
        open_pins("lgpio", [], [], loop=asyncio.new_event_loop())


def test_the_installed_lgpio_loads_where_the_working_folder_cannot_be_written(tmp_path: Path) -> None:
    """The real library in a process of its own, started like a service: in "/", with a runtime folder."""
    code = (
        "import os, sys; from pathlib import Path; from hal.pins import factory\n"
        "lgpio = factory._import_lgpio(Path(sys.argv[1]))\n"
        "print(os.getcwd(), lgpio.get_module_version())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder, version = done.stdout.split()
    assert folder == "/"
    assert version.startswith("lgpio.py_0.2.")
    assert [path.name for path in tmp_path.iterdir()] == [".lgd-nfy0"]


def test_an_unknown_factory_never_falls_back() -> None:
    with pytest.raises(PinsError, match="'native' is not known"):
        open_pins("native", [], [], loop=asyncio.new_event_loop())  # type: ignore[arg-type]


# -- strict_gpiod -------------------------------------------------------------------------------


def pi_tree(root: Path, soc: str = "brcm,bcm2711", parameter: str | None = None, cmdline: str = "") -> Path:
    tree = root / "proc/device-tree"
    tree.mkdir(parents=True)
    (tree / "model").write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    (tree / "compatible").write_bytes(b"raspberrypi,x\0" + soc.encode() + b"\0")
    (root / "proc/cmdline").write_text(cmdline)
    if parameter is not None:
        module = "pinctrl_rp1" if "2712" in soc else "pinctrl_bcm2835"
        folder = root / f"sys/module/{module}/parameters"
        folder.mkdir(parents=True)
        (folder / "persist_gpio_outputs").write_text(parameter + "\n")
    return root


@pytest.mark.parametrize(
    ("soc", "parameter", "cmdline", "warns"),
    [
        ("brcm,bcm2711", "Y", "", "stay driven"),
        ("brcm,bcm2711", "N", "", None),
        ("brcm,bcm2712", "Y", "", "pinctrl_rp1"),
        ("brcm,bcm2712", "N", "", None),
        ("brcm,bcm2711", None, "a=1 pinctrl_bcm2835.persist_gpio_outputs=n", None),
        ("brcm,bcm2711", None, "pinctrl_bcm2835.persist_gpio_outputs=y", "stay driven"),
        ("brcm,bcm2711", None, "root=/dev/sda", "cannot tell"),
    ],
)
def test_strict_gpiod(
    soc: str, parameter: str | None, cmdline: str, warns: str | None, tmp_path: Path
) -> None:
    text = strict_gpiod_warning(pi_tree(tmp_path, soc, parameter, cmdline))
    if warns is None:
        assert text is None
    else:
        assert text is not None
        assert warns in text
        assert "dtparam=strict_gpiod" in text


def test_strict_gpiod_is_not_asked_off_a_pi(tmp_path: Path) -> None:
    assert strict_gpiod_warning(tmp_path) is None
