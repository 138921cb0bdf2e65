"""Blocking calls on threads of their own, so that neither the network thread nor the ledger's waits for them.

Daemon threads: a process that is told to stop does not wait for a provider that says nothing; what was under
way is asked about at the next start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

log = logging.getLogger("store.calls")


class CallPool:
    def __init__(self, threads: int, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    def submit(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def _run(self) -> None:
        while True:
            call = self._calls.get()
            try:
                call()
            except Exception:
                log.exception("a call failed in a way that nobody foresaw; going on")
