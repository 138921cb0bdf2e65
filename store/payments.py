"""The answer to ``ask/pay``: checked against the stored offer, begun, and told how it stands. Main thread.

Basket, version and total must be exactly those of the stored offer; anything else is declined and nothing is
begun. The attempt is in the ledger before the provider is asked, which happens on threads of its own. A
payment code goes from the question to that one call: it is in no log, row, ``repr`` or error.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from firmware.wire.offers import MAX_WORDS, OfferError, PayQuestion, PayStand, decode_pay_question
from store import holds
from store.attempts import LedgerAttempts
from store.holds import BasketKey
from store.ledger import explain
from store.offers import find_basket, latest
from store.pay.attempt import Saved
from store.pay.attempts import NotNow
from store.pay.desk import PayDesk
from store.pay.provider import Provider, mask
from store.pay.table import Timing
from store.saleschema import attempts, charges, offers
from store.schema import alarms, journals

DESCRIPTION = "Purchase"
WORDS = (
    ("NOT_ENOUGH|NOTENOUGH", "Not enough money on that account"),
    ("EXPIRE", "That payment code has expired: show a fresh one"),
    ("AUTH_?CODE", "That payment code was not accepted: show a fresh one"),
    ("NotReached", "The payment service cannot be reached: nothing was charged"),
)
UNPAID = "Not paid, nothing was charged: please try again"
_ORDER = re.compile(r"order ([0-9A-Za-z_-]{1,30})")
log = logging.getLogger("store.payments")


@dataclass(frozen=True, slots=True)
class _Basket:
    """What the ledger knows of a basket. ``tried``: the newest attempt with its offer's version."""

    key: BasketKey
    offer: Any
    charge: Any
    tried: tuple[int, Saved] | None
    closed: bool


class Payments:
    """``ended(basket, order)`` is told of every attempt that is over; ``wake`` is called from any thread when
    ``turn`` should be."""

    def __init__(
        self,
        engine: Engine,
        provider: Provider,
        submit: Callable[[Callable[[], None]], object],
        *,
        ended: Callable[[Saved], None] = lambda saved: None,
        wake: Callable[[], object] = lambda: None,
        timing: Timing | None = None,
        description: str = DESCRIPTION,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._engine, self._wall_ms = engine, wall_ms
        self._attempts = LedgerAttempts(engine, wall_ms)
        self._description = description
        self._desk = PayDesk(
            provider,
            self._attempts,
            submit,
            changed=ended,
            alarm=self._alarm,
            wake=wake,
            timing=timing,
        )
        self._resumed = False

    def turn(self, now: float) -> float | None:
        """What is due; when to come again. The first time, what a crash left open is taken up.

        Raises SQLAlchemyError only then: nothing is paid before the ledger could be read."""
        if not self._resumed:
            if count := self._desk.resume(now):
                log.warning("%d payments were under way when the store ended: asking how they stand", count)
            self._resumed = True
        return self._desk.turn(now)

    def answer(self, board: str, payload: bytes, now: float) -> PayStand | None:
        """How it stands, at once. None: no question of this kind. Raises SQLAlchemyError: nothing was begun
        (or it was, and is taken up as after a crash, without a charge)."""
        try:
            asked = decode_pay_question(payload)
        except OfferError as error:
            log.warning("%s: %s", board, error)
            return None
        self.turn(now)
        found = self._find(board, asked)
        if found is None:
            return _declined(asked, "This basket has no price yet: one moment")
        known = self._known(asked, found)
        if known is not None:
            return known
        if asked.code is None:
            return _declined(asked, "No payment was begun")
        return self._begin(board, asked, asked.code, found, now)

    def standing(self, asked: PayStand, saved: Saved) -> PayStand:
        """The later answer to a question that was answered ``asked`` (pending): ``saved`` is over."""
        if saved.end == "paid":
            return replace(asked, state="paid", total_fen=saved.total_fen, order=saved.order, why="")
        return replace(asked, state="declined", order="", why=_words(saved))

    # -- inside ------------------------------------------------------------------------------------

    def _find(self, board: str, asked: PayQuestion) -> _Basket | None:
        epoch, _, first = asked.basket.partition("-")
        with self._engine.connect() as connection:
            key = find_basket(connection, board, epoch, int(first))
            offer = None if key is None else latest(connection, key)
            if key is None or offer is None:
                return None
            query = select(charges, offers.c.version).join(offers, offers.c.id == charges.c.offer)
            query = query.where(charges.c.journal == key.journal, charges.c.first_seq == key.first)
            charge = connection.execute(query).one_or_none()
            query = select(attempts.c.order_no, offers.c.version).where(attempts.c.basket == key.name)
            query = query.join(offers, offers.c.id == attempts.c.offer).order_by(attempts.c.attempt.desc())
            row = connection.execute(query.limit(1)).one_or_none()
            closed = holds.closed(connection, key)
        tried = None
        if row is not None and (saved := self._desk.standing(row.order_no)) is not None:
            tried = row.version, saved
        return _Basket(key, offer, charge, tried, closed)

    def _known(self, asked: PayQuestion, found: _Basket) -> PayStand | None:
        """The answer where no new attempt may, or need, begin."""
        visit = found.offer.visit
        if found.charge is not None:
            if (found.charge.version, found.charge.amount_fen) != (asked.version, asked.total_fen):
                return _declined(asked, "This basket is paid already, at another price")
            state = {"visit": found.charge.visit, "order": found.charge.order_no}
            return PayStand(asked.basket, asked.version, "paid", asked.total_fen, **state)
        if (found.offer.version, found.offer.total_fen) != (asked.version, asked.total_fen):
            return _declined(asked, "The price has changed: please look again")
        if found.tried is not None:
            version, saved = found.tried
            if saved.end in ("", "paid"):  # paid, and that is being stored
                if version != asked.version:
                    return _declined(asked, "A payment of these items is under way: one moment")
                return PayStand(asked.basket, asked.version, "pending", asked.total_fen, visit, saved.order)
            if saved.end == "owed":
                return _declined(asked, "Money is on its way back to you: please ask for help")
            if asked.code is None:
                return _declined(asked, _words(saved))
        if found.closed:
            return _declined(asked, "This basket is closed: please lay the items in again")
        return None

    def _begin(self, board: str, asked: PayQuestion, code: str, found: _Basket, now: float) -> PayStand:
        try:
            saved = self._desk.start(
                asked.basket, asked.total_fen, code, now, description=self._description, device=board[:32]
            )
        except NotNow as error:
            log.warning("basket %s: no attempt: %s", asked.basket, error)
            if error.saved is not None and error.saved.end == "":
                order, visit = error.saved.order, found.offer.visit
                return PayStand(asked.basket, asked.version, "pending", asked.total_fen, visit, order)
            return _declined(asked, "These items cannot be paid now: please lay them in again")
        except ValueError as error:
            log.error("basket %s: no attempt: %s", asked.basket, mask(str(error)))
            return _declined(asked, "These items cannot be paid here: please ask for help")
        log.info(
            "basket %s version %d: order %s, %d fen",
            asked.basket,
            asked.version,
            saved.order,
            saved.total_fen,
        )
        visit = found.offer.visit
        return PayStand(asked.basket, asked.version, "pending", asked.total_fen, visit, saved.order)

    def _alarm(self, kind: str, words: str) -> None:
        """Into the ledger, for the board whose basket it is about."""
        named = _ORDER.search(words)
        try:
            with self._engine.begin() as connection:
                query = select(journals.c.board).join(offers, offers.c.journal == journals.c.id)
                query = query.join(attempts, attempts.c.offer == offers.c.id)
                query = query.where(attempts.c.order_no == (named[1] if named else ""))
                board = connection.scalar(query)
                if board is None:
                    return  # it is in the log
                row = {"board": board, "source": "store", "kind": kind, "subject": named[1] if named else ""}
                row |= {"detail": words[:300], "at_ms": self._wall_ms()}
                connection.execute(alarms.insert(), row)
        except SQLAlchemyError as error:
            log.error("the alarm %s could not be stored: %s", kind, explain(error))


def _declined(asked: PayQuestion, why: str) -> PayStand:
    return PayStand(asked.basket, asked.version, "declined", asked.total_fen, why=why[:MAX_WORDS])


def _words(saved: Saved) -> str:
    """Why it was not paid, for the shopper."""
    if saved.end == "owed":
        return "Money is on its way back to you: please ask for help"
    return next((words for pattern, words in WORDS if re.search(pattern, saved.reason)), UNPAID)
