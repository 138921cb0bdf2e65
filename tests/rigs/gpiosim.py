"""The pin driver on a real kernel: lgpio on a gpio-sim chip. Not part of ``make test``.

Needs root and a kernel with gpio-sim (CONFIG_GPIO_SIM), in practice a virtual machine:

    modprobe gpio-sim && PYTHONPATH=. python tests/rigs/gpiosim.py

Makes its own chip, prints one line per check and ends with 0 when all hold. gpio-sim is kinder than a
Raspberry Pi in one point: a killed process's outputs always fall back there (see strict_gpiod).
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hal.pins.factory import lgpio_factory
from hal.pins.gpio import GpioPins, PinIn, PinOut, PinsError, assert_safe, open_pins
from hal.ports import DeviceNote, Event, InputChanged

CONFIG = Path("/sys/kernel/config/gpio-sim/tallygate")
INS = [
    PinIn("leaf", 5, active_low=True, pull="up", debounce_s=0.02),
    PinIn("beam_outer", 6, active_low=True, pull="up", debounce_s=0.02),
]
OUTS = [
    PinOut("release", 17, energised="locks", hold_limit_s=0.5),
    PinOut("motor_open", 27, active_low=True, hold_limit_s=0.5),
    PinOut("motor_close", 22, hold_limit_s=0.5),
]
SAFE = ["0", "1", "0"]
DRIVEN = ["1", "0", "0"]


class Chip:
    """A simulated chip with the header's label; levels and pulls through sysfs."""

    def __init__(self) -> None:
        if not CONFIG.exists():
            (CONFIG / "b0").mkdir(parents=True)
            (CONFIG / "b0/num_lines").write_text("54")
            (CONFIG / "b0/label").write_text("pinctrl-bcm2835")
            (CONFIG / "live").write_text("1")
        device = (CONFIG / "dev_name").read_text().strip()
        name = (CONFIG / "b0/chip_name").read_text().strip()
        self._lines = Path("/sys/devices/platform") / device / name

    def levels(self) -> list[str]:
        return [(self._lines / f"sim_gpio{out.pin}/value").read_text().strip() for out in OUTS]

    def pull(self, pin: int, high: bool) -> None:
        (self._lines / f"sim_gpio{pin}/pull").write_text("pull-up" if high else "pull-down")


def pretend_a_pi() -> None:
    import gpiozero.pins.local

    gpiozero.pins.local.get_pi_revision = lambda: 0xA02082


def check(what: str, holds: object) -> None:
    print(("ok      " if holds else "FAILED  ") + what, flush=True)
    if not holds:
        raise SystemExit(1)


async def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:  # noqa: ASYNC110 - any condition of the wires
        await asyncio.sleep(0.002)
    check(what, condition())


def open_here(loop: asyncio.AbstractEventLoop, work: Path, fault: Any = None) -> GpioPins:
    return open_pins("lgpio", INS, OUTS, loop=loop, work_dir=work, fault=fault)


async def run(chip: Chip, work: Path) -> None:
    loop = asyncio.get_running_loop()
    events: list[Event] = []
    faults: list[str] = []
    here = Path.cwd()
    pins = open_here(loop, work, lambda what, _error: faults.append(what))
    check("the working folder is kept", Path.cwd() == here)
    check("outputs start at their safe levels", chip.levels() == SAFE)
    for wire in INS:
        chip.pull(wire.pin, high=True)
    pins.start(events.append)
    await asyncio.sleep(0.3)
    events.clear()

    chip.pull(6, high=False)
    await until(lambda: InputChanged in map(type, events), "an edge becomes an event")
    check("with its logical value", pins.read()["beam_outer"] is True)

    pins.set("release", False)
    pins.set("motor_open", True)
    check("outputs reach their levels", chip.levels() == DRIVEN)
    time.sleep(1.5)  # noqa: ASYNC251 - the loop hangs here on purpose
    check("a hung loop's outputs fall safe", chip.levels() == SAFE)
    await until(lambda: [e for e in events if isinstance(e, DeviceNote)], "and the loop is told afterwards")

    import gpiozero.pins.local as local

    real = local.LocalPiPin._call_when_changed
    local.LocalPiPin._call_when_changed = lambda *_: 1 / 0
    chip.pull(6, high=True)
    await until(lambda: faults, "an exception in a callback is reported")
    local.LocalPiPin._call_when_changed = real
    await until(lambda: not pins.read()["beam_outer"], "the level is found all the same")
    chip.pull(6, high=False)
    await until(lambda: pins.read()["beam_outer"], "and later edges still come")

    second = subprocess.run(  # noqa: ASYNC221 - nothing else is to run meanwhile
        [sys.executable, __file__, "second", str(work)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    check("a second process is refused in words", "cannot be claimed" in second.stdout)
    pins.set("release", False)
    pins.safe()
    check("safe() drives the safe levels", chip.levels() == SAFE)
    pins.close()  # freed: from here on the pulls decide
    factory = lgpio_factory(work, lambda *_: None)
    check("assert_safe drives what nobody holds", assert_safe(OUTS, factory) == [])
    factory.close()


def main() -> None:
    pretend_a_pi()
    if sys.argv[1:2] == ["second"]:
        try:
            open_here(asyncio.new_event_loop(), Path(sys.argv[2])).close()
        except PinsError as error:
            print(error)
        return
    with tempfile.TemporaryDirectory(prefix="gpiosim-") as work:
        asyncio.run(run(Chip(), Path(work)))
    print("all checks hold")


if __name__ == "__main__":
    main()
