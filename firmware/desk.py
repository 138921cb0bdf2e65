"""The journal's desk: runs jobs against the journal on the disk worker, and opens it when it can.

A journal that cannot be opened (no disk, read-only, full) makes every job fail with JournalFault until
it can; the board goes on by its board file's rules meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from firmware.loop import Guard
from firmware.sync.journal import Journal, JournalStats, OpenAdmission, Recovery
from firmware.worker import Done, Worker

T = TypeVar("T")


@dataclass(frozen=True)
class Opened:
    """What the loop needs to know of a journal that was just opened."""

    stats: JournalStats
    spent: dict[tuple[bytes, str], int]
    open_admissions: list[OpenAdmission]
    open_basket: tuple[int, int] | None = None
    """(epoch, seq of its first version) of a basket that was neither paid nor closed."""


class JournalDesk:
    """``opened`` is called on the loop once, after the first successful open; ``recovered`` whenever the
    file was found damaged: what was lost and set aside, in words."""

    def __init__(
        self,
        guard: Guard,
        worker: Worker,
        opener: Callable[[], Journal],
        opened: Callable[[Opened], None],
        recovered: Callable[[str], None],
    ) -> None:
        self._guard = guard
        self._worker = worker
        self._opener = opener
        self._opened = opened
        self._recovered = recovered
        self._recovery: Recovery | None = None
        self._journal: Journal | None = None

    def run(self, job: Callable[[Journal], T], done: Done | None = None) -> None:
        """Run ``job(journal)`` on the worker; ``done(result, error)`` follows on the loop."""

        def work() -> T:
            journal = self._get()
            try:
                return job(journal)
            finally:
                self._look(journal)

        self._worker.submit(work, done)

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
            report = Opened(
                journal.stats(), journal.spent(), journal.open_admissions(), journal.open_basket()
            )
            self._journal = journal
            self._guard.post(self._opened, report)
        return self._journal

    def _look(self, journal: Journal) -> None:
        """A journal may be found damaged at its opening, or at any call after a fault of the disk."""
        if journal.recovery is not self._recovery:
            self._recovery = journal.recovery
            self._guard.post(self._recovered, str(journal.recovery))
