"""Turns the policy's orders into journal records on the disk worker, in order, and keeps them while the
disk fails.

Tokens of admissions become ``seq`` here.  An admission is answered to the policy; everything else is
retried from a bounded backlog until the disk takes it.  Never blocks the loop.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from firmware.desk import JournalDesk
from firmware.gate.orders import Commit, CommitFailed, Committed, GiveBack, Note
from firmware.loop import Guard
from firmware.portal.facts import CloseBasket, Paid, Submit, SubmitFailed, Submitted
from firmware.sync.journal import Granted, Journal, JournalError, JournalFault, JournalFull
from firmware.wire.record_types import (
    Admitted,
    Annulled,
    Basket,
    BasketClosed,
    Kind,
    PaidAtPortal,
    Record,
    Stamp,
)
from firmware.wire.records import frame
from firmware.wire.taglist import encode

log = logging.getLogger("recorder")

BACKLOG = 2000
"""Records kept in memory while the disk fails; the oldest refusals are dropped first."""
RETRY_S = 2.0
TOKENS = 4096
"""Tokens remembered; an admission's last passage comes long before so many others."""

Recorded = Commit | GiveBack | Note | Submit | CloseBasket | Paid
Answer = Callable[[Committed | CommitFailed | Submitted | SubmitFailed], None]


@dataclass(frozen=True)
class _Job:
    order: Recorded
    stamp: Stamp


class Recorder:
    """``put(order)`` from the loop thread. ``written()`` is called on the loop after each commit."""

    def __init__(
        self,
        guard: Guard,
        desk: JournalDesk,
        stamp: Callable[[], Stamp],
        answer: Answer,
        written: Callable[[], None],
    ) -> None:
        self._guard = guard
        self._desk = desk
        self._stamp = stamp
        self._answer = answer
        self._written = written
        self._tokens: OrderedDict[int, int] = OrderedDict()  # worker thread only
        self._backlog: deque[_Job] = deque()
        self._retry: Any = None
        self.fault: str | None = None
        """The disk's fault in words while there is one."""
        self.last_fault: tuple[float, str] | None = None
        """When the disk failed last (loop time) and how: a fault that comes and goes must be seen."""
        self.dropped = 0

    def put(self, order: Recorded) -> None:
        """Write the order's record. A fresh admission and a basket are tried once and answered."""
        job = _Job(order, self._stamp())
        if isinstance(order, Submit):
            self._desk.run(
                lambda journal: self._submit(journal, job), lambda r, e: self._submitted(order, r, e)
            )
        elif isinstance(order, Commit) and not order.granted:
            self._desk.run(
                lambda journal: self._admit(journal, job), lambda r, e: self._admitted(order, r, e)
            )
        elif self._backlog:
            self._keep(job)
        else:
            self._desk.run(lambda journal: self._write(journal, job), lambda _, e: self._wrote(job, e))

    @property
    def backlog(self) -> int:
        return len(self._backlog)

    # -- on the worker -------------------------------------------------------------------------

    def _admit(self, journal: Journal, job: _Job) -> int:
        order = job.order
        assert isinstance(order, Commit)

        def body(uses: int) -> bytes:
            return Admitted(
                job.stamp,
                order.visit,
                order.direction,
                uses,
                order.kind,
                order.campaign,
                order.placement,
                flags=order.flags,
            ).body()

        if order.party == 0:
            uses = order.granted or 1
            self._remember(order.token, journal.append(body(uses), Kind.ADMITTED))
            return uses
        if order.granted:
            self._remember(order.token, journal.admitted(body(order.granted)))
            return order.granted
        granted = journal.admit(order.visit, order.direction, order.party, body)
        if not isinstance(granted, Granted):
            return 0
        self._remember(order.token, granted.seq)
        return granted.uses

    def _submit(self, journal: Journal, job: _Job) -> Submitted:
        order = job.order
        assert isinstance(order, Submit)
        # A first version that never reached the disk is none: this one is the first then.
        first = self._tokens.get(order.first)
        version = order.version if first is not None else 1
        record = Basket(
            job.stamp,
            encode(order.items),
            len(order.items),
            order.reason,
            order.visit,
            first,
            version,
            order.verdict,
            order.missing,
            order.declared,
        )
        body = record.body()
        seq = journal.append(body, Kind.BASKET)
        if first is None:
            self._remember(order.first, seq)
        self._remember(order.token, seq)
        epoch = journal.epoch
        return Submitted(order.token, epoch, first or seq, version, frame(epoch, seq, body))

    def _end_basket(self, journal: Journal, job: _Job) -> None:
        order = job.order
        if isinstance(order, Paid):
            seq = self._tokens.get(order.first, 0)
            record: Record = PaidAtPortal(job.stamp, order.visit, seq, order.order, order.total_fen)
        else:
            assert isinstance(order, CloseBasket)
            epoch, seq = order.ref or (journal.epoch, self._tokens.get(order.first, 0))
            if not seq:
                return  # nothing of it is in the journal
            ref_epoch = None if epoch == journal.epoch else epoch
            record = BasketClosed(job.stamp, seq, order.why, ref_epoch)
        journal.append(record.body(), record.KIND)

    def _write(self, journal: Journal, job: _Job) -> None:
        order = job.order
        if isinstance(order, Commit):
            self._admit(journal, job)
        elif isinstance(order, GiveBack):
            seq, epoch = order.ref or (self._tokens.get(order.token, 0), None)
            body = Annulled(job.stamp, order.visit, order.direction, order.uses, seq, order.why, epoch).body()
            journal.annul(order.visit, order.direction, order.uses, body)
        elif isinstance(order, CloseBasket | Paid):
            self._end_basket(journal, job)
        elif isinstance(order, Note):
            fields = dict(order.fields)
            if order.token is not None:
                fields["ref_seq"] = self._tokens.get(order.token, 0)
            record = order.kind(job.stamp, **fields, flags=order.flags)
            journal.append(record.body(), order.kind.KIND)

    def _remember(self, token: int, seq: int) -> None:
        self._tokens[token] = seq
        while len(self._tokens) > TOKENS:
            self._tokens.popitem(last=False)

    # -- back on the loop ----------------------------------------------------------------------

    def _admitted(self, order: Commit, uses: int | None, error: Exception | None) -> None:
        if error is None:
            self._recovered()
            self._answer(Committed(order.token, uses or 0))
            self._written()
        elif isinstance(error, JournalError):
            self._lost(error)
            self._answer(CommitFailed(order.token, str(error)))
        else:
            raise error

    def _submitted(self, order: Submit, found: Submitted | None, error: Exception | None) -> None:
        if found is not None:
            self._recovered()
            self._answer(found)
            self._written()
        elif isinstance(error, JournalError):
            if not isinstance(error, JournalFull):
                self._lost(error)
            self._answer(SubmitFailed(order.token, str(error), isinstance(error, JournalFull)))
        else:
            raise error or RuntimeError("the journal gave neither a result nor an error")

    def _wrote(self, job: _Job, error: Exception | None) -> None:
        if error is None:
            self._recovered()
            self._written()
        elif isinstance(error, JournalFault):
            self._lost(error)
            self._keep(job)
        else:
            self._refused(error)

    def _keep(self, job: _Job) -> None:
        if len(self._backlog) >= BACKLOG:
            low = next((j for j in self._backlog if _is_low(j)), self._backlog[0])
            self._backlog.remove(low)
            self.dropped += 1
        self._backlog.append(job)
        if self._retry is None:
            self._retry = self._guard.at(self._guard.loop.time() + RETRY_S, self._again)

    def _again(self) -> None:
        self._retry = None
        if not self._backlog:
            return
        job = self._backlog[0]

        def done(_: Any, error: Exception | None) -> None:
            if isinstance(error, JournalFault):
                self._lost(error)
                self._retry = self._guard.at(self._guard.loop.time() + RETRY_S, self._again)
                return
            if error is not None:
                self._refused(error)
            if self._backlog and self._backlog[0] is job:
                self._backlog.popleft()
            self._recovered()
            self._written()
            self._again()

        self._desk.run(lambda journal: self._write(journal, job), done)

    def _refused(self, error: Exception) -> None:
        """The journal will not take this record now or later: at its bound, or it contradicts the journal."""
        if not isinstance(error, JournalError):
            raise error
        self.dropped += 1
        log.error("a record was not written: %s", error)

    def _lost(self, error: Exception) -> None:
        if self.fault is None:
            log.error("the journal cannot write: %s", error)
        self.fault = str(error)
        self.last_fault = (self._guard.loop.time(), self.fault)

    def _recovered(self) -> None:
        if self.fault is not None and not self._backlog:
            log.warning("the journal writes again")
            self.fault = None


def _is_low(job: _Job) -> bool:
    order = job.order
    return isinstance(order, Note) and order.kind.KIND in (Kind.REFUSED, Kind.PRICE_LOOK)
