"""The shop's answers to ``ask/time`` and ``ask/table``. On the network thread: memory only, never the ledger.

The time is worth nothing late, and a table must be had while the ledger fails: neither waits for a commit.
Questions about money (``ask/offer``, ``ask/pay``) are only looked over here and handed on.
An answer goes only to the asking board's own ``ans/<name>``: a response topic is a board's word, and must
never make the shop write anywhere else (a command, for instance).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from firmware.wire.asks import AskError, decode_table_question, time_answer
from firmware.wire.tables import Snapshot
from firmware.wire.topics import StoreTopics, parse

QUESTIONS = ("time", "table")
MONEY = ("offer", "pay")
EARLIEST_MS = 1_735_689_600_000
"""2025-01-01: a clock before this was never set, and is told to nobody."""
MOST, WINDOW_S = 20, 10.0
"""So many answers for one board within so long; a flood is counted and dropped."""
MAX_CORRELATION = 64
BOARDS = 4096


@dataclass(frozen=True, slots=True)
class Question:
    """One PUBLISH on ``ask/<name>`` as it came."""

    topic: str
    payload: bytes = field(repr=False)  # may hold a payment code
    retained: bool
    response_topic: str | None
    correlation: bytes | None


@dataclass(frozen=True, slots=True)
class Answer:
    topic: str
    payload: bytes
    correlation: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about money, fit to be answered. ``at``: monotonic, s."""

    board: str
    name: str
    payload: bytes = field(repr=False)
    correlation: bytes
    at: float


class Answers:
    """``money``: takes questions about money, None: this worker answers none. ``tables`` is replaced as a
    whole by the main thread whenever something was published; None: not yet read, so nothing is known.
    ``counts``: answered, refused, flooded, handed on."""

    def __init__(
        self,
        store_id: str,
        *,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
        money: Callable[[Asked], bool] | None = None,
    ) -> None:
        """``money`` says False where it takes no more at present. Called on the network thread."""
        self._money = money
        self.tables: Mapping[tuple[str, str], Snapshot] | None = None
        self.counts: Counter[str] = Counter()
        self._topics = StoreTopics(store_id)
        self._wall_ms, self._monotonic = wall_ms, monotonic
        self._window = 0.0
        self._given: Counter[tuple[str, bool]] = Counter()

    @property
    def questions(self) -> tuple[str, ...]:
        """What this worker is asked."""
        return QUESTIONS if self._money is None else QUESTIONS + MONEY

    def answer(self, question: Question) -> Answer | None:
        """What to publish, QoS 0; None where nothing can or may be answered. Never raises."""
        asked = self._asked(question)
        if asked is None:
            self.counts["refused"] += 1
            return None
        board, name, correlation = asked
        if name in MONEY:
            self._hand_on(board, name, question.payload, correlation)
            return None
        payload = self._time() if name == "time" else self._table(question.payload)
        if payload is None:
            self.counts["refused"] += 1
            return None
        if not self._within_bounds(board, money=False):
            self.counts["flooded"] += 1
            return None
        self.counts["answered"] += 1
        return Answer(self._topics.of(board).ans(name), payload, correlation)

    def _asked(self, question: Question) -> tuple[str, str, bytes] | None:
        """(board, name, correlation data) of a question that may be answered."""
        found = parse(question.topic)
        if found is None or found.kind != "ask" or found.store != self._topics.store_id:
            return None
        name, correlation = found.rest[0], question.correlation
        if name not in self.questions or question.retained:
            return None
        if question.response_topic != self._topics.of(found.board).ans(name):
            return None
        if correlation is None or not 1 <= len(correlation) <= MAX_CORRELATION:
            return None
        return found.board, name, correlation

    def _time(self) -> bytes | None:
        now_ms = self._wall_ms()
        return time_answer(now_ms) if now_ms >= EARLIEST_MS else None

    def _table(self, payload: bytes) -> bytes | None:
        try:
            asked = decode_table_question(payload)
        except AskError:
            return None
        if self.tables is None:
            return None
        found = self.tables.get((asked.table, asked.bucket))
        return found.encode() if found is not None else b""

    def _hand_on(self, board: str, name: str, payload: bytes, correlation: bytes) -> None:
        """A flood of other questions of a board must not keep it from being paid, nor the other way round."""
        assert self._money is not None
        asked = Asked(board, name, payload, correlation, self._monotonic())
        taken = self._within_bounds(board, money=True) and self._money(asked)
        self.counts["handed on" if taken else "flooded"] += 1

    def _within_bounds(self, board: str, *, money: bool) -> bool:
        now = self._monotonic()
        if now - self._window >= WINDOW_S or len(self._given) > BOARDS:
            self._window = now
            self._given.clear()
        self._given[board, money] += 1
        return self._given[board, money] <= MOST
