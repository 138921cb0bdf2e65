"""The portal as a table: ``(state, event) → state, commands``. Everything that changes state is here.

A state fixes lamps, screen and deadline, and whether tags are read for a shopper; a row says where an event
leads. ``machine.py`` only turns inputs, verdicts, answers and time into the events named here. A basket is
charged only out of ``paying``, which only a payment code leads to, and only with an offer (``check``).

Lanes: ``store`` (the shop makes an offer and is paid here) and ``count`` (the portal only counts and
records; paying is somewhere else).

Commands: ``begin`` (a new shopper's reading), ``submit``, ``offer``, ``pay``, ``ask`` (how the payment
stands), ``close WHY`` (the open basket, if there is one), ``paid``, ``alarm KIND``, ``forget``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SAME = "="  # stay, and keep the running deadline; naming the own state again restarts it
LANES = ("store", "count")


@dataclass(frozen=True, slots=True)
class State:
    """``on``: outputs that are active. ``reads``: tags are judged for the shopper who stands there.
    ``submitted``: the basket is in the journal; a change of its items is the event ``more``."""

    words: str
    screen: str
    on: tuple[str, ...] = ()
    limit: str | None = None
    reads: bool = False
    submitted: bool = False
    only: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    to: str
    commands: tuple[str, ...] = ()


# words | screen | lamp | limit | flags (r reads, s submitted) | lane
_STATES: tuple[tuple[str, str, str, str, str, str, str], ...] = (
    ("starting", "inputs or reader not there yet", "starting", "red", "sensors_s", "", ""),
    ("blind", "inputs lost: nobody is served", "out-of-order", "red", "", "", ""),
    ("no-reader", "the reader does not work: nobody is served", "out-of-order", "red", "", "", ""),
    ("closed", "the shop is closed", "shop-closed", "red", "", "", ""),
    ("idle", "nobody inside", "idle", "green", "", "", ""),
    ("collecting", "somebody inside, tags are read", "reading", "red", "collect_s", "r", ""),
    ("uncertain", "not sure that this is all: advice", "advice", "red", "advise_s", "r", ""),
    ("helpless", "still not sure: a person must look", "ask-staff", "red", "", "r", ""),
    ("submitting", "the basket goes to the disk", "one-moment", "red", "write_s", "rs", ""),
    ("unwritten", "the disk does not take baskets", "no-sales", "red", "retry_s", "r", ""),
    ("counted", "the basket is recorded; paid elsewhere", "counted", "green", "", "rs", "count"),
    ("offering", "asks the shop for the price", "one-moment", "red", "offer_s", "rs", "store"),
    ("unserved", "the shop makes no offer", "no-offer", "red", "again_s", "rs", "store"),
    ("awaiting-payment", "the price is shown, waits for the code", "pay", "green", "pay_s", "rs", "store"),
    ("paying", "the payment is on its way", "paying", "red", "answer_s", "r", "store"),
    ("unclear", "no answer about the payment: asks on", "checking", "red", "ask_s", "r", "store"),
    ("paid", "paid: the shopper may go", "paid", "green", "", "rs", "store"),
    ("declined", "not paid: the reason is shown", "declined", "red", "declined_s", "rs", "store"),
    ("abandoned", "not paid, the basket is closed", "not-paid", "red", "abandoned_s", "", "store"),
    ("crowded", "more than one person inside", "one-at-a-time", "red", "crowd_s", "", ""),
)
STATES: dict[str, State] = {
    name: State(words, screen, (f"lamp_{lamp}",), limit or None, "r" in flags, "s" in flags, lane)
    for name, words, screen, lamp, limit, flags, lane in _STATES
}

STANDING = (
    "no_inputs",
    "no_reader",
    "shop_closed",
    "crowd_on",
    "crowd_off",
    "vacated",
    "occupied",
    "more",
    "all_well",
)
"""Conditions that are looked at again, in this order, after every step."""

BEFORE = "collecting uncertain helpless"
"""Reading, and nothing is in the journal yet."""
OPEN = "offering unserved awaiting-payment declined"
"""In the journal, and no payment is on its way."""

# states | event | next | commands | lane ("" = both)
RULES: tuple[tuple[str, str, str, str, str], ...] = (
    # start, and devices lost: nobody is served, nothing is charged
    ("starting", "time_up", "no-reader", "", ""),
    ("starting blind no-reader closed", "all_well", "idle", "forget", ""),
    ("closed idle crowded abandoned no-reader", "no_inputs", "blind", "alarm portal-sensors, forget", ""),
    (BEFORE + " unwritten", "no_inputs", "blind", "alarm portal-sensors, close sensors-lost, forget", ""),
    ("counted", "no_inputs", "blind", "alarm portal-sensors, forget", "count"),
    (OPEN, "no_inputs", "blind", "close sensors-lost, alarm portal-sensors, forget", "store"),
    ("idle crowded closed abandoned", "no_reader", "no-reader", "forget", ""),
    (BEFORE + " unwritten", "no_reader", "no-reader", "close reader-lost, forget", ""),
    ("counted", "no_reader", "no-reader", "forget", "count"),
    ("idle", "shop_closed", "closed", "", ""),
    # somebody steps in
    ("idle", "occupied", "collecting", "begin", ""),
    ("idle " + BEFORE, "crowd_on", "crowded", "forget", ""),
    (OPEN, "crowd_on", "crowded", "close crowded, forget", "store"),
    ("crowded", "crowd_off", "collecting", "begin", ""),
    ("crowded", "vacated", "idle", "forget", ""),
    ("crowded", "time_up", SAME, "alarm portal-crowded", ""),
    # is that all?
    ("collecting helpless", "uncertain", "uncertain", "", ""),
    ("uncertain", "uncertain", SAME, "", ""),
    (BEFORE, "complete", "submitting", "submit", ""),
    ("collecting", "time_up", "uncertain", "", ""),
    ("uncertain", "time_up", "helpless", "alarm portal-uncertain", ""),
    ("uncertain helpless", "staff_accepts", "submitting", "submit", ""),
    (BEFORE, "vacated", "idle", "close abandoned, forget", ""),
    # on the disk
    ("submitting", "submitted", "offering", "offer", "store"),
    ("submitting", "submitted", "counted", "", "count"),
    ("submitting", "not_written", "unwritten", "", ""),
    ("submitting", "time_up", "unwritten", "", ""),
    ("unwritten", "submitted", "offering", "offer", "store"),
    ("unwritten", "submitted", "counted", "", "count"),
    ("unwritten", "time_up", "submitting", "submit", ""),
    ("unwritten", "vacated", "idle", "close abandoned, forget", ""),
    # the shop's offer
    ("offering unserved awaiting-payment", "offer", "awaiting-payment", "", ""),
    ("offering unserved awaiting-payment", "settled", "paid", "paid", ""),
    ("offering", "no_offer", "unserved", "", ""),
    ("offering", "time_up", "unserved", "", ""),
    ("unserved", "time_up", "offering", "offer", ""),
    ("counted " + OPEN, "more", "collecting", "", ""),
    ("counted", "pass_shown", "submitting", "submit", ""),
    ("offering unserved awaiting-payment declined", "pass_shown", "submitting", "submit", ""),
    (OPEN, "vacated", "abandoned", "close abandoned", ""),
    ("awaiting-payment", "time_up", "abandoned", "close time-out", ""),
    ("counted", "vacated", "idle", "forget", ""),
    # the money: only from here, once
    ("awaiting-payment declined", "paycode", "paying", "pay", ""),
    ("paying unclear", "paid", "paid", "paid", ""),
    ("paying unclear", "declined", "declined", "", ""),
    ("paying", "time_up", "unclear", "ask", ""),
    ("unclear", "time_up", "unclear", "ask", ""),
    ("unclear", "given_up", "abandoned", "alarm payment-unclear", ""),
    ("declined", "time_up", "awaiting-payment", "", ""),
    ("declined", "offer", SAME, "", ""),
    # afterwards
    ("paid", "vacated", "idle", "forget", ""),
    ("paid", "more", "collecting", "begin", ""),
    ("abandoned", "vacated", "idle", "forget", ""),
    ("abandoned", "time_up", "collecting", "begin", ""),
)


@dataclass(frozen=True, slots=True)
class Table:
    """One complete description of a portal; the mutation run builds altered copies of it."""

    rows: Mapping[tuple[str, str, str], Row]  # (lane, state, event)
    states: Mapping[str, State]
    standing: tuple[str, ...]


def build(
    rules: Iterable[tuple[str, str, str, str, str]] = RULES,
    states: Mapping[str, State] = STATES,
    standing: tuple[str, ...] = STANDING,
) -> Table:
    """Spread the rules out. Raises ValueError for a rule that contradicts another or names no state."""
    rows: dict[tuple[str, str, str], Row] = {}
    for names, event, to, commands, only in rules:
        row = Row(to, tuple(part.strip() for part in commands.split(",") if part.strip()))
        for lane in (only,) if only else LANES:
            for name in names.split():
                if name not in states or (to != SAME and to not in states):
                    raise ValueError(f"portal table: {name} --{event}--> {to}: no such state")
                if states[name].only not in ("", lane) or (to != SAME and states[to].only not in ("", lane)):
                    continue
                if (lane, name, event) in rows:
                    raise ValueError(f"portal table: two rows for {lane} {name} {event}")
                rows[lane, name, event] = row
    table = Table(rows, states, standing)
    check(table)
    return table


def check(table: Table) -> None:
    """Raises ValueError for a table that could charge wrongly or stand still for ever."""
    for (lane, name, event), row in table.rows.items():
        where = f"portal table: {lane} {name} {event}"
        if "pay" in row.commands and (event != "paycode" or row.to != "paying"):
            raise ValueError(f"{where}: only a payment code may lead to a charge")
        if "submit" in row.commands and row.to != "submitting":
            raise ValueError(f"{where}: a basket is submitted only on the way to 'submitting'")
    for lane in LANES:
        for name, state in table.states.items():
            if state.only not in ("", lane):
                continue
            if state.limit is not None and (lane, name, "time_up") not in table.rows:
                raise ValueError(f"portal table: {lane} {name} has a deadline and no 'time_up'")


TABLE = build()
