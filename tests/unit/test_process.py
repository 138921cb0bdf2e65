"""The board's process around its app: the watchdog while a board file is applied, and one that fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from firmware import run
from firmware.boardschema import Board
from firmware.health import Faults
from hal.pins.outputs import PinsError

SIM = Path(__file__).parents[2] / "boards" / "sim-entry.toml"
KEY = "00" * 32


class StandInApp:
    """Takes an app's place: ``lives`` are called, one each, when a life has begun."""

    lives: Iterator[Any]
    seen: list[str]

    def __init__(self, board: Board, *_: Any) -> None:
        self.board = board
        self.station = SimpleNamespace(faults=Faults())
        self.heartbeats = SimpleNamespace(stale=lambda now: [])

    def start(self) -> None:
        self.seen.append(f"start {self.board.board.description}")
        next(self.lives)(self)

    def safe(self) -> None: ...

    def close(self) -> None:
        self.seen.append("close")


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> run.Process:
    monkeypatch.setattr(run, "App", StandInApp)
    site = tmp_path / "site.toml"
    site.write_text(
        f'store = "demo"\nboard = "b-1"\ndata = "{tmp_path}/data"\n[broker]\nhost = "127.0.0.1"\n'
        f'[pass_keys]\n1 = "{KEY}"\n'
    )
    made = run.Process(SIM, site)
    StandInApp.seen = []
    monkeypatch.setattr(made.notifier, "send", lambda *words: StandInApp.seen.append(words[0]))
    return made


def test_the_watchdog_is_fed_on_both_sides_of_an_end_that_may_take_long(process: run.Process) -> None:
    def apply(app: StandInApp) -> None:
        process._wanted = process.board
        process.loop.stop()

    StandInApp.lives = iter([apply, lambda app: process._stop(15)])
    assert process.run() == run.OK
    at = StandInApp.seen.index("close")
    assert StandInApp.seen[at - 1] == StandInApp.seen[at + 1] == "WATCHDOG=1"


def test_a_changed_board_file_that_cannot_start_gives_way_to_the_old_one(process: run.Process) -> None:
    faults: list[str] = []

    def apply(app: StandInApp) -> None:
        section = msgspec.structs.replace(process.board.board, description="changed")
        process._wanted = msgspec.structs.replace(process.board, board=section)
        process.loop.stop()

    def fail(app: StandInApp) -> None:
        raise PinsError("GPIO 17 is taken")

    def look(app: StandInApp) -> None:
        process.loop.call_soon(lambda: faults.extend(fault.reason for fault in app.station.faults))
        process.loop.call_soon(process._stop, 15)

    StandInApp.lives = iter([apply, fail, look])
    assert process.run() == run.OK
    starts = [word for word in StandInApp.seen if word.startswith("start")]
    assert starts == ["start simulated entry gate", "start changed", "start simulated entry gate"]
    assert "GPIO 17 is taken" in faults[0]


def test_a_board_that_cannot_start_at_all_ends(process: run.Process) -> None:
    def fail(app: StandInApp) -> None:
        raise PinsError("GPIO 17 is taken")

    StandInApp.lives = iter([fail])
    assert process.run() == run.NO_DEVICE
