"""How the double misbehaves: by the last two digits of the payment code, or when it is told to. Pure data.

``money`` is what happens to the shopper's money, ``fault`` what happens to the answer; they are independent,
since an answer that is lost says nothing about the money.
"""

from __future__ import annotations

from dataclasses import dataclass

MONEY = {
    "paid": "paid at once",
    "later": "the shopper confirms on the phone, and it is paid after 12 s",
    "never": "the shopper never confirms",
    "late-pay": "the shopper confirms when the first reverse arrives, which is refused",
    "system-paid": "SYSTEMERROR is answered, but it was paid",
    "system-lost": "SYSTEMERROR is answered, and nothing was made",
    "poor": "not enough money",
    "expired": "the code has expired",
    "failed": "the bank refuses: PAYERROR",
}
FAULTS = {
    "slow": "processed, answered after delay_s",
    "deaf": "never processed, no answer",
    "silent": "processed, no answer",
    "delayed": "no answer, processed delay_s later",
    "5xx": "not processed, a gateway's page with status 502",
    "5xx-done": "processed, a gateway's page with status 502",
    "cut": "processed, then the connection is cut",
    "refused": "the connection is refused",
    "bad-signature": "processed, answered with a signature of another text",
    "unsigned": "processed, answered without a signature",
    "stale": "processed, answered with a signature of an hour ago",
    "replayed": "processed, answered with a nonce that was used before",
    "system": "not processed, a signed SYSTEM_ERROR",
    "twice": "processed, and the callback is sent twice",
}
BEFORE = frozenset(("deaf", "5xx", "refused", "system", "delayed"))
"""Faults at which the request is not processed (yet)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour. ``on``: charge, query, reverse, refund, query_refund, score, any; ``times`` left."""

    kind: str
    on: str = "any"
    times: int = 1
    delay_s: float = 8.0

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise ValueError(f"fault {self.kind!r}: one of {', '.join(FAULTS)}")


@dataclass(frozen=True, slots=True)
class Rule:
    money: str = "paid"
    fault: Fault | None = None


_CHARGE = {
    "11": "slow",
    "12": "deaf",
    "13": "silent",
    "14": "5xx",
    "15": "5xx-done",
    "16": "cut",
    "17": "bad-signature",
    "18": "stale",
    "19": "unsigned",
    "20": "replayed",
    "21": "delayed",
    "22": "twice",
}
RULES: dict[str, Rule] = {
    "01": Rule("later"),
    "02": Rule("never"),
    "03": Rule("late-pay"),
    "04": Rule("system-paid"),
    "05": Rule("system-lost"),
    "06": Rule("poor"),
    "07": Rule("expired"),
    "08": Rule("failed"),
    **{digits: Rule(fault=Fault(kind, "charge")) for digits, kind in _CHARGE.items()},
}
"""Last two digits of the code → what happens. Any other code is paid at once and answered well."""


def rule_of(code: str) -> Rule:
    return RULES.get(code[-2:], Rule())


class FaultList:
    """Faults that were ordered, taken in turn. A fault of the code comes first."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self.waiting.append(fault)

    def take(self, call: str, code: str = "") -> Fault | None:
        """The fault for this call, counted down."""
        if code and (own := rule_of(code).fault) is not None:
            return own
        for index, fault in enumerate(self.waiting):
            if fault.on in (call, "any"):
                if fault.times > 1:
                    left = Fault(fault.kind, fault.on, fault.times - 1, fault.delay_s)
                    self.waiting[index] = left
                else:
                    del self.waiting[index]
                return fault
        return None
