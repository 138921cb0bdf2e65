"""Order numbers, which attempt may come next, and the port behind which attempts are kept.

Must never let a second attempt begin while the first may still take money.
"""

from __future__ import annotations

import re
from base64 import b32encode
from collections.abc import Sequence
from typing import Protocol

from store.pay.attempt import Saved
from store.pay.provider import check_fen

MAX_ATTEMPTS = 999
_BASKET = re.compile(r"([0-9a-f]{16})-([1-9][0-9]{0,9})")


class NotNow(Exception):
    """No attempt may begin: the message says why. ``saved``: the attempt that stands in the way."""

    def __init__(self, words: str, saved: Saved | None = None) -> None:
        super().__init__(words)
        self.saved = saved


def order_number(basket: str, attempt: int) -> str:
    """base32 of the basket's id (epoch and seq, 13 bytes → 21 characters), "-", the attempt's number.

    At most 25 characters, of 0-9 A-Z and "-". Raises ValueError."""
    found = _BASKET.fullmatch(basket)
    if not found:
        raise ValueError(f"basket {basket!r}: EPOCH-SEQ, 16 hex digits and a number")
    if not 1 <= attempt <= MAX_ATTEMPTS:
        raise ValueError(f"attempt {attempt}: 1 to {MAX_ATTEMPTS}")
    packed = bytes.fromhex(found[1]) + int(found[2]).to_bytes(5, "big")
    return f"{b32encode(packed).decode().rstrip('=')}-{attempt}"


def next_attempt(basket: str, total_fen: int, history: Sequence[Saved]) -> Saved:
    """The attempt after ``history`` (all of this basket, persisted). Raises NotNow, ValueError."""
    check_fen(total_fen, "total_fen")
    for saved in history:
        if saved.basket != basket:
            raise ValueError(f"attempt {saved.order} is of basket {saved.basket}, not {basket}")
        if saved.end == "paid":
            raise NotNow(f"basket {basket} is paid by order {saved.order}", saved)
        if saved.end != "unpaid":
            raise NotNow(f"order {saved.order} is still {saved.state}", saved)
    number = max((saved.attempt for saved in history), default=0) + 1
    if number > MAX_ATTEMPTS:
        raise NotNow(f"basket {basket}: {MAX_ATTEMPTS} attempts were made, staff must help")
    return Saved(order_number(basket, number), basket, number, total_fen)


class Attempts(Protocol):
    """Where attempts are kept. Each method returns once it is durable, or raises and changed nothing that
    matters: ``save`` may be repeated."""

    def begin(self, basket: str, total_fen: int) -> Saved:
        """Persist and return ``next_attempt``, in one transaction. Raises NotNow."""

    def save(self, saved: Saved) -> None:
        """Persist a step of an attempt that ``begin`` made."""

    def unfinished(self) -> list[Saved]:
        """Every attempt whose ``end`` is "" or "owed": what to resume after a start."""

    def find(self, order: str) -> Saved | None: ...


class MemoryAttempts:
    """Attempts of one process, for stepped runs; holds to the same rules as a ledger."""

    def __init__(self) -> None:
        self.rows: dict[str, Saved] = {}

    def begin(self, basket: str, total_fen: int) -> Saved:
        saved = next_attempt(basket, total_fen, [row for row in self.rows.values() if row.basket == basket])
        self.rows[saved.order] = saved
        return saved

    def save(self, saved: Saved) -> None:
        before = self.rows.get(saved.order)
        if before is None:
            raise ValueError(f"order {saved.order}: never begun")
        if before.end == "paid" and saved.state != "paid":
            raise ValueError(f"order {saved.order} is paid: it cannot become {saved.state}")
        same = (before.basket, before.attempt, before.total_fen)
        if same != (saved.basket, saved.attempt, saved.total_fen):
            raise ValueError(f"order {saved.order}: basket, attempt and sum never change")
        self.rows[saved.order] = saved

    def unfinished(self) -> list[Saved]:
        return [saved for saved in self.rows.values() if saved.end in ("", "owed")]

    def find(self, order: str) -> Saved | None:
        return self.rows.get(order)
