"""Records as outcomes ("admitted", "refused expired", "alarm fire") and as sentences for people. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from firmware.gate.facts import ALARMS
from firmware.portal.pricetext import yuan
from firmware.wire.records import (
    Admitted,
    Alarm,
    Annulled,
    Basket,
    Passed,
    PriceLook,
    Record,
    Refused,
)
from firmware.wire.refusals import NAME_BY_NUMBER, REASONS

ROW = {
    "admitted": "admission",
    "passed": "passage",
    "annulled": "annulment",
    "refused": "refusal",
    "basket": "basket",
    "basket-closed": "closing",
    "alarm": "alarm",
}
"""The ledger's word for the row that each kind of outcome becomes; anything else is an "event"."""


def outcome(record: Record) -> str:
    """The name by which the tour counts a record."""
    match record:
        case Refused(reason=number):
            return f"refused {NAME_BY_NUMBER.get(number, str(number))}"
        case Alarm(kind=kind):
            return f"alarm {kind}"
    return record.KIND.name.lower().replace("_", "-")


def ledger_row(name: str) -> str:
    """What the ledger calls the row of an outcome."""
    return ROW.get(name.split(" ")[0], "event")


def sentence(record: Record) -> str:
    """One line for the terminal. Names no code and no person; the visit only by its first digits."""
    match record:
        case Admitted():
            people = "1 person" if record.uses == 1 else f"{record.uses} people"
            offline = ", decided offline" if record.offline else ""
            return f"opened for {people} (visit {record.visit.hex()[:6]}{offline})"
        case Passed():
            return f"somebody went {record.direction} (visit {record.visit.hex()[:6]})"
        case Annulled():
            return f"nobody walked through: taken back ({record.why}, visit {record.visit.hex()[:6]})"
        case Refused():
            name = NAME_BY_NUMBER.get(record.reason, "")
            words = " / ".join(REASONS[name].words) if name else f"reason {record.reason}"
            return f"refused, {name or 'unknown'}: “{words}”"
        case Basket():
            more = f", version {record.version}" if record.version > 1 else ""
            return f"{record.count} tagged items read ({record.reason or record.verdict}{more})"
        case PriceLook():
            price = "no price" if record.shown_fen is None else yuan(record.shown_fen)
            return f"showed {price} for a tag held to it"
        case Alarm():
            words = ALARMS.get(record.kind, record.detail).partition(":")[0]
            return f"ALARM {record.kind}{': ' + words if words else ''}"
    return outcome(record)


def answer(seen: Counter[str]) -> tuple[str, str]:
    """(what the gate did, why) in a few words, for the table."""
    refused = [name.removeprefix("refused ") for name in seen if name.startswith("refused")]
    alarms = [name.removeprefix("alarm ") for name in seen if name.startswith("alarm")]
    if refused:
        return "refused", ", ".join(refused)
    parts = []
    if seen["admitted"]:
        parts.append("opened")
    if seen["passed"]:
        parts.append(f"{seen['passed']} passed")
    if seen["annulled"]:
        parts.append("annulled")
    if seen["basket"]:
        parts.append("basket read")
    if seen["price-look"]:
        parts.append("price shown")
    if not parts and "fire" in alarms:
        parts.append("released")
    return ", ".join(parts) or "nothing", ", ".join(alarms)


def in_words(rows: Iterable[str]) -> str:
    """["admission", "passage", "passage"] → "admission, 2 passage"."""
    counted = Counter(rows)
    return ", ".join(name if n == 1 else f"{n} {name}s" for name, n in counted.items()) or "nothing"
