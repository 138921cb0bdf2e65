"""The trace of a portal: what reached its policy, and the decision's verdicts in the place of raw reads.

The raw reads have a log of their own (``rawlog``); here a read is a line only where something came of it, and
a verdict is written whole only when it is another one. No payment code and no record's bytes are in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import msgspec

from firmware.portal import facts
from firmware.portal.decision import Verdict
from firmware.portal.facts import Asked, Told
from firmware.portal.policy import PortalPolicy
from firmware.portal.resume import plain
from firmware.portal.timing import Timing
from firmware.trace import TraceError, TraceWriter
from hal.ports import DeviceBack, DeviceCondition, DeviceLost, InputChanged, TagRead

EVENTS: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        facts.Tick,
        facts.Levels,
        InputChanged,
        TagRead,
        DeviceLost,
        DeviceBack,
        DeviceCondition,
        facts.PassShown,
        facts.PaycodeShown,
        facts.ItemShown,
        facts.CountShown,
        facts.CodeRefused,
        facts.Submitted,
        facts.SubmitFailed,
        facts.Offered,
        facts.OfferRefused,
        facts.PayAnswer,
        facts.LeftOpen,
        facts.ShopState,
        facts.StaffAccepts,
    )
}


def header(
    policy: PortalPolicy, timing: Timing, lane: str, companies: tuple[str, ...], unprogrammed: str
) -> dict[str, Any]:
    """What ``tallygate replay`` needs to make the policy as it is now."""
    return {
        "role": "portal",
        "lane": lane,
        "timing": asdict(timing),
        "companies": list(companies),
        "unprogrammed": unprogrammed,
        "policy": plain(policy),
    }


class PortalTrace:
    """Writes into ``writer``. ``known(epc)``: the price list has it; a replay has no price list."""

    def __init__(self, writer: TraceWriter, policy: PortalPolicy, known: Callable[[bytes], bool]) -> None:
        self._writer, self._policy, self._known = writer, policy, known
        self._last: tuple[object, ...] | None = None

    def begin(self) -> None:
        if self._writer.fresh:
            self._last = None
        self._writer.begin()

    def note(self, event: Told, now: float, orders: list[Asked]) -> None:
        judged = [self._word(verdict) for verdict in self._policy.reading.judged]
        if isinstance(event, TagRead) and not orders and not judged:
            return
        if isinstance(event, facts.Submitted):
            event = replace(event, frame=b"")
        idle = self._policy.at_rest() and self._policy.visit is None
        self._writer.note(event, now, orders, idle, **({"judged": judged} if judged else {}))

    def _word(self, verdict: Verdict) -> Any:
        known = [epc.hex() for epc in verdict.items if self._known(epc)]
        word = (replace(verdict, next_at=0.0, unseen=0.0), known)
        if word == self._last:
            return verdict.next_at
        self._last = word
        return {"verdict": verdict, "known": known}


class ToldDecision:
    """Stands where a ``Decision`` stands and says what was recorded. ``known``: of the price list then."""

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        self._last = Verdict("collecting", "reading", (), (), 0, 0.0, 0, (), 0.0)
        self._next: list[Any] = []

    def expect(self, judged: object) -> None:
        """The words of one line. Raises TraceError where they are none."""
        if not isinstance(judged, list):
            raise TraceError("judged is a list of verdicts")
        self._next = list(judged)

    def judge(self, now: float) -> Verdict:
        if not self._next:
            return replace(self._last, next_at=now + 0.1)
        word = self._next.pop(0)
        if isinstance(word, dict):
            try:
                self._last = msgspec.convert(word["verdict"], Verdict)
                self.known = {bytes.fromhex(epc) for epc in word["known"]}
            except (KeyError, ValueError, TypeError) as error:
                raise TraceError(f"a verdict is not usable: {error}") from None
        elif isinstance(word, int | float):
            self._last = replace(self._last, next_at=float(word))
        else:
            raise TraceError("a verdict is neither whole nor a time")
        return self._last

    def begin(self, now: float) -> None: ...
    def end(self, now: float) -> None: ...
    def add(self, read: TagRead) -> None: ...
    def background(self, read: TagRead) -> None: ...
    def declare(self, count: int | None) -> None: ...
    def add_item(self, epc: bytes, now: float) -> None: ...
    def gap(self, begin: float, end: float) -> None: ...
