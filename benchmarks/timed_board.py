"""A board's process with a stopwatch in it: ``python -m benchmarks.timed_board --out FILE run BOARD.toml``.

The same program as ``python -m firmware``. A few places are wrapped before it starts, all in this process:
the mock pins say when their level changed, the controller says when a code reached it, and a commit can be
made to take longer. With ``--prices`` each tag read and each picture on the display is noted, with
``--lateness`` how late the loop called a timer every 5 ms. Each note is a line of JSON in FILE; lateness is
written at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import firmware.run
import firmware.station
import firmware.sync.journal_file
import hal.display.painter
import hal.pins.factory
import hal.pins.gpio
from firmware.__main__ import main as board
from hal.ports import CodeSeen, TagRead

LATENESS_S = 0.005


def watch_pins(note: Any) -> None:
    """Every change of a mock pin's level, at the moment it changes, is noted."""
    plain = hal.pins.factory.mock_factory

    def factory(on_output: Any = None) -> Any:
        found = plain(on_output)

        class Timed(found.pin_class):  # type: ignore[misc]
            def _change_state(self, value: bool) -> bool:
                changed: bool = super()._change_state(value)
                if changed and self._function == "output":
                    note("pin", time.monotonic(), self._info.name, bool(value))
                return changed

        found.pin_class = Timed
        return found

    hal.pins.gpio.mock_factory = factory  # type: ignore[attr-defined]


def watch_codes(note: Any) -> None:
    plain = firmware.station.Station.event

    def event(self: Any, one: Any) -> None:
        if isinstance(one, CodeSeen):
            note("code", one.frame_at, one.at, time.monotonic())
        plain(self, one)

    firmware.station.Station.event = event  # type: ignore[method-assign]


def watch_prices(note: Any) -> None:
    """("tag", EPC, when the bytes were read) and ("screen", lines, when its file was there, or its panel)."""
    plain, attempt = firmware.station.Station.event, hal.display.painter.Painter._attempt

    def event(self: Any, one: Any) -> None:
        if isinstance(one, TagRead):
            note("tag", one.epc.hex(), one.at)
        plain(self, one)

    def paint(self: Any, screen: Any) -> None:
        attempt(self, screen)
        note("screen", screen.lines, time.monotonic())

    firmware.station.Station.event = event  # type: ignore[method-assign]
    hal.display.painter.Painter._attempt = paint  # type: ignore[method-assign]


def slow_disk(delay_s: float) -> None:
    """Each commit takes ``delay_s`` longer, on the disk worker, as if fsync did."""
    plain = firmware.sync.journal_file.JournalFile.transaction

    @contextlib.contextmanager
    def transaction(self: Any) -> Iterator[Any]:
        with plain(self) as db:
            yield db
            time.sleep(delay_s)

    firmware.sync.journal_file.JournalFile.transaction = transaction  # type: ignore[method-assign]


def watch_loop(late: list[tuple[float, float]]) -> None:
    plain = firmware.run.Process._begin

    def begin(self: Any, app: Any) -> None:
        loop: asyncio.AbstractEventLoop = self.loop

        def tick(due: float) -> None:
            late.append((loop.time(), loop.time() - due))
            due = max(due, loop.time() - LATENESS_S) + LATENESS_S
            loop.call_at(due, tick, due)

        plain(self, app)
        loop.call_at(loop.time(), tick, loop.time())

    firmware.run.Process._begin = begin  # type: ignore[method-assign]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timed_board", description=__doc__)
    parser.add_argument("--out", required=True, help="file that gets a line of JSON for each note")
    parser.add_argument("--fsync-ms", type=float, default=0.0, help="each commit takes so much longer")
    parser.add_argument("--lateness", action="store_true", help="note how late the loop calls a timer")
    parser.add_argument("--prices", action="store_true", help="note tag reads and what the display shows")
    args, rest = parser.parse_known_args()
    out = os.open(args.out, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)

    def note(*values: Any) -> None:
        os.write(out, json.dumps(values).encode() + b"\n")

    watch_pins(note)
    watch_codes(note)
    if args.prices:
        watch_prices(note)
    if args.fsync_ms:
        slow_disk(args.fsync_ms / 1000)
    late: list[tuple[float, float]] = []
    if args.lateness:
        watch_loop(late)
    try:
        return board(rest)
    finally:
        note("late", late)


if __name__ == "__main__":
    sys.exit(main())
