"""The pass: its byte layout, and the check that a board makes with public keys only. Pure.

A pass is 40 signed bytes, the store's Ed25519 signature, and the current preimage of a hash chain
that changes every 30 s; as text it is Base45 (RFC 9285) behind ``TG1:``, 178 characters, so that it
stays in a QR code's alphanumeric mode. ``docs/protocol.md`` holds the byte table.

This module never signs, never reads a clock, and ``verify`` never raises on anything that was shown.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from base45 import b45decode, b45encode
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware.wire.codes import PASS_PREFIX
from firmware.wire.refusals import Refusal

VERSION = 1
MAX_SHOWN_BYTES = 512
STEP_S = 30
MAX_VALID_S = 7200
VISIT_BYTES = 8
HASH_BYTES = 12
SIGNATURE_BYTES = 64
KINDS: Mapping[str, int] = MappingProxyType({"entry": 1, "exit": 2, "staff": 3, "technician": 4})

_KIND_NAMES = {number: name for name, number in KINDS.items()}
_SETTLED = 0x10
# version, key id, store tag, visit, kind and flags, party, campaign, placement, issued at, valid for, anchor
_BODY = struct.Struct(">BB4s8sBBIHIH12s")
BODY_BYTES = _BODY.size
PASS_BYTES = BODY_BYTES + SIGNATURE_BYTES + HASH_BYTES


class PassError(ValueError):
    """Not a pass of this layout. ``reason`` is a key of ``refusals.REASONS``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Pass:
    """The signed fields. Raises ValueError, naming the field, where one is out of its range.

    ``visit`` is made by the store alone. ``issued_at``: unix seconds; ``valid_for``: seconds;
    ``anchor``: the end of the hash chain; ``settled``: the visit is paid (exit passes).
    """

    key_id: int
    store_tag: bytes
    visit: bytes
    kind: str
    party: int
    campaign: int
    placement: int
    issued_at: int
    valid_for: int
    anchor: bytes
    settled: bool = False

    def __post_init__(self) -> None:
        _bounded("key_id", self.key_id, 0, 0xFF)
        _bounded("party", self.party, 1, 15)
        _bounded("campaign", self.campaign, 0, 0xFFFF_FFFF)
        _bounded("placement", self.placement, 0, 0xFFFF)
        _bounded("issued_at", self.issued_at, 0, 0xFFFF_FFFF)
        _bounded("valid_for", self.valid_for, 1, MAX_VALID_S)
        _sized("store_tag", self.store_tag, 4)
        _sized("visit", self.visit, VISIT_BYTES)
        _sized("anchor", self.anchor, HASH_BYTES)
        if self.kind not in KINDS:
            raise ValueError(f"pass field kind is {self.kind!r}: must be one of {', '.join(KINDS)}")

    @property
    def expires_at(self) -> int:
        """Unix seconds. A board accepts the pass for one more step."""
        return self.issued_at + self.valid_for

    def body(self) -> bytes:
        """The 40 signed bytes."""
        flags = KINDS[self.kind] | (_SETTLED if self.settled else 0)
        return _BODY.pack(
            VERSION,
            self.key_id,
            self.store_tag,
            self.visit,
            flags,
            self.party,
            self.campaign,
            self.placement,
            self.issued_at,
            self.valid_for,
            self.anchor,
        )


def _bounded(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"pass field {name} is {value}: must be {low} to {high}")


def _sized(name: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise ValueError(f"pass field {name} has {len(value)} bytes: must have {size}")


def store_tag(store_id: str) -> bytes:
    """The first 4 bytes of SHA-256 of the store id: tells shops apart, is no secret."""
    return hashlib.sha256(store_id.encode()).digest()[:4]


# -- hash chain ----------------------------------------------------------------------------------


def chain_length(valid_for: int) -> int:
    """n in anchor = H^n(seed): one link for each step of the validity and one for the skew."""
    return math.ceil(valid_for / STEP_S) + 1


def chain_forward(visit: bytes, value: bytes, links: int) -> bytes:
    """H^links(value) with H(x) = SHA-256(visit || x) cut to 12 bytes."""
    for _ in range(links):
        value = hashlib.sha256(visit + value).digest()[:HASH_BYTES]
    return value


def step_of(shown: Pass, now_s: float) -> int:
    """The step the phone should be showing at ``now_s``; negative before the pass was issued."""
    return math.floor((now_s - shown.issued_at) / STEP_S)


def _chain_holds(shown: Pass, preimage: bytes, step: int) -> bool:
    first = max(step - 1, 0)
    last = min(step + 1, chain_length(shown.valid_for))
    value = chain_forward(shown.visit, preimage, first)
    for links in range(first, last + 1):
        if links > first:
            value = chain_forward(shown.visit, value, 1)
        if value == shown.anchor:
            return True
    return False


# -- text ----------------------------------------------------------------------------------------


def encode(body: bytes, signature: bytes, preimage: bytes) -> str:
    """The text to draw as a QR code. Raises ValueError where a part has the wrong size."""
    _sized("body", body, BODY_BYTES)
    _sized("signature", signature, SIGNATURE_BYTES)
    _sized("preimage", preimage, HASH_BYTES)
    text: bytes = PASS_PREFIX + b45encode(body + signature + preimage)
    return text.decode("ascii")


def decode(data: bytes) -> tuple[Pass, bytes, bytes]:
    """(pass, signature, preimage) of a shown text, nothing verified. Raises PassError.

    Base45 has one spelling for each byte string, so a text decodes only if it is exactly what
    ``encode`` writes: upper case, no white space around it, nothing behind it.
    """
    if len(data) > MAX_SHOWN_BYTES:
        raise PassError("too-long", f"{len(data)} bytes shown, at most {MAX_SHOWN_BYTES} are looked at")
    if not data.startswith(PASS_PREFIX):
        raise PassError("not-a-pass", "the text does not begin with TG1:")
    try:
        raw = b45decode(bytes(data[len(PASS_PREFIX) :]))
    except ValueError:
        raise PassError("damaged", "the text behind TG1: is not Base45") from None
    if len(raw) != PASS_BYTES:
        raise PassError("damaged", f"{len(raw)} bytes behind TG1:, a pass has {PASS_BYTES}")
    if raw[0] != VERSION:
        raise PassError("unknown-version", f"layout version {raw[0]}, this firmware reads {VERSION}")
    return decode_body(raw[:BODY_BYTES]), raw[BODY_BYTES:-HASH_BYTES], raw[-HASH_BYTES:]


def decode_body(body: bytes) -> Pass:
    """The fields of the 40 signed bytes. Raises PassError ("damaged", "unknown-version")."""
    if len(body) != BODY_BYTES:
        raise PassError("damaged", f"the signed part has {len(body)} bytes, must have {BODY_BYTES}")
    version, key_id, tag, visit, flags, party, campaign, placement, issued_at, valid_for, anchor = (
        _BODY.unpack(body)
    )
    if version != VERSION:
        raise PassError("unknown-version", f"layout version {version}, this firmware reads {VERSION}")
    kind = _KIND_NAMES.get(flags & 0x0F)
    if kind is None or flags & 0xF0 & ~_SETTLED:
        raise PassError("damaged", f"kind and flags 0x{flags:02x} are not in use")
    try:
        return Pass(
            key_id,
            tag,
            visit,
            kind,
            party,
            campaign,
            placement,
            issued_at,
            valid_for,
            anchor,
            bool(flags & _SETTLED),
        )
    except ValueError as error:
        raise PassError("damaged", str(error)) from None


# -- verification --------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _public_key(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)


def signature_holds(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Ed25519 (RFC 8032). False also for a key that is not 32 bytes or not a point."""
    try:
        _public_key(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def signed_message(body: bytes) -> bytes:
    """What the store signs: the prefix keeps a signature from being worth anything elsewhere."""
    return PASS_PREFIX + body


def verify(data: bytes, *, store_id: str, keys: Mapping[int, bytes], now_s: float) -> Pass | Refusal:
    """The pass that was shown, or why it is refused. Never raises on ``data`` or ``now_s``.

    ``keys``: key id to raw 32-byte public key. ``now_s``: unix seconds. Cheap checks come first:
    nothing is hashed or verified for a code that is not this shop's. Kind, revocation and use are
    the caller's to judge.
    """
    try:
        shown, signature, preimage = decode(data)
    except PassError as error:
        return Refusal(error.reason)
    if shown.store_tag != store_tag(store_id):
        return Refusal("foreign")
    key = keys.get(shown.key_id)
    if key is None:
        return Refusal("unknown-key")
    if not signature_holds(key, signature, signed_message(shown.body())):
        return Refusal("bad-signature")
    if not math.isfinite(now_s):
        return Refusal("clock-unsure")
    if now_s < shown.issued_at - STEP_S:
        return Refusal("not-yet-valid")
    if now_s >= shown.expires_at + STEP_S:
        return Refusal("expired")
    if not _chain_holds(shown, preimage, step_of(shown, now_s)):
        return Refusal("stale-code")
    return shown
