"""The pay desk: carries out what the attempts command, one call at a time for each, and never on its thread.

Order is everything: a ``Persist`` that fails holds back all that follows it in that attempt, and is tried
again. ``submit`` runs a blocking call elsewhere (a thread pool) or at once (stepped runs); its end comes back
through ``inbox``. Everything else happens in ``turn`` on the caller's thread. A payment code lives here from
``start`` until the pay call has ended, and nowhere else.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from store.pay.attempt import Alarm, Attempt, Call, Command, Done, Persist, Saved, late_refund
from store.pay.attempts import Attempts, NotNow
from store.pay.meaning import Result
from store.pay.provider import PAID, BadAnswer, Charge, NotReached, Order, PayError, Provider, RefundAsk, mask
from store.pay.table import Timing

RETRY_S = 1.0
CODE_LIVES_S = 30.0  # a pay call that the disk has held up for longer is not made any more

log = logging.getLogger("store.pay")


@dataclass(slots=True)
class _Open:
    attempt: Attempt
    charge: Charge | None = field(default=None, repr=False)
    started: float = 0.0
    waiting: deque[Command] = field(default_factory=deque)
    retry_at: float | None = None
    stuck: bool = False  # its next step could not be stored


class PayDesk:
    """``changed``: told every ``Saved`` that is final; ``alarm``: told ``(kind, words)``; ``wake``: called
    from whatever thread a call ends on, so that ``turn`` is called soon."""

    def __init__(
        self,
        provider: Provider,
        attempts: Attempts,
        submit: Callable[[Callable[[], None]], object],
        *,
        changed: Callable[[Saved], None] = lambda saved: None,
        alarm: Callable[[str, str], None] = lambda kind, words: None,
        wake: Callable[[], object] = lambda: None,
        timing: Timing | None = None,
    ) -> None:
        self._wake = wake
        self._provider = provider
        self._attempts = attempts
        self._submit = submit
        self._changed = changed
        self._alarm = alarm
        self._timing = timing or Timing()
        self._open: dict[str, _Open] = {}
        self.inbox: SimpleQueue[tuple[_Open, Result]] = SimpleQueue()

    def resume(self, now: float) -> int:
        """Take up every attempt that a crash left open; how many. Once, before anything else."""
        found = self._attempts.unfinished()
        for saved in found:
            self._take_up(saved, now)
        return len(found)

    def start(
        self, basket: str, total_fen: int, code: str, now: float, *, description: str, device: str = ""
    ) -> Saved:
        """Begin the next attempt for a basket. Raises NotNow, ValueError, and what ``Attempts`` raises."""
        Charge("check", total_fen, description, code, device)  # before a number is used up
        try:
            saved = self._attempts.begin(basket, total_fen)
        except NotNow as error:
            # Begun, but its commit was reported as failed: take it up, as after a crash.
            if error.saved is None or error.saved.end == "paid" or error.saved.order in self._open:
                raise
            self._take_up(error.saved, now)
            saved = self._attempts.begin(basket, total_fen)
        charge = Charge(saved.order, total_fen, description, code, device)
        entry = self._open[saved.order] = _Open(Attempt(saved, now, timing=self._timing), charge, now)
        self._queue(entry, entry.attempt.start(now), now)
        return entry.attempt.saved

    def tell(self, order: Order, now: float) -> None:
        """A verified callback. Only a payment matters; everything else is asked for."""
        if order.state != "SUCCESS":
            return
        entry = self._open.get(order.order)
        if entry is None:
            saved = self._attempts.find(order.order)
            if saved is None:
                self._alarm("paid-unknown", f"a callback names order {order.order}, which nobody made")
                return
            if saved.end == "paid":
                return  # a callback comes several times
            entry = _Open(Attempt(saved, now, timing=self._timing), started=now)
        if order.total_fen != entry.attempt.saved.total_fen:
            self._alarm("paid-wrong-sum", f"order {order.order}: {order.total_fen} fen by callback")
            return
        commands = entry.attempt.told("paid", now, order)
        if commands:
            self._open[order.order] = entry
            self._queue(entry, commands, now)

    def cancel(self, order: str, now: float) -> None:
        """The shopper gives up. What is already out is reversed, nothing is assumed."""
        if entry := self._open.get(order):
            self._queue(entry, entry.attempt.told("cancel", now), now)

    def turn(self, now: float) -> float | None:
        """Take in what has ended, do what is due; when to come again at the latest (None: nothing open)."""
        while True:
            try:
                entry, result = self.inbox.get_nowait()
            except Empty:
                break
            if self._open.get(entry.attempt.saved.order) is entry:
                self._queue(entry, entry.attempt.answered(result, now), now)
        for entry in list(self._open.values()):
            if entry.retry_at is not None and now >= entry.retry_at:
                self._work(entry, now)
            due = entry.attempt.due()
            if not entry.waiting and due is not None and now >= due:
                self._queue(entry, entry.attempt.tick(now), now)
        if not self.inbox.empty():
            return now
        times = (entry.retry_at if entry.waiting else entry.attempt.due() for entry in self._open.values())
        return min((time for time in times if time is not None), default=None)

    def standing(self, order: str) -> Saved | None:
        """An attempt as it stands, open or kept."""
        entry = self._open.get(order)
        return entry.attempt.saved if entry else self._attempts.find(order)

    # -- inside ------------------------------------------------------------------------------------

    def _take_up(self, saved: Saved, now: float) -> None:
        entry = self._open[saved.order] = _Open(Attempt(saved, now, timing=self._timing), started=now)
        self._queue(entry, entry.attempt.resume(now), now)

    def _queue(self, entry: _Open, commands: list[Command], now: float) -> None:
        entry.waiting.extend(commands)
        if entry.retry_at is None:
            self._work(entry, now)

    def _work(self, entry: _Open, now: float) -> None:
        """Everything that waits, in order, up to a step that cannot be stored."""
        entry.retry_at = None
        while entry.waiting:
            command = entry.waiting[0]
            if isinstance(command, Persist):
                try:
                    self._attempts.save(command.saved)
                except Exception as error:
                    if not entry.stuck:
                        order = command.saved.order
                        log.error("order %s: cannot store its next step, which waits: %s", order, error)
                    entry.stuck, entry.retry_at = True, now + RETRY_S
                    return
                entry.stuck = False
            entry.waiting.popleft()
            if isinstance(command, Call):
                self._call(entry, command.name, now)
            elif isinstance(command, Alarm):
                log.error("%s: %s", command.kind, command.words)
                self._alarm(command.kind, command.words)
            elif isinstance(command, Done):
                log.info("order %s: %s (%s)", command.saved.order, command.saved.state, command.saved.reason)
                self._open.pop(command.saved.order, None)
                self._changed(command.saved)

    def _call(self, entry: _Open, name: str, now: float) -> None:
        saved = entry.attempt.saved
        order = saved.order
        charge, entry.charge = entry.charge, None
        entry.attempt.sent(now)

        def act() -> Result:
            if name == "charge":
                if charge is None or now > entry.started + CODE_LIVES_S:
                    return NotReached("held up until the code was too old, and not sent")
                return self._provider.charge(charge)
            if name == "query":
                return self._provider.query(order)
            if name == "reverse":
                self._provider.reverse(order)
                return None
            return self._provider.refund(
                RefundAsk(order, late_refund(saved), saved.total_fen, saved.total_fen)
            )

        def run() -> None:
            result: Result
            try:
                result = act()
            except PayError as error:
                result = error
            except Exception as error:  # a defect of a provider is an unclear answer, not the desk's end
                log.error("order %s: %s failed: %s", order, name, mask(f"{type(error).__name__}: {error}"))
                result = PayError(type(error).__name__)
            if isinstance(result, Order) and not _about(result, saved):
                result = BadAnswer("the answer is about another order or sum")
            self.inbox.put((entry, result))
            self._wake()

        self._submit(run)


def _about(order: Order, saved: Saved) -> bool:
    """An order that is not paid may be shown without its sum."""
    unpaid = order.state not in PAID
    return order.order == saved.order and (unpaid or order.total_fen == saved.total_fen)
