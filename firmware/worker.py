"""The disk worker: one thread that runs journal and document calls; results come back on the loop.

Jobs run in the order given.  A job that raises hands its exception to ``done``: the caller decides, the
thread lives on.  Nothing of policy runs here.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

from firmware.loop import Guard

Done = Callable[[Any, Exception | None], None]
"""Called on the loop with (result, None) or (None, error)."""


class Worker(Protocol):
    def submit(self, job: Callable[[], Any], done: Done | None = None) -> None: ...
    def busy_for(self, now: float) -> float: ...
    def close(self, wait_s: float) -> bool: ...


class ThreadWorker:
    """The worker of a running board. ``clock`` is the loop's time(), read from any thread."""

    def __init__(self, guard: Guard, name: str = "disk") -> None:
        self._guard = guard
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Done | None] | None] = queue.SimpleQueue()
        self._since: float | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], Any], done: Done | None = None) -> None:
        """Queue ``job``; ``done`` is called on the loop thread."""
        self._jobs.put((job, done))

    def busy_for(self, now: float) -> float:
        """How long the running job has taken, s; 0 when idle. A hung disk shows here."""
        since = self._since
        return 0.0 if since is None else now - since

    def close(self, wait_s: float) -> bool:
        """Finish what is queued; False when that took longer than ``wait_s``."""
        self._jobs.put(None)
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, done = item
            self._since = self._guard.loop.time()
            try:
                result, error = job(), None
            except Exception as caught:
                result, error = None, caught
            self._since = None
            if done is not None:
                self._guard.post(done, result, error)


class InlineWorker:
    """The worker of a stepped board: the job runs at once, its result comes with the next turn.

    ``delay_s`` (loop time) stands for a slow disk; ``fault`` for one that fails.
    """

    def __init__(self, guard: Guard, name: str = "disk") -> None:
        self._guard = guard
        self.name = name
        self.delay_s = 0.0
        self.fault: Exception | None = None
        self._since: float | None = None

    def submit(self, job: Callable[[], Any], done: Done | None = None) -> None:
        result: Any = None
        error: Exception | None = self.fault
        if error is None:
            try:
                result = job()
            except Exception as caught:
                error = caught
        if done is not None:
            self._guard.at(self._guard.loop.time() + self.delay_s, done, result, error)

    def busy_for(self, now: float) -> float:
        return 0.0

    def close(self, wait_s: float) -> bool:
        return True
