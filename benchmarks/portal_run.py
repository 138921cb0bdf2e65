"""One basket through the decision, and through fixed quiet times on the very same reads."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from benchmarks.portal_model import Basket, Cell
from firmware.portal.decision import Decision, DecisionRules
from firmware.portal.presence import PresenceRules
from hal.ports import TagRead

QUIET_S = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0)
STEP_S = 0.1
UNTIL_S = 20.0
LEVEL_DBM = -74.0
"""The fixed filter's level: the best of -74 to -54 in steps of 2 on the seeds of tuning."""


@dataclass(slots=True)
class Quiet:
    """A fixed rule: complete when the items have not changed by a new one for ``quiet_s``, and not before
    that and half a second (or ``quiet_s``, from 2 s on)."""

    quiet_s: float
    at: float | None = None
    right: bool = False
    strays: int = 0

    def step(self, now: float, since: float, items: frozenset[bytes], basket: Basket) -> None:
        least = self.quiet_s + (0.5 if self.quiet_s < 2.0 else 0.0)
        if self.at is None and items and now >= least and now - since >= self.quiet_s:
            self.at, self.right = now, items == basket.heard_of
            self.strays = len(items & basket.strays)


PEERS = ("waits", "present", "level", "plain")
"""The fixed quiet times' filters: this decision's presence, and it waits while a tag is weak; the same, never
waiting; a fixed level, and stronger inside than facing away (maxima); none."""


class Peer:
    """One filter with every quiet time."""

    def __init__(self) -> None:
        self.rules = [Quiet(quiet) for quiet in QUIET_S]
        self._items: frozenset[bytes] = frozenset()
        self._since = 0.0

    def step(self, now: float, items: frozenset[bytes], basket: Basket, *, waits: bool = False) -> None:
        if items - self._items:
            self._since = now
        self._items = items
        if not waits and self.rules[-1].at is None:
            for rule in self.rules:
                rule.step(now, self._since, items, basket)


class Levels:
    """The fixed filter: each tag's maxima."""

    def __init__(self, away: tuple[int, ...], least: float) -> None:
        self._away, self._least = away, least
        self._best: dict[bytes, tuple[float, float]] = {}

    def add(self, read: TagRead) -> None:
        inside, away = self._best.get(read.epc, (-200.0, -200.0))
        level = read.rssi_dbm if read.rssi_dbm is not None else -200.0
        pair = (inside, max(away, level)) if read.antenna in self._away else (max(inside, level), away)
        self._best[read.epc] = pair

    @property
    def items(self) -> frozenset[bytes]:
        return frozenset(
            epc
            for epc, (inside, away) in self._best.items()
            if inside >= self._least > -200.0 and inside > away
        )

    @property
    def heard(self) -> frozenset[bytes]:
        return frozenset(self._best)


@dataclass(slots=True)
class Outcome:
    """``at``: when the first complete verdict came (None: never; it was ``reason`` then). ``right``: exactly
    the basket, with whatever verdict; ``peers``: the fixed rules, by the names of ``PEERS``."""

    at: float | None = None
    reason: str = ""
    ended: float = 0.0
    right: bool = False
    strays: int = 0
    missed: int = 0
    shown: int = 0
    peers: dict[str, list[Quiet]] = field(default_factory=dict)
    judges: int = 0
    judge_s: float = 0.0
    reads: int = 0


def rules_for(cell: Cell) -> DecisionRules:
    return DecisionRules(presence=PresenceRules(veto=frozenset(cell.away)))


def run(
    cell: Cell,
    seed: str,
    *,
    decision: Decision | None = None,
    clock: float = 0.0,
    declared: int | None = None,
    peers: bool = True,
    least: float = LEVEL_DBM,
) -> Outcome:
    """One basket. ``decision``: the portal's, with what it learned; ``clock``: its time. ``declared``: what
    the shopper says. ``peers`` False: stop at the
    verdict. ``least``: the fixed filter's level."""
    basket = Basket(cell, seed)
    if decision is None:
        decision = Decision(rules_for(cell))
    done = Outcome(shown=len(basket.strays))
    others = {name: Peer() for name in PEERS} if peers else {}
    done.peers = {name: peer.rules for name, peer in others.items()}
    levels = Levels(cell.away, least)
    begun = False
    due = 0.0
    for now, reads in basket.rounds(UNTIL_S, clock):
        if now < 0.0:
            for read in reads:
                decision.background(read)
            continue
        if not begun:
            begun, due = True, STEP_S
            decision.begin(clock)
        for read in reads:
            decision.add(read)
            done.reads += 1
            if peers:
                levels.add(read)
        while due <= now and not (done.ended and not peers):
            began = time.perf_counter()
            if declared is not None and due <= STEP_S:
                decision.declare(declared)
            verdict = decision.judge(clock + due)
            done.judges += 1
            done.judge_s += time.perf_counter() - began
            items = frozenset(verdict.items)
            if not done.ended and verdict.kind != "collecting":
                done.ended, done.reason = due, verdict.reason
                done.at = due if verdict.kind == "complete" else None
                done.right = items == basket.heard_of
                done.strays, done.missed = len(items & basket.strays), len(basket.heard_of - items)
            if peers:
                likely = frozenset(epc for epc, chance in decision.chances.items() if chance > 0.5)
                others["waits"].step(due, items, basket, waits=bool(verdict.weak))
                others["present"].step(due, likely, basket)
                others["level"].step(due, levels.items, basket)
                others["plain"].step(due, levels.heard, basket)
            due = max(due + 0.05, verdict.next_at - clock)
        if done.ended and all(peer.rules[-1].at is not None for peer in others.values()):
            break
    decision.end(clock + due)
    return done
