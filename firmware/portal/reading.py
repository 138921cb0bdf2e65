"""Reading for one shopper: the decision asked in time, its word as an event of the table. Pure.

``Reading`` stands between the policy and the ``Decision``: which of the tags are goods, what the declared
count means for it, which reads it is given at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from firmware.gate.orders import Tell
from firmware.portal.decision import MAX_DECLARED, Decision, Verdict
from firmware.portal.facts import Asked
from firmware.portal.goods import Goods
from firmware.portal.stay import Stay
from hal.ports import TagRead

FIRST_LOOK_S = 0.1
LEAST_LOOK_S = 0.02
DUPLICATES = "duplicates"
Alarm = Callable[[str, str], None]


class Reading:
    """``due``: when to ask the decision next, monotonic s; None while nobody is read for."""

    def __init__(self, decision: Decision, goods: Goods, counters: Counter[str], alarm: Alarm) -> None:
        self.decision = decision
        self.due: float | None = None
        self.judged: list[Verdict] = []
        """The decision's words in the present event."""
        self._goods = goods
        self._counters = counters
        self._alarm = alarm
        self._lost: float | None = None

    def begin(self, now: float) -> None:
        self.decision.begin(now)
        self.due = now + FIRST_LOOK_S

    def end(self, now: float) -> None:
        self.decision.end(now)
        self.due = None

    def follow(self, now: float, *, reads: bool) -> None:
        """After every event: a state that reads is looked at."""
        if not reads:
            self.due = None
        elif self.due is None:
            self.due = now + LEAST_LOOK_S

    def read(self, read: TagRead, *, reads: bool, resting: bool) -> None:
        if reads:
            self.decision.add(read)
        elif resting:
            self.decision.background(read)

    def item(self, epc: bytes, now: float) -> None:
        """The code on an item was shown."""
        self.decision.add_item(epc, now)
        self.due = now

    def lost(self, now: float) -> None:
        """The reader is silent, which says nothing about tags."""
        if self._lost is None:
            self._lost = now

    def back(self, now: float, *, reads: bool) -> None:
        if self._lost is not None and reads:
            self.decision.gap(self._lost, now)
        self._lost = None

    def declare(self, stay: Stay, count: int, now: float) -> None:
        """The shopper says that there are ``count`` items."""
        stay.declared = stay.said = count
        self.decision.declare(count)
        self.due = now

    def judge(self, stay: Stay, now: float, out: list[Asked]) -> str | None:
        """Ask the decision; returns the event that its verdict is."""
        stay.verdict = verdict = self._ask(now)
        stay.found = self._goods.sort(verdict.items, now)
        if stay.declared is not None:
            # The shopper counts what is to be paid; the decision counts tags.
            tags = min(stay.declared + len(verdict.items) - len(stay.found.items), MAX_DECLARED)
            if tags != stay.said:
                stay.said = tags
                self.decision.declare(tags)
                stay.verdict = verdict = self._ask(now)
        self.due = max(verdict.next_at, now + LEAST_LOOK_S)
        out += self._left_out(stay)
        if verdict.duplicates and DUPLICATES not in stay.told:
            stay.told.add(DUPLICATES)
            epcs = ", ".join(epc.hex().upper() for epc in verdict.duplicates)
            self._alarm("duplicate-tags", epcs[:150])
        if verdict.kind == "uncertain" or (verdict.kind == "complete" and verdict.duplicates):
            return "uncertain"
        if verdict.kind != "complete":
            return None
        if stay.found.items:
            return "complete"
        return "yours" if stay.found.settled else None

    def _ask(self, now: float) -> Verdict:
        verdict = self.decision.judge(now)
        self.judged.append(verdict)
        return verdict

    def _left_out(self, stay: Stay) -> list[Asked]:
        """Tags that are no goods of this shop, each told once."""
        orders: list[Asked] = []
        for epc, kind in stay.found.others:
            if (key := f"{kind} {epc.hex()}") not in stay.told:
                stay.told.add(key)
                self._counters[f"tags_{kind.replace('-', '_')}"] += 1
                orders.append(Tell("tag-left-out", {"epc": epc.hex().upper(), "kind": kind}))
        return orders
