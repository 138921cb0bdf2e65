"""The test vectors for passes, for any other implementation: a phone page, another shop's software.

``python -m tests.support.pass_vectors > tests/vectors/passes.json`` writes them; a test holds the file
against both this program and a second reading of the protocol page.
"""

from __future__ import annotations

import json
from typing import Any

from base45 import b45decode, b45encode
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware.wire.issue import Issued, issue
from firmware.wire.passes import decode, store_tag, verify
from firmware.wire.refusals import Refusal

STORE_ID = "demo"
T0 = 1_800_000_000
# For vectors only: secrets that are published are no secrets
PRIVATE = {1: bytes(range(32)), 2: bytes(range(100, 132))}
ENTRY = {
    "key_id": 1,
    "visit": "0123456789abcdef",
    "kind": "entry",
    "party": 2,
    "campaign": 305419896,
    "placement": 513,
    "issued_at": T0,
    "valid_for": 3600,
    "settled": False,
    "seed": "000102030405060708090a0b",
}
EXIT = ENTRY | {
    "key_id": 2,
    "visit": "fedcba9876543210",
    "kind": "exit",
    "party": 15,
    "campaign": 2**32 - 1,
    "placement": 65535,
    "valid_for": 7200,
    "settled": True,
    "seed": "ffeeddccbbaa998877665544",
}
SHORTEST = ENTRY | {"kind": "technician", "party": 1, "campaign": 0, "placement": 0, "valid_for": 1}
STAFF = ENTRY | {"kind": "staff", "valid_for": 31}


def issued(fields: dict[str, Any]) -> Issued:
    """The pass of these (JSON) fields."""
    values = fields | {"visit": bytes.fromhex(fields["visit"]), "seed": bytes.fromhex(fields["seed"])}
    return issue(Ed25519PrivateKey.from_private_bytes(PRIVATE[fields["key_id"]]), store_id=STORE_ID, **values)


def _issued_vector(fields: dict[str, Any]) -> dict[str, Any]:
    made = issued(fields)
    end = T0 + fields["valid_for"]
    times = sorted({T0, min(T0 + 30, end - 1), T0 + fields["valid_for"] // 2, end - 1})
    shown = []
    for now in times:
        text = made.shown_at(now)
        _, _, preimage = decode(text.encode())
        shown.append({"now_s": now, "step": (now - T0) // 30, "preimage": preimage.hex(), "text": text})
    return {
        "fields": fields,
        "anchor": made.fields.anchor.hex(),
        "body": made.body.hex(),
        "signature": made.signature.hex(),
        "shown": shown,
    }


def _verdicts() -> list[dict[str, Any]]:
    made, text = issued(ENTRY), issued(ENTRY).shown_at(T0 + 100)
    raw = b45decode(text[4:].encode())
    flipped = "TG1:" + b45encode(raw[:39] + bytes([raw[39] ^ 1]) + raw[40:]).decode()
    foreign = issue(
        Ed25519PrivateKey.from_private_bytes(PRIVATE[1]),
        key_id=1, store_id="other", visit=bytes(8), issued_at=T0, valid_for=3600, seed=bytes(12),
    ).shown_at(T0 + 100)  # fmt: skip
    unknown = "TG1:" + b45encode(raw[:1] + b"\x09" + raw[2:]).decode()
    version = "TG1:" + b45encode(b"\x02" + raw[1:]).decode()
    first = made.shown_at(T0)
    cases = [
        ("in its step", text, T0 + 100),
        ("the step before", text, T0 + 60),
        ("the step after", text, T0 + 149.999),
        ("two steps before", text, T0 + 59.999),
        ("two steps after: a screenshot", text, T0 + 150),
        ("30 s before issue", first, T0 - 30),
        ("more than 30 s before issue", first, T0 - 30.001),
        ("one step past its end", made.shown_at(T0 + 3599), T0 + 3629.999),
        ("over one step past its end", made.shown_at(T0 + 3599), T0 + 3630),
        ("one bit of the anchor", flipped, T0 + 100),
        ("another shop", foreign, T0 + 100),
        ("key 9", unknown, T0 + 100),
        ("layout version 2", version, T0 + 100),
        ("cut short", text[:-3], T0 + 100),
        ("line feed behind it", text + "\n", T0 + 100),
        ("lower case", "TG1:" + text[4:].lower(), T0 + 100),
        ("no prefix", text[4:], T0 + 100),
    ]
    keys = public_keys()
    found = []
    for name, shown, now in cases:
        verdict = verify(shown.encode(), store_id=STORE_ID, keys=keys, now_s=now)
        reason = verdict.reason if isinstance(verdict, Refusal) else "good"
        found.append({"case": name, "text": shown, "now_s": now, "verdict": reason})
    return found


def public_keys() -> dict[int, bytes]:
    return {
        key_id: Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        for key_id, secret in PRIVATE.items()
    }


def build() -> dict[str, Any]:
    return {
        "about": "Tallygate pass, layout version 1: docs/protocol.md. These private keys are public.",
        "store_id": STORE_ID,
        "store_tag": store_tag(STORE_ID).hex(),
        "private_keys": {str(key_id): secret.hex() for key_id, secret in PRIVATE.items()},
        "public_keys": {str(key_id): key.hex() for key_id, key in public_keys().items()},
        "issued": [_issued_vector(fields) for fields in (ENTRY, EXIT, STAFF, SHORTEST)],
        "verdicts": _verdicts(),
    }


if __name__ == "__main__":
    print(json.dumps(build(), indent=1))
