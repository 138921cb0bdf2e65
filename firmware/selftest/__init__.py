"""``python -m firmware selftest``: a board's parts, one numbered step each, with what to check.

Drives no output away from its safe value.  Needs the board's own process stopped (it holds the pins, the
camera, the reader and the identity at the broker); says so, and touches nothing, when it is not.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from firmware.boardfile import BoardFileError, load, load_site
from firmware.boardschema import Board, Site
from firmware.loop import Guard
from firmware.run import FolderHeld, hold
from firmware.selftest.bench import Bench, Result, Step
from firmware.selftest.frames import camera
from firmware.selftest.lines import pins
from firmware.selftest.linked import broker
from firmware.selftest.machine import clock, disk, model
from firmware.selftest.reading import antennas, radio, reader, tags
from firmware.selftest.shows import display, prices
from firmware.sync.documents import Documents, DocumentsError

EVERY: tuple[tuple[str, Step], ...] = (
    ("model", model),
    ("disk", disk),
    ("clock", clock),
    ("broker", broker),
    ("pins", pins),
    ("camera", camera),
    ("display", display),
)
READER: tuple[tuple[str, Step], ...] = (
    ("reader", reader),
    ("radio", radio),
    ("antennas", antennas),
    ("tags", tags),
)
PRICES: tuple[tuple[str, Step], ...] = (("prices", prices),)


def steps_of(board: Board) -> tuple[tuple[str, Step], ...]:
    """The steps of this board: every board's, its reader's where it has one, the price list's of its role."""
    steps = EVERY
    if board.reader is not None:
        steps += READER
    if board.board.role in ("portal", "pricepoint"):
        steps += PRICES
    return steps


def selftest(path: Path, site_path: Path, show_code: bool = False) -> int:
    """Print one line per step; exit code 1 when an essential one failed. Raises BoardFileError, also while
    the board's own process runs."""
    board, site = load(path), load_site(site_path)
    folder: int | None = None
    try:
        folder = hold(site_path, Path(site.data))
    except FolderHeld:
        raise
    except BoardFileError:
        pass  # the step "disk" says it
    try:
        return _run(board, site, show_code)
    finally:
        if folder is not None:
            os.close(folder)


def _run(board: Board, site: Site, show_code: bool) -> int:
    loop = asyncio.new_event_loop()
    failures: list[str] = []
    bench = Bench(board, site, loop, Guard(loop, failures.append), show_code)
    report: dict[str, Any] = {}
    failed = 0
    steps = steps_of(board)
    for number, (name, step) in enumerate(steps, 1):
        try:
            result = step(bench)
        except Exception as error:
            result = Result(False, f"{type(error).__name__}: {error}", "this is a defect: report it")
        if failures:
            result = Result(False, failures.pop(), "this is a defect: report it")
        word = {True: "PASS", None: "LOOK", False: "FAIL"}[result.ok]
        failed += result.ok is False
        print(f"{number:2}. {name:<8} {word}  {result.found}", flush=True)
        for line in result.lines:
            print(f"      {line}", flush=True)
        if result.ok is not True and result.check:
            print(f"      check: {result.check}", flush=True)
        report[name] = {"result": word, "found": result.found}
    loop.close()
    try:
        documents = Documents.open(Path(site.data) / "board.json")
        documents.put("selftest", "last", {"wall_ms": time.time_ns() // 1_000_000, "steps": report})
        documents.close()
    except (DocumentsError, OSError) as error:
        print(f"the report could not be kept: {error}")
    print("all essential parts work" if not failed else f"{failed} of {len(steps)} parts failed")
    return 1 if failed else 0
