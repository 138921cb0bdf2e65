"""A gate, entry or exit: codes to admissions, beams to passages, orders to lock, disk and link. Loop thread.

What opens a gate is decided in ``firmware.gate``; what a record is, in the wire.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

from firmware.basket import QuietBasket
from firmware.boardfile import gate_timing
from firmware.boardschema import Board
from firmware.desk import Opened
from firmware.gate import facts
from firmware.gate.admission import Admissible, Verdict, judge
from firmware.gate.entry import EntryPolicy, PolicyEvent, Rules
from firmware.gate.machine import Gate
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
    Restored,
    Say,
    Tell,
    Unused,
)
from firmware.gateclaims import GateClaims
from firmware.housetables import HouseTables, house_of
from firmware.portal.facts import SubmitFailed, Submitted
from firmware.screens import REFUSAL_S, screen_for
from firmware.station import Kit, Station
from firmware.sync.link import Arrived, Link
from firmware.wire.commands import Command
from firmware.wire.record_types import Alarm
from firmware.wire.refusals import Refusal
from firmware.wire.tables import Snapshot
from hal.ports import CodeSeen, DeviceBack, DeviceCondition, DeviceLost, InputChanged, TagRead

log = logging.getLogger("gate")
summary = logging.getLogger("visit")

BEEP_S = 0.2
RESTING = ("closed", "lockdown", "blind", "obstructed", "stuck", "forced", "fault")
"""Where a gate stays by itself: ready, or waiting for somebody to mend what may be the board file."""
GATE_COMMANDS = ("close", "release", "reset")


class GateStation(Station):
    """One lane. ``parts`` of it may be looked at by tests: policy, house, claims, basket."""

    tables = ("revoked", "keys")

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit, screen_for("idle"))
        self.policy = policy_of(kit.board)
        self.house = house_of(kit.board, kit.site, self.policy.rules.direction)
        self.basket = QuietBasket(kit.board.basket.quiet_s)
        self.claims: GateClaims  # set by ``linked``, before anything is shown
        self.open_ms = 0.0
        self.open_ms_max = 0.0
        self._house_tables = HouseTables(self)
        self._basket_timer: asyncio.TimerHandle | None = None
        self._shown_at: dict[bytes, float] = {}
        self._claimed: dict[int, tuple[bytes, str]] = {}

    # -- the role's hooks ------------------------------------------------------------------------

    @property
    def state(self) -> str:
        return self.policy.gate.state

    def idle(self) -> bool:
        """Also where an input that is wired or described wrongly has led: its mended file ends that.

        A beam that stays broken for long is such an input, one that was broken just now is a person.
        """
        gate = self.policy.gate
        at_rest = gate.state in RESTING and not gate.owed() and gate.lane_clear()
        return at_rest and self.policy.at_rest()

    def figures(self) -> dict[str, float | int]:
        return {
            **self.policy.counters,
            "refusals_unwritten": self.policy.refusals_unwritten,
            "tags_left_out": self.basket.overflow,
            "baskets": self.counts["baskets"],
            "open_ms": self.open_ms,
            "open_ms_max": self.open_ms_max,
        }

    def tag(self, read: TagRead) -> None:
        self.basket.add(read)
        self._schedule_basket()

    def device(self, event: InputChanged | DeviceLost | DeviceBack | DeviceCondition) -> None:
        if not isinstance(event, DeviceCondition):
            self.policy_event(event)

    def levels(self, levels: dict[str, bool]) -> None:
        self.policy_event(facts.Levels(levels))

    def restored(self, opened: Opened, *, lost: bool) -> None:
        spent = tuple((visit, direction, uses) for (visit, direction), uses in opened.spent.items())
        own = opened.stats.epoch
        unused = tuple(
            Unused(one.visit, one.direction, one.uses, one.seq, None if one.epoch == own else one.epoch)
            for one in opened.open_admissions
        )
        self.policy_event(Restored(spent, unused))
        if lost:
            self.claims.journal_lost()

    def shop(self, state: str) -> None:
        self.house = replace(self.house, shop=replace(self.house.shop, state=state))
        self.policy_event(facts.Remote("lockdown" if state == "lockdown" else "unlock"))

    def command(self, command: Command) -> None:
        if command.name in GATE_COMMANDS:
            self.policy_event(facts.Remote(command.name))
            if command.name == "close" and self.house.shop.state == "lockdown":
                # A release in a lockdown ends it for this gate alone; the shop is still in it.
                self.policy_event(facts.Remote("lockdown"))
        elif command.name == "open":
            self._open(command)

    def _open(self, command: Command) -> None:
        """One passage by the shop's word: with a visit it is that visit's use, else nobody's."""
        visit = command.args.get("visit")
        if visit is None:
            detail = f"an operator let one person through (command {command.id})"
            self.note(Note(Alarm, {"kind": "remote-open", "detail": detail}))
            self.policy_event(facts.Remote("open"))
        else:
            self.admit_remotely(bytes.fromhex(visit))

    def linked(self, link: Link) -> None:
        self.claims = GateClaims(self.kit.guard, link, self.kit.boot, lambda: self.policy.spent)

    def connected(self) -> None:
        self.claims.connected()

    def disconnected(self) -> None:
        self.claims.disconnected()

    def arrived(self, event: Arrived) -> None:
        if event.kind in ("claim", "used"):
            self.claims.arrived(event)

    def second(self) -> None:
        if self.claims.twin:
            check = "a cloned card: give one of the two boards an identity of its own"
            self.faults.raise_("identity", "another board uses this board's id", check)

    def check_table(self, name: str, snapshot: Snapshot) -> str | None:
        return self._house_tables.check(name, snapshot)

    def table_changed(self, name: str, buckets: dict[str, Snapshot]) -> None:
        self._house_tables.changed(name, buckets)

    def trace_header(self) -> dict[str, Any]:
        """What ``tallygate replay`` needs to make the policy as it is now."""
        board = self.kit.board
        admission = board.admission
        return {
            "role": board.board.role,
            "motor": board.gate.motor,
            "timing": {n: getattr(board.gate, n) for n in board.gate.__struct_fields__},
            "admission": {n: getattr(admission, n) for n in ("on_disk_fault", "moment_s", "give_up_s")},
            "state": self.state,
            "levels": self.kit.pins.read(),
            "spent": [[v.hex(), d, n] for (v, d), n in self.policy.spent.items()],
            "token": self.policy.last_token,
        }

    # -- policy ----------------------------------------------------------------------------------

    def policy_event(self, event: PolicyEvent) -> None:
        """Policy's turn: its orders are carried out before this returns."""
        if self._closed:
            return  # an answer that was under way when the board ended
        now = self._loop.time()
        if self.trace is not None:
            self.trace.begin()
        orders = self.policy.handle(event, now)
        if self.trace is not None:
            # Before they are carried out: a claim may be answered at once, and comes after its question.
            idle = self.policy.gate.state == "closed" and self.policy.at_rest()
            self.trace.note(event, now, orders, idle)
        for order in orders:
            self._carry_out(order)
        self.wake(self.policy.deadline())

    def answer(self, answer: Committed | CommitFailed | Submitted | SubmitFailed | Claimed) -> None:
        if isinstance(answer, Submitted | SubmitFailed):
            return  # a gate submits no basket
        self.policy_event(answer)
        if not isinstance(answer, Claimed):
            claimed = self._claimed.pop(answer.token, None)
            if claimed is not None:
                self.claims.decided(*claimed)

    def admit_remotely(self, visit: bytes) -> None:
        """The shop admits one person of a visit that showed no code here (a gate code, a member)."""
        direction = self.house.direction
        if self.policy.used(visit) + self.claims.used(visit, direction) > 0:
            outcome: Admissible | Refusal = Refusal("used")
        else:
            outcome = Admissible(visit, 1, "entry" if direction == "in" else "exit")
        self.policy_event(Verdict("other", outcome, visit))

    def code(self, seen: CodeSeen) -> None:
        clock = self.kit.clock
        direction = self.house.direction

        def used(visit: bytes) -> int:
            return self.policy.used(visit) + self.claims.used(visit, direction)

        verdict = judge(
            seen.data,
            self.house,
            wall_s=clock.wall_ms() / 1000,
            quality=clock.quality(),
            used=used,
        )
        if verdict.visit is not None:
            if len(self._shown_at) > 64:
                self._shown_at.clear()
            self._shown_at[verdict.visit] = seen.frame_at
        self.policy_event(verdict)

    # -- orders ----------------------------------------------------------------------------------

    def _carry_out(self, order: Order) -> None:
        if isinstance(order, Drive):
            self.drive(order.name, order.active)
        elif isinstance(order, Commit):
            self._commit(order)
        elif isinstance(order, GiveBack | Note):
            self.recorder.put(order)
            if isinstance(order, GiveBack):
                self.claims.changed()
        elif isinstance(order, Claim):
            self.claims.claim(order, lambda answer: self.kit.guard.call(self.answer, answer))
        elif isinstance(order, Say):
            self._say(order)
        elif isinstance(order, Tell):
            self._tell(order)

    def _commit(self, order: Commit) -> None:
        """The journal knows this gate's uses only: what other gates granted is taken off here."""
        if order.party and not order.granted:
            self._claimed[order.token] = (order.visit, order.direction)
            left = order.party - self.claims.used(order.visit, order.direction)
            if left <= 0:
                self.kit.guard.post(self.answer, Committed(order.token, 0))
                return
            order = replace(order, party=left)
        self.recorder.put(order)

    def _say(self, order: Say) -> None:
        passing = order.key in ("refused", "one-moment")
        self.show(screen_for(order.key, order.detail), REFUSAL_S if passing else None)
        if order.key == "refused":
            self.sound(BEEP_S)  # heard as well: a board without a screen has nothing else to say

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
            self.claims.changed()
            summary.info("visit %s admitted, %d may pass", fields["visit"], fields["uses"])
        elif order.event == "state":
            self.faults.changed = True
        elif order.event == "ignored":
            log.info("the gate ignored %s while %s", fields["event"], fields["state"])
        elif order.event == "alarm":
            log.warning("alarm %s: %s", fields["what"], fields["detail"])
        self.kit.tell({"event": order.event, **fields})

    # -- timers ----------------------------------------------------------------------------------

    def tick(self) -> None:
        self.policy_event(facts.Tick())

    def _schedule_basket(self) -> None:
        due = self.basket.due()
        if self._basket_timer is not None:
            self._basket_timer.cancel()
            self._basket_timer = None
        if due is not None:
            self._basket_timer = self.kit.guard.at(due, self._close_basket)

    def _close_basket(self) -> None:
        self._basket_timer = None
        note = self.basket.close(self._loop.time())
        self.counts["baskets"] += 1
        self.kit.tell({"event": "basket", "tags": note.fields["count"]})
        self.recorder.put(note)

    def close(self) -> None:
        super().close()
        if self._basket_timer is not None:
            self._basket_timer.cancel()
        self.claims.close()


def policy_of(board: Board) -> EntryPolicy:
    section = board.admission
    rules = Rules(
        "in" if board.board.role == "entry" else "out",
        section.on_disk_fault,
        section.moment_s,
        section.give_up_s,
    )
    gate = Gate(gate_timing(board), motor=board.gate.motor, kind=board.board.role)
    return EntryPolicy(gate, rules)
