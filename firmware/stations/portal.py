"""The checkout portal: tags to a basket, the basket to a record, an offer, a payment. Loop thread.

What is in the portal is decided in ``firmware.portal``. The payment code that was shown stays here, in
memory, from the camera to one question to the shop; it goes into no record, trace or log.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from firmware.boardfile import portal_timing
from firmware.desk import Opened
from firmware.gate.orders import Claimed, CommitFailed, Committed, Drive, Note, Tell
from firmware.housetables import HouseTables, house_of
from firmware.portal import facts
from firmware.portal.decision import DecisionRules
from firmware.portal.facts import Asked, SubmitFailed, Submitted, Told
from firmware.portal.kinds import KindRules
from firmware.portal.policy import PortalPolicy
from firmware.portal.presence import PresenceRules
from firmware.portal.shown import judge
from firmware.portal.words import screen_for
from firmware.portaltrace import PortalTrace, header
from firmware.pricebook import PriceBook
from firmware.rawdecision import RecordedDecision
from firmware.rawlog import RawKeeper, RawLog
from firmware.screens import REFUSAL_S
from firmware.station import Kit, Station
from firmware.stations.questions import NAMES, Questions
from firmware.sync.link import Arrived, Link
from firmware.wire.commands import Command
from firmware.wire.tables import Snapshot
from hal.ports import (
    CodeSeen,
    DeviceBack,
    DeviceCondition,
    DeviceLost,
    InputChanged,
    TagRead,
    TagReader,
)

log = logging.getLogger("portal")
summary = logging.getLogger("basket")

BEEP_S = 0.2
STUCK = ("helpless", "packed")
"""Where a portal stays that always sees somebody, or always two: no payment is on its way there."""
PASSING = ("refused", "help")
"""Screens that give way to the state's own after a moment."""


class PortalStation(Station):
    """One portal. ``parts`` of it may be looked at by tests: policy, prices, house."""

    tables = ("revoked", "keys", "prices")

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit, screen_for("starting", {}))
        section = kit.board.portal
        self.house = house_of(kit.board, kit.site, "in")
        self.prices = PriceBook()
        folder = RawLog(
            Path(kit.site.data) / "reads", section.reads_mb, section.reads_days, wall=self._trusted_s
        )
        self.reads = RawKeeper(kit.papers, folder)
        rules = DecisionRules(presence=PresenceRules(veto=frozenset(section.veto_antennas)))
        self._decision = decision = RecordedDecision(rules, done=self._keep_reads, about=self._about)
        self.policy = PortalPolicy(
            decision,
            portal_timing(kit.board),
            lane=section.payment,
            kinds=KindRules(section.companies, section.unprogrammed),
            known=self.prices.knows,
        )
        self._house_tables = HouseTables(self)
        self._link: Link | None = None
        self._reader: TagReader | None = None
        self._code: bytes | None = None
        self._questions = Questions(lambda: self._link, self.policy_event, self._later, self.counts)
        self._reads_name = ""
        self._noted: PortalTrace | None = None

    # -- the role's hooks ------------------------------------------------------------------------

    @property
    def state(self) -> str:
        return self.policy.state

    def idle(self) -> bool:
        """Also where a sensor that is wired or described wrongly has led: its mended file ends that, and
        whoever does stand there is counted anew."""
        return self.policy.at_rest() or self.state in STUCK

    def figures(self) -> dict[str, float | int]:
        counters = self.policy.counters
        return {
            "baskets": counters["baskets"],
            "paid": counters["paid"],
            "declined": counters["declined"],
            "abandoned": counters["abandoned"],
            "tags_left_out": sum(n for name, n in counters.items() if name.startswith("tags_")),
            "reads_kept": self.reads.kept,
            "reads_lost": self.reads.lost,
            **self.prices.figures(),
        }

    def code(self, seen: CodeSeen) -> None:
        clock = self.kit.clock
        shown = judge(
            seen.data,
            store_id=self.house.store_id,
            keys=self.house.keys,
            revoked=self.house.revoked,
            wall_s=clock.wall_ms() / 1000,
            unsynced=clock.quality() == "unsynced" and self.house.unsynced == "refuse",
        )
        if isinstance(shown, facts.PaycodeShown):
            self._code = seen.data
        self.policy_event(shown)
        self._code = None

    def tag(self, read: TagRead) -> None:
        self.policy_event(read)

    def device(self, event: InputChanged | DeviceLost | DeviceBack | DeviceCondition) -> None:
        self.policy_event(event)

    def levels(self, levels: dict[str, bool]) -> None:
        self.policy_event(facts.Levels(levels))

    def restored(self, opened: Opened, *, lost: bool) -> None:
        if opened.open_basket is not None:
            self.policy_event(facts.LeftOpen(*opened.open_basket))

    def answer(self, answer: Committed | CommitFailed | Submitted | SubmitFailed | Claimed) -> None:
        if isinstance(answer, Submitted):
            self._reads_name = self._questions.submitted(answer)
            summary.info("basket %s version %d is in the journal", self._reads_name, answer.version)
            # What was read so far, already now: the power may go before the shopper does.
            self.reads.keep(self._reads_name, self._decision.so_far(self._loop.time()))
        if isinstance(answer, Submitted | SubmitFailed):
            self.policy_event(answer)

    def shop(self, state: str) -> None:
        self.house = replace(self.house, shop=replace(self.house.shop, state=state))
        self.policy_event(facts.ShopState(state))

    def command(self, command: Command) -> None:
        if command.name == "accept":
            self.policy_event(facts.StaffAccepts())
        elif command.name == "count":
            self.policy_event(facts.CountShown(int(command.args["items"])))

    def reader(self, reader: TagReader) -> None:
        self._reader = reader
        self.policy_event(DeviceBack("reader", self._loop.time()))

    def linked(self, link: Link) -> None:
        self._link = link

    def arrived(self, event: Arrived) -> None:
        if event.kind == "ans" and event.names in NAMES:
            self._questions.arrived(event)

    def check_table(self, name: str, snapshot: Snapshot) -> str | None:
        if name == "prices":
            return self.prices.check(snapshot)
        return self._house_tables.check(name, snapshot)

    def table_changed(self, name: str, buckets: dict[str, Snapshot]) -> None:
        if name == "prices":
            self.prices.changed(buckets)
        else:
            self._house_tables.changed(name, buckets)

    def trace_header(self) -> dict[str, Any]:
        section = self.kit.board.portal
        timing = portal_timing(self.kit.board)
        return header(self.policy, timing, section.payment, section.companies, section.unprogrammed)

    # -- policy ----------------------------------------------------------------------------------

    def policy_event(self, event: Told) -> None:
        """Policy's turn: its orders are carried out before this returns."""
        if self._closed:
            return
        now = self._loop.time()
        if self.trace is None:
            self._carry_out(self.policy.handle(event, now))
            return
        if self._noted is None:
            self._noted = PortalTrace(self.trace, self.policy, self.prices.knows)
        self._noted.begin()
        orders = self.policy.handle(event, now)
        self._noted.note(event, now, orders)
        self._carry_out(orders)

    def tick(self) -> None:
        self.policy_event(facts.Tick())

    def _carry_out(self, orders: list[Asked]) -> None:
        for order in orders:
            match order:
                case Drive(name, active):
                    self.drive(name, active)
                case facts.Show(key, fields):
                    self._say(key, fields)
                case facts.Listen(on):
                    if self._reader is not None:
                        (self._reader.begin if on else self._reader.end)()
                case facts.AskOffer():
                    self._questions.offer(order)
                case facts.AskPay():
                    self._questions.pay(order, self._code)
                case Tell():
                    self._tell(order)
                case Note() | facts.Submit() | facts.CloseBasket() | facts.Paid():
                    self.recorder.put(order)
        self.wake(self.policy.deadline())

    def _say(self, key: str, fields: Mapping[str, object]) -> None:
        items = fields.get("items", ())
        assert isinstance(items, tuple)
        listed = self.prices.sum_fen(items) if items else (0, 0)
        self.show(screen_for(key, fields, listed), REFUSAL_S if key in PASSING else None)
        if key in ("refused", "advice", "ask-staff", "declined"):
            self.sound(BEEP_S)  # heard as well: the shopper looks at the items, not at the screen

    def _tell(self, order: Tell) -> None:
        fields = dict(order.fields)
        if order.event == "state":
            self.faults.changed = True
        elif order.event == "alarm":
            log.warning("alarm %s: %s", fields["what"], fields["detail"])
        elif order.event == "tag-left-out":
            log.info("tag %s is left out: %s", fields["epc"], fields["kind"])
        elif order.event == "pass":
            self.last_visit = fields["visit"]
        elif order.event == "not-written":
            log.error("a basket is not written: %s", fields["why"])
        self.kit.tell({"event": order.event, **fields})

    def _later(self, told: Told) -> None:
        self.kit.guard.at(self._loop.time(), self.policy_event, told)

    # -- the log of reads --------------------------------------------------------------------------

    def _trusted_s(self) -> float | None:
        clock = self.kit.clock
        return None if clock.quality() == "unsynced" else clock.wall_ms() / 1000

    def _about(self) -> dict[str, object]:
        site = self.kit.site
        self._reads_name = ""
        return {"store": site.store, "board": site.board, "wall_ms": self.kit.clock.wall_ms()}

    def _keep_reads(self, body: bytes) -> None:
        """Named by the basket it led to; a stay without one only by its time."""
        name = self._reads_name or f"left-{self.kit.clock.wall_ms()}"
        self.reads.keep(name, body)
