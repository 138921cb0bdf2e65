"""One shopper's stay in the portal, and the basket that was submitted for it: values only. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from firmware.portal import facts
from firmware.portal.decision import Verdict
from firmware.portal.goods import Found

LAST_VERSION = 255
"""Of one basket; a change after that begins another basket."""


@dataclass
class Basket:
    """What was submitted. Tokens only grow, and there is one basket at a time: those from ``first`` to
    ``token`` are its versions."""

    first: int = 0
    token: int = 0
    version: int = 0
    items: tuple[bytes, ...] = ()
    visit: bytes | None = None
    verdict: str = ""
    missing: int = 0
    reason: str = ""
    offer: facts.Offered | None = None
    refused: str = ""
    """Why the shop makes no offer, in its words."""
    declined: str = ""
    """Why it was not paid, in the shop's words."""
    attempt: int = 0
    """Number of the payment that was asked for last; 0: none."""
    receipt: facts.PayAnswer | None = None
    unclear_since: float | None = None

    def take(self, stay: Stay, reason: str) -> None:
        """What is in the portal by the last verdict. ``reason``: why that was not enough, for a person."""
        verdict = stay.verdict
        self.items = stay.found.items
        self.verdict = "staff" if stay.staff else "declared" if stay.declared is not None else "complete"
        looked = stay.staff and verdict is not None
        self.missing = verdict.missing if verdict is not None and looked else 0
        self.reason = reason if looked else ""

    def next(self, token: int, visit: bytes | None) -> None:
        """The next version of it."""
        self.token, self.first = token, self.first or token
        self.version = min(self.version + 1, LAST_VERSION)
        self.visit, self.offer, self.attempt = visit, None, 0

    def submission(self, declared: int | None) -> facts.Submit:
        return facts.Submit(
            self.token,
            self.first,
            self.version,
            self.items,
            self.verdict,
            self.missing,
            declared,
            self.visit,
            self.reason,
        )


@dataclass
class Stay:
    """``said``: the count that the decision was given for ``declared`` items, which goes by tags.
    ``shown``: what stands on the screen. ``told``: what was said once already."""

    visit: bytes | None = None
    visit_until: float | None = None
    declared: int | None = None
    said: int | None = None
    verdict: Verdict | None = None
    found: Found = Found()
    staff: bool = False
    shown: tuple[object, ...] = ()
    told: set[str] = field(default_factory=set)
