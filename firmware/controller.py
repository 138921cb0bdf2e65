"""Carries events to policy and policy's orders to devices, disk, link and display. Loop thread only.

No decision is taken here: what opens a gate is in ``firmware.gate``, what a record is in the wire.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from firmware.basket import QuietBasket
from firmware.budget import Budget
from firmware.gate import facts
from firmware.gate.admission import Admissible, House, Verdict, judge
from firmware.gate.entry import EntryPolicy, PolicyEvent
from firmware.gate.orders import (
    Claim,
    Claimed,
    Commit,
    CommitFailed,
    Committed,
    Drive,
    GiveBack,
    Note,
    Order,
    Say,
    Tell,
)
from firmware.health import Faults
from firmware.loop import Guard
from firmware.recorder import Recorder
from firmware.screens import REFUSAL_S, screen_for
from firmware.trace import TraceWriter
from firmware.wire.record_types import Alarm
from firmware.wire.refusals import Refusal
from hal.ports import (
    Clock,
    CodeSeen,
    DeviceBack,
    DeviceLost,
    DeviceNote,
    Display,
    Event,
    InputChanged,
    Pins,
    Progress,
    Screen,
    TagRead,
)

log = logging.getLogger("gate")
summary = logging.getLogger("visit")

BEEP_S = 0.2
LOST_AN_HOUR = 12
"""Alarm records that one device may write in an hour; how often it was lost beyond that is a figure."""


class Claims(Protocol):
    """Claims between gates. ``claim`` answers exactly once, through ``answer``."""

    def claim(self, order: Claim, answer: Callable[[Claimed], None]) -> None: ...
    def used(self, visit: bytes, direction: str) -> int: ...
    def decided(self, visit: bytes, direction: str) -> None: ...
    def changed(self) -> None: ...


@dataclass
class Parts:
    """What a controller works with; ``app`` chooses them."""

    guard: Guard
    clock: Clock
    pins: Pins
    display: Display
    policy: EntryPolicy
    house: House
    claims: Claims
    basket: QuietBasket
    tell: Callable[[dict[str, Any]], None]
    trace: TraceWriter | None = None


class Controller:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.policy = parts.policy
        self.house = parts.house
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        """Devices' own conditions by the names of their notes: counters for ``health``."""
        self.progress: dict[str, Progress] = {}
        self.heard: dict[str, float] = {}
        """When a device's driver last said anything, loop time."""
        self.open_ms = 0.0
        self.open_ms_max = 0.0
        self.last_visit: str | None = None
        self.alarms_unwritten = 0
        self._lost_budget = Budget(LOST_AN_HOUR, 3600.0)
        self.recorder: Recorder  # set by app: the two know each other
        self._loop: asyncio.AbstractEventLoop = parts.guard.loop
        self._timer: asyncio.TimerHandle | None = None
        self._basket_timer: asyncio.TimerHandle | None = None
        self._revert: asyncio.TimerHandle | None = None
        self._beep: asyncio.TimerHandle | None = None
        self._wanted: dict[str, bool] = {}
        self._outputs = frozenset(parts.pins.outputs())
        self._base: Screen = screen_for("idle")
        self._shown_at: dict[bytes, float] = {}
        self._claimed: dict[int, tuple[bytes, str]] = {}
        self._closed = False

    # -- events --------------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        """The drivers' door, on the loop thread; guarded."""
        self.parts.guard.call(self.event, event)

    def event(self, event: Event) -> None:
        if self._closed:
            return
        if isinstance(event, Progress | DeviceNote | DeviceLost | DeviceBack):
            self.heard[event.device] = self._loop.time()
        if isinstance(event, CodeSeen):
            self._code(event)
        elif isinstance(event, InputChanged):
            self.policy_event(event)
        elif isinstance(event, TagRead):
            self.counts["tag_reads"] += 1
            self.parts.basket.add(event)
            self._schedule_basket()
        elif isinstance(event, Progress):
            self.progress[event.device] = event
        elif isinstance(event, DeviceNote):
            self.notes[event.name] += 1
            log.info("%s: %s", event.device, event.detail)
            if event.name == "hold_expired":
                self._drive_again()
        elif isinstance(event, DeviceLost):
            self._lost(event)
        elif isinstance(event, DeviceBack):
            if self.faults.clear(event.device):
                log.warning("%s is back", event.device)
            self.policy_event(event)
            if event.device == "pins":
                self.policy_event(facts.Levels(self.parts.pins.read()))

    def policy_event(self, event: PolicyEvent) -> None:
        """Policy's turn: its orders are carried out before this returns."""
        if self._closed:
            return  # an answer that was under way when the board ended
        now = self._loop.time()
        if self.parts.trace is not None:
            self.parts.trace.begin()
        orders = self.policy.handle(event, now)
        if self.parts.trace is not None:
            # Before they are carried out: a claim may be answered at once, and comes after its question.
            idle = self.policy.gate.state == "closed" and self.policy.at_rest()
            self.parts.trace.note(event, now, orders, idle)
        for order in orders:
            self._carry_out(order)
        self._schedule()

    def answer(self, answer: Committed | CommitFailed | Claimed) -> None:
        self.policy_event(answer)
        if not isinstance(answer, Claimed):
            claimed = self._claimed.pop(answer.token, None)
            if claimed is not None:
                self.parts.claims.decided(*claimed)

    def note(self, note: Note) -> None:
        """A record that does not come from the gate's policy (an alarm of the board itself)."""
        self.recorder.put(note)

    def admit_remotely(self, visit: bytes) -> None:
        """The shop admits one person of a visit that showed no code here (a gate code, a member)."""
        direction = self.house.direction
        if self.policy.used(visit) + self.parts.claims.used(visit, direction) > 0:
            outcome: Admissible | Refusal = Refusal("used")
        else:
            outcome = Admissible(visit, 1, "entry" if direction == "in" else "exit")
        self.policy_event(Verdict("other", outcome, visit))

    def locate(self, seconds: float) -> None:
        """Beep so that a technician finds this gate among others."""
        self._sound(seconds)

    def _code(self, seen: CodeSeen) -> None:
        clock = self.parts.clock
        direction = self.house.direction

        def used(visit: bytes) -> int:
            return self.policy.used(visit) + self.parts.claims.used(visit, direction)

        verdict = judge(
            seen.data,
            self.house,
            wall_s=clock.wall_ms() / 1000,
            quality=clock.quality(),
            used=used,
        )
        self.counts["codes"] += 1
        if verdict.visit is not None:
            if len(self._shown_at) > 64:
                self._shown_at.clear()
            self._shown_at[verdict.visit] = seen.frame_at
        self.policy_event(verdict)

    def _lost(self, event: DeviceLost) -> None:
        if self.faults.raise_(event.device, event.reason, event.check):
            log.error("%s is lost: %s; check: %s", event.device, event.reason, event.check)
            if self._lost_budget.take(event.device, self._loop.time()):
                self.note(Note(Alarm, {"kind": f"{event.device}-lost", "detail": event.reason[:200]}))
            else:
                self.alarms_unwritten += 1
        self.policy_event(event)

    # -- orders --------------------------------------------------------------------------------

    def _carry_out(self, order: Order) -> None:
        if isinstance(order, Drive):
            self._wanted[order.name] = order.active
            if order.name in self._outputs:
                self.parts.pins.set(order.name, order.active)
        elif isinstance(order, Commit):
            self._commit(order)
        elif isinstance(order, GiveBack | Note):
            self.recorder.put(order)
            if isinstance(order, GiveBack):
                self.parts.claims.changed()
        elif isinstance(order, Claim):
            self.parts.claims.claim(order, lambda answer: self.parts.guard.call(self.answer, answer))
        elif isinstance(order, Say):
            self._say(order)
        elif isinstance(order, Tell):
            self._tell(order)

    def _commit(self, order: Commit) -> None:
        """The journal knows this gate's uses only: what other gates granted is taken off here."""
        if order.party and not order.granted:
            self._claimed[order.token] = (order.visit, order.direction)
            left = order.party - self.parts.claims.used(order.visit, order.direction)
            if left <= 0:
                self.parts.guard.post(self.answer, Committed(order.token, 0))
                return
            order = replace(order, party=left)
        self.recorder.put(order)

    def _drive_again(self) -> None:
        """The driver let an output fall because the loop was late; policy still wants it."""
        for name, active in self._wanted.items():
            if name in self._outputs:
                self.parts.pins.set(name, active)

    def _say(self, order: Say) -> None:
        screen = screen_for(order.key, order.detail)
        if self._revert is not None:
            self._revert.cancel()
            self._revert = None
        if order.key in ("refused", "one-moment"):
            self._revert = self.parts.guard.at(self._loop.time() + REFUSAL_S, self._show_base)
            if order.key == "refused":
                self._sound(BEEP_S)  # heard as well: a board without a screen has nothing else to say
        else:
            self._base = screen
        self.parts.display.show(screen)

    def _show_base(self) -> None:
        self._revert = None
        self.parts.display.show(self._base)

    def _sound(self, seconds: float) -> None:
        until = self._loop.time() + seconds
        if "buzzer" not in self._outputs or (self._beep is not None and self._beep.when() >= until):
            return
        if self._beep is not None:
            self._beep.cancel()
        self.parts.pins.set("buzzer", True)
        self._beep = self.parts.guard.at(until, self._silence)

    def _silence(self) -> None:
        self._beep = None
        self.parts.pins.set("buzzer", self._wanted.get("buzzer", False))

    def _tell(self, order: Tell) -> None:
        fields = dict(order.fields)
        if order.event == "opened":
            visit = bytes.fromhex(fields["visit"])
            frame_at = self._shown_at.pop(visit, None)
            if frame_at is not None:
                self.open_ms = (self._loop.time() - frame_at) * 1000
                self.open_ms_max = max(self.open_ms_max, self.open_ms)
                fields["ms"] = round(self.open_ms, 1)
            self.last_visit = fields["visit"]
            self.parts.claims.changed()
            summary.info("visit %s admitted, %d may pass", fields["visit"], fields["uses"])
        elif order.event == "state":
            self.faults.changed = True
        elif order.event == "ignored":
            log.info("the gate ignored %s while %s", fields["event"], fields["state"])
        elif order.event == "alarm":
            log.warning("alarm %s: %s", fields["what"], fields["detail"])
        self.parts.tell({"event": order.event, **fields})

    # -- timers --------------------------------------------------------------------------------

    def _schedule(self) -> None:
        due = self.policy.deadline()
        if self._timer is not None:
            if due == self._timer.when():
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self.parts.guard.at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.policy_event(facts.Tick())

    def _schedule_basket(self) -> None:
        due = self.parts.basket.due()
        if self._basket_timer is not None:
            self._basket_timer.cancel()
            self._basket_timer = None
        if due is not None:
            self._basket_timer = self.parts.guard.at(due, self._close_basket)

    def _close_basket(self) -> None:
        self._basket_timer = None
        note = self.parts.basket.close(self._loop.time())
        self.counts["baskets"] += 1
        self.parts.tell({"event": "basket", "tags": note.fields["count"]})
        self.recorder.put(note)

    def close(self) -> None:
        """No event, answer or timer drives anything from here on."""
        self._closed = True
        for timer in (self._timer, self._basket_timer, self._revert, self._beep):
            if timer is not None:
                timer.cancel()
