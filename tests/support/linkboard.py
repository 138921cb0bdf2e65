"""A board reduced to its journal and its link, on a real event loop in a thread of its own.

Journal, disk worker, loop and link are the product's; only the gate is left out. Whatever ends the loop
(an exception in a callback) is kept and raised by ``close``.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from firmware.loop import Guard
from firmware.sync.disk_port import DiskPort
from firmware.sync.journal import Journal
from firmware.sync.link import Link, LinkEvent, LinkSettings
from firmware.wire.records import Kind, Refused, Stamp
from firmware.worker import ThreadWorker

T = TypeVar("T")
BOOT = os.urandom(4)


def stamp() -> Stamp:
    return Stamp(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000, BOOT, "declared")


def until(condition: Callable[[], Any], deadline_s: float = 20.0, what: str = "") -> Any:
    """Wait until ``condition()`` is true and return its value; AssertionError after ``deadline_s``."""
    end = time.monotonic() + deadline_s
    nothing = threading.Event()
    while True:
        if value := condition():
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:g} s: {what or condition}")
        nothing.wait(0.01)


class LinkBoard:
    """``with LinkBoard(folder, port) as board: board.record(10)``"""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        board: str = "entry-1",
        store: str = "demo",
        dial: bool = True,
        **changes: Any,
    ) -> None:
        """``dial`` False: call ``link.start`` yourself. ``changes``: of ``LinkSettings``."""
        self.events: list[LinkEvent] = []
        self.crashes: list[str] = []
        self.bodies: list[bytes] = []
        folder.mkdir(parents=True, exist_ok=True)
        fast: dict[str, Any] = {
            "retry_s": 0.1,
            "retry_max_s": 0.4,
            "puback_s": 1.0,
            "stall_s": 0.4,
            "refusal_s": 0.1,
        }
        self.settings = LinkSettings(
            store_id=store, board=board, host="127.0.0.1", port=port, **(fast | changes)
        )
        self._dial = dial
        self.loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(folder,), name="loop", daemon=True)
        self._thread.start()
        assert self._ready.wait(20), "the board did not start"

    def _run(self, folder: Path) -> None:
        asyncio.set_event_loop(self.loop)
        self.guard = Guard(self.loop, self.crashes.append)
        self.journal = Journal.open(folder / "journal.sqlite", clock=stamp)
        self.worker = ThreadWorker(self.guard)
        self.link = Link(
            self.guard,
            self.settings,
            DiskPort(self.worker, self.journal),
            self.events.append,
            rng=Random(1),
        )
        if self._dial:
            self.guard.call(self.link.start)
        self.loop.call_soon(self._ready.set)
        self.loop.run_forever()

    def call(self, fn: Callable[..., T], *args: Any) -> T:
        """Run ``fn`` on the loop thread and return what it returns."""
        answer: Future[T] = Future()

        def turn() -> None:
            try:
                answer.set_result(fn(*args))
            except BaseException as error:
                answer.set_exception(error)

        self.loop.call_soon_threadsafe(turn)
        return answer.result(20)

    def disk(self, fn: Callable[[], T]) -> T:
        """Run ``fn`` on the disk worker and return what it returns."""
        answer: Future[T] = Future()

        def done(result: T, error: Exception | None) -> None:
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)

        self.worker.submit(fn, done)
        return answer.result(30)

    def record(self, count: int = 1) -> None:
        """Commit ``count`` records, one by one, and tell the link of each."""
        for _ in range(count):
            body = Refused(stamp(), 3, "other").body()
            self.disk(lambda body=body: self.journal.append(body, Kind.REFUSED))  # type: ignore[misc]
            self.bodies.append(body)
            self.loop.call_soon_threadsafe(self.guard.call, self.link.appended)

    def queued(self) -> int:
        return self.disk(self.journal.stats).queued

    def drained(self, deadline_s: float = 30.0) -> None:
        until(lambda: self.queued() == 0, deadline_s, "every record acked by the store")

    def link_up(self, deadline_s: float = 20.0) -> None:
        until(lambda: self.link.up, deadline_s, "the link up")

    def seen(self, kind: type) -> Sequence[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def close(self) -> None:
        """Stop in order. Raises AssertionError if anything had ended the loop."""
        if self._thread.is_alive():
            self.ended = self.call(self.link.close)
            self.worker.close(5)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(10)
            self.journal.close()
            self.loop.close()
        assert not self.crashes, self.crashes

    def __enter__(self) -> LinkBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
