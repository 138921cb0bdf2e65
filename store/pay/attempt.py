"""The interpreter of the attempt's table: answers and time become events, rows become commands.

Pure: no clock, no thread, no network. ``now`` is monotonic seconds of this process. A step is always
persisted before it is taken: ``Persist`` stands before the ``Call`` that it allows, and the caller goes on
only when it is stored. One call is under way at a time. The payment code is not held here.

After a crash the clock is not trusted: a resumed attempt counts its waits afresh, which can only make a
reverse later, never sooner than allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from store.pay.meaning import Result, event_of, reason_of, worth_a_look
from store.pay.provider import PAID, Order
from store.pay.table import SAME, STATES, TABLE, Timing

ALARM_AT = 5  # reverses without an answer


@dataclass(frozen=True, slots=True)
class Saved:
    """What is persisted of an attempt; enough to go on after a crash. Holds no payment code."""

    order: str
    basket: str
    attempt: int
    total_fen: int
    state: str = "created"
    reverses: int = 0
    transaction: str = ""
    paid_ms: int | None = None
    reason: str = ""

    @property
    def end(self) -> str:
        """ "" while open, else "paid", "unpaid" or "owed"."""
        return STATES[self.state].end


@dataclass(frozen=True, slots=True)
class Persist:
    saved: Saved


@dataclass(frozen=True, slots=True)
class Call:
    """Ask the provider: "charge", "query", "reverse", or "refund" (of everything, number ``late_refund``)."""

    name: str


@dataclass(frozen=True, slots=True)
class Alarm:
    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Done:
    """The attempt is over; ``saved.end`` says how. It has been persisted."""

    saved: Saved


Command = Persist | Call | Alarm | Done


def late_refund(saved: Saved) -> str:
    """The number of the refund that gives late money back."""
    return f"{saved.order}-L"


class Attempt:
    """One attempt. Feed ``start`` or ``resume`` once, then ``answered``, ``told`` and ``tick``."""

    def __init__(
        self,
        saved: Saved,
        now: float,
        *,
        timing: Timing | None = None,
        table: Mapping[tuple[str, str], str] = TABLE,
    ) -> None:
        if saved.state not in STATES:
            raise ValueError(f"order {saved.order}: unknown state {saved.state!r}; a newer ledger?")
        self.saved = saved
        self.busy = ""  # the call under way
        self._timing = timing or Timing()
        self._table = table
        self._asked_at = self._reversed_at = now
        self._due: float | None = None
        self._cancelled = False
        self._alarmed: set[str] = set()
        self._out: list[Command] = []

    def due(self) -> float | None:
        """When ``tick`` is wanted; None while a call is under way or nothing is timed."""
        return None if self.busy else self._due

    def start(self, now: float) -> list[Command]:
        """Ask for the money, once. Raises ValueError unless the attempt is new."""
        if self.saved.state != "created":
            raise ValueError(f"order {self.saved.order} is {self.saved.state}: a charge is asked for once")
        self._asked_at = now
        return self._feed("go", now)

    def sent(self, now: float) -> None:
        """The call went out only now (a slow disk): the waits after a charge count from here."""
        if self.busy == "charge":
            self._asked_at = now

    def resume(self, now: float) -> list[Command]:
        """Go on after a crash with what was persisted."""
        return self._feed("resume", now, at_once=True)

    def answered(self, result: Result, now: float) -> list[Command]:
        """The call under way ended. Raises ValueError when none was."""
        if not self.busy:
            raise ValueError(f"order {self.saved.order}: an answer, but nothing was asked")
        call, self.busy = self.busy, ""
        out = self._feed(event_of(call, result), now, result)
        kind = worth_a_look(result)
        if kind and kind not in self._alarmed:
            self._alarmed.add(kind)
            out.append(Alarm(kind, f"order {self.saved.order}, {call}: {reason_of(kind, result)}"))
        return out

    def told(self, event: str, now: float, order: Order | None = None) -> list[Command]:
        """``cancel``, or ``paid`` by a verified callback. Anything else a callback says is not needed."""
        if event not in ("cancel", "paid"):
            raise ValueError(f"order {self.saved.order}: nobody can tell {event!r}")
        if event == "cancel" and self.saved.state == "asked":
            self._cancelled = True  # the answer to the charge comes first
        return self._feed(event, now, order)

    def tick(self, now: float) -> list[Command]:
        """Nothing before ``due``."""
        self._out = []
        if self.busy or self._due is None or now < self._due:
            return []
        self._due = None
        if STATES[self.saved.state].call:
            self._call(now)
        else:
            self._step("time_up", now, None)
        return self._out

    # -- inside ------------------------------------------------------------------------------------

    def _feed(
        self,
        event: str,
        now: float,
        result: Result = None,
        *,
        at_once: bool = False,
    ) -> list[Command]:
        self._out = []
        self._step(self._judged(event, now), now, result, at_once)
        return self._out

    def _judged(self, event: str, now: float) -> str:
        """Events that depend on how long ago something was."""
        if self.saved.state == "settling":
            if event == "missing" and now - self._asked_at >= self._timing.gone_s:
                return "gone"
            if event == "paid" and now - self._reversed_at < self._timing.settle_s:
                return "unsettled"  # an earlier reverse may still be on its way
        return event

    def _step(self, event: str, now: float, result: Result, at_once: bool = False) -> None:
        to = self._table.get((self.saved.state, event))
        if to is None:
            return  # late, twice, or of no meaning here
        state = STATES[self.saved.state]
        if to == SAME:
            if state.limited and now >= self._asked_at + self._timing.limit_s:
                self._step("limit", now, result)
            else:
                self._due = self._again(now)
            return
        self._enter(to, event, now, result)
        target = STATES[to]
        if self._cancelled and target.limited:
            self._cancelled = False
            self._step("cancel", now, result)
        elif target.end == "paid" or target.end == "unpaid":
            self._due = None
            self._out.append(Done(self.saved))
        elif to == "doomed":
            self._due = max(now, self._asked_at + self._timing.reverse_after_s)
            if self._due <= now and not self.busy:
                self._step("time_up", now, None)
        elif target.wait and not at_once:
            self._due = now + getattr(self._timing, target.wait)
        elif self.busy:
            self._due = now
        else:
            self._call(now)

    def _enter(self, to: str, event: str, now: float, result: Result) -> None:
        saved = replace(self.saved, state=to, reason=reason_of(event, result))
        if isinstance(result, Order) and result.state in PAID:
            saved = replace(saved, transaction=result.transaction, paid_ms=result.paid_ms)
        changed, self.saved = saved != self.saved, saved
        if to == "reversing":
            return  # persisted with its count, just before the call
        if changed:
            self._out.append(Persist(saved))
        if to == "late":
            self._out.append(
                Alarm("paid-late", f"order {saved.order} was paid after its end: giving it back")
            )

    def _call(self, now: float) -> None:
        name = STATES[self.saved.state].call
        if name == "reverse":
            self.saved = replace(self.saved, reverses=self.saved.reverses + 1)
            self._out.append(Persist(self.saved))
            self._reversed_at = now
            if self.saved.reverses == ALARM_AT:
                words = f"order {self.saved.order}: {ALARM_AT - 1} reverses without an answer, going on"
                self._out.append(Alarm("reverse-unanswered", words))
        self.busy = name
        self._due = None
        self._out.append(Call(name))

    def _again(self, now: float) -> float:
        timing, name = self._timing, STATES[self.saved.state].again
        wait: float = getattr(timing, name)
        if name == "reverse_again_s":
            wait = min(wait * 2 ** min(self.saved.reverses - 1, 10), timing.reverse_slowest_s)
        due = now + wait
        if STATES[self.saved.state].limited:
            due = min(due, max(now, self._asked_at + timing.limit_s))
        return due
