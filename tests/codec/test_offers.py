"""Offers and payments on the wire: strict, bounded, and never a payment code in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.wire.offers import (
    MAX_FEN,
    STATES,
    Offer,
    OfferError,
    PayQuestion,
    PayStand,
    basket_id,
    decode_offer,
    decode_pay_question,
    decode_pay_stand,
)

CODE = "134567890123456789"
ids = st.builds(basket_id, st.integers(0, 2**64 - 1), st.integers(1, 2**32 - 1))
versions, fen = st.integers(1, 255), st.integers(0, MAX_FEN)
words = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=120)


@given(ids, versions, fen, fen, st.booleans())
def test_an_offer_comes_back_as_it_went(
    basket: str, version: int, total: int, listed: int, done: bool
) -> None:
    offer = Offer(basket, version, total, listed, done)
    assert decode_offer(offer.encode()) == offer


@given(ids, versions, words.filter(bool))
def test_a_refusal_comes_back_with_its_words(basket: str, version: int, why: str) -> None:
    assert decode_offer(Offer(basket, version, refused=why).encode()) == Offer(basket, version, refused=why)


@given(ids, versions, fen, st.none() | st.from_regex(r"1[0-5][0-9]{16}", fullmatch=True))
def test_a_pay_question_comes_back_as_it_went(
    basket: str, version: int, total: int, code: str | None
) -> None:
    question = PayQuestion(basket, version, total, code)
    assert decode_pay_question(question.encode()) == question


@given(ids, versions, st.sampled_from(STATES), fen, st.integers(0, 2**64 - 1), words)
def test_a_stand_comes_back_as_it_went(
    basket: str, version: int, state: str, total: int, visit: int, why: str
) -> None:
    order = "A-1" if state == "paid" else ""
    stand = PayStand(basket, version, state, total, f"{visit:016x}", order, why)
    assert decode_pay_stand(stand.encode()) == stand


GOOD: dict[str, tuple[Callable[[bytes], Any], dict[str, Any]]] = {
    "offer": (decode_offer, json.loads(Offer("0" * 15 + "1-7", 1, 5, 6).encode())),
    "question": (decode_pay_question, json.loads(PayQuestion("0" * 15 + "1-7", 1, 5, CODE).encode())),
    "stand": (decode_pay_stand, json.loads(PayStand("0" * 15 + "1-7", 1, "paid", 5, order="A").encode())),
}


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("offer", {"basket": "1-7"}),
        ("offer", {"basket": "0" * 16 + "-0"}),
        ("offer", {"version": 0}),
        ("offer", {"version": 256}),
        ("offer", {"version": True}),
        ("offer", {"total_fen": -1}),
        ("offer", {"total_fen": 1.5}),
        ("offer", {"settled": 1}),
        ("offer", {"more": 1}),
        ("question", {"code": "234567890123456789"}),
        ("question", {"code": "13456789012345678"}),
        ("question", {"code": 134567890123456789}),
        ("question", {"total_fen": None}),
        ("stand", {"state": "done"}),
        ("stand", {"order": ""}),
        ("stand", {"order": "a" * 33}),
        ("stand", {"visit": "xyz"}),
        ("stand", {"why": "x" * 121}),
        ("stand", {"why": "line\nbreak"}),
    ],
)
def test_anything_else_is_refused(kind: str, change: dict[str, Any]) -> None:
    decode, good = GOOD[kind]
    decode(json.dumps(good).encode())
    with pytest.raises(OfferError):
        decode(json.dumps(good | change).encode())


@settings(max_examples=100)
@given(st.sampled_from(sorted(GOOD)), st.binary(max_size=60))
def test_hostile_bytes_raise_nothing_else(kind: str, data: bytes) -> None:
    with pytest.raises(OfferError):
        GOOD[kind][0](data)


def test_a_payment_code_is_in_no_error_and_in_no_repr() -> None:
    for payload in (
        json.dumps(GOOD["question"][1] | {"code": CODE + "0"}),
        json.dumps(GOOD["question"][1]) + "x",
        json.dumps({"code": CODE}),
    ):
        with pytest.raises(OfferError) as found:
            decode_pay_question(payload.encode())
        assert CODE not in str(found.value)
    assert CODE not in repr(PayQuestion("0" * 15 + "1-7", 1, 5, CODE))
