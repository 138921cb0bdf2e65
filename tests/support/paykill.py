"""``python -m tests.support.paykill FOLDER CODES``: pay, be killed at every step, start again, compare.

A process that really dies: for each course a child forks, runs the pay desk over HTTP with its attempts in
SQLite (committed with full sync), and sends itself SIGKILL at the n-th step; the next child resumes from the
file. FOLDER holds the ``pay.toml`` of a running double. Prints one JSON object of what was found.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from store.pay.attempt import Saved
from store.pay.attempts import next_attempt
from store.pay.desk import PayDesk
from store.pay.settings import load, open_provider
from store.pay.table import Timing
from tests.support.payruns import code

FAST = Timing(
    check_s=0.01,
    userpaying_s=0.02,
    limit_s=0.06,
    reverse_after_s=0.03,
    reverse_again_s=0.01,
    settle_s=0.02,
    gone_s=0.1,
)
DONE, MORE = 0, 7


class FileAttempts:
    """Attempts in one SQLite file; ``step`` is called before and after each commit."""

    def __init__(self, path: Path, step: Callable[[], None]) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE IF NOT EXISTS attempts (order_no TEXT PRIMARY KEY, saved TEXT)")
        self._step = step

    def rows(self) -> list[Saved]:
        return [Saved(**json.loads(text)) for (text,) in self._db.execute("SELECT saved FROM attempts")]

    def begin(self, basket: str, total_fen: int) -> Saved:
        saved = next_attempt(basket, total_fen, [row for row in self.rows() if row.basket == basket])
        self.save(saved)
        return saved

    def save(self, saved: Saved) -> None:
        self._step()
        self._db.execute(
            "INSERT OR REPLACE INTO attempts VALUES (?, ?)", (saved.order, json.dumps(asdict(saved)))
        )
        self._step()

    def unfinished(self) -> list[Saved]:
        return [saved for saved in self.rows() if saved.end in ("", "owed")]

    def find(self, order: str) -> Saved | None:
        return next((saved for saved in self.rows() if saved.order == order), None)


class Stepped:
    """A provider with ``step`` before and after each call."""

    def __init__(self, provider: Any, step: Callable[[], None]) -> None:
        self._provider = provider
        self._step = step

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._provider, name)

        def stepped(*arguments: Any) -> Any:
            self._step()
            try:
                return call(*arguments)
            finally:
                self._step()

        return stepped


def life(provider: Any, path: Path, basket: str, payment_code: str, kill_at: int, fresh: bool) -> int:
    """One life of the store: DONE when nothing is open any more. ``kill_at`` 0: never."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    attempts = FileAttempts(path, step)
    desk = PayDesk(Stepped(provider, step), attempts, lambda run: run(), timing=FAST)
    desk.resume(time.monotonic())
    if fresh:
        desk.start(basket, 1990, payment_code, time.monotonic(), description="a shop")
    end = time.monotonic() + 20
    while (due := desk.turn(time.monotonic())) is not None and time.monotonic() < end:
        time.sleep(max(0.0, min(due - time.monotonic(), 0.05)))
    return DONE if due is None else MORE


def forked(run: Callable[[], int]) -> int:
    """``run`` in a child; its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(run())
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder: Path, endings: list[str]) -> None:
    found: dict[str, Any] = {"kills": 0, "ends": {}}
    number = 0
    provider = open_provider(load(folder / "pay.toml"), folder, "demo").provider  # connects in the children
    for ending in endings:
        kill_at, killed = 0, True
        while killed:
            kill_at += 1
            number += 1
            basket, path = f"{number:016x}-1", folder / f"{number}.sqlite"
            payment = code(ending, number)
            first = forked(lambda: life(provider, path, basket, payment, kill_at, True))  # noqa: B023
            killed = first == -signal.SIGKILL
            found["kills"] += killed
            last = forked(lambda: life(provider, path, basket, payment, 0, False)) if killed else first  # noqa: B023
            assert last == DONE, (ending, kill_at, first, last)
            for saved in FileAttempts(path, lambda: None).rows():
                found["ends"][saved.order] = [ending, kill_at, saved.state, saved.end, saved.total_fen]
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2].split(","))
