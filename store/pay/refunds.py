"""Refunds of a paid order, line by line: limits first, then a small table of states. Pure.

Money is given back under a number of its own, persisted before it is asked for; asking again with the same
number is the same refund, so a crash or a time-out costs a repetition and never a second refund. What has
been asked for counts as given until the provider says that it was not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from store.pay.attempt import Alarm, Call
from store.pay.provider import PayError, RefundAsk, Refunded, Refused, check_fen

MAX_REFUNDS = 50  # WeChat Pay's limit of partial refunds of one order
AGAIN_S = (10.0, 600.0)
WHOLE = ""  # the "line" of a refund that belongs to no single line
STATES = ("asked", "processing", "done", "failed", "abnormal")
"""``abnormal``: the provider could not deliver it and a person must, so it goes on counting as given."""
DEFINITE = frozenset(
    (
        *("NOT_ENOUGH", "PARAM_ERROR", "INVALID_REQUEST", "NO_AUTH", "SIGN_ERROR", "MCH_NOT_EXISTS"),
        *("USER_ACCOUNT_ABNORMAL", "RESOURCE_NOT_EXISTS", "ORDER_NOT_EXIST", "REFUND_AMOUNT_EXCEEDED"),
    )
)


class RefundLimit(Exception):
    """More was to be given back than was paid, or too often; the message says how much is left."""


@dataclass(frozen=True, slots=True)
class RefundSaved:
    """What is persisted of one refund. ``line``: the receipt line, ``WHOLE`` for none."""

    refund: str
    order: str
    line: str
    amount_fen: int
    total_fen: int
    state: str = "asked"
    id: str = ""
    reason: str = ""

    @property
    def counts(self) -> bool:
        """Whether this money is, or may be, given back."""
        return self.state != "failed"

    def ask(self) -> RefundAsk:
        return RefundAsk(self.order, self.refund, self.amount_fen, self.total_fen)


def left_fen(paid_fen: int, refunds: Sequence[RefundSaved]) -> int:
    """What may still be given back of an order."""
    return paid_fen - sum(refund.amount_fen for refund in refunds if refund.counts)


def new_refund(
    order: str,
    paid_fen: int,
    lines: Mapping[str, int],
    refunds: Sequence[RefundSaved],
    line: str,
    amount_fen: int,
) -> RefundSaved:
    """A refund to persist and then to ask for. ``lines``: what each receipt line cost after discounts;
    ``refunds``: all of this order so far. Raises RefundLimit, ValueError."""
    check_fen(amount_fen, "amount_fen")
    check_fen(paid_fen, "paid_fen")
    if any(refund.order != order for refund in refunds):
        raise ValueError(f"refunds of another order than {order}")
    if sum(lines.values()) > paid_fen:
        raise ValueError(f"order {order}: its lines cost more than the {paid_fen} fen that were paid")
    if line != WHOLE and line not in lines:
        raise ValueError(f"order {order} has no line {line!r}")
    if len(refunds) >= MAX_REFUNDS:
        raise RefundLimit(f"order {order}: {MAX_REFUNDS} refunds were made, no more are possible")
    if line != WHOLE:
        given = sum(refund.amount_fen for refund in refunds if refund.counts and refund.line == line)
        if amount_fen > lines[line] - given:
            raise RefundLimit(f"line {line} of order {order}: {lines[line] - given} fen are left to refund")
    if amount_fen > (left := left_fen(paid_fen, refunds)):
        raise RefundLimit(f"order {order}: {left} fen are left to refund")
    return RefundSaved(f"{order}-R{len(refunds) + 1}", order, line, amount_fen, paid_fen)


@dataclass(frozen=True, slots=True)
class RefundPersist:
    saved: RefundSaved


Step = Call | Alarm | RefundPersist


class Refund:
    """One refund, already persisted: feed ``start`` (also after a crash), then ``answered`` and ``tick``.

    ``Call("refund")`` until it is known to have arrived, ``Call("query_refund")`` from then on."""

    def __init__(self, saved: RefundSaved, *, resumed: bool = False) -> None:
        if saved.state not in STATES:
            raise ValueError(f"refund {saved.refund}: unknown state {saved.state!r}; a newer ledger?")
        self.saved = saved
        self.busy = ""
        self._unclear = resumed  # an earlier request may still arrive: no refusal is the last word
        self._due: float | None = None
        self._wait = AGAIN_S[0]

    def due(self) -> float | None:
        return None if self.busy else self._due

    def start(self, now: float) -> list[Step]:
        self._due = now if self.saved.state in ("asked", "processing") else None
        return self.tick(now)

    def tick(self, now: float) -> list[Step]:
        """Nothing before ``due``."""
        if self.busy or self._due is None or now < self._due:
            return []
        self._due = None
        self.busy = "refund" if self.saved.state == "asked" else "query_refund"
        return [Call(self.busy)]

    def answered(self, result: Refunded | PayError, now: float) -> list[Step]:
        """The call under way ended. Raises ValueError when none was."""
        call, self.busy = self.busy, ""
        if not call:
            raise ValueError(f"refund {self.saved.refund}: an answer, but nothing was asked")
        out: list[Step] = []
        before = self.saved
        if isinstance(result, Refunded):
            state = {"SUCCESS": "done", "PROCESSING": "processing", "ABNORMAL": "abnormal"}
            now_is = state.get(result.state, "failed")
            self.saved = replace(before, state=now_is, id=result.id, reason=result.reason[:200])
        elif isinstance(result, Refused) and call == "refund":
            if result.code in DEFINITE and not self._unclear:
                self.saved = replace(before, state="failed", reason=str(result)[:200])
            elif self._wait == AGAIN_S[0]:
                out.append(Alarm("refund-refused", f"refund {before.refund}: {result}; asking again"))
        elif result.maybe == "maybe":
            self._unclear = True
        if self.saved != before:
            out.insert(0, RefundPersist(self.saved))
        if self.saved.state in ("failed", "abnormal"):
            words = (
                f"refund {before.refund} of {before.amount_fen} fen: {self.saved.reason or 'not delivered'}"
            )
            out.append(Alarm("refund-failed", words))
        elif self.saved.state != "done":
            self._due = now + self._wait
            self._wait = min(self._wait * 2, AGAIN_S[1])
        return out
