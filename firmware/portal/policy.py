"""One portal's policy: tags become a basket, the basket a record, an offer, a payment. Pure.

What is in the portal, and whether that is all, is ``decision``'s work; where an event leads is the table's.
A basket is in the journal before anybody is asked what it costs, and is never charged without the shopper's
code on exactly the total that the screen shows. Time is an argument; nothing here raises on what a shopper,
a sensor, a disk or the shop can do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from firmware.gate.orders import Drive, Note, Tell
from firmware.portal import facts
from firmware.portal.decision import Decision, Verdict
from firmware.portal.facts import Asked, Told
from firmware.portal.kinds import KindRules, one_each, sort_tag
from firmware.portal.machine import Machine
from firmware.portal.table import TABLE, Table
from firmware.portal.timing import Timing
from firmware.wire.record_types import Alarm
from hal.ports import DeviceBack, DeviceCondition, DeviceLost, InputChanged, TagRead

READER = "reader"
STOPPERS = frozenset({"hot", "antenna-missing", "return-loss"})
"""Conditions of the reader under which a count cannot be trusted."""
FIRST_LOOK_S = 0.1
MAX_COUNT = 200

ALARMS = {
    "portal-sensors": "the portal's inputs cannot be read: check the pin driver and the wiring",
    "portal-crowded": "more than one person stays in the portal",
    "portal-uncertain": "the portal is not sure that it has read everything: somebody must look",
    "payment-unclear": "the shop did not say how a payment ended: look it up before charging again",
    "duplicate-tags": "two tags carry the same EPC: one of the items needs a new tag",
    "help": "the help button was pressed",
}


@dataclass
class _Basket:
    """What was submitted for the shopper who stands there."""

    first: int = 0
    version: int = 0
    token: int = 0
    items: tuple[bytes, ...] = ()
    offer: facts.Offered | None = None
    visit: bytes | None = None


@dataclass
class _Stand:
    """One shopper's stay."""

    visit: bytes | None = None
    declared: int | None = None
    verdict: Verdict | None = None
    staff: bool = False
    shown: tuple[object, ...] = ()
    told: set[str] = field(default_factory=set)


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
        self.decision = decision
        self.counters: Counter[str] = Counter()
        self._timing = timing
        self._lane = lane
        self._kinds = kinds
        self._known = known
        self._machine = Machine(timing, lane, self._holds, self._act, table)
        self._stand = _Stand()
        self._basket = _Basket()
        self._paid: frozenset[bytes] = frozenset()
        self._last_token = 0
        self._levels: dict[str, bool] | None = None
        self._left_due: float | None = None
        self._inside = False
        self._reader = False
        self._conditions: set[str] = set()
        self._shop = "closed"
        self._look_at: float | None = None
        self._unclear_since: float | None = None
        self._listens = False
        self._rest_at = 0.0
        self._driven: dict[str, bool] = {}
        self._out: list[Asked] = []
        self._now = 0.0
        self._started = False
        self._entered = ""

    # -- what others ask -------------------------------------------------------------------------

    @property
    def state(self) -> str:
        return self._machine.name

    @property
    def screen(self) -> str:
        return self._machine.state.screen

    @property
    def visit(self) -> bytes | None:
        return self._stand.visit

    def at_rest(self) -> bool:
        """Nobody is served."""
        return self.state in ("idle", "closed", "blind", "no-reader", "starting")

    def deadline(self) -> float | None:
        """When ``Tick`` is due, monotonic seconds."""
        if not self._started:
            return 0.0
        times = [self._machine.due, self._left_due, self._look_at, self._rest_at]
        if self._unclear_since is not None:
            times.append(self._unclear_since + self._timing.unclear_s)
        return min((one for one in times if one is not None), default=None)

    def handle(self, event: Told, now: float) -> list[Asked]:
        """One event; returns the orders that come of it, in order."""
        self._now, self._out = now, []
        before = self.state
        if not self._started:
            self._started = True
            self._machine.start(now)
        self._take(event)
        self._time()
        self._machine.settle(now)
        self._after(before)
        return self._out

    # -- events in -------------------------------------------------------------------------------

    def _take(self, event: Told) -> None:
        match event:
            case TagRead():
                self._read(event)
            case InputChanged(name, active, _):
                self._input(name, active)
            case facts.Levels(levels):
                self._levels = {}
                for name, active in levels.items():
                    self._input(name, active)
                if not levels.get("occupied", False):
                    self._left_due, self._inside = None, False
            case DeviceLost("pins"):
                self._levels, self._left_due, self._inside = None, None, False
            case DeviceLost(device) if device == READER:
                self._reader = False
            case DeviceBack(device) if device == READER:
                self._reader, self._conditions = True, set()
            case DeviceCondition(device, name, active) if device == READER and name in STOPPERS:
                (self._conditions.add if active else self._conditions.discard)(name)
            case facts.PassShown(visit):
                self._pass(visit)
            case facts.PaycodeShown():
                self._paycode()
            case facts.ItemShown(epc):
                self._item(epc)
            case facts.CountShown(count):
                self._count(count)
            case facts.CodeRefused(reason):
                self._out.append(facts.Show("refused", {"reason": reason}))
            case facts.Submitted() | facts.SubmitFailed():
                self._written(event)
            case facts.Offered() | facts.OfferRefused():
                self._offered(event)
            case facts.PayAnswer():
                self._answered(event)
            case facts.LeftOpen(epoch, first):
                self._out.append(facts.CloseBasket(0, "restart", (epoch, first)))
            case facts.ShopState(state):
                self._shop = state
            case facts.StaffAccepts():
                self._stand.staff = True
                if self._items() and not self._event("staff_accepts"):
                    self._stand.staff = False
            case _:
                pass

    def reader_ready(self, now: float) -> list[Asked]:
        """The reader's driver runs: from here on its loss is told."""
        self._reader = True
        return self.handle(facts.Tick(), now)

    def _event(self, name: str) -> bool:
        return self._machine.event(name, self._now)

    def _input(self, name: str, active: bool) -> None:
        if self._levels is None:
            return  # the full reading is not here yet; it will bring this level too
        was = self._levels.get(name, False)
        self._levels[name] = active
        if name == "occupied":
            if active:
                self._left_due, self._inside = None, True
            elif was or self._inside:
                self._left_due = self._now + self._timing.left_s
        elif name == "help" and active and not was:
            self._alarm("help")
            self._out.append(facts.Show("help"))

    def _read(self, read: TagRead) -> None:
        if self._machine.state.reads:
            self.decision.add(read)
            if self._look_at is None:
                self._look_at = self._now
        elif self.at_rest():
            self.decision.background(read)

    def _pass(self, visit: bytes) -> None:
        if visit == self._stand.visit:
            return
        if self.state in ("paying", "unclear", "paid"):
            return  # whose basket it is was settled when the code was shown
        self._stand.visit = visit
        self._out.append(Tell("pass", {"visit": visit.hex()}))
        self._event("pass_shown")

    def _paycode(self) -> None:
        offer = self._basket.offer
        if self.state in ("awaiting-payment", "declined") and offer is not None:
            self._event("paycode")
        elif self.state in ("paying", "unclear"):
            pass  # the same code still held up, or another one: never two charges for one basket
        else:
            self._out.append(facts.Show("refused", {"reason": "paycode-here"}))

    def _item(self, epc: bytes) -> None:
        if self._machine.state.reads and self.state not in ("paying", "unclear"):
            self.decision.add_item(epc, self._now)
            self._look_at = self._now

    def _count(self, count: int) -> None:
        if self.state in ("collecting", "uncertain", "helpless") and 1 <= count <= MAX_COUNT:
            self._stand.declared = count
            self.decision.declare(count)
            self._look_at = self._now

    # -- answers ---------------------------------------------------------------------------------

    def _written(self, answer: facts.Submitted | facts.SubmitFailed) -> None:
        if answer.token != self._basket.token:
            return
        basket = self._basket
        if isinstance(answer, facts.Submitted):
            self.counters["baskets"] += 1
            basket.version = answer.version
            self._event("submitted")
            return
        if basket.first == basket.token:
            basket.first = basket.version = 0  # nothing of it is in the journal
        self._out.append(Tell("not-written", {"why": answer.reason, "full": answer.full}))
        self._event("not_written")

    def _offered(self, answer: facts.Offered | facts.OfferRefused) -> None:
        if answer.token != self._basket.token or self._basket.token == 0:
            return  # for a version that is no more
        if isinstance(answer, facts.OfferRefused):
            self._out.append(Tell("no-offer", {"why": answer.reason}))
            self._event("no_offer")
            return
        if self.state not in ("offering", "unserved", "awaiting-payment"):
            return
        self._basket.offer = answer
        self._event("settled" if answer.settled else "offer")
        self._stand.shown = ()

    def _answered(self, answer: facts.PayAnswer) -> None:
        if answer.token != self._basket.token or self.state not in ("paying", "unclear"):
            return
        if answer.state == "paid":
            self._receipt = answer
            self._event("paid")
        elif answer.state == "declined":
            self._why = answer.why
            self.counters["declined"] += 1
            self._event("declined")

    # -- time ------------------------------------------------------------------------------------

    def _time(self) -> None:
        now = self._now
        if self._left_due is not None and now >= self._left_due:
            self._left_due, self._inside = None, False
        if self._look_at is not None and now >= self._look_at:
            self._judge()
        if self._unclear_since is not None and now >= self._unclear_since + self._timing.unclear_s:
            self._unclear_since = None
            self._event("given_up")
        self._machine.tick(now)
        if now >= self._rest_at:
            self._duty()

    def _duty(self) -> None:
        """While nobody is inside the module rests, but for a look at what lies on the shelves around."""
        timing = self._timing
        if self._machine.state.reads or not self.at_rest():
            self._rest_at = self._now + timing.background_s
            return
        listening = self._listens
        pause = timing.background_every_s - timing.background_s
        self._rest_at = self._now + max(0.1, pause if listening else timing.background_s)
        self._listen(not listening)

    def _judge(self) -> None:
        """Ask the decision; its word is an event of the table."""
        if not self._machine.state.reads:
            self._look_at = None
            return
        verdict = self.decision.judge(self._now)
        self._stand.verdict = verdict
        self._look_at = max(verdict.next_at, self._now + 0.02)
        if verdict.duplicates and "duplicates" not in self._stand.told:
            self._stand.told.add("duplicates")
            self._alarm("duplicate-tags", ", ".join(epc.hex().upper() for epc in verdict.duplicates)[:150])
        if self.state not in ("collecting", "uncertain", "helpless"):
            return
        if verdict.kind == "complete" and not verdict.duplicates and self._items():
            self._event("complete")
        elif verdict.kind == "uncertain" or (verdict.kind == "complete" and verdict.duplicates):
            self._event("uncertain")

    # -- standing conditions and commands ----------------------------------------------------------

    def _holds(self, condition: str) -> bool:
        match condition:
            case "no_inputs":
                return self._levels is None
            case "no_reader":
                return not self._reader or bool(self._conditions)
            case "shop_closed":
                return self._shop != "open"
            case "crowd_on":
                return bool(self._levels and self._levels.get("crowded"))
            case "crowd_off":
                return not (self._levels and self._levels.get("crowded"))
            case "occupied":
                return self._inside
            case "vacated":
                return not self._inside
            case "more":
                return self._machine.state.submitted and self._changed()
        ready = self._levels is not None and self._reader and not self._conditions
        return ready and self._shop == "open"

    def _changed(self) -> bool:
        """There is an item that the submitted basket does not have."""
        return bool(set(self._items()) - set(self._basket.items))

    def _items(self) -> tuple[bytes, ...]:
        """Goods in the portal by the last verdict, without what was paid for a moment ago."""
        verdict = self._stand.verdict
        if verdict is None:
            return ()
        found = []
        for epc in verdict.items:
            kind = sort_tag(epc, self._kinds, self._known)
            if kind == "item":
                if epc not in self._paid:
                    found.append(epc)
            elif (key := f"{kind} {epc.hex()}") not in self._stand.told:
                self._stand.told.add(key)
                self.counters[f"tags_{kind.replace('-', '_')}"] += 1
                self._out.append(Tell("tag-left-out", {"epc": epc.hex().upper(), "kind": kind}))
        return one_each(found)[0]

    def _act(self, command: str) -> None:
        name, _, argument = command.partition(" ")
        match name:
            case "begin":
                self._begin()
            case "forget":
                self._forget()
            case "submit":
                self._submit()
            case "offer":
                self._out.append(facts.AskOffer(self._basket.token))
            case "pay" | "ask":
                self._pay(again=name == "ask")
            case "paid":
                self._settled()
            case "close":
                self._close(argument)
            case "alarm":
                self._alarm(argument)
            case _:
                raise ValueError(f"portal table: unknown command {command!r}")

    def _begin(self) -> None:
        visit = self._stand.visit if self._inside else None
        self._stand = _Stand(visit=visit)
        self._basket = _Basket()
        self.decision.begin(self._now)
        self._look_at = self._now + FIRST_LOOK_S

    def _forget(self) -> None:
        self.decision.end(self._now)
        self._stand, self._basket = _Stand(), _Basket()
        self._paid = frozenset()
        self._look_at = self._unclear_since = None

    def _submit(self) -> None:
        self._last_token += 1
        basket, stand = self._basket, self._stand
        basket.token, basket.items, basket.offer = self._last_token, self._items(), None
        basket.version = min(basket.version + 1, 255)
        basket.first = basket.first or basket.token
        basket.visit = stand.visit
        verdict = stand.verdict
        assert verdict is not None  # there are items only by a verdict
        how = "staff" if stand.staff else "declared" if stand.declared is not None else "complete"
        self._out.append(
            facts.Submit(
                basket.token,
                basket.first,
                basket.version,
                basket.items,
                how,
                0 if how == "complete" else verdict.missing,
                stand.declared,
                stand.visit,
                "" if how in ("complete", "declared") else verdict.reason,
            )
        )
        fields = {"tags": len(basket.items), "version": basket.version, "why": verdict.reason}
        self._out.append(Tell("basket", fields))

    def _pay(self, *, again: bool) -> None:
        basket = self._basket
        if basket.offer is None:
            return
        if self._unclear_since is None and again:
            self._unclear_since = self._now
        self._out.append(facts.AskPay(basket.token, basket.version, basket.offer.total_fen, again))

    def _settled(self) -> None:
        basket, answer = self._basket, self._receipt
        self._unclear_since = None
        self._paid |= set(basket.items)
        self.counters["paid"] += 1
        if answer is not None and answer.token == basket.token:
            self._out.append(facts.Paid(basket.first, answer.visit, answer.order, answer.total_fen))
        self._basket = _Basket(items=basket.items)
        self._receipt = None

    def _close(self, why: str) -> None:
        """The open basket will not be paid here. Where the portal only counts, a count stays what it is."""
        if self._basket.first and self._lane == "store":
            self.counters["abandoned"] += 1
            self._out.append(facts.CloseBasket(self._basket.first, why))
            self._out.append(Tell("not-paid", {"why": why}))
        self._basket = _Basket()

    def _alarm(self, kind: str, detail: str = "") -> None:
        words = f"{ALARMS[kind]} ({detail})" if detail else ALARMS[kind]
        self._out.append(Note(Alarm, {"kind": kind, "detail": words[:200]}))
        self._out.append(Tell("alarm", {"what": kind, "detail": words}))

    # -- what follows from a state -----------------------------------------------------------------

    def _after(self, before: str) -> None:
        state = self._machine.state
        if self.state != before:
            self._out.append(Tell("state", {"state": self.state}))
            if state.reads and self._look_at is None:
                self._look_at = self._now
        if state.reads:
            self._listen(True)
        elif not self.at_rest():
            self._listen(False)
        for name in ("lamp_green", "lamp_red"):
            active = name in state.on
            if self._driven.get(name) != active:
                self._driven[name] = active
                self._out.append(Drive(name, active))
        self._show()

    def _listen(self, on: bool) -> None:
        if on != self._listens:
            self._listens = on
            self._out.append(facts.Listen(on))

    def _show(self) -> None:
        """The screen of this state, again whenever what stands on it has changed."""
        verdict, offer = self._stand.verdict, self._basket.offer
        fields: dict[str, object] = {}
        match self.screen:
            case "reading" | "advice" | "ask-staff":
                fields["count"] = len(self._items())
                if verdict is not None and self.screen != "reading":
                    fields |= {"reason": verdict.reason, "missing": verdict.missing, "weak": verdict.weak}
            case "counted" | "one-moment" | "paying" | "no-offer":
                fields["items"] = self._basket.items
            case "pay" if offer is not None:
                fields |= {"items": self._basket.items, "total_fen": offer.total_fen}
            case "paid":
                fields["count"] = len(self._basket.items)
            case "declined":
                fields["why"] = self._why
        shown = (self.state, *fields.values())
        if shown != self._stand.shown or self._entered != self.state:
            self._stand.shown, self._entered = shown, self.state
            self._out.append(facts.Show(self.screen, fields))

    _receipt: facts.PayAnswer | None = None
    _why: str = ""
