"""One gate's policy: codes become admissions, admissions become passages, all of it becomes records. Pure.

Order of things for a good code: claim it among the gates, commit used key and record in one
transaction, only then grant it to the gate.  The exit never waits for the disk.  Time is an argument;
nothing here raises on what a shopper, a sensor or a disk can do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from firmware.gate import facts
from firmware.gate.admission import CARRIES_GOODS, Admissible, Verdict
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
)
from firmware.wire.record_types import Alarm, Flags, Passed, Refused
from firmware.wire.refusals import REASONS, Refusal

AT_ONCE = 4
"""Admissions between code and grant at a time; one more is refused as busy."""
UNANSWERED = 64
"""Admissions that a hung disk has not answered; one more is refused as busy."""
REFUSALS_A_MINUTE = 30
"""More refusal records than this are only counted: a roll of random codes must not fill the journal."""
SPENT_S = 2.5 * 3600
"""A spent key is kept this long: the longest pass (2 h) and half an hour."""
CLAIM_S = 1.0
"""A claim is answered within 0.1 s by its own rules; one that never is counts as offline."""


PolicyEvent = Verdict | Claimed | Committed | CommitFailed | Restored | facts.GateEvent


@dataclass(frozen=True)
class Rules:
    """The board file's part: see ``AdmissionSection``. ``direction``: "in" or "out"."""

    direction: str = "in"
    on_disk_fault: str = "refuse"
    moment_s: float = 0.15
    give_up_s: float = 0.5


@dataclass
class _Pending:
    commit: Commit
    mark: bytes
    left: int
    step: str  # "claim", "disk", "given-up", "in-memory"
    since: float
    told: bool = False
    granted: int = 0  # in memory


class EntryPolicy:
    """``handle(event, now)`` returns the orders; ``deadline()`` says when to call with ``Tick``."""

    def __init__(self, gate: Gate, rules: Rules) -> None:
        self.gate = gate
        self.rules = rules
        self.spent: dict[tuple[bytes, str], int] = {}
        """Uses of this gate per (visit, direction); the station fills it from the journal at start."""
        self.counters = {"admitted": 0, "refused": 0, "passed": 0, "annulled": 0, "tailgates": 0}
        self._pending: dict[int, _Pending] = {}
        self.last_token = 0
        self._kinds: dict[int, str] = {}
        self._open: dict[int, tuple[bytes, bytes]] = {}
        self._spent_at: dict[tuple[bytes, str], float] = {}
        self._budget = float(REFUSALS_A_MINUTE)
        self._budget_at = 0.0
        self.refusals_unwritten = 0

    # -- in ------------------------------------------------------------------------------------

    def handle(self, event: PolicyEvent, now: float) -> list[Order]:
        """One event of a sensor, a command or an answer; see the types in this package."""
        if isinstance(event, Verdict):
            return self._shown(event, now)
        if isinstance(event, Claimed):
            return self._claimed(event, now)
        if isinstance(event, Committed):
            return self._committed(event, now)
        if isinstance(event, CommitFailed):
            return self._failed(event.token, event.reason, now)
        if isinstance(event, Restored):
            return self._restored(event, now)
        if isinstance(event, facts.Tick):
            return [*self._overdue(now), *self._gate(event, now)]
        return self._gate(event, now)

    def deadline(self) -> float | None:
        """When ``Tick`` is due, monotonic seconds; None = nothing is timed."""
        times = [self._due(p) for p in self._pending.values()]
        gate = self.gate.deadline()
        known = [t for t in (*times, gate) if t is not None]
        return min(known) if known else None

    def at_rest(self) -> bool:
        """No admission is on its way and nobody is expected in the lane."""
        return not self._pending and not self._kinds

    def _next_token(self) -> int:
        self.last_token += 1
        return self.last_token

    def used(self, visit: bytes) -> int:
        """Uses of this visit spent at this gate in its direction."""
        return self.spent.get((visit, self.rules.direction), 0)

    # -- a code was shown ----------------------------------------------------------------------

    def _shown(self, verdict: Verdict, now: float) -> list[Order]:
        outcome = verdict.outcome
        if isinstance(outcome, Refusal):
            if outcome.reason == "used" and self._still_held_up(verdict):
                return []
            return self._refuse(outcome.reason, verdict.code, verdict.visit, now)
        visit = outcome.visit
        on_their_way = [p.commit.visit for p in self._pending.values() if p.step in ("claim", "disk")]
        if visit in on_their_way or self._still_held_up(verdict):
            return []  # the same pass again while its first showing is still on its way, or open
        if (reason := self.gate.accepts(self.rules.direction)) is not None:
            return self._refuse(reason, verdict.code, visit, now)
        if len(on_their_way) >= AT_ONCE or len(self._pending) >= UNANSWERED:
            return self._refuse("busy", verdict.code, visit, now)
        return self._begin(outcome, verdict.mark, now)

    def _still_held_up(self, verdict: Verdict) -> bool:
        """A pass that rotates in its owner's hand is no second try; the same code again is one."""
        marks = [mark for visit, mark in self._open.values() if visit == verdict.visit]
        return bool(marks) and verdict.mark not in marks

    def _begin(self, good: Admissible, mark: bytes, now: float) -> list[Order]:
        commit = Commit(
            self._next_token(),
            good.visit,
            self.rules.direction,
            0 if good.kind in CARRIES_GOODS else good.party,
            good.kind,
            good.campaign,
            good.placement,
        )
        left = good.party if good.left is None else good.left
        self._forget(now)
        orders: list[Order] = []
        if good.unsure:
            orders.append(self._alarm("clock-unsure", "a pass was accepted with the clock unsynchronised"))
        if self.rules.direction == "out":
            # People get out whatever the disk does: the record follows.
            self._spend(commit, left, now)
            return [*orders, replace(commit, granted=left), *self._grant(commit, left, mark, now)]
        step = "claim" if commit.party else "disk"
        self._pending[commit.token] = _Pending(commit, mark, left, step, now)
        if step == "disk":
            return [*orders, commit]
        return [*orders, Claim(commit.token, commit.visit, commit.direction)]

    def _claimed(self, answer: Claimed, now: float) -> list[Order]:
        pending = self._pending.get(answer.token)
        if pending is None or pending.step != "claim":
            return []
        if answer.outcome == "lost":
            del self._pending[answer.token]
            return self._refuse("used", "pass", pending.commit.visit, now)
        if answer.outcome == "offline":
            pending.commit = replace(pending.commit, flags=pending.commit.flags | Flags.OFFLINE)
        pending.step, pending.since = "disk", now
        return [pending.commit]

    # -- the disk answers ----------------------------------------------------------------------

    def _committed(self, answer: Committed, now: float) -> list[Order]:
        pending = self._pending.pop(answer.token, None)
        if pending is None:
            return []  # the exit's own: granted before it was written
        commit, uses = pending.commit, answer.uses
        if pending.step == "given-up":
            # The shopper was turned away; the disk took it after all.
            return [self._back(commit, uses, "too-late")] if uses else []
        if pending.step == "in-memory":
            if uses > pending.granted:
                return [self._back(commit, uses - pending.granted, "too-late")]
            # Granted already: what the journal did not grant was let through all the same.
            return [self._late(commit, pending.granted - uses)] if uses < pending.granted else []
        # What was granted while the disk failed may not be in the journal's count yet.
        left = commit.party - self.used(commit.visit) if commit.party else uses
        over = max(0, uses - left)
        orders: list[Order] = [self._back(commit, over, "used")] if over else []
        if uses == over:
            return [*orders, *self._refuse("used", "pass", commit.visit, now)]
        self._spend(commit, uses - over, now)
        return [*orders, *self._grant(commit, uses - over, pending.mark, now)]

    def _failed(self, token: int, reason: str, now: float) -> list[Order]:
        pending = self._pending.pop(token, None)
        if pending is None or pending.step == "given-up":
            return []
        if pending.step == "in-memory":
            return [self._late(pending.commit, pending.granted)]
        orders = self._disk_fault(pending, reason, now)
        return [self._late(pending.commit, pending.granted), *orders] if pending.granted else orders

    def _disk_fault(self, pending: _Pending, reason: str, now: float) -> list[Order]:
        """The board file's rule: refuse, or let people in and remember it."""
        commit = pending.commit
        if self.rules.on_disk_fault == "refuse":
            alarm = self._alarm("disk-fault", f"an admission was refused: {reason}")
            return [alarm, *self._refuse("disk-fault", "pass", commit.visit, now)]
        if (closed := self.gate.accepts(self.rules.direction)) is not None:
            return self._refuse(closed, "pass", commit.visit, now)
        uses = min(pending.left, commit.party - self.used(commit.visit)) if commit.party else 1
        if uses <= 0:
            return self._refuse("used", "pass", commit.visit, now)
        pending.step, pending.granted = "in-memory", uses
        self._spend(commit, uses, now)
        alarm = self._alarm("disk-fault", f"an admission is kept in memory only: {reason}")
        return [alarm, *self._grant(commit, uses, pending.mark, now)]

    def _late(self, commit: Commit, granted: int) -> Commit:
        """The same admission for the journal's backlog: written once the disk is back."""
        return replace(commit, flags=commit.flags | Flags.IN_MEMORY, granted=granted)

    def _due(self, pending: _Pending) -> float | None:
        if pending.step == "claim":
            return pending.since + CLAIM_S
        if pending.step == "disk":
            wait = self.rules.give_up_s if pending.told else self.rules.moment_s
            return pending.since + wait
        return None

    def _overdue(self, now: float) -> list[Order]:
        orders: list[Order] = []
        for token, pending in list(self._pending.items()):
            due = self._due(pending)
            if due is None or now < due:
                continue
            if pending.step == "claim":
                orders += self._claimed(Claimed(token, "offline"), now)
            elif not pending.told:
                pending.told = True
                orders.append(Say("one-moment"))
            else:
                # Kept, so that the disk's late answer is given back and not granted again.
                pending.step = "given-up"
                orders += self._disk_fault(pending, "the disk did not answer in time", now)
        return orders

    def _restored(self, report: Restored, now: float) -> list[Order]:
        """Granted before the restart and never passed: the use goes back to the visit."""
        for visit, direction, uses in report.spent:
            key = (visit, direction)
            self.spent[key] = self.spent.get(key, 0) + uses
            self._spent_at[key] = now
        orders: list[Order] = []
        for one in report.unused:
            self.unspend(one.visit, one.direction, one.uses)
            ref = (one.seq, one.epoch)
            orders.append(GiveBack(0, one.visit, one.direction, one.uses, "restart", ref))
        return orders

    # -- out -----------------------------------------------------------------------------------

    def _grant(self, commit: Commit, uses: int, mark: bytes, now: float) -> list[Order]:
        if self.gate.accepts(self.rules.direction) is not None:
            self.unspend(commit.visit, commit.direction, uses)
            return [self._back(commit, uses, "gate-not-ready")]
        self.counters["admitted"] += 1
        self._kinds[commit.token] = commit.kind
        self._open[commit.token] = (commit.visit, mark)
        grant = facts.Grant(commit.visit, commit.token, uses, commit.direction, commit.kind)
        told = Tell("opened", {"visit": commit.visit.hex(), "uses": uses, "kind": commit.kind})
        return [*self._gate(grant, now), told]

    def _back(self, commit: Commit, uses: int, why: str) -> GiveBack:
        """What the journal granted and nobody was let through for."""
        self.counters["annulled"] += 1
        return GiveBack(commit.token, commit.visit, commit.direction, uses, why)

    def _refuse(self, reason: str, code: str, visit: bytes | None, now: float) -> list[Order]:
        self.counters["refused"] += 1
        orders: list[Order] = [
            Say("refused", reason),
            Tell("refused", {"why": reason, "visit": visit.hex() if visit else None}),
        ]
        self._budget = min(REFUSALS_A_MINUTE, self._budget + (now - self._budget_at) * REFUSALS_A_MINUTE / 60)
        self._budget_at = now
        if self._budget >= 1:
            self._budget -= 1
            fields = {"reason": REASONS[reason].number, "code": code, "visit": visit}
            orders.append(Note(Refused, fields))
        else:
            self.refusals_unwritten += 1
        return orders

    def _gate(self, event: facts.GateEvent, now: float) -> list[Order]:
        return self._orders(self.gate.handle(event, now))

    def _orders(self, outs: Iterable[object]) -> list[Order]:
        orders: list[Order] = []
        for out in outs:
            if isinstance(out, facts.Drive):
                orders.append(Drive(out.name, out.active))
            elif isinstance(out, facts.Show):
                orders.append(Say(out.key, out.detail))
            elif isinstance(out, facts.Passed):
                orders += self._passed(out)
            elif isinstance(out, facts.Annulled):
                orders += self._annulled(out)
            elif isinstance(out, facts.Alarm):
                self.counters["tailgates"] += out.kind == "tailgate"
                orders.append(self._alarm(out.kind, out.detail))
                orders.append(Tell("alarm", {"what": out.kind, "detail": out.detail}))
            elif isinstance(out, facts.AlarmOver):
                orders.append(Tell("alarm-over", {"what": out.kind}))
            elif isinstance(out, facts.StateChanged):
                orders.append(Tell("state", {"state": out.state}))
            elif isinstance(out, facts.Ignored):
                orders.append(Tell("ignored", {"event": str(out.event), "state": self.gate.state}))
        return orders

    def _passed(self, out: facts.Passed) -> list[Order]:
        self.counters["passed"] += 1
        if out.remaining == 0:
            self._kinds.pop(out.ref, None)
            self._open.pop(out.ref, None)
        if out.visit is None:
            return [Tell("passed", {"visit": None, "remaining": out.remaining})]
        fields = {"visit": out.visit, "direction": out.direction}
        told = Tell("passed", {"visit": out.visit.hex(), "remaining": out.remaining})
        return [Note(Passed, fields, out.ref), told]

    def _annulled(self, out: facts.Annulled) -> list[Order]:
        self.counters["annulled"] += 1
        kind = self._kinds.pop(out.ref, "entry")
        self._open.pop(out.ref, None)
        if out.visit is None:
            return [Tell("annulled", {"visit": None, "why": out.why})]
        if kind not in CARRIES_GOODS:
            self.unspend(out.visit, self.rules.direction, out.unused)
        return [
            GiveBack(out.ref, out.visit, self.rules.direction, out.unused, out.why),
            Tell("annulled", {"visit": out.visit.hex(), "why": out.why, "unused": out.unused}),
        ]

    def _alarm(self, kind: str, detail: str) -> Note:
        return Note(Alarm, {"kind": kind, "detail": detail[:200]})

    def _spend(self, commit: Commit, uses: int, now: float) -> None:
        if commit.party:
            key = (commit.visit, commit.direction)
            self.spent[key] = self.spent.get(key, 0) + uses
            self._spent_at[key] = now

    def _forget(self, now: float) -> None:
        """A spent key outlives the longest pass, not the board's memory."""
        for key in [key for key, since in self._spent_at.items() if now - since > SPENT_S]:
            del self._spent_at[key]
            self.spent.pop(key, None)

    def unspend(self, visit: bytes, direction: str, uses: int) -> None:
        """The visit has these uses again."""
        key = (visit, direction)
        left = self.spent.get(key, 0) - uses
        if left > 0:
            self.spent[key] = left
        else:
            self.spent.pop(key, None)
