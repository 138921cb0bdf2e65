"""The store's receipts: strict both ways."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.wire.acks import Ack, AckError, Nack, decode_ack, decode_nack

EPOCHS = st.integers(0, 2**64 - 1)


@given(EPOCHS, st.integers(0, 2**32 - 1))
def test_ack_round_trip(epoch: int, through: int) -> None:
    assert decode_ack(Ack(epoch, through).encode()) == Ack(epoch, through)


@given(EPOCHS, st.integers(1, 2**32 - 1), st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True))
def test_nack_round_trip(epoch: int, seq: int, reason: str) -> None:
    assert decode_nack(Nack(epoch, seq, reason).encode()) == Nack(epoch, seq, reason)


def test_the_text_is_what_the_protocol_page_shows() -> None:
    assert Ack(0x1F, 42).encode() == b'{"epoch":"000000000000001f","through":42}'
    assert Nack(0x1F, 42, "crc").encode() == b'{"epoch":"000000000000001f","seq":42,"reason":"crc"}'


GOOD = {"epoch": "000000000000001f", "through": 42}


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[]", "not a JSON object"),
        (b"[" * 500, "not JSON"),
        (b" " * 513, "at most 512"),
        (b'{"epoch":"000000000000001f"}', "missing key through"),
        (b'{"epoch":"000000000000001f","through":1,"through":2}', "given twice"),
        (b'{"epoch":"000000000000001f","through":NaN}', "NaN"),
        (b'{"epoch":"000000000000001f","through":' + b"9" * 400 + b"}", "through must be"),
        (json.dumps(GOOD | {"more": 1}).encode(), "unknown key"),
        (json.dumps(GOOD | {"through": -1}).encode(), "through must be"),
        (json.dumps(GOOD | {"through": 2**32}).encode(), "through must be"),
        (json.dumps(GOOD | {"through": 1.0}).encode(), "through must be"),
        (json.dumps(GOOD | {"through": True}).encode(), "through must be"),
        (json.dumps(GOOD | {"through": "42"}).encode(), "through must be"),
        (json.dumps(GOOD | {"epoch": 31}).encode(), "epoch must be"),
        (json.dumps(GOOD | {"epoch": "1f"}).encode(), "epoch must be"),
        (json.dumps(GOOD | {"epoch": "00000000 000001f"}).encode(), "epoch must be"),
        (json.dumps(GOOD | {"epoch": "000000000000001F"}).encode(), "epoch must be"),
        (json.dumps(GOOD | {"epoch": None}).encode(), "epoch must be"),
    ],
)
def test_a_bad_ack_says_what_is_wrong(payload: bytes, message: str) -> None:
    with pytest.raises(AckError, match=message):
        decode_ack(payload)


@pytest.mark.parametrize(
    "change", [{"seq": 0}, {"reason": ""}, {"reason": "Bad CRC"}, {"reason": 5}, {"through": 1}]
)
def test_a_bad_nack_is_refused(change: dict[str, object]) -> None:
    good: dict[str, object] = {"epoch": "000000000000001f", "seq": 42, "reason": "crc"}
    assert decode_nack(json.dumps(good).encode()).seq == 42
    with pytest.raises(AckError, match="nack: "):
        decode_nack(json.dumps(good | change).encode())


@given(st.binary(max_size=600))
def test_any_bytes_give_an_ack_error_and_nothing_else(payload: bytes) -> None:
    for decode in (decode_ack, decode_nack):
        with pytest.raises(AckError):
            decode(payload)


@pytest.mark.parametrize(
    "receipt",
    [
        Ack(-1, 0),
        Ack(2**64, 0),
        Ack(0, -1),
        Ack(0, 2**32),
        Nack(0, 0, "crc"),
        Nack(0, 1, "Bad CRC"),
        Nack(0, 1, ""),
    ],
)
def test_what_would_not_decode_is_not_encoded(receipt: Ack | Nack) -> None:
    with pytest.raises(AckError):
        receipt.encode()
