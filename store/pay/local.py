"""The provider double without HTTP, for ``make run`` and stepped runs: deterministic, never waits.

Misbehaves as the HTTP double does (same bank, same faults); what would take time is answered at once with
the error that it would end in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from store.pay import provider as pay
from store.pay.double.bank import Bank
from store.pay.double.faults import BEFORE, FaultList
from store.pay.double.scores import Scores
from store.pay.provider import Charge, Order, PayError, RefundAsk, Refunded
from store.pay.score import ScoreComplete, ScoreCreate, ScoreOrder

T = TypeVar("T")
PATIENCE_S = 10.0
_ERRORS: dict[str, tuple[type[PayError], str]] = {
    "deaf": (pay.TimedOut, "no answer"),
    "silent": (pay.TimedOut, "no answer"),
    "delayed": (pay.TimedOut, "no answer"),
    "cut": (pay.TimedOut, "the connection was cut before the answer"),
    "refused": (pay.NotReached, "connection refused"),
    "5xx": (pay.BadSignature, "status 502 without a signature"),
    "5xx-done": (pay.BadSignature, "status 502 without a signature"),
    "unsigned": (pay.BadSignature, "an answer without a signature"),
    "bad-signature": (pay.BadSignature, "the signature does not fit"),
    "stale": (pay.StaleAnswer, "signed 3600 s ago"),
    "replayed": (pay.StaleAnswer, "an answer seen before"),
}


class LocalProvider:
    """Implements ``Provider`` and ``Score`` on a ``Bank``. ``clock``: seconds, the run's own."""

    def __init__(self, bank: Bank, clock: Callable[[], float], faults: FaultList | None = None) -> None:
        self.bank = bank
        self.scores = Scores(bank)
        self.faults = faults or FaultList()
        self._clock = clock

    def charge(self, ask: Charge) -> Order:
        return self._do(
            "charge", lambda at: self.bank.charge(ask.order, ask.total_fen, ask.code, at), ask.code
        )

    def query(self, order: str) -> Order:
        return self._do("query", lambda at: self.bank.query(order, at))

    def reverse(self, order: str) -> None:
        self._do("reverse", lambda at: self.bank.reverse(order, at))

    def refund(self, ask: RefundAsk) -> Refunded:
        return self._do(
            "refund",
            lambda at: self.bank.refund(ask.order, ask.refund, ask.amount_fen, ask.total_fen, at),
        )

    def query_refund(self, refund: str) -> Refunded:
        return self._do("query_refund", lambda at: self.bank.query_refund(refund, at))

    def create(self, ask: ScoreCreate) -> ScoreOrder:
        return self._do("score", lambda at: self.scores.create(ask, at))

    def complete(self, ask: ScoreComplete) -> ScoreOrder:
        return self._do("score", lambda at: self.scores.complete(ask, at))

    def cancel(self, order: str, reason: str) -> ScoreOrder:
        return self._do("score", lambda at: self.scores.cancel(order, reason, at))

    def query_score(self, order: str) -> ScoreOrder:
        return self._do("score", lambda at: self.scores.query(order, at))

    def _do(self, call: str, act: Callable[[float], T], code: str = "") -> T:
        now = self._clock()
        self.bank.settle(now)
        fault = self.faults.take(call, code)
        if fault is None or fault.kind == "twice":
            return act(now)
        if fault.kind == "system":
            raise pay.Refused("SYSTEM_ERROR", "try again", 500)
        if fault.kind == "delayed":
            self.bank.later(now + fault.delay_s, act)
        elif fault.kind not in BEFORE:
            result = self._quietly(act, now)
            if fault.kind == "slow" and fault.delay_s < PATIENCE_S and result is not None:
                return result
        error, words = _ERRORS.get(fault.kind, (pay.TimedOut, "no answer"))
        raise error(words)

    def _quietly(self, act: Callable[[float], T], now: float) -> T | None:
        """Do it; whoever asked is not told how it went."""
        try:
            return act(now)
        except pay.Refused:
            return None
