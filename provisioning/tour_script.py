"""The tour's script: what is shown to the gate, who walks, and which records must come of it. Data and codes.

Every code is a real pass (or a real fault in one), drawn, seen by the simulated camera and really decoded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware.wire.issue import Issued, issue, new_seed, new_visit_id
from firmware.wire.passes import STEP_S
from firmware.wire.records import Record

Shown = Callable[[float], str]
"""Text of the code at a unix time, s."""

WALK_SPEED = 1.6
"""A brisk walker, m/s: the tour is about people, not about waiting."""


@dataclass(frozen=True)
class Step:
    """One scene. ``expect``: outcome to number of records (``refused used``, ``alarm fire`` ...)."""

    title: str
    expect: Mapping[str, int]
    code: Shown | None = None
    walk: Mapping[str, Any] | None = None
    tags: tuple[str, ...] = ()
    fire: bool = False
    brisk: bool = True
    """Also part of the short tour."""
    limit_s: float = 15.0
    fault: Callable[[Sequence[Record]], str | None] = lambda records: None
    """What is wrong with the records beyond their number; None: nothing."""


@dataclass
class Issuer:
    """Issues the tour's passes; remembers some to show them again."""

    key_id: int
    private: Ed25519PrivateKey
    foreign: Ed25519PrivateKey
    store: str
    kept: dict[str, Issued] = field(default_factory=dict)

    def make(self, now: float, *, age_s: int = 0, valid_s: int = 1800, party: int = 1) -> Issued:
        return self._issue(self.private, self.store, now, age_s, valid_s, party)

    def fresh(self, name: str = "", party: int = 1) -> Shown:
        """A new pass, kept under ``name``."""

        def shown(now: float) -> str:
            issued = self.make(now, party=party)
            self.kept[name] = issued
            return issued.shown_at(now)

        return shown

    def again(self, name: str) -> Shown:
        """The current code of a pass that was shown before."""
        return lambda now: self.kept[name].shown_at(now)

    def expired(self, now: float) -> str:
        issued = self.make(now, age_s=3600, valid_s=600)
        return issued.shown_at(now - 3600 + 300)

    def screenshot(self, now: float) -> str:
        """A good pass, but its code of four minutes ago."""
        issued = self.make(now, age_s=300)
        return issued.shown_at(now - 300 + 2 * STEP_S)

    def another_shops(self, now: float) -> str:
        return self._issue(self.foreign, "another-shop", now, 0, 1800, 1).shown_at(now)

    def forged(self, now: float) -> str:
        """This shop's name, but signed with a key the board does not know."""
        return self._issue(self.foreign, self.store, now, 0, 1800, 1).shown_at(now)

    def damaged(self, now: float) -> str:
        """One character flipped, so that it is Base45 no more."""
        text = self.make(now).shown_at(now)
        # three characters stand for two bytes; ":" (44) in the highest place is beyond any pair
        place = len("TG1:") + 3 * 20 + 2
        return text[:place] + ":" + text[place + 1 :]

    def _issue(
        self, private: Ed25519PrivateKey, store: str, now: float, age_s: int, valid_s: int, party: int
    ) -> Issued:
        return issue(
            private,
            key_id=self.key_id,
            store_id=store,
            visit=new_visit_id(os.urandom),
            issued_at=int(now) - age_s,
            valid_for=valid_s,
            seed=new_seed(os.urandom),
            party=party,
        )


def steps(issuer: Issuer) -> list[Step]:
    """The tour in order. The fire comes last: after one the gate waits half a minute before it closes."""
    one = {"people": 1, "speed_m_s": WALK_SPEED}
    through = {"admitted": 1, "passed": 1}
    return [
        Step("a good pass, one person", through, issuer.fresh("first"), one),
        Step(
            "a good pass for two people",
            {"admitted": 1, "passed": 2},
            issuer.fresh(party=2),
            {"people": 2, "speed_m_s": WALK_SPEED, "gap_m": 0.8},
            brisk=False,
        ),
        Step("an expired pass", {"refused expired": 1}, issuer.expired),
        Step("a screenshot of a pass", {"refused stale-code": 1}, issuer.screenshot, brisk=False),
        Step("another shop's pass", {"refused foreign": 1}, issuer.another_shops),
        Step("a forged pass", {"refused bad-signature": 1}, issuer.forged, brisk=False),
        Step("a damaged code", {"refused damaged": 1}, issuer.damaged),
        Step("a good pass, nobody walks", {"admitted": 1, "annulled": 1}, issuer.fresh("unused"), limit_s=25),
        Step("the same pass, now walking", through, issuer.again("unused"), one, brisk=False),
        Step(
            "one pass, a tailgater behind",
            {**through, "alarm tailgate": 1},
            issuer.fresh(),
            {"people": 2, "speed_m_s": WALK_SPEED, "gap_m": 0.2},
        ),
        # Late on purpose: its code may have rotated, and a rotated one in its owner's hand is no second try.
        Step("the first pass again", {"refused used": 1}, issuer.again("first")),
        Step(
            "three tagged items carried in",
            {"basket": 1},
            tags=tuple(f"3034F4A1B8000040000000{n:02X}" for n in (1, 2, 3)),
        ),
        Step("fire alarm", {"alarm fire": 1}, fire=True),
    ]
