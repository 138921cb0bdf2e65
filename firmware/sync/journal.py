"""The board's journal: a record exists once its commit returned, and leaves only on the shop's own ack.

SQLite in WAL mode with ``synchronous=FULL``; synchronous calls, on the disk worker only. A used key and its
``admitted`` record are one transaction. Must never give a seq twice or leave one out, never grant a use
twice, never open on an empty file in place of a damaged one (``journal_recovery`` carries over what holds).

At the bound (``Limits``): price looks are counted in one ``skipped`` record first (they are not rewritten
once stored: the stand-in would be as long), then refusals; sales are refused with JournalFull; admissions
and everything about people go on into the reserve. Above that every call is a JournalFault.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware.sync import journal_queue as queue
from firmware.sync import journal_schema as schema
from firmware.sync import used
from firmware.sync.journal_file import JournalFile
from firmware.sync.journal_queue import Limits
from firmware.sync.journal_recovery import Recovery
from firmware.sync.journal_renew import renew
from firmware.sync.journal_schema import (
    AckBeyond,
    JournalError,
    JournalFault,
    JournalFull,
    NotOpen,
)
from firmware.sync.used import Granted, OpenAdmission, UsedUp
from firmware.wire.records import (
    Admitted,
    Annulled,
    Basket,
    FrameError,
    Kind,
    Passed,
    RecordError,
    Skipped,
    Stamp,
    decode_body,
    parse_frame,
)

__all__ = [
    "AckBeyond",
    "Granted",
    "Journal",
    "JournalError",
    "JournalFault",
    "JournalFull",
    "JournalStats",
    "Limits",
    "NotOpen",
    "OpenAdmission",
    "Recovery",
    "UsedUp",
]

_SALES = (Kind.BASKET,)
RECENT = 1000
_COUNTED_WHEN_FULL = (Kind.PRICE_LOOK, Kind.REFUSED)


@dataclass(frozen=True, slots=True)
class JournalStats:
    """``first_seq``..``last_seq`` of the own epoch are kept here; ``queued`` rows of ``bytes`` (all epochs)
    are not in the shop yet, the oldest for ``oldest_age_s``. ``level``: "ok", "high" or "full"."""

    epoch: int
    first_seq: int
    last_seq: int
    acked: int
    queued: int
    bytes: int
    oldest_age_s: float
    level: str
    skipped: int
    damaged: int


class Journal:
    """One journal file, held exclusively. Raises JournalFault from every call while the disk fails; the
    state stays consistent and the next call opens the file again."""

    def __init__(self, path: Path, clock: Callable[[], Stamp], limits: Limits) -> None:
        self._file = JournalFile(path, clock, self._withdraw)
        self._clock = clock
        self._limits = limits
        self._handed = 0
        self._skipped = 0
        self._damaged = 0

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], Stamp], limits: Limits | None = None) -> Journal:
        """Opens or creates the journal at ``path``. ``clock`` gives the stamp of now.

        A damaged file is set aside and what can be read is carried over; ``recovery`` then says what was
        lost, else it is None. Raises JournalFault when the disk does not do it."""
        journal = cls(path, clock, limits or Limits())
        journal._file.connection()
        return journal

    @property
    def recovery(self) -> Recovery | None:
        """What the last recovery of a damaged file found, None if there was none since ``open``."""
        return self._file.recovery

    @property
    def _state(self) -> queue.State:
        return self._file.state

    def close(self) -> None:
        """For good; idempotent. Nothing is lost without it."""
        self._file.close()

    # -- facts in ------------------------------------------------------------------------------

    def append(self, body: bytes, kind: int) -> int:
        """Commits one record and returns its seq.

        ``passed`` also closes one use of the admission it names; ``admitted`` opens one that spends no key
        (a pass without a count). Raises RecordError when ``body`` is not a record of ``kind``, JournalFull
        (sales at the bound), JournalFault."""
        record = decode_body(body)
        if kind != record.KIND:
            raise RecordError(f"body is of type {int(record.KIND)}, the caller says {int(kind)}")
        if kind == Kind.ANNULLED:
            raise RecordError("an annulment gives uses back: call annul()")
        self._file.connection()
        fill = self._fill()
        if (kind == Kind.PRICE_LOOK and fill >= self._limits.looks) or (
            kind in _COUNTED_WHEN_FULL and fill >= 1.0
        ):
            return self._count_skipped(kind)
        if kind in _SALES and fill >= 1.0:
            raise JournalFull(
                f"{self._state.queued} records wait for the shop, the bound is {self._limits.rows} or "
                f"{self._limits.bytes} bytes: no sales until the link is back; check broker and shop"
            )
        with self._file.transaction() as db:
            self._room(fill)
            seq = queue.insert(db, self._state, body, kind)
            if isinstance(record, Passed):
                self._take(db, record, 1)
            elif isinstance(record, Admitted):
                row_id = self._state.own.row_id(seq)
                used.open_admission(db, row_id, record.visit, record.direction, record.uses, counted=False)
        return seq

    def admit(
        self, visit: bytes, direction: str, party: int, body_for: Callable[[int], bytes]
    ) -> Granted | UsedUp:
        """Grants what is left of ``party`` for (visit, direction): used key and record in one commit.

        ``body_for(uses)`` makes the ``admitted`` body. The caller lowers ``party`` by the uses that other
        gates report. Raises JournalFault; then nothing was granted."""
        with self._file.transaction() as db:
            spent = used.count(db, visit, direction)
            if spent >= party:
                return UsedUp(spent)
            self._room(self._fill())
            uses = party - spent
            body = body_for(uses)
            record = decode_body(body)
            if not isinstance(record, Admitted) or (record.visit, record.direction, record.uses) != (
                visit,
                direction,
                uses,
            ):
                raise RecordError("body_for must make the admitted record of this visit, direction and uses")
            now = self._clock()
            seq = queue.insert(db, self._state, body, Kind.ADMITTED)
            used.put(db, visit, direction, spent + uses, now)
            used.open_admission(db, self._state.own.row_id(seq), visit, direction, uses, counted=True)
            used.prune(db, now)
        return Granted(seq, uses)

    def admitted(self, body: bytes) -> int:
        """An admission that was granted without the disk: its uses are spent whatever the count says.

        Returns its seq. Raises JournalFault; then the caller asks again."""
        record = decode_body(body)
        if not isinstance(record, Admitted):
            raise RecordError("body must be an admitted record")
        visit, direction, uses = record.visit, record.direction, record.uses
        with self._file.transaction() as db:
            self._room(self._fill())
            now = self._clock()
            seq = queue.insert(db, self._state, body, Kind.ADMITTED)
            used.put(db, visit, direction, used.count(db, visit, direction) + uses, now)
            used.open_admission(db, self._state.own.row_id(seq), visit, direction, uses, counted=True)
            used.prune(db, now)
        return seq

    def annul(self, visit: bytes, direction: str, uses: int, body: bytes) -> int:
        """Gives ``uses`` of an open admission back with its ``annulled`` record, in one commit.

        Returns its seq. Raises NotOpen when the admission has fewer uses open (nothing is written)."""
        record = decode_body(body)
        if not isinstance(record, Annulled) or (record.visit, record.direction, record.uses) != (
            visit,
            direction,
            uses,
        ):
            raise RecordError("body must be the annulled record of this visit, direction and uses")
        with self._file.transaction() as db:
            self._room(self._fill())
            if record.ref_seq:
                taken, counted = self._take(db, record, uses)
                if taken != uses:
                    raise NotOpen(f"admission {record.ref_seq} has {taken} uses open, not {uses}")
                if counted:
                    spent = used.count(db, visit, direction)
                    used.put(db, visit, direction, max(0, spent - uses), self._clock())
            return queue.insert(db, self._state, body, Kind.ANNULLED)

    # -- the link ------------------------------------------------------------------------------

    def pending(
        self, after_seq: int = 0, limit: int = 20, *, epoch: int | None = None
    ) -> list[tuple[int, int, bytes]]:
        """Up to ``limit`` un-acknowledged (epoch, seq, frame), oldest epoch first, by seq without gaps.

        Behind ``after_seq`` of ``epoch``; without ``epoch``, 0 means from the very start and any other
        number counts in the journal's own epoch. Give back the epoch of the last row together with its seq.
        """
        self._file.connection()
        after = None if epoch is None and after_seq == 0 else (epoch or self._state.own.epoch, after_seq)
        with self._file.reading() as db:
            out, bad = queue.read_pending(db, self._state, after, limit)
        if bad:
            with self._file.transaction() as db:
                for index in bad:
                    e = self._state.find(out[index][0])
                    assert e is not None
                    data = queue.replace_damaged(db, self._state, e, out[index][1], self._clock())
                    out[index] = (e.epoch, out[index][1], data)
            self._damaged += len(bad)
        if out:
            last = self._state.find(out[-1][0])
            assert last is not None
            self._handed = max(self._handed, last.row_id(out[-1][1]))
        return out

    def ack(self, epoch: int, through: int) -> int:
        """The shop has everything up to ``through``. Returns how many rows that settled; idempotent.

        An unknown epoch (a retained ack of an earlier journal) settles 0. Raises AckBeyond when ``through``
        is higher than any seq given out: the shop has records this journal lost. In its own epoch the
        journal has then gone on in a new one (``journal_renew``), so that nothing new is taken for old."""
        try:
            with self._file.transaction() as db:
                return queue.ack(db, self._state, epoch, through, self._clock(), self._limits)
        except AckBeyond:
            if epoch == self._state.own.epoch:
                with self._file.transaction() as db:
                    renew(db, self._state, self._file.opened_at, self._clock())
                self._file.opened_at = 0
            raise

    def nacked(self, epoch: int, seq: int) -> bool:
        """The shop could not read this row. True when a ``damaged`` record took its place (own crc bad, or
        refused again after three resends); the caller sends the row again either way."""
        with self._file.transaction() as db:
            replaced = queue.nacked(db, self._state, epoch, seq, self._clock())
        self._damaged += replaced
        return replaced

    def resend_from(self, seq: int, *, epoch: int | None = None) -> int:
        """A restored shop asks for old rows: those from ``seq`` on that are kept are pending again.

        Returns the first seq that will be sent."""
        self._file.connection()
        e = self._state.own if epoch is None else self._state.find(epoch)
        if e is None:
            return seq
        with self._file.transaction() as db:
            e = self._state.find(e.epoch) or e
            return queue.resend_from(db, self._state, e, seq)

    # -- questions -----------------------------------------------------------------------------

    def spent(self) -> dict[tuple[bytes, str], int]:
        """(visit, direction) → uses spent at this gate, for every key a pass can still match."""
        with self._file.reading() as db:
            return used.load(db)

    def open_admissions(self) -> list[OpenAdmission]:
        """Admissions with uses neither passed nor annulled; at start the caller annuls them."""
        with self._file.reading() as db:
            return used.open_admissions(db, {e.no: e.epoch for e in self._state.epochs})

    @property
    def epoch(self) -> int:
        """The epoch that new records get."""
        return self._state.own.epoch

    def open_basket(self) -> tuple[int, int] | None:
        """(epoch, seq of the first version) of the newest basket if it was neither paid nor closed.

        Looks at the last ``RECENT`` records: a portal has one basket at a time."""
        with self._file.reading() as db:
            found = queue.recent(db, (Kind.BASKET, Kind.PAID_AT_PORTAL, Kind.BASKET_CLOSED), RECENT)
        if found is None:
            return None
        try:
            frame = parse_frame(found)
            record = decode_body(frame.body)
        except (FrameError, RecordError):
            return None  # a damaged row: the shop is told of that by itself
        if not isinstance(record, Basket) or record.verdict == "provisional":
            return None
        return frame.epoch, record.ref_seq or frame.seq

    def stats(self) -> JournalStats:
        self._file.connection()
        own, fill = self._state.own, self._fill()
        with self._file.reading() as db:
            return JournalStats(
                epoch=own.epoch,
                first_seq=queue.first_kept(db, own),
                last_seq=own.last_seq,
                acked=own.acked,
                queued=self._state.queued,
                bytes=self._state.bytes,
                oldest_age_s=queue.oldest_age_s(db, self._state, self._clock()),
                level="full" if fill >= 1.0 else "high" if fill >= self._limits.alarm else "ok",
                skipped=self._skipped,
                damaged=self._damaged,
            )

    # -- inside --------------------------------------------------------------------------------

    def _fill(self) -> float:
        return max(self._state.queued / self._limits.rows, self._state.bytes / self._limits.bytes)

    def _room(self, fill: float) -> None:
        if fill >= 1.0 + self._limits.reserve:
            raise JournalFault(
                f"the journal's reserve is used up ({self._state.queued} records wait for the shop)",
                "broker and shop computer; the link must be back before this gate can record again",
            )

    def _take(self, db: sqlite3.Connection, record: Passed | Annulled, uses: int) -> tuple[int, bool]:
        """Closes uses of the admission that ``record`` names: how many were open, and whether they count."""
        own = self._state.own
        e = own if record.ref_epoch is None else self._state.find(record.ref_epoch)
        if e is None:
            return 0, False
        row_id = e.row_id(record.ref_seq)
        if e is own and not self._is_admission(db, row_id, record):
            # The epoch changed under an admission that was under way: it is the visit's newest one.
            row_id = used.newest_open(db, record.visit, record.direction) or row_id
        return used.take(db, row_id, record.visit, record.direction, uses)

    def _is_admission(self, db: sqlite3.Connection, row_id: int, record: Passed | Annulled) -> bool:
        row = db.execute("SELECT frame FROM rows WHERE id=?", (row_id,)).fetchone()
        if row is None or not queue.sound(row[0], self._state.own.epoch, row_id & schema.MAX_SEQ):
            return False
        named = decode_body(parse_frame(row[0]).body)
        return isinstance(named, Admitted) and named.visit == record.visit

    def _count_skipped(self, kind: int) -> int:
        """One ``skipped`` record counts on, under its seq, until the link has taken it."""
        with self._file.transaction() as db:
            state, own, now = self._state, self._state.own, self._clock()
            again = own.row_id(0) < state.skipped_row and state.skipped_row > self._handed
            counts = dict(state.skipped_counts) if again else {}
            counts[int(kind)] = counts.get(int(kind), 0) + 1
            seq = state.skipped_row & schema.MAX_SEQ if again else own.last_seq + 1
            body = Skipped(now, seq, seq, counts).body()
            if again:
                queue.replace(db, state, own, seq, body, Kind.SKIPPED)
            else:
                self._room(self._fill())
                queue.insert(db, state, body, Kind.SKIPPED)
            state.skipped_row, state.skipped_counts = own.row_id(seq), counts
        self._skipped += 1
        return seq

    def _withdraw(self, last_seq: int) -> None:
        """Annuls admissions whose commit was reported as failed but is in the file after all."""
        own = self._state.own
        for seq in range(last_seq + 1, own.last_seq + 1):
            with self._file.reading() as db:
                row = db.execute("SELECT frame FROM rows WHERE id=?", (own.row_id(seq),)).fetchone()
            if row is None or not queue.sound(row[0], own.epoch, seq):
                continue
            record = decode_body(parse_frame(row[0]).body)
            if isinstance(record, Admitted):
                given = Annulled(
                    self._clock(), record.visit, record.direction, record.uses, seq, "disk-fault"
                )
                self.annul(record.visit, record.direction, record.uses, given.body())
