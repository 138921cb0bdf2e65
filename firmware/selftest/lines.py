"""The board's lines: every input's level by name, and what it means. No output leaves its safe value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from firmware.hardware import open_hardware
from firmware.selftest.bench import Bench, Result
from hal.pins.outputs import PinsError
from hal.pins.strict import strict_gpiod_warning

SETTLE_S = 0.4
"""Longer than the inputs' debouncing."""
ODD = {
    "fire": "the fire loop is open: fire, or a broken wire",
    "beam_outer": "a beam is broken: clear the lane, clean the lenses",
    "beam_inner": "a beam is broken: clear the lane, clean the lenses",
    "occupied": "nobody inside? Then the presence sensor, its adjustment, or a broken wire",
    "crowded": "nobody reaches into the portal? Then the second sensor, its adjustment, or a broken wire",
    "help": "the help button is pressed, stuck, or its wires touch",
}
"""An input that is active while nobody is at the board, and what to check, the gravest first."""


def pins(bench: Bench) -> Result:
    if bench.board.pins.factory == "none":
        return Result(True, "no lines in the board file")
    try:
        hardware = open_hardware(bench.board, Path(bench.site.data), bench.loop, stepped=True)
    except PinsError as error:
        return Result(False, str(error), "stop the board's service first; else the wiring named")
    try:
        hardware.pins.start(lambda event: None)
        bench.wait(SETTLE_S)
        bench.levels = hardware.pins.read()
        outputs = hardware.pins.outputs()
    finally:
        hardware.close()
    strict = strict_gpiod_warning() if bench.board.sim is None else None
    if strict is not None:
        return Result(False, strict, "dtparam=strict_gpiod in config.txt, then reboot")
    return judge(bench.levels, outputs)


def judge(levels: Mapping[str, bool], outputs: Mapping[str, bool]) -> Result:
    """``outputs``: what is driven; they are only named."""
    shown = ", ".join(f"{name} {'active' if level else 'rest'}" for name, level in levels.items())
    lines = (f"left at their safe values: {', '.join(outputs)}",) if outputs else ()
    odd = next((check for name, check in ODD.items() if levels.get(name)), None)
    return Result(True if odd is None else None, shown or "no inputs", odd or "", lines)
