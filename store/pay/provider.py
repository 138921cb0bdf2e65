"""What the shop asks of a payment provider, whichever it is: values, errors, and the interface.

Money is an integer number of fen. An answer is believed only when the provider's signature holds, so every
error says whether the request may have taken effect (``maybe``): only one that surely did not may be told to
the shopper as "not paid". A payment code is in no ``repr`` and in no error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, Protocol

MAX_FEN = 100_000_000  # one million yuan; nothing in such a shop costs more, a slip of digits does
PAID = ("SUCCESS", "REFUND")
UNPAID_FOR_EVER = ("CLOSED", "REVOKED")
ORDER_STATES = (*PAID, *UNPAID_FOR_EVER, "NOTPAY", "USERPAYING", "PAYERROR")
REFUND_STATES = ("SUCCESS", "CLOSED", "PROCESSING", "ABNORMAL")
ORDER = re.compile(r"[0-9A-Za-z_-]{1,32}")
CODE = re.compile(r"1[0-5][0-9]{16}")  # WeChat Pay: 18 digits beginning 10 to 15
_CODE_IN_TEXT = re.compile(r"[0-9]{16,}")


def mask(text: str, limit: int = 200) -> str:
    """``text`` of somebody else's, fit for a log: printable, short, anything like a payment code hidden."""
    kept = _CODE_IN_TEXT.sub("(hidden)", text)[:limit]
    return "".join(char if char.isprintable() else "?" for char in kept)


def check_fen(amount: int, what: str, low: int = 1) -> int:
    """``amount`` when it is an int from ``low`` to MAX_FEN. Raises ValueError."""
    if type(amount) is not int or not low <= amount <= MAX_FEN:
        raise ValueError(f"{what} is {amount!r}: a whole number of fen from {low} to {MAX_FEN}")
    return amount


def check_order(order: str, what: str = "order number") -> str:
    """Raises ValueError."""
    if not ORDER.fullmatch(order):
        raise ValueError(f"{what} {order!r}: 1 to 32 characters of 0-9 A-Z a-z _ -")
    return order


@dataclass(frozen=True, slots=True)
class Charge:
    """One attempt to take ``total_fen`` from the holder of ``code``. Raises ValueError."""

    order: str
    total_fen: int
    description: str
    code: str = field(repr=False)
    device: str = ""  # the portal's id, at most 32 characters

    def __post_init__(self) -> None:
        check_order(self.order)
        check_fen(self.total_fen, "total_fen")
        if not CODE.fullmatch(self.code):
            raise ValueError("the code is no payment code of WeChat Pay")  # never says what it was
        if not 1 <= len(self.description) <= 127 or not self.description.isprintable():
            raise ValueError("description: 1 to 127 printable characters")
        if len(self.device) > 32:
            raise ValueError(f"device {self.device!r}: at most 32 characters")


@dataclass(frozen=True, slots=True)
class Order:
    """How an order stands at the provider: one of ``ORDER_STATES``. ``paid_ms``: Unix time, None unpaid.

    ``reason``: the provider's own word, for the ledger and the operator."""

    order: str
    state: str
    total_fen: int
    transaction: str = ""
    paid_ms: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RefundAsk:
    """Give back ``amount_fen`` of an order of ``total_fen``. ``refund``: its own number; asking again with
    the same number and amount is the same refund. Raises ValueError."""

    order: str
    refund: str
    amount_fen: int
    total_fen: int
    reason: str = ""

    def __post_init__(self) -> None:
        check_order(self.order)
        check_order(self.refund, "refund number")
        check_fen(self.total_fen, "total_fen")
        check_fen(self.amount_fen, "amount_fen")
        if self.amount_fen > self.total_fen:
            raise ValueError(f"refund of {self.amount_fen} fen out of {self.total_fen}")
        if len(self.reason.encode()) > 80:
            raise ValueError("reason: at most 80 bytes of UTF-8")


@dataclass(frozen=True, slots=True)
class Refunded:
    """How a refund stands: one of ``REFUND_STATES``."""

    refund: str
    state: str
    amount_fen: int
    id: str = ""
    reason: str = ""


Maybe = Literal["no", "maybe"]


class PayError(Exception):
    """A call that brought no answer to believe. ``maybe``: whether it may have taken effect all the same."""

    maybe: Maybe = "maybe"


class NotReached(PayError):
    """No host took the connection: the request was never sent."""

    maybe: Maybe = "no"


class TimedOut(PayError):
    """Sent, or partly sent, and no whole answer in time; also a connection cut before the answer."""


class BadSignature(PayError):
    """An answer that the provider's keys do not vouch for: changed on the way, or a key we do not hold."""


class StaleAnswer(PayError):
    """Signed, but long ago, or for the second time: a replay, or a clock that is wrong."""


class BadAnswer(PayError):
    """Vouched for, but not what the interface describes (another order, a sum that differs, no JSON)."""


class Refused(PayError):
    """The provider's own signed word that it did not do it. ``code`` as documented; whatever it echoes is
    masked."""

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        self.code = mask(code, 64)
        self.message = mask(message)
        super().__init__(f"{self.code}: {self.message}" if message else self.code)
        self.status = status


class Provider(Protocol):
    """Each call is one attempt, blocks for a bounded time, and raises PayError when nothing is known."""

    def charge(self, ask: Charge) -> Order:
        """Charge the code. Sent to a second host only when the first was surely not reached."""

    def query(self, order: str) -> Order:
        """Raises Refused ORDER_NOT_EXIST where the provider never heard of the order."""

    def reverse(self, order: str) -> None:
        """Close an unpaid order, give back a paid one; returns once that is certain. Safe to repeat."""

    def refund(self, ask: RefundAsk) -> Refunded:
        """Give back a part. Safe to repeat with the same number and amount."""

    def query_refund(self, refund: str) -> Refunded: ...
