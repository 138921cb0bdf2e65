"""The journal as the link sees it, each call on the disk worker.

A failed disk is an answer, not an exception: the link asks again later, the board goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from firmware.sync.journal import AckBeyond, JournalError
from firmware.sync.link_types import Row
from firmware.sync.window import Key
from firmware.worker import Worker

log = logging.getLogger("link")


class Rows(Protocol):
    """What the link needs of a ``Journal``; called on the disk worker."""

    def pending(self, after_seq: int, limit: int, *, epoch: int | None) -> list[Row]: ...
    def ack(self, epoch: int, through: int) -> int: ...
    def nacked(self, epoch: int, seq: int) -> bool: ...
    def resend_from(self, seq: int) -> int: ...


class DiskPort:
    """``link.JournalPort`` over one journal and its worker. An error that is none of the journal's own
    is a bug and is raised on the loop."""

    def __init__(self, worker: Worker, journal: Rows) -> None:
        self._worker = worker
        self._journal = journal
        self._failing = False

    def fetch(self, after: Key | None, limit: int, done: Callable[[Sequence[Row] | None], None]) -> None:
        epoch, seq = after or (None, 0)
        self._run(lambda: self._journal.pending(seq, limit, epoch=epoch), done, None)

    def ack(self, epoch: int, through: int, done: Callable[[bool | None], None]) -> None:
        def job() -> bool:
            try:
                self._journal.ack(epoch, through)
            except AckBeyond as error:
                log.error("ignored an ack that cannot be true: %s; check who may write to the broker", error)
                return False
            return True

        self._run(job, done, None)

    def nacked(self, epoch: int, seq: int, done: Callable[[bool], None]) -> None:
        def job() -> bool:
            self._journal.nacked(epoch, seq)
            return True

        self._run(job, done, False)

    def resend_from(self, seq: int, done: Callable[[bool], None]) -> None:
        def job() -> bool:
            self._journal.resend_from(seq)
            return True

        self._run(job, done, False)

    def _run(self, job: Callable[[], Any], done: Callable[[Any], None], failed: Any) -> None:
        def finished(result: Any, error: Exception | None) -> None:
            if error is not None and not isinstance(error, JournalError):
                raise error
            if (error is not None) != self._failing:
                self._failing = error is not None
                log.warning("journal: %s", error or "answers the link again")
            done(failed if error is not None else result)

        self._worker.submit(job, finished)
