"""Reads a SQLite ledger beside a running store, read-only, to compare it with what was seen elsewhere.

Plain SQL on purpose: a comparison that used the store's own code could share its mistake.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from provisioning.trouble import Trouble

FACTS = {
    "admissions": "admission",
    "passages": "passage",
    "annulments": "annulment",
    "refusals": "refusal",
    "baskets": "basket",
    "basket_closings": "closing",
    "alarms": "alarm",
    "events": "event",
}
"""Tables that hold one row per record, and what a row is called."""


class LedgerView:
    """``rows(epoch, seq)``: what the ledger made of one record."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
        except sqlite3.Error as error:
            raise Trouble(f"the ledger {path} cannot be read: {error}") from None
        self._path = path

    def body(self, epoch: int, seq: int) -> bytes | None:
        """The stored bytes of a record, or None where it has not arrived."""
        row = self._one(
            "SELECT r.body FROM records r JOIN journals j ON j.id = r.journal "
            "WHERE j.epoch = ? AND r.seq = ?",
            (f"{epoch:016x}", seq),
        )
        return bytes(row[0]) if row else None

    def rows(self, epoch: int, seq: int) -> list[str]:
        """Names of the fact rows that stand for a record, e.g. ["admission"]; "quarantine" for a bad one."""
        found = []
        for table, name in {**FACTS, "quarantine": "quarantine"}.items():
            row = self._one(
                f"SELECT count(*) FROM {table} f JOIN journals j ON j.id = f.journal "
                "WHERE j.epoch = ? AND f.seq = ?",
                (f"{epoch:016x}", seq),
            )
            found += [name] * (int(row[0]) if row else 0)
        return found

    def highest(self, epoch: int) -> tuple[int, int]:
        """(highest seq, number of records) of one journal."""
        row = self._one(
            "SELECT coalesce(max(r.seq), 0), count(*) FROM records r JOIN journals j ON j.id = r.journal "
            "WHERE j.epoch = ?",
            (f"{epoch:016x}",),
        )
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def close(self) -> None:
        self._db.close()

    def _one(self, sql: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        try:
            row: tuple[Any, ...] | None = self._db.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise Trouble(f"the ledger {self._path} cannot be read: {error}") from None
        return row
