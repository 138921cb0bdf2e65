"""The store's main loop: collect what the boards sent, commit it, and only then give the receipts.

The order *commit, PUBACK, ack* is what makes a SIGKILL at any point harmless: whatever was not
receipted comes again and is recognised by its id. While the ledger fails nothing is receipted, the
process stays, and its status says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from sqlalchemy import Engine

from firmware.wire.topics import SHARED, parse
from store import ingest
from store.cashier import Cashier
from store.ingest import Arrived, Outcome
from store.ledger import explain, name
from store.push import TablePush
from store.uplink import Message, Uplink

BATCH = 200
BATCH_ASKED = 40
"""Records per batch within ``ASKED_S`` of a question about money: the next question waits for one batch."""
ASKED_S = 2.0
BATCH_BYTES = 4 * 1024 * 1024
BEAT_S = 1.0
RETRY_S = (0.2, 10.0)

log = logging.getLogger("store")


class Worker:
    """Runs until ``stop``. ``inbox`` is what the uplink posts to; a None in it only wakes. ``tables``: None
    where this worker sends none; ``cashier``: None where it answers no questions about money."""

    def __init__(
        self,
        engine: Engine,
        uplink: Uplink,
        inbox: SimpleQueue[Message | None],
        tables: TablePush | None = None,
        cashier: Cashier | None = None,
    ) -> None:
        self._cashier = cashier
        if cashier is not None:
            cashier.receipt = self._receipts
        self._engine = engine
        self._tables = tables
        self._uplink = uplink
        self._inbox = inbox
        self._stopping = False
        self._stop_signal: SimpleQueue[None] = SimpleQueue()

    def stop(self) -> None:
        """Ask the loop to end after the transaction under way. Safe in a signal handler."""
        self._stopping = True
        self._stop_signal.put(None)
        self._inbox.put(None)

    def run(self) -> int:
        """The process's exit code: 0 after ``stop``, 1 when the network thread died."""
        self._uplink.start()
        try:
            while not self._stopping:
                wait_s = self._ask_for_money()
                if batch := self._collect(wait_s):
                    self._serve(batch)
                now = time.monotonic()
                self._uplink.beat(now)
                if self._tables is not None:
                    self._tables.turn(now)
                if not self._uplink.alive:
                    log.error("the network thread ended; leaving so that the service manager starts afresh")
                    return 1
        finally:
            if self._tables is not None:
                self._tables.flush()
            self._uplink.stop()
            self._engine.dispose()
        log.info("stopped")
        return 0

    def _ask_for_money(self) -> float:
        """Offers and payments go before the records that wait; how long nothing of theirs is due, s."""
        if self._cashier is None:
            return BEAT_S
        due = self._cashier.turn(time.monotonic())
        return BEAT_S if due is None else min(max(due - time.monotonic(), 0.0), BEAT_S)

    def _collect(self, wait_s: float = BEAT_S) -> list[Message]:
        """What is there now, at most a batch of messages; waits for the first only.

        While a batch is being committed the next one gathers by itself, so waiting for more would only
        add delay.
        """
        batch: list[Message] = []
        size = 0
        asked_at = self._cashier.asked_at if self._cashier is not None else None
        most = BATCH if asked_at is None or time.monotonic() - asked_at > ASKED_S else BATCH_ASKED
        try:
            item = self._inbox.get(timeout=wait_s)
            while True:
                if item is not None:
                    batch.append(item)
                    size += len(item.payload)
                if len(batch) >= most or size >= BATCH_BYTES:
                    break
                item = self._inbox.get_nowait()
        except Empty:
            pass
        return batch

    def _serve(self, batch: list[Message]) -> None:
        outcome = self._persist(lambda: ingest.commit(self._engine, arrived(batch)))
        if outcome is None:
            return
        for message in batch:
            self._uplink.done(message)
        self._receipts(outcome)

    def _receipts(self, outcome: Outcome) -> None:
        for board, ack in outcome.acks:
            self._uplink.send_ack(board, ack.encode())
        for board, nack in outcome.nacks:
            self._uplink.send_nack(board, nack.encode())
        for warning in outcome.warnings:
            log.warning("%s", warning)

    def _persist(self, commit: Callable[[], Outcome]) -> Outcome | None:
        """``commit()``, again and again while the ledger fails; None when asked to stop meanwhile."""
        delay = RETRY_S[0]
        failing = False
        while True:
            try:
                outcome = commit()
            except Exception as error:
                reason = explain(error)
                if not failing:
                    log.error("the ledger %s fails, records wait: %s", name(self._engine), reason)
                failing = True
                self._uplink.condition("degraded", reason)
            else:
                if failing:
                    log.warning("the ledger works again")
                    self._uplink.condition("ok")
                return outcome
            deadline = time.monotonic() + delay
            while (left := deadline - time.monotonic()) > 0:
                try:
                    self._stop_signal.get(timeout=min(left, BEAT_S))
                    return None
                except Empty:
                    self._uplink.beat(time.monotonic())
            self._drop_stale()
            delay = min(delay * 2, RETRY_S[1])

    def _drop_stale(self) -> None:
        """While nothing can be stored, keep no message that its broker will send again anyway."""
        for _ in range(self._inbox.qsize()):
            try:
                item = self._inbox.get_nowait()
            except Empty:
                return
            if item is not None and self._uplink.current(item):
                self._inbox.put(item)


def arrived(batch: list[Message]) -> list[Arrived]:
    """The messages that are a board's; any other topic cannot be ours and is passed over."""
    now_ms = time.time_ns() // 1_000_000
    found = []
    for message in batch:
        topic = parse(message.topic)
        if topic is None or topic.board == SHARED:
            continue
        if topic.kind == "rec":
            found.append(Arrived(topic.board, "rec", message.payload, now_ms))
        elif topic.kind == "state":
            found.append(Arrived(topic.board, "state", message.payload, now_ms))
    return found
