"""A shelf price point: one tag near the antenna, its price on the display, with the shop or without it. Loop
thread. What is shown, and when, is decided in ``firmware.portal.pricepoint``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from firmware.boardfile import price_rules
from firmware.desk import Opened
from firmware.gate.orders import Note, Tell
from firmware.portal.facts import Tick
from firmware.portal.pricepoint import Order, PriceEvent, PricePoint, PricesChanged, ShowScreen
from firmware.portal.pricetext import IDLE
from firmware.pricebook import PriceBook
from firmware.station import Kit, Station
from firmware.sync.link import Link
from firmware.wire.tables import Snapshot
from hal.ports import CodeSeen, DeviceBack, DeviceCondition, DeviceLost, InputChanged, TagRead

log = logging.getLogger("price")

LOOK_S = 30.0
"""Nobody looks at prices for longer without a pause."""


class PricepointStation(Station):
    """One price point."""

    tables = ("prices",)

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit, IDLE)
        self.prices = PriceBook()
        rules = price_rules(kit.board)
        self.policy = PricePoint(rules, self.prices.look, lambda: self.prices.complete, self._today)
        self._timer: asyncio.TimerHandle | None = None
        self._showing: float | None = None
        """Since when there has been a price, without a pause."""

    @property
    def state(self) -> str:
        return "showing" if self.policy.shown is not None else "idle"

    def idle(self) -> bool:
        """Also when a price has stood for long: tags on the shelf that are read as near keep one there for
        ever, and a mended board file must end that."""
        return self._showing is None or self._loop.time() - self._showing > LOOK_S

    def figures(self) -> dict[str, float | int]:
        counts = {f"price_{name}": n for name, n in self.policy.counts.items()}
        return {"price_shown": 0, "price_looks": 0, **counts, **self.prices.figures()}

    def linked(self, link: Link) -> None:
        self._carry_out(self.policy.start())

    def code(self, seen: CodeSeen) -> None:
        pass  # a price point has nothing to do with codes

    def tag(self, read: TagRead) -> None:
        self.policy_event(read)

    def device(self, event: InputChanged | DeviceLost | DeviceBack | DeviceCondition) -> None:
        if isinstance(event, DeviceLost | DeviceBack):
            self.policy_event(event)

    def levels(self, levels: dict[str, bool]) -> None:
        pass

    def restored(self, opened: Opened, *, lost: bool) -> None:
        pass

    def check_table(self, name: str, snapshot: Snapshot) -> str | None:
        return self.prices.check(snapshot) if name == "prices" else None

    def table_changed(self, name: str, buckets: dict[str, Snapshot]) -> None:
        if name == "prices" and self.prices.changed(buckets):
            self.policy_event(PricesChanged())

    def policy_event(self, event: PriceEvent) -> None:
        if not self._closed:
            self._carry_out(self.policy.handle(event, self._loop.time()))

    def _carry_out(self, orders: Sequence[Order]) -> None:
        for order in orders:
            if isinstance(order, ShowScreen):
                self.show(order.screen)
            elif isinstance(order, Tell):
                self.kit.tell({"event": order.event, **order.fields})
            elif isinstance(order, Note):
                self.recorder.put(order)
        self._schedule()

    def _schedule(self) -> None:
        if self.policy.shown is None:
            self._showing = None
        elif self._showing is None:
            self._showing = self._loop.time()
        due = self.policy.deadline()
        if self._timer is not None:
            if due == self._timer.when():
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self.kit.guard.at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.policy_event(Tick())

    def _today(self) -> str | None:
        clock = self.kit.clock
        if clock.quality() == "unsynced":
            return None
        return datetime.fromtimestamp(clock.wall_ms() / 1000, UTC).astimezone().date().isoformat()

    def close(self) -> None:
        super().close()
        if self._timer is not None:
            self._timer.cancel()
