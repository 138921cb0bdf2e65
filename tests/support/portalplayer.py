"""Plays ``tests/scenarios/portal/*.txt`` against the portal's policy, in-process, on a clock of its own.

What is in the portal is said by the scenario (``ScriptedDecision``); disk and shop answer when a line says
so. Whatever the policy asks for, and every ignored event, must be expected by a line. Without a line: never
two codes charged for one basket while the first may still be paid, never a charge of what is not on the
screen, never two baskets open at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firmware.gate.orders import Drive, Note, Tell
from firmware.portal import facts
from firmware.portal.table import LANES, TABLE, Table
from firmware.portal.words import screen_for
from firmware.wire.epc import from_digital_link
from hal.ports import DeviceBack, DeviceCondition, DeviceLost, InputChanged
from tests.support.portaldouble import ScriptedDecision, epc, label, policy_of, read
from tests.support.scenario import FOLDER, Book, Case, Line, Step, grammar, load

EPS = 0.005
_FOREIGN = bytes.fromhex("E2801160600002040BA1C2D3")
_PATTERNS = (
    ("reach", r"given the portal is (\S+)"),
    ("state", r"the portal is (?:still )?(\S+)"),
    ("after", r"after ([\d.]+) s the portal is (\S+)"),
    ("later", r"([\d.]+) s later the portal is (?:still )?(\S+)"),
    ("asking", r"([\d.]+) s of asking later the portal is (?:still )?(\S+)"),
    ("on", r"on: (.+)"),
    ("screen", r"the screen says (\S+)"),
    ("reads", r"the screen reads: (.+)"),
    ("listens", r"the reader (listens|rests)"),
    ("inputs", r"the inputs are read: (nobody|one|two) inside"),
    ("lost", r"the inputs are lost"),
    ("reader", r"the reader (works|is lost|is hot|is cool again)"),
    ("shop", r"the shop (opens|closes|is locked down)"),
    ("person", r"(somebody steps in|a second person steps in|one of them leaves|everybody leaves)"),
    ("gone", r"everybody is gone"),
    ("tags", r"in the portal: (.+)"),
    ("verdict", r"(still reading|that is all|that may not be all)"),
    ("twins", r"two tags are item (\d+)"),
    ("pass", r"pass (\d+) is shown"),
    ("code", r"a (payment code|poster) is shown"),
    ("label", r"the label of item (\d+) is shown"),
    ("count", r"the card for (\d+) items? is shown"),
    ("disk", r"the disk (has it|fails|is full|has the first try at last)"),
    ("offer", r"the shop (?:now )?offers (\d+) fen( for the version before)?"),
    ("settled", r"the shop says that nothing is to be paid"),
    ("refuse", r"the shop makes no offer(?:: (.+))?"),
    ("paid", r"the shop says (paid|declined|pending)(?: (\d+) fen)?(?:: (.+?))?( of the code before)?"),
    ("staff", r"staff accepts"),
    ("help", r"help is (pressed|let go)"),
    ("left", r"a basket of before was left open"),
    ("cut", r"the power is cut and comes back"),
    ("fact", r"((?:basket|asks|closes|alarm|ignored|says|leaves out|reading) .+)"),
    ("nothing", r"nothing (?:else )?happens"),
)
GRAMMAR = grammar("portal", _PATTERNS, LANES)
_CHECKS = {"state", "after", "later", "asking", "on", "screen", "reads", "listens", "fact", "nothing"}


def book(folder: Path = FOLDER / "portal") -> Book:
    return load(folder, GRAMMAR)


class Player:
    """One portal, its inputs, and the facts that no line has asked for yet."""

    def __init__(self, book: Book, lane: str, table: Table = TABLE) -> None:
        self.book, self.lane, self.table = book, lane, table
        self.now = self.base = 100.0
        self.line = Line("", 0, "")
        self.pending: list[str] = []
        self.outputs: dict[str, bool] = {}
        self.baskets: list[int] = []
        self.screen = ""
        self.words: tuple[str, ...] = ()
        self._power()

    def _power(self) -> None:
        self.decision = ScriptedDecision()
        self.policy = policy_of(self.decision, self.lane, table=self.table)
        self.submits: list[facts.Submit] = []
        self.payments: list[facts.AskPay] = []
        self.open: set[int] = set()
        self.unpaid = True
        self.listens = False
        self.seen = 0
        self.state = ""

    def run(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            self.line = step.line
            if step.verb not in _CHECKS:
                self.do_nothing()
            getattr(self, f"do_{step.verb}")(*step.args)
        self.do_nothing()

    # -- feeding the policy

    def _send(self, event: Any) -> None:
        ignored = self.policy.machine.ignored.copy()
        for order in self.policy.handle(event, self.now):
            self._take(order)
        for name, _ in (self.policy.machine.ignored - ignored).items():
            state, _, what = name.partition("/")
            self.pending.append(f"ignored {what} while {state}")
        for call in self.decision.calls[self.seen :]:
            if call[0] in ("begin", "end"):
                self.pending.append(f"reading {call[0]}s")
        self.seen = len(self.decision.calls)
        if self.policy.state != self.state:
            self.state, self.base = self.policy.state, self.now
        if len(self.open) > 1 and self.lane == "store":
            raise self.line.error(f"baskets {sorted(self.open)} are open at once")
        if self.policy.deadline() <= self.now and isinstance(event, facts.Tick):
            raise self.line.error("the deadline is not in the future")

    def _number(self, first: int) -> int:
        if first not in self.baskets:
            self.baskets.append(first)
        return self.baskets.index(first) + 1

    def _take(self, order: facts.Asked) -> None:
        match order:
            case facts.Submit():
                self._submit(order)
            case facts.AskOffer(token):
                self.pending.append(f"asks for an offer of {self._basket(token)}")
            case facts.AskPay():
                self._pay(order)
            case facts.CloseBasket(first, why, ref):
                self.open.discard(first)
                name = "the basket of before" if ref else f"basket {self._number(first)}"
                self.pending.append(f"closes {name}: {why}")
            case facts.Paid(first, _, order=number, total_fen=total):
                self.open.discard(first)
                self.pending.append(f"basket {self._number(first)} is paid: {total} fen, order {number}")
            case Note(_, fields):
                self.pending.append(f"alarm {fields['kind']}")
            case Tell("tag-left-out", fields):
                self.pending.append(f"leaves out a tag: {fields['kind']}")
            case Drive(name, active):
                self.outputs[name] = active
            case facts.Listen(on):
                self.listens = on
            case facts.Show(key, fields):
                words = screen_for(key, fields).lines
                if key in ("refused", "help"):
                    self.pending.append(f"says {fields.get('reason', key)}")
                else:
                    self.screen, self.words, self.fields = key, words, fields

    def _basket(self, token: int) -> str:
        order = next(one for one in self.submits if one.token == token)
        return f"basket {self._number(order.first)} version {order.version}"

    def _submit(self, order: facts.Submit) -> None:
        self.submits.append(order)
        self.open.add(order.first)
        items = f"{len(order.items)} items" if len(order.items) != 1 else "1 item"
        how = "" if order.verdict == "complete" else f", {order.verdict}"
        whose = "" if order.visit is None else f", for pass {int.from_bytes(order.visit, 'big')}"
        self.pending.append(f"{self._basket(order.token)}: {items}{how}{whose}")
        if not order.items:
            raise self.line.error("a basket without items is submitted")

    def _pay(self, order: facts.AskPay) -> None:
        if order.again:
            self.pending.append(f"asks how the payment of {self._basket(order.token)} stands")
            return
        if self.screen != "pay" or self.fields["total_fen"] != order.total_fen:
            raise self.line.error(f"{order.total_fen} fen are charged and not on the screen")
        if not self.unpaid:
            raise self.line.error("a second code is charged while the first may still be paid")
        self.unpaid = False
        self.payments.append(order)
        self.pending.append(f"asks to charge {order.total_fen} fen for {self._basket(order.token)}")

    def _advance(self, to: float) -> None:
        while (due := self.policy.deadline()) <= to:
            self.now = max(self.now, due)
            self._send(facts.Tick())
        self.now = to

    # -- actions

    def do_reach(self, state: str) -> None:
        """Given: the shortest way to ``state``, as its "Way:" tells it."""
        way = self.book.ways.get((self.lane, state))
        if way is None:
            raise self.line.error(f"no 'Way: {state}' for lane {self.lane}")
        line = self.line
        for step in way:
            self.line = step.line
            getattr(self, f"do_{step.verb}")(*step.args)
            self.pending.clear()  # what happens on the way is the business of other scenarios
        self.line = line
        self.do_state(state)

    def do_inputs(self, people: str) -> None:
        many = ("nobody", "one", "two").index(people)
        self._send(facts.Levels({"occupied": many > 0, "crowded": many > 1, "help": False}))

    def do_lost(self) -> None:
        self._send(DeviceLost("pins", "no answer", "wiring", self.now))

    def do_reader(self, what: str) -> None:
        match what:
            case "works":
                self._send(DeviceBack("reader", self.now))
            case "is lost":
                self._send(DeviceLost("reader", "silent", "cable", self.now))
            case _:
                self._send(DeviceCondition("reader", "hot", what == "is hot", "hot", "air", self.now))

    def do_shop(self, what: str) -> None:
        self._send(facts.ShopState({"opens": "open", "closes": "closed"}.get(what, "lockdown")))

    def do_person(self, what: str) -> None:
        for name, active in {
            "somebody steps in": (("occupied", True),),
            "a second person steps in": (("crowded", True),),
            "one of them leaves": (("crowded", False),),
            "everybody leaves": (("crowded", False), ("occupied", False)),
        }[what]:
            if self.policy.people.crowded or name != "crowded" or active:
                self._send(InputChanged(name, active, self.now))

    def do_gone(self) -> None:
        """And so for long enough."""
        self.do_person("everybody leaves")
        self._advance(self.now + 1.5)

    def do_tags(self, names: str) -> None:
        tags = [self._tag(name.strip()) for name in names.split(",") if name.strip() != "nothing"]
        self.decision.say("collecting", tags)
        for tag in tags:
            self._send(read(tag, self.now))
        self._look()

    def _tag(self, name: str) -> bytes:
        return _FOREIGN if name == "a blank tag" else epc(int(name))

    def do_verdict(self, what: str) -> None:
        kinds = {"still reading": "collecting", "that is all": "complete", "that may not be all": "uncertain"}
        self.decision.say(kinds[what], self.decision.items)
        self._look()

    def do_twins(self, number: str) -> None:
        self.decision.say("complete", self.decision.items, duplicates=[epc(int(number))])
        self._look()

    def _look(self) -> None:
        if self.policy.reading.due is not None:
            self._advance(max(self.now, self.policy.reading.due))

    def do_pass(self, number: str) -> None:
        self._send(facts.PassShown(int(number).to_bytes(8, "big"), "entry"))

    def do_code(self, what: str) -> None:
        self._send(facts.PaycodeShown() if what == "payment code" else facts.CodeRefused("url-here"))

    def do_label(self, number: str) -> None:
        self._send(facts.ItemShown(from_digital_link(label(int(number)))))

    def do_count(self, number: str) -> None:
        self._send(facts.CountShown(int(number)))
        self._look()

    def do_disk(self, what: str) -> None:
        order = self.submits[0 if "first try" in what else -1]
        if what.startswith("has"):
            self._send(facts.Submitted(order.token, 7, order.first, order.version))
        else:
            if order.token == order.first:
                self.open.discard(order.first)  # nothing of it is in the journal
            self._send(facts.SubmitFailed(order.token, what, what == "is full"))

    def do_offer(self, fen: str, before: str) -> None:
        order = self.submits[-2 if before else -1]
        self._send(facts.Offered(order.token, int(fen), int(fen)))

    def do_settled(self) -> None:
        self._send(facts.Offered(self.submits[-1].token, 300, 300, True))

    def do_refuse(self, why: str) -> None:
        self._send(facts.OfferRefused(self.submits[-1].token, why))

    def do_paid(self, state: str, fen: str, why: str, before: str) -> None:
        asked = self.payments[-2 if before else -1]
        self.unpaid = self.unpaid or (state == "declined" and not before)
        total = int(fen) if fen else asked.total_fen
        number = asked.attempt
        order = f"o{number}" if state != "pending" else ""
        self._send(facts.PayAnswer(asked.token, state, order, total, b"\1" * 8, why, number))

    def do_staff(self) -> None:
        self._send(facts.StaffAccepts())

    def do_help(self, what: str) -> None:
        self._send(InputChanged("help", what == "pressed", self.now))

    def do_left(self) -> None:
        self._send(facts.LeftOpen(7, 12))

    def do_cut(self) -> None:
        """A new process: the journal names the basket that was neither paid nor closed, if there was one."""
        left = bool(self.open)
        self._power()
        self.outputs.clear()
        if left:
            self._send(facts.LeftOpen(7, 12))

    # -- time

    def do_after(self, seconds: str, state: str) -> None:
        """The state comes then and not before."""
        was, until = self.policy.state, self.base + float(seconds)
        self._advance(until - EPS)
        if self.policy.state != was:
            raise self.line.error(f"too early: the portal is {self.policy.state} already")
        self.do_nothing()
        self._advance(until + 1e-6)
        self.base = self.now
        self.do_state(state)

    def do_later(self, seconds: str, state: str) -> None:
        self._advance(self.now + float(seconds))
        self.do_state(state)

    def do_asking(self, seconds: str, state: str) -> None:
        """Nothing but questions how the payment stands."""
        self._advance(self.now + float(seconds))
        self.pending = [one for one in self.pending if not one.startswith("asks how")]
        self.do_state(state)

    # -- checks

    def do_state(self, state: str) -> None:
        if self.policy.state != state:
            raise self.line.error(f"the portal is {self.policy.state}")

    def do_on(self, names: str) -> None:
        have = {name for name, active in self.outputs.items() if active}
        if have != {name.strip() for name in names.split(",")}:
            raise self.line.error(f"on are: {', '.join(sorted(have)) or 'nothing'}")

    def do_screen(self, key: str) -> None:
        if self.screen != key:
            raise self.line.error(f"the screen says {self.screen}")

    def do_reads(self, words: str) -> None:
        have = " / ".join(self.words)
        if have.lower() != words:
            raise self.line.error(f"the screen reads: {have}")

    def do_listens(self, what: str) -> None:
        if self.listens != (what == "listens"):
            raise self.line.error(f"the reader {'listens' if self.listens else 'rests'}")

    def do_fact(self, words: str) -> None:
        if words not in self.pending:
            raise self.line.error(f"did not happen; there was: {'; '.join(self.pending) or 'nothing'}")
        self.pending.remove(words)

    def do_nothing(self) -> None:
        if self.pending:
            raise self.line.error(f"not expected by any line: {'; '.join(self.pending)}")


def play(book: Book, case: Case, table: Table = TABLE) -> Player:
    """Run one case. Raises ScenarioError; an exception of the policy itself passes through."""
    player = Player(book, case.lane, table)
    player.run(case.steps)
    return player
