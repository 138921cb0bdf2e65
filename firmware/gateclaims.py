"""Claims over the link: the other gates are asked before a pass is granted. Loop thread.

The rules are in ``firmware.sync.claims``; here they get the link, a timer and the station's tokens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from firmware.gate.orders import Claim, Claimed
from firmware.loop import Guard
from firmware.sync.claims import KEEP_S, Claims, Outcome
from firmware.sync.link import Arrived, Link

log = logging.getLogger("claims")

SNAPSHOT_S = 0.3
"""Spent keys are shown this long after they changed: one snapshot for a burst of admissions."""

Answer = Callable[[Claimed], None]


class GateClaims:
    """Claims over the link. ``spent()`` gives this gate's spent keys for the snapshot."""

    def __init__(
        self, guard: Guard, link: Link, boot: bytes, spent: Callable[[], Mapping[tuple[bytes, str], int]]
    ) -> None:
        self._guard = guard
        self._link = link
        self._spent = spent
        self._lost = False
        self._extra: dict[tuple[bytes, str], int] = {}
        """Uses that only the broker still knew of, after this board has lost its journal."""
        self.adopted = 0
        self._claims = Claims(link.topics.board, boot)
        self._waiting: dict[tuple[bytes, str], list[tuple[int, Answer]]] = {}
        self._tick: asyncio.TimerHandle | None = None
        self._soon: asyncio.TimerHandle | None = None

    # -- for the station --------------------------------------------------------------------

    def claim(self, order: Claim, answer: Answer) -> None:
        """Ask the other gates; ``answer`` is called exactly once, possibly before this returns."""
        payload, known = self._claims.claim(order.visit, order.direction, self._now())
        sent = self._link.publish(self._link.topics.claim, payload, 1)
        self._waiting.setdefault((order.visit, order.direction), []).append((order.token, answer))
        if not sent:
            known = [Outcome(order.visit, order.direction, "offline")]
        self._tell(known)

    def used(self, visit: bytes, direction: str) -> int:
        """Uses that this gate's journal does not know: the other gates', and those of a lost journal."""
        return self._claims.used(visit, direction) + self._extra.get((visit, direction), 0)

    def decided(self, visit: bytes, direction: str) -> None:
        """The disk has answered for this use, or it was given up."""
        self._claims.decided(visit, direction)
        self.changed()

    def changed(self) -> None:
        """This gate's spent keys are others: show them soon."""
        if self._soon is None and self._link.up:
            self._soon = self._guard.at(self._now() + SNAPSHOT_S, self._show)

    def journal_lost(self) -> None:
        """The journal is new or was read out of a damaged file: what it no longer knows, the broker may."""
        self._lost = True
        self._adopt()

    @property
    def twin(self) -> bool:
        """Another board connects under this one's id."""
        return self._claims.twin

    # -- for the uplink ------------------------------------------------------------------------

    def connected(self) -> None:
        self._claims.connected()
        self.changed()

    def disconnected(self) -> None:
        self._tell(self._claims.disconnected(self._now()))

    def arrived(self, event: Arrived) -> None:
        """A claim or a snapshot; ``names[0]`` is the board it comes from."""
        board = event.names[0]
        if event.kind == "used":
            self._claims.on_snapshot(board, event.payload)
            self._adopt()
        elif not event.retained:
            self._tell(self._claims.on_claim(board, event.payload, self._now()))

    def close(self) -> None:
        for timer in (self._tick, self._soon):
            if timer is not None:
                timer.cancel()

    # -- inside --------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._guard.loop.time()

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        for found in outcomes:
            for token, answer in self._waiting.pop((found.visit, found.direction), []):
                answer(Claimed(token, found.outcome))
        self._arm()

    def _arm(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        due = self._claims.due()
        if due is not None:
            self._tick = self._guard.at(due, self._overdue)

    def _overdue(self) -> None:
        self._tick = None
        self._tell(self._claims.tick(self._now()))

    def _adopt(self) -> None:
        """Take over, once, what an earlier start of this board had shown and its journal has lost."""
        before = self._claims.before
        if not self._lost or before is None:
            return
        self._lost = False
        spent = self._spent()
        for visit, counts in before.items():
            for direction, count in zip(("in", "out"), counts, strict=True):
                missing = count - spent.get((visit, direction), 0)
                if missing > 0:
                    self._extra[visit, direction] = missing
        self.adopted = len(self._extra)
        if self._extra:
            log.warning("%d used passes are known from the broker, not from the journal", self.adopted)

    def _show(self) -> None:
        self._soon = None
        spent = dict(self._spent())
        for key, count in self._extra.items():
            spent[key] = spent.get(key, 0) + count
        payload = self._claims.snapshot(spent)
        if not self._link.publish(self._link.topics.used, payload, 1, True, KEEP_S) and self._link.up:
            self.changed()
