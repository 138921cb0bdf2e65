"""One basket through the decision, and through fixed quiet times on the very same reads."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from benchmarks.portal_model import Basket, Cell
from firmware.portal.decision import Decision, DecisionRules
from firmware.portal.presence import PresenceRules

QUIET_S = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0)
STEP_S = 0.1
UNTIL_S = 20.0


@dataclass(slots=True)
class Quiet:
    """A fixed rule: complete when there was no new tag for ``quiet_s``, no tag is weak, and not before that
    and half a second (or ``quiet_s``, from 2 s on)."""

    quiet_s: float
    at: float | None = None
    right: bool = False
    strays: int = 0

    def step(self, now: float, since: float, items: frozenset[bytes], basket: Basket) -> None:
        least = self.quiet_s + (0.5 if self.quiet_s < 2.0 else 0.0)
        if self.at is None and items and now >= least and now - since >= self.quiet_s:
            self.at, self.right = now, items == basket.heard_of
            self.strays = len(items & basket.strays)


@dataclass(slots=True)
class Outcome:
    """``at``: when the first complete verdict came (None: never; it was ``reason`` then). ``right``: exactly
    the basket, with whatever verdict; ``filtered``, ``plain``: the fixed rules with and without presence."""

    at: float | None = None
    reason: str = ""
    ended: float = 0.0
    right: bool = False
    strays: int = 0
    missed: int = 0
    shown: int = 0
    filtered: list[Quiet] = field(default_factory=list)
    plain: list[Quiet] = field(default_factory=list)
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
) -> Outcome:
    """One basket. ``decision``: the portal's, with what it learned; ``clock``: its time. ``declared``: what
    the shopper says. ``peers`` False: stop at the verdict."""
    basket = Basket(cell, seed)
    if decision is None:
        decision = Decision(rules_for(cell))
    done = Outcome(shown=len(basket.strays))
    if peers:
        done.filtered = [Quiet(quiet) for quiet in QUIET_S]
        done.plain = [Quiet(quiet) for quiet in QUIET_S]
    begun = False
    due = since = plain_since = 0.0
    items: frozenset[bytes] = frozenset()
    heard: set[bytes] = set()
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
            if peers and read.epc not in heard:
                heard.add(read.epc)
                plain_since = read.at - clock
        while due <= now and not (done.ended and not peers):
            began = time.perf_counter()
            if declared is not None and due <= STEP_S:
                decision.declare(declared)
            verdict = decision.judge(clock + due)
            done.judges += 1
            done.judge_s += time.perf_counter() - began
            found = frozenset(verdict.items)
            if found - items:
                since = due
            items = found
            if not done.ended and verdict.kind != "collecting":
                done.ended, done.reason = due, verdict.reason
                done.at = due if verdict.kind == "complete" else None
                done.right = items == basket.heard_of
                done.strays, done.missed = len(items & basket.strays), len(basket.heard_of - items)
            for quiet in done.filtered:
                if not verdict.weak:
                    quiet.step(due, since, items, basket)
            if done.plain and done.plain[-1].at is None:
                all_heard = frozenset(heard)
                for quiet in done.plain:
                    quiet.step(due, plain_since, all_heard, basket)
            due = STEP_S + due if peers else max(due + 0.05, verdict.next_at - clock)
        if done.ended and (not peers or done.filtered[-1].at is not None and done.plain[-1].at is not None):
            break
    decision.end(clock + due)
    return done
