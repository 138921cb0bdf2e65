"""The log's own thread: a line is handed over and never waited for, so that a full pipe holds up no board.

When the reader of standard error does not keep up, lines are left out and counted in the next one that
goes through. ``Seldom`` keeps short what a sender outside could make long.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from typing import TextIO

QUEUED = 2000
FLUSH_S = 1.0
"""The end of the program waits so long for the last lines."""
SUMMARY_S = 60.0
"""``Seldom`` counts so long between two summaries."""


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


class Seldom:
    """Warnings that somebody outside can cause at will: the first of each reason is a line, the others are
    counted in one line a minute. A reason that stays away for a minute is a line again.

    ``what`` names them all ("commands refused"); reasons come from a closed list. One thread, times in s.
    """

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._more: dict[str, int] = {}
        self._due = float("-inf")

    def warn(self, reason: str, line: str, now: float) -> None:
        """Log ``line`` if it is the first for ``reason``, else count it."""
        self.second(now)
        if not self._more:
            self._due = now + SUMMARY_S
        if reason in self._more:
            self._more[reason] += 1
        else:
            self._more[reason] = 0
            self._log.warning("%s", line)

    def second(self, now: float) -> None:
        """Write the summary when it is due; called now and then."""
        if not self._more or now < self._due:
            return
        counted = Counter({reason: count for reason, count in self._more.items() if count})
        if counted:
            each = ", ".join(f"{reason} {count}" for reason, count in counted.most_common())
            self._log.warning("%d more %s: %s", counted.total(), self._what, each)
        self._more = dict.fromkeys(counted, 0)
        self._due = now + SUMMARY_S
