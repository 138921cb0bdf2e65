"""Attempts to pay, kept in the ledger: ``store.pay.attempts.Attempts`` on SQLAlchemy.

The row of an attempt says where it stands, ``attempt_steps`` how it came there. That a basket is paid, the
charge, its tags sold, its visit settled: one transaction, the one that stores the step "paid". Must never let
a paid attempt become anything else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import IntegrityError

from store import holds, sales
from store.holds import BasketKey
from store.offers import items_of
from store.pay.attempt import Saved
from store.pay.attempts import NotNow, next_attempt
from store.saleschema import attempt_steps, attempts, charges, offers
from store.schema import journals

OPEN = ("", "owed")


class LedgerAttempts:
    """``wall_ms``: the store's clock, ms."""

    def __init__(
        self, engine: Engine, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._engine, self._wall_ms = engine, wall_ms

    def begin(self, basket: str, total_fen: int) -> Saved:
        """The next attempt for the newest offer of ``basket``. Raises NotNow, ValueError, SQLAlchemyError."""
        try:
            with self._engine.begin() as connection:
                return self._begin(connection, basket, total_fen)
        except IntegrityError:
            raise NotNow(f"basket {basket}: another attempt began at the same time") from None

    def _begin(self, connection: Connection, basket: str, total_fen: int) -> Saved:
        query = select(attempts).where(attempts.c.basket == basket)
        history = [_saved(row) for row in connection.execute(query.order_by(attempts.c.attempt))]
        saved = next_attempt(basket, total_fen, history)
        found = _newest(connection, basket)
        if found is None or found.total_fen != total_fen:
            raise NotNow(f"basket {basket}: no offer of {total_fen} fen")
        key = _key(found)
        if not items_of(connection, found.id) <= set(holds.held(connection, key)):
            raise NotNow(f"basket {basket}: an item of it is in another basket")
        now_ms = self._wall_ms()
        row = {"order_no": saved.order, "offer": found.id, "basket": basket, "attempt": saved.attempt}
        row |= {"total_fen": total_fen, "begun_ms": now_ms} | _standing(saved)
        connection.execute(attempts.insert(), row)
        _note(connection, saved, now_ms)
        return saved

    def save(self, saved: Saved) -> None:
        """A step of an attempt; once more, it changes nothing. Raises ValueError, SQLAlchemyError."""
        with self._engine.begin() as connection:
            before = _find(connection, saved.order)
            if before is None:
                raise ValueError(f"order {saved.order}: never begun")
            if before == saved:
                return
            if before.end == "paid":
                raise ValueError(f"order {saved.order} is paid: it cannot become {saved.state}")
            if replace(saved, **_steps(before)) != before:
                raise ValueError(f"order {saved.order}: basket, attempt and sum never change")
            now_ms = self._wall_ms()
            this = attempts.c.order_no == saved.order
            connection.execute(attempts.update().where(this).values(_standing(saved)))
            _note(connection, saved, now_ms)
            if saved.end == "paid":
                self._paid(connection, saved, now_ms)
            elif saved.end == "unpaid":
                self._unpaid(connection, saved)

    def unfinished(self) -> list[Saved]:
        with self._engine.connect() as connection:
            query = select(attempts).where(attempts.c.ended.in_(OPEN)).order_by(attempts.c.begun_ms)
            return [_saved(row) for row in connection.execute(query)]

    def find(self, order: str) -> Saved | None:
        with self._engine.connect() as connection:
            return _find(connection, order)

    # -- inside ------------------------------------------------------------------------------------

    def _paid(self, connection: Connection, saved: Saved, now_ms: int) -> None:
        offer = _offer(connection, saved)
        row = {"order_no": saved.order, "offer": offer.id, "journal": offer.journal, "visit": offer.visit}
        row |= {"first_seq": offer.first_seq, "amount_fen": saved.total_fen, "paid_ms": saved.paid_ms}
        row |= {"provider_no": saved.transaction, "at_ms": now_ms}
        connection.execute(charges.insert(), row)
        sales.sell(connection, _key(offer), offer.id, offer.visit, now_ms)

    def _unpaid(self, connection: Connection, saved: Saved) -> None:
        """A basket that was closed while its payment was under way lets its tags go now."""
        key = _key(_offer(connection, saved))
        if holds.closed(connection, key):
            holds.release(connection, key.journal, key.first)


def _offers() -> Any:
    return select(offers, journals.c.board, journals.c.epoch).join(
        journals, journals.c.id == offers.c.journal
    )


def _newest(connection: Connection, basket: str) -> Any:
    epoch, _, first = basket.partition("-")
    query = _offers().where(journals.c.epoch == epoch, offers.c.first_seq == int(first))
    return connection.execute(query.order_by(offers.c.version.desc()).limit(1)).one_or_none()


def _offer(connection: Connection, saved: Saved) -> Any:
    """The offer that an attempt charges for."""
    wanted = select(attempts.c.offer).where(attempts.c.order_no == saved.order).scalar_subquery()
    return connection.execute(_offers().where(offers.c.id == wanted)).one()


def _key(offer: Any) -> BasketKey:
    return BasketKey(offer.board, offer.journal, offer.epoch, offer.first_seq)


def _find(connection: Connection, order: str) -> Saved | None:
    row = connection.execute(select(attempts).where(attempts.c.order_no == order)).one_or_none()
    return None if row is None else _saved(row)


def _saved(row: Any) -> Saved:
    place = row.order_no, row.basket, row.attempt, row.total_fen
    return Saved(*place, row.state, row.reverses, row.provider_no, row.paid_ms, row.reason)


def _steps(saved: Saved) -> dict[str, Any]:
    """What changes from step to step."""
    names = ("state", "reverses", "transaction", "paid_ms", "reason")
    return {name: getattr(saved, name) for name in names}


def _columns(saved: Saved) -> dict[str, Any]:
    row = _steps(saved)
    return {"provider_no": row.pop("transaction")} | row


def _standing(saved: Saved) -> dict[str, Any]:
    return _columns(saved) | {"ended": saved.end, "open_basket": saved.basket if saved.end == "" else None}


def _note(connection: Connection, saved: Saved, now_ms: int) -> None:
    this = attempt_steps.c.order_no == saved.order
    step = connection.scalar(select(func.count()).select_from(attempt_steps).where(this)) or 0
    row = {"order_no": saved.order, "step": step + 1, "at_ms": now_ms}
    connection.execute(attempt_steps.insert(), row | _columns(saved))
