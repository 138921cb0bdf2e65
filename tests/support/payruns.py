"""Payment in stepped time: a desk on the double's bank, with crashes at any step and a clock by hand."""

from __future__ import annotations

from collections.abc import Callable

from store.pay.attempt import Saved
from store.pay.attempts import MemoryAttempts
from store.pay.desk import PayDesk
from store.pay.double.bank import Bank
from store.pay.double.faults import FaultList
from store.pay.local import LocalProvider
from store.pay.provider import Charge, Order, RefundAsk, Refunded

BASKET = "00a1b2c3d4e5f607-12"


def code(digits: str, number: int = 0) -> str:
    """A payment code ending in ``digits``: what the double does by it."""
    return f"13{number:014d}{digits}"


class Crash(BaseException):
    """The process is killed here."""


class Fuse:
    """Kills at the n-th step that is counted. Steps are each save and each call, before and after."""

    def __init__(self, at: list[int]) -> None:
        self.at = list(at)
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.at and self.steps >= self.at[0]:
            self.at.pop(0)
            raise Crash


class FusedAttempts(MemoryAttempts):
    """A ledger that a kill may find before or after its commit; ``fail``: how many saves fail first."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self.fuse = fuse
        self.fail = 0
        self.written: list[Saved] = []

    def save(self, saved: Saved) -> None:
        self.fuse.step()
        if self.fail:
            self.fail -= 1
            raise OSError("disk full")
        super().save(saved)
        self.written.append(saved)
        self.fuse.step()


class FusedProvider(LocalProvider):
    """The double, killed around any call; notes when each call was made and what was stored then."""

    def __init__(
        self, bank: Bank, clock: Callable[[], float], faults: FaultList, fuse: Fuse, kept: MemoryAttempts
    ) -> None:
        super().__init__(bank, clock, faults)
        self.fuse = fuse
        self.kept = kept
        self.asked: list[tuple[str, str, float, str]] = []  # call, order, at, stored state

    def _before(self, name: str, order: str) -> None:
        saved = self.kept.find(order)
        self.asked.append((name, order, self._clock(), saved.state if saved else "nothing"))
        self.fuse.step()

    def charge(self, ask: Charge) -> Order:
        self._before("charge", ask.order)
        result = super().charge(ask)
        self.fuse.step()
        return result

    def query(self, order: str) -> Order:
        self._before("query", order)
        result = super().query(order)
        self.fuse.step()
        return result

    def reverse(self, order: str) -> None:
        self._before("reverse", order)
        super().reverse(order)
        self.fuse.step()

    def refund(self, ask: RefundAsk) -> Refunded:
        self._before("refund", ask.order)
        result = super().refund(ask)
        self.fuse.step()
        return result


class PayRun:
    """``now`` moves only in ``until``. After a ``Crash`` a fresh desk resumes from what was stored."""

    def __init__(self, crashes: list[int] | None = None) -> None:
        self.now = 0.0
        self.fuse = Fuse(crashes or [])
        self.bank = Bank()
        self.faults = FaultList()
        self.attempts = FusedAttempts(self.fuse)
        self.provider = FusedProvider(self.bank, lambda: self.now, self.faults, self.fuse, self.attempts)
        self.alarms: list[str] = []
        self.ended: list[Saved] = []
        self.crashes = 0
        self.desk = self._desk()

    def _desk(self) -> PayDesk:
        return PayDesk(
            self.provider,
            self.attempts,
            lambda run: run(),
            changed=self.ended.append,
            alarm=lambda kind, words: self.alarms.append(kind),
        )

    def guarded(self, act: Callable[[], object]) -> None:
        """Do it; when it is killed, start afresh until a start survives."""
        while True:
            try:
                act()
                return
            except Crash:
                self.crashes += 1
                self.desk = self._desk()
                act = self._resume

    def _resume(self) -> None:
        self.desk.resume(self.now)

    def pay(self, payment_code: str, total_fen: int = 1990, basket: str = BASKET) -> None:
        self.guarded(lambda: self.desk.start(basket, total_fen, payment_code, self.now, description="a shop"))

    def until(self, end: float, poke: Callable[[], None] = lambda: None) -> None:
        """Let time pass up to ``end``, stopping at every time that the desk asked for."""
        while self.now < end:
            due = self.turn()
            poke()
            self.now = end if due is None else min(end, max(due, self.now + 0.001))

    def turn(self) -> float | None:
        due: list[float | None] = []
        while not due:
            self.guarded(lambda: due.append(self.desk.turn(self.now)))
        return due[0]

    @property
    def last(self) -> Saved:
        return list(self.attempts.rows.values())[-1]
