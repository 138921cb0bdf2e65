"""Questions about money, in front of everything else the ledger's thread does: offers, payments, their ends.

The network thread only puts a question here. Answers go to the asking board's own ``ans/<name>``. Must never
answer a question that is older than it may be, nor keep a payment code when the question is answered.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from queue import Empty, SimpleQueue

from sqlalchemy.exc import SQLAlchemyError

from firmware.wire.asks import EXPIRY_S
from firmware.wire.offers import PayStand
from firmware.wire.topics import StoreTopics
from store.answers import Answer, Asked
from store.ingest import Outcome
from store.ledger import explain
from store.offers import Offers
from store.pay.attempt import Saved
from store.payments import Payments

MOST_WAITING = 500
MOST_TOLD = 16
"""Boards' questions that are told of one attempt's end."""

log = logging.getLogger("store.cashier")


class Cashier:
    """``send``: publishes an answer; ``receipt``: sends the receipts that an offer's record earned; ``wake``:
    called from any thread when ``turn`` should be. ``payments`` is made with ``ended`` of this object."""

    def __init__(self, store_id: str, offers: Offers, wake: Callable[[], object]) -> None:
        self.send: Callable[[Answer], None] = lambda answer: None
        self.receipt: Callable[[Outcome], None] = lambda outcome: None
        self.payments: Payments | None = None
        self.degraded = False
        self.asked_at: float | None = None  # when the last question came, monotonic s
        self._topics = StoreTopics(store_id)
        self._offers, self._wake = offers, wake
        self._asked: SimpleQueue[Asked] = SimpleQueue()
        self._told: dict[str, list[tuple[Asked, PayStand]]] = {}  # by order

    def take(self, asked: Asked) -> bool:
        """On the network thread. False: too many wait."""
        if self._asked.qsize() >= MOST_WAITING:
            return False
        self._asked.put(asked)
        self._wake()
        return True

    def turn(self, now: float) -> float | None:
        """Answer what waits, do what payments are due; when to come again, monotonic s."""
        due: float | None = None
        try:
            while True:
                self._answer(self._asked.get_nowait(), now)
        except Empty:
            pass
        try:
            due = self.payments.turn(now) if self.payments is not None else None
        except SQLAlchemyError as error:
            self._fails(error)
        return due

    def ended(self, saved: Saved) -> None:
        """An attempt is over: whoever was told "pending" is told how it ended."""
        for asked, pending in self._told.pop(saved.order, []):
            assert self.payments is not None
            self._send(asked, self.payments.standing(pending, saved).encode())

    # -- inside ------------------------------------------------------------------------------------

    def _answer(self, asked: Asked, now: float) -> None:
        self.asked_at = asked.at
        if now - asked.at > EXPIRY_S:
            log.warning(
                "%s: ask/%s waited for %.0f s and is dropped", asked.board, asked.name, now - asked.at
            )
            return
        try:
            if asked.name == "offer":
                self._offer(asked)
            else:
                self._pay(asked, now)
        except SQLAlchemyError as error:
            self._fails(error)  # no answer: the board asks again, and says that it waits
        except Exception as error:
            # A defect. Its message may hold a payment code: only its kind and place are told.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("ask/%s of %s: %s at\n%s", asked.name, asked.board, type(error).__name__, where)
        else:
            if self.degraded:
                log.warning("offers and payments work again")
            self.degraded = False

    def _offer(self, asked: Asked) -> None:
        answered = self._offers.answer(asked.board, asked.payload)
        if answered is not None:
            offer, outcome = answered
            self._send(asked, offer.encode())
            self.receipt(outcome)

    def _pay(self, asked: Asked, now: float) -> None:
        if self.payments is None:
            return
        stand = self.payments.answer(asked.board, asked.payload, now)
        if stand is None:
            return
        self._send(asked, stand.encode())
        if stand.state == "pending":
            waiting = self._told.setdefault(stand.order, [])
            waiting.append((Asked(asked.board, "pay", b"", asked.correlation, asked.at), stand))
            del waiting[:-MOST_TOLD]

    def _send(self, asked: Asked, payload: bytes) -> None:
        self.send(Answer(self._topics.of(asked.board).ans(asked.name), payload, asked.correlation))

    def _fails(self, error: SQLAlchemyError) -> None:
        if not self.degraded:
            log.error("the ledger fails, no offers and no payments: %s", explain(error))
        self.degraded = True
