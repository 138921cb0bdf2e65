"""Records up, receipts down: carries out what the ``Window`` decides. Loop thread.

Between the window (which record when), the journal (its bytes, and what is settled) and the connection
(``hand_over``). An ack is believed at once for sending, and written to the journal in batches; where the
journal contradicts it, the journal wins. Must never publish, read a file or block by itself.
"""

from __future__ import annotations

import logging
from asyncio import TimerHandle
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from firmware.loop import Guard
from firmware.sync.link_types import JournalPort, LinkSettings, Row
from firmware.sync.window import Action, Key, NeedRows, Reconnect, Send, Settled, Window
from firmware.wire.acks import AckError, decode_ack, decode_nack

log = logging.getLogger("link")

ACK_EVERY_S = 0.05
"""Acks of that time go to the journal as one."""
DISK_RETRY_S = 2.0
PACKET_TOO_LARGE = 0x95


class Sender:
    """``hand_over(frame)`` publishes one record and returns its mid, None when the connection has gone.
    ``lost(reason)`` asks for a new connection. ``bad(what, error)`` counts a message nobody can read."""

    def __init__(
        self,
        guard: Guard,
        settings: LinkSettings,
        journal: JournalPort,
        rng: Random,
        counts: Counter[str],
        hand_over: Callable[[bytes], int | None],
        lost: Callable[[str], None],
        bad: Callable[[str, Exception], None],
    ) -> None:
        self._guard, self._journal, self._counts = guard, journal, counts
        self._hand_over, self._lost, self._bad = hand_over, lost, bad
        self._puback_s = settings.puback_s
        self._window = Window(
            rng,
            receipt=settings.receipt,
            puback_s=settings.puback_s,
            stall_s=settings.stall_s,
            refusal_s=settings.refusal_s,
        )
        self._mids: dict[int, Key] = {}
        self._others: dict[int, float] = {}  # other QoS 1 messages without PUBACK: when sent
        self._frames: dict[Key, bytes] = {}  # of rows that wait or are in flight
        self._acks: dict[int, int] = {}  # not in the journal yet
        self._acking = self._nacking = self._closed = False
        self._max_frame = 0
        self._tick: TimerHandle | None = None

    # -- connection ------------------------------------------------------------------------------

    def opened(self, receive_max: int, max_frame: int, online: bool | None) -> None:
        """Connected and subscribed; what the broker retains has come. ``max_frame``: bytes it takes."""
        now = self._now()
        self._max_frame = max_frame
        self._do(self._window.others(len(self._others), now))
        self._do(self._window.connected(now, receive_max, online))

    def disconnected(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self._window.disconnected()
        self._mids.clear()
        self._others.clear()
        self._frames.clear()

    def close(self) -> None:
        self._closed = True
        self.disconnected()

    def store_online(self, online: bool | None) -> None:
        self._do(self._window.store_online(online, self._now()))

    def other_sent(self, mid: int) -> None:
        """Another QoS 1 message went out under ``mid``."""
        self._others[mid] = self._now()
        self._do(self._window.others(len(self._others), self._now()))

    def room_for_other(self, receive_max: int) -> bool:
        """Whether one more QoS 1 message fits under the broker's receive maximum."""
        return len(self._mids) + len(self._others) < receive_max

    def puback(self, mid: int, code: int) -> None:
        if self._others.pop(mid, None) is not None:
            if code >= 0x80:
                self._counts["refused_other"] += 1
            self._do(self._window.others(len(self._others), self._now()))
            return
        key = self._mids.pop(mid, None)
        if key is None:
            self._counts["strays"] += 1
            return
        self._answered(key, code)

    def _answered(self, key: Key, code: int) -> None:
        actions = self._window.puback(key, code, self._now())
        if not self._window.holds(key):
            self._frames.pop(key, None)
        self._do(actions)

    # -- receipts --------------------------------------------------------------------------------

    def ack(self, payload: bytes) -> None:
        try:
            ack = decode_ack(payload)
        except AckError as error:
            self._bad("ack", error)
            return
        self._counts["acks"] += 1
        self._settle(ack.epoch, ack.through)
        self._do(self._window.ack(ack.epoch, ack.through, self._now()))

    def _settle(self, epoch: int, through: int) -> None:
        if through <= self._acks.get(epoch, 0) or not self._window.knows(epoch):
            return
        self._acks[epoch] = through
        if not self._acking:
            self._acking = True
            self._guard.at(self._now() + ACK_EVERY_S, self._write_acks)

    def _write_acks(self) -> None:
        """Hand the newest acks to the journal, one at a time."""
        if self._closed or not self._acks:
            self._acking = False
            return
        epoch, through = self._acks.popitem()

        def done(written: bool | None) -> None:
            if written:
                self._guard.at(self._now() + ACK_EVERY_S, self._write_acks)
                return
            self._counts["false_acks" if written is False else "ack_errors"] += 1
            wait = ACK_EVERY_S if written is False else DISK_RETRY_S
            self._guard.at(self._now() + wait, self._write_acks)
            # The journal still holds those rows: read it again rather than believe the window.
            self._do(self._window.rewind(self._now()))

        self._journal.ack(epoch, through, done)

    def nack(self, payload: bytes) -> None:
        try:
            nack = decode_nack(payload)
        except AckError as error:
            self._bad("nack", error)
            return
        self._counts["nacks"] += 1
        if self._nacking or not self._window.wants_nack((nack.epoch, nack.seq)):
            return  # one at a time; the store says it again when it still holds

        def done(written: bool) -> None:
            self._nacking = False
            if written:
                self._do(self._window.reset(self._now()))

        self._nacking = True
        log.warning("the store read record %d damaged (%s); it is sent again", nack.seq, nack.reason)
        self._journal.nacked(nack.epoch, nack.seq, done)

    def resend_from(self, seq: int) -> None:
        def done(written: bool) -> None:
            if written:
                self._do(self._window.rewind(self._now()))

        self._acks.clear()
        self._journal.resend_from(seq, done)

    # -- what the window wants -------------------------------------------------------------------

    def appended(self) -> None:
        self._do(self._window.appended(self._now()))

    def health(self) -> dict[str, int]:
        window = self._window
        shown = {
            "sent": window.sent,
            "resent": window.resent,
            "in_flight": window.in_flight,
            "stalls": window.stalls,
            "foreign_acks": window.strays,
            "refused": sum(window.refused.values()),
        }
        return shown | {f"refused_{code:02x}": count for code, count in sorted(window.refused.items())}

    def _now(self) -> float:
        return self._guard.loop.time()

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Send(epoch, seq):
                    self._send((epoch, seq))
                case NeedRows(after, limit):
                    self._fetch(after, limit)
                case Settled(epoch, through):
                    self._settle(epoch, through)
                case Reconnect(reason):
                    self._lost(reason)
                    return
        self._arm()

    def _send(self, key: Key) -> None:
        frame = self._frames[key]
        if len(frame) > self._max_frame:
            # The broker would cut the connection, again and again: a refusal that is tried again later.
            if not self._counts["too_large"]:
                log.error(
                    "record %d of %d bytes is larger than this broker takes (%d): raise its max_packet_size",
                    key[1],
                    len(frame),
                    self._max_frame,
                )
            self._counts["too_large"] += 1
            self._guard.post(self._answered, key, PACKET_TOO_LARGE)
            return
        mid = self._hand_over(frame)
        if mid is not None:
            self._mids[mid] = key

    def _fetch(self, after: Key | None, limit: int) -> None:
        def done(rows: Sequence[Row] | None) -> None:
            if rows is None:
                self._counts["read_errors"] += 1
                self._guard.at(self._now() + DISK_RETRY_S, self._read_again)
                return
            for epoch, seq, frame in rows:
                self._frames[epoch, seq] = frame
            keys = [(epoch, seq) for epoch, seq, _ in rows]
            actions = self._window.rows(keys, limit, self._now())
            self._frames = {key: data for key, data in self._frames.items() if self._window.holds(key)}
            self._do(actions)

        self._journal.fetch(after, limit, done)

    def _read_again(self) -> None:
        self._window.unread()
        self._do(self._window.tick(self._now()))

    def _arm(self) -> None:
        """Have ``_on_tick`` called when time alone asks for it, and no later."""
        due = self._due()
        if due is None or self._closed:
            return
        if self._tick is not None:
            if self._tick.when() <= due:
                return  # it fires earlier and arms itself again
            self._tick.cancel()
        self._tick = self._guard.at(max(due, self._now()), self._on_tick)

    def _due(self) -> float | None:
        times = [due] if (due := self._window.due()) is not None else []
        if self._others:
            times.append(next(iter(self._others.values())) + self._puback_s)
        return min(times, default=None)

    def _on_tick(self) -> None:
        self._tick = None
        now = self._now()
        if self._others and now >= next(iter(self._others.values())) + self._puback_s:
            self._lost(f"no PUBACK for {self._puback_s:g} s")
            return
        self._do(self._window.tick(now))
