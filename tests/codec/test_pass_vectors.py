"""tests/vectors/passes.json against this program, and against a second reading of docs/protocol.md
that shares no code with it (only OpenSSL's Ed25519)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware.wire.passes import verify
from firmware.wire.refusals import Refusal
from tests.support.pass_vectors import build

FILE = Path(__file__).parent.parent / "vectors" / "passes.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text())
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
KINDS = {"entry": 1, "exit": 2, "staff": 3, "technician": 4}


def base45(raw: bytes) -> str:
    text = ""
    for at in range(0, len(raw), 2):
        value = int.from_bytes(raw[at : at + 2], "big")
        for _ in range(len(raw[at : at + 2]) + 1):
            text += ALPHABET[value % 45]
            value //= 45
    return text


def unbase45(text: str) -> bytes | None:
    raw = b""
    for at in range(0, len(text), 3):
        digits = [ALPHABET.find(character) for character in text[at : at + 3]]
        size = len(digits) - 1
        value = sum(digit * 45**place for place, digit in enumerate(digits))
        if min(digits) < 0 or not size or value >= 256**size:
            return None
        raw += value.to_bytes(size, "big")
    return raw


def link(visit: bytes, value: bytes) -> bytes:
    return hashlib.sha256(visit + value).digest()[:12]


def second_reading(text: str, now_s: float) -> str:
    if not text.startswith("TG1:"):
        return "not-a-pass"
    raw = unbase45(text[4:])
    if raw is None or len(raw) != 116:
        return "damaged"
    if raw[0] != 1:
        return "unknown-version"
    if raw[2:6] != hashlib.sha256(VECTORS["store_id"].encode()).digest()[:4]:
        return "foreign"
    key = VECTORS["public_keys"].get(str(raw[1]))
    if key is None:
        return "unknown-key"
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(raw[40:104], b"TG1:" + raw[:40])
    except InvalidSignature:
        return "bad-signature"
    issued_at, valid_for = int.from_bytes(raw[22:26], "big"), int.from_bytes(raw[26:28], "big")
    if now_s < issued_at - 30:
        return "not-yet-valid"
    if now_s >= issued_at + valid_for + 30:
        return "expired"
    value, step = raw[104:], int((now_s - issued_at) // 30)
    for done in range(step + 2):
        if done >= step - 1 and value == raw[28:40]:
            return "good"
        value = link(raw[6:14], value)
    return "stale-code"


def test_the_file_is_what_the_program_makes() -> None:
    assert json.loads(json.dumps(build())) == VECTORS, (
        "if the layout changed on purpose: python -m tests.support.pass_vectors > tests/vectors/passes.json"
    )


@pytest.mark.parametrize("vector", VECTORS["issued"], ids=lambda vector: vector["fields"]["kind"])
def test_every_issued_pass_follows_from_its_fields(vector: dict[str, Any]) -> None:
    fields = vector["fields"]
    visit, value = bytes.fromhex(fields["visit"]), bytes.fromhex(fields["seed"])
    links = -(-fields["valid_for"] // 30) + 1
    chain = [value]
    for _ in range(links):
        chain.append(link(visit, chain[-1]))
    assert chain[-1].hex() == vector["anchor"]
    body = (
        bytes([1, fields["key_id"]])
        + bytes.fromhex(VECTORS["store_tag"])
        + visit
        + bytes([KINDS[fields["kind"]] | (0x10 if fields["settled"] else 0), fields["party"]])
        + fields["campaign"].to_bytes(4, "big")
        + fields["placement"].to_bytes(2, "big")
        + fields["issued_at"].to_bytes(4, "big")
        + fields["valid_for"].to_bytes(2, "big")
        + chain[-1]
    )
    assert body.hex() == vector["body"]
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["private_keys"][str(fields["key_id"])]))
    signature = key.sign(b"TG1:" + body)
    assert signature.hex() == vector["signature"]
    for shown in vector["shown"]:
        preimage = chain[links - shown["step"]]
        assert shown["step"] == (shown["now_s"] - fields["issued_at"]) // 30
        assert preimage.hex() == shown["preimage"]
        assert shown["text"] == "TG1:" + base45(body + signature + preimage)


@pytest.mark.parametrize("vector", VECTORS["verdicts"], ids=lambda vector: vector["case"])
def test_every_verdict(vector: dict[str, Any]) -> None:
    keys = {int(key_id): bytes.fromhex(key) for key_id, key in VECTORS["public_keys"].items()}
    verdict = verify(vector["text"].encode(), store_id=VECTORS["store_id"], keys=keys, now_s=vector["now_s"])
    assert (verdict.reason if isinstance(verdict, Refusal) else "good") == vector["verdict"]
    assert second_reading(vector["text"], vector["now_s"]) == vector["verdict"]


def test_the_verdicts_cover_what_a_reader_must_tell_apart() -> None:
    assert {vector["verdict"] for vector in VECTORS["verdicts"]} == {
        "good",
        "not-a-pass",
        "damaged",
        "unknown-version",
        "foreign",
        "unknown-key",
        "bad-signature",
        "expired",
        "not-yet-valid",
        "stale-code",
    }
