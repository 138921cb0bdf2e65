"""Sends the tables to the boards: a delta at once, the retained snapshot soon after. Main thread.

Looks at the versions in the ledger each second, so that a change made by another process is noticed. While
the ledger cannot be read, boards keep what they have. Must never hold up the receipts: what goes out is
bounded by one snapshot per bucket and second.
"""

from __future__ import annotations

import logging
from typing import Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from firmware.wire.tables import Snapshot, TableError, delta_between
from store import tables
from store.answers import Answers
from store.ledger import LedgerError, explain

LOOK_S = 1.0
SNAPSHOT_S = 5.0
"""A burst of changes becomes one snapshot per so long; deltas tell of each at once."""
RENEW_S = 60.0
"""Old revocations are let go this often."""

log = logging.getLogger("store.tables")


class Sender(Protocol):
    """What is used of the ``Uplink``. ``session`` counts connections, 0 before the first."""

    @property
    def session(self) -> int: ...
    def send_table(self, name: str, bucket: str, payload: bytes) -> bool: ...
    def send_delta(self, name: str, bucket: str, payload: bytes) -> bool: ...


class TablePush:
    def __init__(self, engine: Engine, sender: Sender, answers: Answers) -> None:
        self._engine, self._sender, self._answers = engine, sender, answers
        self._known: dict[tables.Key, Snapshot] = {}
        self._retained: set[tables.Key] = set()  # sent over this connection
        self._due: dict[tables.Key, float] = {}
        self._session = 0
        self._look_at = self._renew_at = 0.0
        self._failing = False

    def turn(self, now: float) -> None:
        """Called by the main loop at least each second; ``now``: monotonic, s."""
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        try:
            self._look(now)
        except (SQLAlchemyError, LedgerError, TableError) as error:
            why = explain(error) if isinstance(error, SQLAlchemyError) else str(error)
            if not self._failing:
                log.error("tables cannot be read from the ledger, boards keep what they have: %s", why)
            self._failing = True
        else:
            self._failing = False
        self._send(now)

    def flush(self) -> None:
        """Before the end: no retained snapshot may stay older than the deltas that were sent."""
        self._due = dict.fromkeys(self._due, 0.0)
        self._send(0.0)

    def _look(self, now: float) -> None:
        if now >= self._renew_at:
            with self._engine.begin() as connection:
                tables.renew(connection)
            self._renew_at = now + RENEW_S
        with self._engine.connect() as connection:
            versions = tables.versions(connection)
            if self._answers.tables is not None and versions == {
                key: known.version for key, known in self._known.items()
            }:
                return
            found = tables.published(connection)
        first = self._answers.tables is None
        self._answers.tables = found
        for key, new in found.items():
            old = self._known.get(key)
            if old == new:
                continue
            self._known[key] = new
            delta = delta_between(old, new) if old is not None else None
            if delta is not None and self._sender.send_delta(*key, delta.encode()):
                self._due.setdefault(key, now + SNAPSHOT_S)
            else:
                self._due[key] = now
            if not first:
                log.info("table %s: version %d", "/".join(key), new.version)

    def _send(self, now: float) -> None:
        if self._sender.session != self._session:
            # A broker that was restarted may have lost what it retained, or shows something older.
            self._session = self._sender.session
            self._retained.clear()
        for key, known in self._known.items():
            wanted = key not in self._retained or now >= self._due.get(key, now + 1)
            if wanted and self._sender.send_table(*key, known.encode()):
                self._retained.add(key)
                self._due.pop(key, None)
