"""A portal's questions about money and the shop's answers: ``ask/offer`` and ``ask/pay``. Pure.

``ask/offer`` carries the basket's record frame, the same bytes as in the journal, so that an offer does not
wait behind a backlog. ``ask/pay`` names the basket, its version and the total that the screen shows; the shop
refuses a pay request of which any differs. Only here does a payment code travel: QoS 0, never kept, never
logged. Strict JSON, but for the frame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from firmware.wire.strictjson import JsonError, dump, exact_keys, hex_u64, integer, parse_object

MAX_BYTES = 1024
MAX_FEN = (1 << 32) - 1
MAX_WORDS = 120
STATES = ("paid", "declined", "pending")
_BASKET = re.compile(r"[0-9a-f]{16}-[1-9][0-9]{0,9}")
_CODE = re.compile(r"1[0-5][0-9]{16}")
_ORDER = re.compile(r"[A-Za-z0-9_-]{1,32}")


class OfferError(ValueError):
    """Not a question or answer of this kind. Never says what stood in a payment code's place."""


def basket_id(epoch: int, first: int) -> str:
    """The name of a basket: its journal's epoch and the seq of its first version."""
    return f"{epoch:016x}-{first}"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a basket costs. ``list_fen``: before discounts; ``settled``: nothing is left to pay.

    ``refused``: no offer is made, and why, in words; the sums are 0 then."""

    basket: str
    version: int
    total_fen: int = 0
    list_fen: int = 0
    settled: bool = False
    refused: str = ""

    def encode(self) -> bytes:
        if self.refused:
            return dump({"basket": self.basket, "version": self.version, "refused": self.refused})
        return dump({name: getattr(self, name) for name in _OFFER})


_OFFER = ("basket", "version", "total_fen", "list_fen", "settled")


def decode_offer(payload: bytes) -> Offer:
    """Raises OfferError."""
    try:
        value = parse_object(payload, MAX_BYTES)
        if "refused" in value:
            exact_keys(value, ("basket", "version", "refused"))
            return Offer(_id(value), _version(value), refused=_words(value, "refused") or "no reason given")
        exact_keys(value, _OFFER)
        if not isinstance(value["settled"], bool):
            raise OfferError("settled is true or false")
        total, listed = _fen(value, "total_fen"), _fen(value, "list_fen")
        return Offer(_id(value), _version(value), total, listed, value["settled"])
    except JsonError as error:
        raise OfferError(f"the answer to ask/offer: {error}") from None


@dataclass(frozen=True, slots=True)
class PayQuestion:
    """Charge ``total_fen`` with ``code``; no code: only say how the payment stands."""

    basket: str
    version: int
    total_fen: int
    code: str | None = field(default=None, repr=False)

    def encode(self) -> bytes:
        value: dict[str, Any] = {
            "basket": self.basket,
            "version": self.version,
            "total_fen": self.total_fen,
        }
        return dump(value | ({"code": self.code} if self.code is not None else {}))


def decode_pay_question(payload: bytes) -> PayQuestion:
    """Raises OfferError."""
    try:
        value = parse_object(payload, MAX_BYTES)
        exact_keys(value, ("basket", "version", "total_fen", *(("code",) if "code" in value else ())))
        code = value.get("code")
        if code is not None and not (isinstance(code, str) and _CODE.fullmatch(code)):
            raise OfferError("ask/pay: the code is no payment code")
        return PayQuestion(_id(value), _version(value), _fen(value, "total_fen"), code)
    except JsonError:
        raise OfferError("ask/pay: not a question of this kind") from None


@dataclass(frozen=True, slots=True)
class PayStand:
    """How a payment stands: one of ``STATES``. ``order`` once the shop has one; ``why`` not, in words."""

    basket: str
    version: int
    state: str
    total_fen: int = 0
    visit: str = "0" * 16
    order: str = ""
    why: str = ""

    def encode(self) -> bytes:
        return dump({name: getattr(self, name) for name in _STAND})


_STAND = ("basket", "version", "state", "total_fen", "visit", "order", "why")


def decode_pay_stand(payload: bytes) -> PayStand:
    """Raises OfferError."""
    try:
        value = parse_object(payload, MAX_BYTES)
        exact_keys(value, _STAND)
        hex_u64(value, "visit")
        state, order = value["state"], value["order"]
        if state not in STATES:
            raise OfferError(f"state is one of {', '.join(STATES)}")
        if not isinstance(order, str) or (order and not _ORDER.fullmatch(order)):
            raise OfferError("order is no order number")
        if state == "paid" and not order:
            raise OfferError("a paid basket has an order number")
        why = _words(value, "why")
        total = _fen(value, "total_fen")
        return PayStand(_id(value), _version(value), state, total, value["visit"], order, why)
    except JsonError as error:
        raise OfferError(f"the answer to ask/pay: {error}") from None


def _id(value: dict[str, Any]) -> str:
    basket = value["basket"]
    if not isinstance(basket, str) or not _BASKET.fullmatch(basket):
        raise OfferError("basket is EPOCH-SEQ: 16 hex digits and a number")
    return basket


def _version(value: dict[str, Any]) -> int:
    return integer(value, "version", 1, 255)


def _fen(value: dict[str, Any], name: str) -> int:
    return integer(value, name, 0, MAX_FEN)


def _words(value: dict[str, Any], name: str) -> str:
    words = value[name]
    if not isinstance(words, str) or len(words) > MAX_WORDS or not words.isprintable():
        raise OfferError(f"{name} is a text of at most {MAX_WORDS} printable characters")
    return words
