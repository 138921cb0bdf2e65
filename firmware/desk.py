"""The journal's desk: runs jobs against the journal on the disk worker, and opens it when it can.

A journal that cannot be opened (no disk, read-only, full) makes every job fail with JournalFault until
it can; the board goes on by its board file's rules meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from firmware.loop import Guard
from firmware.sync.journal import Journal, JournalStats, OpenAdmission
from firmware.worker import Done, Worker

T = TypeVar("T")


@dataclass(frozen=True)
class Opened:
    """What the loop needs to know of a journal that was just opened."""

    stats: JournalStats
    spent: dict[tuple[bytes, str], int]
    open_admissions: list[OpenAdmission]
    recovery: str | None
    """What was lost and set aside, in words, when the file was damaged."""


class JournalDesk:
    """``opened`` is called on the loop once, after the first successful open."""

    def __init__(
        self, guard: Guard, worker: Worker, opener: Callable[[], Journal], opened: Callable[[Opened], None]
    ) -> None:
        self._guard = guard
        self._worker = worker
        self._opener = opener
        self._opened = opened
        self._journal: Journal | None = None

    def run(self, job: Callable[[Journal], T], done: Done | None = None) -> None:
        """Run ``job(journal)`` on the worker; ``done(result, error)`` follows on the loop."""
        self._worker.submit(lambda: job(self._get()), done)

    def close(self) -> None:
        """Close the journal behind everything that is queued."""

        def shut() -> None:
            if self._journal is not None:
                self._journal.close()
                self._journal = None

        self._worker.submit(shut)

    # -- what the link reads, on the worker ------------------------------------------------------

    def pending(self, after_seq: int, limit: int, *, epoch: int | None) -> list[tuple[int, int, bytes]]:
        return self._get().pending(after_seq, limit, epoch=epoch)

    def ack(self, epoch: int, through: int) -> int:
        return self._get().ack(epoch, through)

    def nacked(self, epoch: int, seq: int) -> bool:
        return self._get().nacked(epoch, seq)

    def resend_from(self, seq: int) -> int:
        return self._get().resend_from(seq)

    def _get(self) -> Journal:
        if self._journal is None:
            journal = self._opener()
            found = journal.recovery
            report = Opened(
                journal.stats(), journal.spent(), journal.open_admissions(), str(found) if found else None
            )
            self._journal = journal
            self._guard.post(self._opened, report)
        return self._journal
