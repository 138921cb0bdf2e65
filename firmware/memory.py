"""What a board remembers across restarts besides records: small documents a technician can read.

The shop's state as last told, ids of commands that were obeyed, the floor of the wall clock, pushed pass
keys.  TinyDB on a thread of its own; the loop keeps the values and never waits for the file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firmware.health import Faults
from firmware.sync.documents import Documents, DocumentsError
from firmware.worker import Worker

log = logging.getLogger("memory")

Values = dict[str, dict[str, Any]]
KIND = "board"
BUSY_S = 5.0
"""Documents are not needed to let people in: a thread of theirs that hangs is a fault, no restart."""


class Memory:
    """``load(done)`` once, then ``keep(name, value)``. ``fault`` is set while the file cannot be written."""

    def __init__(self, worker: Worker, path: Path) -> None:
        self._worker = worker
        self._path = path
        self._documents: Documents | None = None
        self.fault: str | None = None

    def load(self, done: Callable[[Values], None]) -> None:
        """Read everything; ``done`` gets it on the loop. Unreadable documents are a fault, not a blank."""

        def finished(values: Values | None, error: Exception | None) -> None:
            self._outcome(error)
            done(values or {})

        self._worker.submit(self._read, finished)

    def keep(self, name: str, value: dict[str, Any], done: Callable[[bool], None] | None = None) -> None:
        """Write one document; ``done(written)`` follows on the loop."""

        def finished(_: Any, error: Exception | None) -> None:
            self._outcome(error)
            if done is not None:
                done(error is None)

        self._worker.submit(lambda: self._open().put(KIND, name, value), finished)

    def judge(self, faults: Faults, now: float) -> bool:
        """Raise or clear the fault ``documents``; True while their thread hangs (tables share it)."""
        hangs = self._worker.busy_for(now) > BUSY_S
        if self.fault is not None:
            faults.raise_("documents", self.fault, "the file named, its .bak beside it, the card")
        elif hangs:
            reason = f"reading or writing in {self._path.parent} hangs: nothing new is remembered"
            if faults.raise_("documents", reason, "the card (dmesg, df); then restart the board"):
                log.error("%s", reason)
        else:
            faults.clear("documents")
        return hangs

    def close(self) -> None:
        def shut() -> None:
            if self._documents is not None:
                self._documents.close()
                self._documents = None

        self._worker.submit(shut)

    def _read(self) -> Values:
        documents = self._open()
        if documents.recovered:
            log.warning("%s: %s", self._path, documents.recovered)
        return documents.all(KIND)

    def _open(self) -> Documents:
        if self._documents is None:
            self._documents = Documents.open(self._path)
        return self._documents

    def _outcome(self, error: Exception | None) -> None:
        if error is None:
            self.fault = None
            return
        if not isinstance(error, DocumentsError):
            raise error
        if self.fault is None:
            log.error("%s", error)
        self.fault = str(error)
