"""One payment attempt as a table: ``(state, event) → state``. Everything that changes state is here.

The waits and the final states are WeChat Pay's documented rules: after SYSTEMERROR wait 5 s and query; while
the shopper enters a password query every 10 s up to 45 s; no reverse sooner than 15 s after the pay call,
and repeat it until it is answered; an order is over only when it is SUCCESS, REFUND, CLOSED or REVOKED.
Must never hold a way from a state in which the provider may have the money to a final unpaid one without
the provider's word; ``check`` refuses such a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SAME = "="  # stay and, where the state calls, call again after its ``again_s``


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. ``gone_s``: a payment code lives one minute, so a charge that the provider has not heard of
    by then cannot take effect any more."""

    check_s: float = 5.0
    userpaying_s: float = 10.0
    limit_s: float = 45.0
    reverse_after_s: float = 15.0
    reverse_again_s: float = 5.0
    reverse_slowest_s: float = 60.0
    settle_s: float = 15.0
    gone_s: float = 60.0
    refund_again_s: float = 60.0


@dataclass(frozen=True, slots=True)
class State:
    """``call``: what is asked of the provider, ``wait``/``again`` (names of Timing) before it and between
    two. ``end``: "" while open, "paid", "unpaid", or "owed" (the shop holds money that is not its own)."""

    words: str
    call: str = ""
    wait: str = ""
    again: str = ""
    limited: bool = False
    end: str = ""


STATES: dict[str, State] = {
    "created": State("numbered, nothing asked yet"),
    "asked": State("the pay call is out", "charge"),
    "checking": State("no clear answer: queried", "query", "check_s", "check_s", limited=True),
    "waiting": State(
        "the shopper confirms on the phone", "query", "userpaying_s", "userpaying_s", limited=True
    ),
    "doomed": State("will be reversed, not yet allowed"),
    "reversing": State("a reverse was sent, repeated until answered", "reverse", "", "reverse_again_s"),
    "settling": State("a reverse was refused: queried", "query", "check_s", "userpaying_s"),
    "paid": State("paid", end="paid"),
    "declined": State("never took place", end="unpaid"),
    "reversed": State("reversed by us, any money returned", end="unpaid"),
    "closed": State("closed by the provider, unpaid", end="unpaid"),
    "gone": State("the provider never heard of it, the code is dead", end="unpaid"),
    "late": State("money came after the end: given back", "refund", "", "refund_again_s", end="owed"),
    "returned": State("late money given back", end="unpaid"),
}

# states | events | next
RULES: tuple[tuple[str, str, str], ...] = (
    ("created", "go", "asked"),
    ("created", "cancel resume", "declined"),  # the code is not kept, so nobody can ask any more
    ("asked", "declined unreached", "declined"),
    ("asked", "systemerror unclear notpay missing resume", "checking"),
    ("asked checking", "userpaying", "waiting"),
    ("asked checking waiting doomed settling", "paid", "paid"),
    ("asked checking waiting doomed settling", "closed", "closed"),
    ("asked checking waiting", "payerror", "doomed"),
    ("checking", "systemerror unclear notpay missing", SAME),
    ("waiting", "systemerror unclear notpay missing userpaying", SAME),
    ("checking", "resume", "checking"),
    ("waiting", "resume", "waiting"),
    ("checking waiting", "limit cancel", "doomed"),
    ("doomed", "resume", "doomed"),
    ("doomed", "time_up", "reversing"),
    ("reversing", "reversed", "reversed"),
    ("reversing", "refused missing", "settling"),
    ("reversing", "unclear systemerror unreached", SAME),
    ("reversing", "resume", "reversing"),
    ("settling", "notpay userpaying payerror", "reversing"),
    ("settling", "missing unclear systemerror unsettled", SAME),
    ("settling", "gone", "gone"),
    ("settling", "resume", "settling"),
    ("declined gone", "paid", "late"),
    ("late", "refunded", "returned"),
    ("late", "refused unclear systemerror unreached missing", SAME),
    ("late", "resume", "late"),
)

PROVED = ("declined", "unreached", "closed", "reversed", "gone", "refunded")
"""Events that prove an order unpaid for ever, or its money returned."""


def rows(rules: tuple[tuple[str, str, str], ...] = RULES) -> dict[tuple[str, str], str]:
    """The rules one by one. Raises ValueError where two say different things."""
    table: dict[tuple[str, str], str] = {}
    for states, events, to in rules:
        for state in states.split():
            for event in events.split():
                if table.setdefault((state, event), to) != to:
                    raise ValueError(f"attempt table: two rows for {state}, {event}")
    return table


def check(table: Mapping[tuple[str, str], str], states: Mapping[str, State] = STATES) -> None:
    """Raises ValueError for a table that could lose track of money."""
    for (state, event), to in table.items():
        target = state if to == SAME else to
        if state not in states or target not in states:
            raise ValueError(f"attempt table: {state}, {event} → {to}: no such state")
        if states[target].end == "unpaid" and state != "created" and event not in PROVED:
            raise ValueError(f"attempt table: {state}, {event} → {to}: nothing proves it unpaid")
        if states[state].end == "paid":
            raise ValueError(f"attempt table: {state} is final, it has a row for {event}")
    for name, kept in states.items():
        if kept.end in ("", "owed") and (name, "resume") not in table:
            raise ValueError(f"attempt table: {name} cannot be resumed after a crash")
        if kept.limited and (name, "limit") not in table:
            raise ValueError(f"attempt table: {name} has no row for its limit")


TABLE = rows()
check(TABLE)
