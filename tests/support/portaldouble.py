"""A portal's decision that says what a test tells it, and a policy around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from firmware.portal.decision import Verdict
from firmware.portal.kinds import KindRules
from firmware.portal.policy import PortalPolicy
from firmware.portal.table import TABLE, Table
from firmware.portal.timing import Timing
from firmware.wire.epc import encode_sgtin96
from hal.ports import TagRead

GTIN = "09521234000013"
COMPANY_DIGITS = 7


def epc(number: int) -> bytes:
    """The tag of item ``number``."""
    return encode_sgtin96(GTIN, number, COMPANY_DIGITS)


def label(number: int) -> str:
    """The code on the label of item ``number``."""
    return f"https://id.gs1.org/01/{GTIN}/21/{number}"


def read(tag: bytes, at: float) -> TagRead:
    return TagRead(tag, 0x3000, 1, -50.0, 200, at)


class ScriptedDecision:
    """Stands where a ``Decision`` stands. A test sets ``kind``, ``reason``, ``items`` and the rest."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.declared: int | None = None
        self.open = False
        self.clear()

    def clear(self) -> None:
        self.say("collecting", ())

    def say(
        self,
        kind: str,
        items: Iterable[bytes],
        *,
        reason: str = "",
        missing: int = 0,
        duplicates: Iterable[bytes] = (),
    ) -> None:
        self.kind, self.items = kind, tuple(sorted(items))
        self.reason = reason or {"collecting": "reading", "uncertain": "missing"}.get(kind, kind)
        self.missing, self.duplicates = missing, tuple(duplicates)

    def judge(self, now: float) -> Verdict:
        kind, reason = self.kind, self.reason
        if self.declared is not None and kind != "collecting":
            same = len(self.items) == self.declared
            kind, reason = ("complete", "count-matches") if same else ("uncertain", "count-differs")
        return Verdict(kind, reason, self.items, (), self.missing, 0.0, 0, self.duplicates, now + 0.1)

    def begin(self, now: float) -> None:
        self.calls.append(("begin",))
        self.declared, self.open = None, True

    def end(self, now: float) -> None:
        if self.open:
            self.calls.append(("end",))
        self.declared, self.open = None, False

    def declare(self, count: int | None) -> None:
        self.calls.append(("declare", count))
        self.declared = count

    def add(self, read: TagRead) -> None:
        self.calls.append(("add", read.epc))

    def background(self, read: TagRead) -> None:
        self.calls.append(("background", read.epc))

    def add_item(self, epc: bytes, now: float) -> None:
        self.calls.append(("item", epc))
        self.items = tuple(sorted({*self.items, epc}))

    def gap(self, begin: float, end: float) -> None:
        self.calls.append(("gap", begin, end))


def policy_of(
    decision: ScriptedDecision,
    lane: str,
    *,
    known: Callable[[bytes], bool] = lambda epc: False,
    table: Table = TABLE,
    timing: Timing | None = None,
) -> PortalPolicy:
    double: Any = decision
    return PortalPolicy(double, timing or Timing(), lane=lane, kinds=KindRules(), known=known, table=table)
