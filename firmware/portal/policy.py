"""One portal's policy: tags become a basket, the basket a record, an offer, a payment. Pure.

What is in the portal, and whether that is all, is ``decision``'s work; where an event leads is the table's.
A basket is in the journal before anybody is asked what it costs, and is never charged without the shopper's
code on exactly the total that the screen shows. Time is an argument; nothing here raises on what a shopper,
a sensor, a disk or the shop can do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from firmware.gate.orders import Note, Tell
from firmware.portal import facts
from firmware.portal.alarms import ALARMS, Bell
from firmware.portal.decision import Decision
from firmware.portal.facts import Asked, Told
from firmware.portal.goods import Goods
from firmware.portal.kinds import KindRules
from firmware.portal.listening import Listening
from firmware.portal.machine import Machine
from firmware.portal.people import People
from firmware.portal.reading import Reading
from firmware.portal.stay import Basket, Stay
from firmware.portal.surface import Surface
from firmware.portal.table import READING, TABLE, Table
from firmware.portal.till import Till
from firmware.portal.timing import Timing
from firmware.wire.record_types import Alarm
from hal.ports import DeviceBack, DeviceCondition, DeviceLost, InputChanged, TagRead

READER = "reader"
STOPPERS = frozenset({"hot", "antenna-missing", "return-loss"})
"""Conditions of the reader under which a count cannot be trusted."""
PASS_LASTS_S = 10.0
"""A pass that was shown before anybody stepped in is the next shopper's for so long, s."""
MAX_COUNT = 200
HELD_UP = ("paying", "checking", "ask-payment", "paid")
"""Screens under which a payment code is still held up, or another one is: never two charges for a basket."""


class PortalPolicy:
    """``handle(event, now)`` returns what to do; ``deadline()`` says when to call with ``Tick``.

    ``known(epc)``: the price list has it. ``lane``: "store" or "count" (see the table).
    """

    def __init__(
        self,
        decision: Decision,
        timing: Timing,
        *,
        lane: str,
        kinds: KindRules,
        known: Callable[[bytes], bool],
        table: Table = TABLE,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.goods = Goods(kinds, known)
        self.people = People(timing.left_s)
        self.machine = Machine(timing, lane, self._holds, self._act, table)
        self.till = Till(lane, self.goods, self.counters)
        self.reading = Reading(decision, self.goods, self.counters, self._alarm)
        self.listening = Listening(timing)
        self.surface = Surface()
        self.reader = False
        self.conditions: set[str] = set()
        self.shop = "closed"
        self._timing = timing
        self._lane = lane
        self.bell = Bell()
        self._stay = Stay()
        self._out: list[Asked] = []
        self._now = 0.0
        self.started = False

    # -- what others ask -------------------------------------------------------------------------

    @property
    def state(self) -> str:
        return self.machine.name

    @property
    def decision(self) -> Decision:
        return self.reading.decision

    @property
    def visit(self) -> bytes | None:
        return self._stay.visit

    @property
    def basket(self) -> Basket:
        return self.till.basket

    def at_rest(self) -> bool:
        """Nobody is served."""
        return self.machine.state.rest

    def deadline(self) -> float:
        """When ``Tick`` is due, monotonic seconds."""
        if not self.started:
            return 0.0
        times = [self.machine.due, self.people.due, self.reading.due, self.listening.due]
        if self.at_rest():
            times.append(self._stay.visit_until)
        if self.basket.unclear_since is not None:
            times.append(self.basket.unclear_since + self._timing.unclear_s)
        return min(one for one in times if one is not None)

    def handle(self, event: Told, now: float) -> list[Asked]:
        """One event; returns the orders that come of it, in order."""
        self._now, self._out = now, []
        self.reading.judged.clear()
        if not self.started:
            self.started = True
            self.machine.start(now)
        self._take(event)
        self._time()
        self.machine.settle(now)
        self._after()
        return self._out

    # -- events in -------------------------------------------------------------------------------

    def _take(self, event: Told) -> None:
        state = self.machine.state
        match event:
            case TagRead():
                # What a shopper holds in front of a portal that cannot serve is no shelf near by.
                self.reading.read(event, reads=state.reads, resting=state.rest and self.people.left)
            case InputChanged(name, active, _):
                if self.people.changed(name, active, self._now):
                    self._help()
            case facts.Levels(levels):
                if self.people.read(levels):
                    self._help()
            case DeviceLost("pins"):
                self.people.lost()
            case DeviceLost(device) if device == READER:
                self.reader = False
                self.reading.lost(self._now)
            case DeviceBack(device) if device == READER:
                self.reader, self.conditions = True, set()
                self.reading.back(self._now, reads=state.reads)
            case DeviceCondition(device, name, active) if device == READER and name in STOPPERS:
                (self.conditions.add if active else self.conditions.discard)(name)
            case facts.PassShown(visit):
                self._pass(visit)
            case facts.PaycodeShown():
                self._paycode()
            case facts.ItemShown(epc):
                if state.reads and state.visits:
                    self.reading.item(epc, self._now)
            case facts.CountShown(count):
                self._count(count)
            case facts.CodeRefused(reason):
                self._out.append(facts.Show("refused", {"reason": reason}))
            case facts.Submitted() | facts.SubmitFailed():
                self._follow(self.till.written(event, self._out))
            case facts.Offered() | facts.OfferRefused():
                self._follow(self.till.money.offered(event, self.basket, self.state, self._out))
            case facts.PayAnswer():
                self._answered(event)
            case facts.LeftOpen(epoch, first):
                if self._lane == "store":  # a count stays what it is
                    self._out.append(facts.CloseBasket(0, "restart", (epoch, first)))
            case facts.ShopState(shop):
                self.shop = shop
            case facts.StaffAccepts():
                self._staff()
            case _:
                pass

    def _follow(self, event: str | None) -> None:
        if event is not None:
            self.machine.event(event, self._now)

    def _help(self) -> None:
        self._alarm("help")
        self._out.append(facts.Show("help"))

    def _pass(self, visit: bytes) -> None:
        """Whose basket this is. While money is on its way, and among several people, nobody can say."""
        if not self.machine.state.visits:
            return
        if self.at_rest():
            self._stay.visit_until = self._now + PASS_LASTS_S
        if visit != self._stay.visit:
            self._stay.visit = visit
            self._out.append(Tell("pass", {"visit": visit.hex()}))

    def _paycode(self) -> None:
        screen = self.machine.state.screen
        if screen == "pay":
            self._follow("paycode")
        elif screen not in HELD_UP:
            self._out.append(facts.Show("refused", {"reason": f"paycode-{self._lane}"}))

    def _count(self, count: int) -> None:
        state = self.machine.state
        if not 1 <= count <= MAX_COUNT:
            return
        if self.state in READING.split():
            self.reading.declare(self._stay, count, self._now)
        elif state.submitted and state.visits and count != len(self.basket.items):
            self.reading.declare(self._stay, count, self._now)
            self._follow("recount")

    def _staff(self) -> None:
        """Somebody of the shop looked: it is what was read."""
        if self._stay.found.items:
            self._stay.staff = True
            self._follow("staff_accepts")
            self._stay.staff = False

    def _answered(self, answer: facts.PayAnswer) -> None:
        offer = self.basket.offer
        event = self.till.money.answered(answer, self.basket)
        if event == "paid" and offer is not None and answer.total_fen != offer.total_fen:
            self._alarm("payment-unclear", f"shown {offer.total_fen} fen, charged {answer.total_fen} fen")
        self._follow(event)

    # -- time ------------------------------------------------------------------------------------

    def _time(self) -> None:
        now, stay = self._now, self._stay
        self.people.tick(now)
        if self.at_rest() and stay.visit_until is not None and now >= stay.visit_until:
            stay.visit = stay.visit_until = None
        if self.machine.state.reads and self.reading.due is not None and now >= self.reading.due:
            word = self.reading.judge(stay, now, self._out)
            if self.state in READING.split():
                self._follow(word)
        if self.till.money.given_up(self.basket, now, self._timing.unclear_s):
            self._follow("given_up")
        self.machine.tick(now)
        if now >= self.listening.due:
            self._listen(self.listening.turn(now, resting=self.at_rest()))

    # -- standing conditions and commands ----------------------------------------------------------

    def _holds(self, condition: str) -> bool:
        people, reader = self.people, self.reader and not self.conditions
        match condition:
            case "no_inputs":
                return not people.known
            case "no_reader":
                return not reader
            case "shop_closed":
                return self.shop != "open"
            case "shop_open":
                return self.shop == "open"
            case "crowd_on":
                return people.crowded is True
            case "crowd_off":
                return people.crowded is False
            case "occupied":
                return people.inside
            case "vacated":
                return people.left
            case "more":
                return self.till.changed(self._stay.found.items)
            case "whose":
                return self.till.another_visit(self._stay.visit)
            case "all_well":
                return people.known and reader
        raise ValueError(f"portal table: unknown condition {condition!r}")

    def _act(self, command: str) -> None:
        name, _, argument = command.partition(" ")
        now, out = self._now, self._out
        match name:
            case "begin":
                self._stay, self.till.basket = Stay(visit=self._stay.visit), Basket()
                self.reading.begin(now)
            case "forget":
                self._stay, self.till.basket = Stay(), Basket()
                self.reading.end(now)
            case "submit" | "resubmit":
                self.till.submit(self._stay, now, out, again=name == "resubmit")
            case "offer":
                out.append(facts.AskOffer(self.basket.token))
            case "pay" | "ask":
                out += self.till.money.ask(self.basket, now, again=name == "ask")
            case "paid":
                self.till.paid(self._stay, now, out)
            case "close":
                self.till.close(argument, now, out)
            case "alarm":
                self._alarm(argument)
            case _:
                raise ValueError(f"portal table: unknown command {command!r}")

    def _alarm(self, kind: str, detail: str = "") -> None:
        if self.bell.ring(kind, self._now):
            words = f"{ALARMS[kind]} ({detail})" if detail else ALARMS[kind]
            self._out.append(Note(Alarm, {"kind": kind, "detail": words[:200]}))
            self._out.append(Tell("alarm", {"what": kind, "detail": words}))

    # -- what follows from a state -----------------------------------------------------------------

    def _after(self) -> None:
        state = self.machine.state
        self.reading.follow(self._now, reads=state.reads)
        self._listen(self.listening.follow(reads=state.reads, resting=state.rest))
        self._out += self.surface.follow(self.state, state, self._stay, self.basket)

    def _listen(self, on: bool | None) -> None:
        if on is not None:
            self._out.append(facts.Listen(on))
