"""A board stays lean: what each role's process has loaded, which threads it runs, and what memory it takes.

The boards run side by side and do their work first: a gate admits, a portal reads, a price point shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware.health import sensors
from tests.support.boardproc import BOARDS, ENTRY, BoardProcess, Ears
from tests.support.broker import Mosquitto
from tests.support.footprint import budgets, footprint
from tests.support.linkboard import until

FORBIDDEN = (
    "typer",
    "rich",
    "click",
    "sqlalchemy",
    "alembic",
    "nicegui",
    "fastapi",
    "httpx",
    "jinja2",
    "segno",
    "numpy",
    "cv2",
    "zbar",
    "zxingcpp",
    "picamera2",
    "hypothesis",
    "pytest",
    "store",
    "provisioning",
    "firmware.selftest",
    "firmware.wire.issue",
)
DRAWS = ("PIL", "hal.display.draw", "hal.display.painter")
"""Only where ``[display]`` names png or framebuffer, and then used on the thread "display" alone."""
GATE = ("firmware.stations.gate", "firmware.gate.entry", "firmware.gate.machine", "firmware.gateclaims")
PORTAL = ("firmware.stations.portal", "firmware.portal.policy", "firmware.portal.decision", "firmware.rawlog")
PRICEPOINT = ("firmware.stations.pricepoint", "firmware.portal.pricepoint")
GOODS = ("firmware.pricebook", "firmware.wire.pricelist", "firmware.wire.epc")
CODES = ("cryptography", "firmware.gate.admission", "firmware.wire.passes", "hal.camera", "hal.vision")
PROTOCOLS = {"r2000", "yrm100", "thingmagic", "uhfreader18"}
THREADS = {"MainThread", "disk", "documents", "hold-timer", "log", "mqtt", "serial-open"}
"""Named, and listed in docs/code-tour.md."""
SHARED_MB = 5.0
"""Boards that run side by side share pages that one alone pays for itself: 4 MB when measured."""


@dataclass(frozen=True)
class Lean:
    """``not_of``: modules of other roles. ``budget``: its table in benchmarks/budgets.toml."""

    name: str
    not_of: tuple[str, ...]
    budget: str
    work: Callable[[BoardProcess, Ears], object]
    file: Path = ENTRY
    protocols: frozenset[str] = frozenset()
    threads: frozenset[str] = frozenset()
    changes: dict[str, Any] = field(default_factory=dict)


TAG = "3034257BF7194E4000001A85"


def admit(board: BoardProcess, ears: Ears) -> None:
    board.admit()


def count(board: BoardProcess, ears: Ears) -> None:
    board.world.ask(inside=1)
    board.world.ask(tags=[TAG, TAG[:-2] + "86"])
    until(lambda: board.world.ask(status={})["reader"]["polling"], 20, board.log())
    until(lambda: ears.heard("state", state="collecting"), 20, board.log())


def price(board: BoardProcess, ears: Ears) -> None:
    board.world.ask(tags=[TAG])
    until(lambda: ears.heard("price", shows="no-list"), 20, board.log())
    ears.live.clear()  # the next price point must be heard itself


BOARDS_BY_ROLE = (
    Lean("entry-1", (*DRAWS, *PORTAL, *PRICEPOINT, *GOODS), "loop", admit),
    Lean(
        "portal-1",
        (*DRAWS, *GATE, *PRICEPOINT),
        "portal",
        count,
        BOARDS / "sim-portal.toml",
        frozenset({"r2000"}),
    ),
    Lean(
        "price-1",
        (*DRAWS, *GATE, *PORTAL, *CODES, "gpiozero", "firmware.trace"),
        "pricepoint",
        price,
        BOARDS / "sim-pricepoint.toml",
        frozenset({"yrm100"}),
    ),
    Lean(
        "screen-1",
        (*GATE, *PORTAL, *CODES, "gpiozero"),
        "pricepoint",
        price,
        BOARDS / "sim-pricepoint.toml",
        frozenset({"yrm100"}),
        frozenset({"display"}),
        {"display": {"driver": "png", "path": "screen.png"}},
    ),
)


def test_modules_threads_and_memory_by_role(tmp_path: Path, own_broker: Mosquitto) -> None:
    limit = budgets()
    boards: list[BoardProcess] = []
    ears = Ears(own_broker.port)
    try:
        for lean in BOARDS_BY_ROLE:
            changes = dict(lean.changes)
            if "display" in changes:
                changes["display"] = {"driver": "png", "path": str(tmp_path / "screen.png")}
            board = BoardProcess(tmp_path, own_broker.port, name=lean.name, file=lean.file, **changes)
            board.command = ["-m", "tests.support.module_probe"]
            boards.append(board)
            board.launch()
        for board in boards:
            board.wait_until_ready()
            until(lambda board=board: "connected" in board.log(), 20, "the link")  # type: ignore[misc]
        for lean, board in zip(BOARDS_BY_ROLE, boards, strict=True):
            lean.work(board, ears)
            assert board.process is not None
            taken = footprint(board.process.pid)
            print(lean.name, taken)  # seen with pytest -s
            more = limit["screen"] if "display" in lean.changes else dict.fromkeys(limit["screen"], 0)
            health = ears.get(f"tallygate/1/{own_broker.store_id}/{lean.name}/health")
            told = sensors(board.role, reader=bool(lean.protocols), camera="camera" in board.board)
            assert {name for name, *_ in told} <= health.keys(), f"{lean.name}: what is discovered is sent"
            assert ("reader_frames" in health, "camera_fps" in health) == (
                bool(lean.protocols),
                "camera" in board.board,
            )
            allowed = {name: value + more[name] for name, value in limit[lean.budget].items()}
            assert taken.pss_mb + SHARED_MB <= allowed["pss_mb"], (lean.name, taken)
            assert taken.threads <= allowed["threads"], (lean.name, taken)
            assert taken.descriptors <= allowed["descriptors"], (lean.name, taken)
        for lean, board in zip(BOARDS_BY_ROLE, boards, strict=True):
            assert board.stop() == 0, board.log()
            _judge(lean, json.loads((board.folder / "loaded.json").read_text()))
    finally:
        ears.close()
        for board in boards:
            board.close()


def _judge(lean: Lean, found: dict[str, Any]) -> None:
    modules = found["modules"]
    assert "firmware.sync.link" in modules
    bad = (*FORBIDDEN, *lean.not_of)
    loaded = [m for m in modules if any(m == name or m.startswith(f"{name}.") for name in bad)]
    assert loaded == [], lean.name
    spoken = {name for name in PROTOCOLS if f"hal.reader.{name}" in modules}
    assert spoken == lean.protocols, lean.name
    assert "mqtt" in found["threads"]
    assert set(found["threads"]) <= THREADS | lean.threads, (lean.name, found["threads"])
