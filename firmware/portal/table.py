"""The portal as a table: ``(state, event) → state, commands``. Everything that changes state is here.

A state fixes lamps, screen and deadline, and whether tags are read for a shopper; a row says where an event
leads. ``machine.py`` only turns inputs, verdicts, answers and time into the events named here. A basket is
charged only out of ``paying``, which only a payment code leads to, and only while the screen shows what the
shop asks for it (``check``).

Lanes: ``store`` (the shop makes an offer and is paid here) and ``count`` (the portal only counts and
records; paying is somewhere else).

Commands: ``begin`` (a new shopper's reading), ``submit`` (what is in the portal by the last verdict),
``resubmit`` (what was submitted, again), ``offer``, ``pay``, ``ask`` (how the payment stands), ``close WHY``
(the open basket, if there is one), ``paid``, ``alarm KIND``, ``forget``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SAME = "="  # stay, and keep the running deadline; naming the own state again restarts it
LANES = ("store", "count")


@dataclass(frozen=True, slots=True)
class State:
    """``on``: outputs that are active. ``reads``: tags are judged for the shopper who stands there.
    ``submitted``: the basket is in the journal; a change of its items is the event ``more``.
    ``visits``: a pass says whose basket this is, or will be. ``rest``: nobody is served."""

    words: str
    screen: str
    on: tuple[str, ...] = ()
    limit: str | None = None
    reads: bool = False
    submitted: bool = False
    visits: bool = False
    rest: bool = False
    only: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    to: str
    commands: tuple[str, ...] = ()


# words | screen | lamp | limit | flags (r reads, s submitted, v visits, z rest) | lane
_STATES: tuple[tuple[str, str, str, str, str, str, str], ...] = (
    ("starting", "inputs or reader not there yet", "starting", "red", "sensors_s", "z", ""),
    ("blind", "inputs lost: nobody is served", "out-of-order", "red", "", "z", ""),
    ("no-reader", "the reader does not work: nobody is served", "out-of-order", "red", "", "z", ""),
    ("closed", "the shop is closed", "shop-closed", "red", "", "z", ""),
    ("idle", "nobody inside", "idle", "green", "", "vz", ""),
    ("collecting", "somebody inside, tags are read", "reading", "red", "collect_s", "rv", ""),
    ("uncertain", "not sure that this is all: advice", "advice", "red", "advise_s", "rv", ""),
    ("helpless", "still not sure: a person must look", "ask-staff", "red", "", "rv", ""),
    ("submitting", "the basket goes to the disk", "one-moment", "red", "write_s", "rv", ""),
    ("unwritten", "the disk does not take baskets", "no-sales", "red", "retry_s", "rv", ""),
    ("counted", "the basket is recorded; paid elsewhere", "counted", "green", "", "rsv", "count"),
    ("offering", "asks the shop for the price", "one-moment", "red", "offer_s", "rsv", "store"),
    ("unserved", "the shop makes no offer", "no-offer", "red", "again_s", "rsv", "store"),
    ("awaiting-payment", "the price is shown, waits for the code", "pay", "green", "pay_s", "rsv", "store"),
    ("paying", "the payment is on its way", "paying", "red", "answer_s", "r", "store"),
    ("unclear", "no answer about the payment yet: asks on", "checking", "red", "ask_s", "r", "store"),
    ("unsettled", "nobody knows how the payment ended", "ask-payment", "red", "again_s", "r", "store"),
    ("settling", "left while paying: asks on, without a shopper", "one-before", "red", "ask_s", "", "store"),
    ("paid", "paid: the shopper may go", "paid", "green", "", "rs", "store"),
    ("farewell", "paid, and the inputs are lost", "paid", "green", "abandoned_s", "", "store"),
    ("declined", "not paid: the reason is shown", "declined", "red", "declined_s", "rsv", "store"),
    ("abandoned", "not paid, the basket is closed", "not-paid", "red", "abandoned_s", "", "store"),
    ("crowded", "more than one person inside", "one-at-a-time", "red", "crowd_s", "", ""),
    ("packed", "more than one person stays inside", "one-at-a-time", "red", "", "", ""),
)
STATES: dict[str, State] = {
    name: State(
        words,
        screen,
        (f"lamp_{lamp}",),
        limit or None,
        reads="r" in flags,
        submitted="s" in flags,
        visits="v" in flags,
        rest="z" in flags,
        only=lane,
    )
    for name, words, screen, lamp, limit, flags, lane in _STATES
}

STANDING = (
    "no_inputs",
    "no_reader",
    "shop_closed",
    "crowd_on",
    "vacated",
    "crowd_off",
    "occupied",
    "more",
    "whose",
    "shop_open",
    "all_well",
)
"""Conditions that are looked at again, in this order, after every step."""

READING = "collecting uncertain helpless"
"""Reading; nothing of this reading is in the journal yet."""
OPEN = "offering unserved awaiting-payment declined"
"""In the journal, and no payment is on its way."""
CROWD = "crowded packed"

# states | event | next | commands | lane ("" = both)
RULES: tuple[tuple[str, str, str, str, str], ...] = (
    # start, and devices lost: nobody is served, nothing is charged
    ("starting", "time_up", "no-reader", "", ""),
    ("starting blind no-reader", "all_well", "idle", "", ""),
    ("closed no-reader " + CROWD, "no_inputs", "blind", "alarm portal-sensors", ""),
    ("idle abandoned", "no_inputs", "blind", "alarm portal-sensors, forget", ""),
    (
        f"{READING} unwritten counted {OPEN}",
        "no_inputs",
        "blind",
        "close sensors-lost, alarm portal-sensors, forget",
        "",
    ),
    ("paid", "no_inputs", "farewell", "", ""),
    ("farewell", "time_up", "blind", "alarm portal-sensors, forget", ""),
    ("closed " + CROWD, "no_reader", "no-reader", "", ""),
    ("idle abandoned", "no_reader", "no-reader", "forget", ""),
    (READING + " unwritten counted", "no_reader", "no-reader", "close reader-lost, forget", ""),
    ("idle", "shop_closed", "closed", "forget", ""),
    ("closed", "shop_open", "idle", "", ""),
    # somebody steps in
    ("idle", "occupied", "collecting", "begin", ""),
    ("idle", "crowd_on", "crowded", "forget", ""),
    (f"{READING} counted {OPEN}", "crowd_on", "crowded", "close crowded, forget", ""),
    ("paid", "crowd_on", "crowded", "forget", ""),
    (CROWD, "crowd_off", "collecting", "begin", ""),
    (CROWD, "vacated", "idle", "", ""),
    ("crowded", "time_up", "packed", "alarm portal-crowded", ""),
    # is that all?
    ("collecting", "uncertain", "uncertain", "", ""),
    ("uncertain helpless", "uncertain", SAME, "", ""),
    (READING, "complete", "submitting", "submit", ""),
    (READING, "yours", "paid", "close abandoned", "store"),
    (READING, "yours", "counted", "close abandoned", "count"),
    ("collecting", "time_up", "uncertain", "", ""),
    ("uncertain", "time_up", "helpless", "alarm portal-uncertain", ""),
    ("uncertain helpless", "staff_accepts", "submitting", "submit", ""),
    (READING + " unwritten", "vacated", "idle", "close abandoned, forget", ""),
    # on the disk
    ("submitting unwritten", "submitted", "offering", "offer", "store"),
    ("submitting unwritten", "submitted", "counted", "", "count"),
    ("submitting", "not_written", "unwritten", "", ""),
    ("submitting", "time_up", "unwritten", "", ""),
    ("unwritten", "not_written", SAME, "", ""),
    ("unwritten", "time_up", "submitting", "resubmit", ""),
    ("counted " + OPEN, "more", "collecting", "", ""),
    ("counted " + OPEN, "recount", "collecting", "", ""),
    ("counted " + OPEN, "whose", "submitting", "resubmit", ""),
    ("counted", "vacated", "idle", "forget", ""),
    # the shop's offer
    ("offering unserved", "offer", "awaiting-payment", "", ""),
    ("offering unserved", "settled", "paid", "paid", ""),
    ("offering", "no_offer", "unserved", "", ""),
    ("unserved", "no_offer", SAME, "", ""),
    ("offering", "time_up", "unserved", "", ""),
    ("unserved", "time_up", "offering", "offer", ""),
    (OPEN, "vacated", "abandoned", "close abandoned", ""),
    ("awaiting-payment", "time_up", "abandoned", "close time-out", ""),
    # the money: only from here, once
    ("awaiting-payment", "paycode", "paying", "pay", ""),
    (f"paying unclear unsettled {OPEN}", "paid", "paid", "paid", ""),
    (READING, "paid", "collecting", "paid, begin", "store"),
    ("paying unclear unsettled", "declined", "declined", "", ""),
    ("paying", "pending", "unclear", "", ""),
    ("unclear unsettled settling", "pending", SAME, "", ""),
    ("paying", "time_up", "unclear", "ask", ""),
    ("unclear", "time_up", "unclear", "ask", ""),
    ("unclear", "given_up", "unsettled", "alarm payment-unclear", ""),
    ("unsettled", "time_up", "unsettled", "ask", ""),
    ("unsettled", "vacated", "idle", "close abandoned, forget", ""),
    ("declined", "time_up", "offering", "offer", ""),
    # gone while the payment was on its way: the next shopper waits for that, and never sees it
    ("paying unclear", "vacated", "settling", "", ""),
    ("settling", "paid", "idle", "paid, forget", ""),
    ("settling", "declined", "idle", "close abandoned, forget", ""),
    ("settling", "time_up", "settling", "ask", ""),
    ("settling", "given_up", "idle", "alarm payment-unclear, close abandoned, forget", ""),
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
        if "pay" in row.commands and table.states[name].screen != "pay":
            raise ValueError(f"{where}: a charge only while the screen shows the total")
        if {"submit", "resubmit"} & set(row.commands) and row.to != "submitting":
            raise ValueError(f"{where}: a basket is submitted only on the way to 'submitting'")
    for lane in LANES:
        for name, state in table.states.items():
            if state.only not in ("", lane):
                continue
            if state.limit is not None and (lane, name, "time_up") not in table.rows:
                raise ValueError(f"portal table: {lane} {name} has a deadline and no 'time_up'")


TABLE = build()
