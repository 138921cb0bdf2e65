"""The portal's screens: a key of the table and what fills it, in at most three short lines. Pure.

A list price is never called a price to pay: only the shop's offer is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firmware.portal.decision import REASONS
from firmware.portal.pricetext import yuan
from firmware.wire.refusals import REASONS as REFUSALS
from hal.ports import Screen

FIXED: dict[str, Screen] = {
    "starting": Screen("wait", ("One moment", "The portal is starting")),
    "idle": Screen("idle", ("Checkout", "Step in with all your items")),
    "shop-closed": Screen("stop", ("The shop is closed",)),
    "out-of-order": Screen("stop", ("Out of order", "Please ask for help")),
    "no-sales": Screen("stop", ("No sales right now", "Please ask for help")),
    "one-at-a-time": Screen("alarm", ("One person at a time", "Please step back")),
    "one-moment": Screen("wait", ("One moment",)),
    "paying": Screen("wait", ("Payment is on its way", "Please stay here")),
    "checking": Screen("wait", ("Checking the payment", "Look at your phone", "Please do not pay again")),
    "ask-payment": Screen("stop", ("Payment not clear", "Do not pay again", "Please ask for help")),
    "one-before": Screen("wait", ("One moment", "A payment is being checked")),
    "not-paid": Screen("stop", ("Not paid", "Please leave the items here")),
    "help": Screen("wait", ("Help is on the way",)),
}

REFUSED: dict[str, Screen] = {
    "paycode-store": Screen("stop", ("Not yet, please", "Pay when the price is shown")),
    "paycode-count": Screen("stop", ("You cannot pay here", "Please keep your code hidden")),
    "clock-unsure": Screen("stop", ("Please wait", "The portal checks its clock")),
    "wrong-kind": Screen("stop", ("This pass is not", "for the checkout")),
    "disk-fault": FIXED["no-sales"],
}
"""Where a portal says it in other words than a gate."""
DUPLICATES = ("Two items, one label", "Please ask for help")
WAIT_OR_ASK = "Please wait or ask for help"
MOST_WORDS = 60
"""Of the shop's own words, as much as can be read in a moment."""


def screen_for(key: str, fields: Mapping[str, Any], listed: tuple[int, int] = (0, 0)) -> Screen:
    """``listed``: (list-price sum in fen, items without a price) of ``fields["items"]``.

    Raises KeyError for a key that has no words: a test shows every screen of the table."""
    count = len(fields.get("items", ())) or fields.get("count", 0)
    match key:
        case "refused":
            reason = fields["reason"]
            return REFUSED[reason] if reason in REFUSED else Screen("stop", REFUSALS[reason].words)
        case "reading":
            return Screen("wait", (_items(count), "Reading, please stand still"))
        case "advice":
            return Screen("wait", _advice(fields))
        case "ask-staff":
            return Screen("stop", ("Please ask for help", *_advice(fields)[:1], _items(count)))
        case "counted":
            return Screen("go", (_items(count), _sum(listed), "Thank you"))
        case "no-offer":
            return Screen("wait", (_items(count), _why(fields, "The shop does not answer"), WAIT_OR_ASK))
        case "pay":
            total = yuan(fields["total_fen"])
            return Screen("go", (total, f"to pay for {_items(count)}", "Show your payment code"))
        case "paid":
            return Screen("go", ("Paid, thank you", "The exit is open for you"))
        case "declined":
            return Screen("stop", ("Not paid", _why(fields, "Please try again"), "The price comes again"))
        case "one-moment" if count:
            return Screen("wait", (_items(count), _sum(listed), "One moment"))
    return FIXED[key]


def _why(fields: Mapping[str, Any], otherwise: str) -> str:
    why = str(fields.get("why") or otherwise)
    return why if len(why) <= MOST_WORDS else f"{why[: MOST_WORDS - 1]}…"


def _advice(fields: Mapping[str, Any]) -> tuple[str, ...]:
    if fields.get("reason") == "duplicates":
        return DUPLICATES
    lines = REASONS[fields.get("reason", "reading")].lines
    missing = fields.get("missing", 0)
    if fields.get("reason") == "missing" and missing:
        return (f"About {missing} more?", *lines[1:])
    return lines


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


def _sum(listed: tuple[int, int]) -> str:
    total, unknown = listed
    words = f"{yuan(total)} before discounts"
    return f"{words}, {unknown} unknown" if unknown else words
