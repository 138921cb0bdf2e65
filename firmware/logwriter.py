"""The log's own thread: a line is handed over and never waited for, so that a full pipe holds no gate.

When the reader of standard error does not keep up, lines are left out and counted in the next one that
goes through.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TextIO

QUEUED = 2000
FLUSH_S = 1.0
"""The end of the program waits so long for the last lines."""


class LogWriter(logging.Handler):
    """Writes formatted lines to ``stream`` on the daemon thread ``log``."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.Queue[str] = queue.Queue(QUEUED)
        self._lost = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Called by ``logging`` on any thread. Never blocks, never raises."""
        try:
            lost, line = self._lost, self.format(record)
            self._lines.put_nowait(f"({lost} lines were lost before this one)\n{line}" if lost else line)
            self._lost = 0
        except queue.Full:
            self._lost += 1
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Wait for what is queued, at most ``FLUSH_S``: ``logging`` calls it at the program's end."""
        until = time.monotonic() + FLUSH_S
        while self._lines.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.005)

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                pass  # standard error is gone: there is nowhere left to say so
            self._lines.task_done()
