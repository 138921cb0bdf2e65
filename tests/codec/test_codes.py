"""Kinds of code, and the table of refusals."""

from __future__ import annotations

import pytest

from firmware.wire.codes import KINDS, classify
from firmware.wire.refusals import NAME_BY_NUMBER, REASONS, Refusal


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"TG1:", "pass"),
        (b"TG1:NCF", "pass"),
        (b"TG1://X", "pass"),
        (b"tg1:ncf", "other"),
        (b" TG1:NCF", "other"),
        (b"100000000000000000", "paycode"),
        (b"159999999999999999", "paycode"),
        (b"160000000000000000", "other"),
        (b"130000000000000000\n", "other"),
        (b"13000000000000000", "other"),
        (b"1300000000000000000", "other"),
        ("13０000000000000000".encode(), "other"),
        (b"https://example.com/p/1", "url"),
        (b"HTTPS://EXAMPLE.COM/P", "url"),
        (b"wxp://f2f0abc", "url"),
        (b"https://", "other"),
        (b"https://a b", "other"),
        (b"://x", "other"),
        (b"", "other"),
        (bytes(range(256)), "other"),
    ],
)
def test_classify(data: bytes, kind: str) -> None:
    assert classify(data) == kind
    assert kind in KINDS


def test_reason_numbers_are_stable_and_single() -> None:
    # records hold these numbers: a change here breaks every ledger
    assert {name: row.number for name, row in REASONS.items()} == {
        "not-a-pass": 1, "damaged": 2, "unknown-version": 3, "foreign": 4, "unknown-key": 5,
        "bad-signature": 6, "expired": 7, "not-yet-valid": 8, "stale-code": 9, "revoked": 10, "used": 11,
        "wrong-kind": 12, "shop-closed": 13, "lockdown": 14, "shop-full": 15, "clock-unsure": 16,
        "disk-fault": 17, "gate-fault": 18, "fire": 19, "paycode-here": 20, "url-here": 21, "too-long": 22,
        "busy": 23,
    }  # fmt: skip
    assert {number: REASONS[name].number for number, name in NAME_BY_NUMBER.items()} == {
        row.number: row.number for row in REASONS.values()
    }


@pytest.mark.parametrize("reason", REASONS)
def test_words_fit_the_screen_and_hints_say_something(reason: str) -> None:
    refusal = Refusal(reason)
    assert 1 <= len(refusal.words) <= 3
    assert all(0 < len(line) <= 28 and line.isprintable() for line in refusal.words)
    assert len(refusal.hint) > 20
    assert NAME_BY_NUMBER[refusal.number] == reason


def test_an_unknown_reason_is_a_bug() -> None:
    with pytest.raises(ValueError, match="add a row"):
        Refusal("because")
