"""What WeChat Pay posts to the shop: verified first, then decrypted (AES-256-GCM with the APIv3 key).

A callback only makes things faster; nothing depends on it, since every open order is queried. A repeated one
raises Replayed and may be answered as received.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from firmware.wire.strictjson import JsonError, parse_object
from store.pay.provider import BadAnswer, Order
from store.pay.wechat.answers import order_of, text
from store.pay.wechat.signing import Verifier

MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified callback. ``kind``: as ``TRANSACTION.SUCCESS``, ``REFUND.SUCCESS``, ``PAYSCORE.USER_PAID``.

    ``order``: set for a transaction. ``resource``: the decrypted object."""

    id: str
    kind: str
    resource: Mapping[str, Any] = field(repr=False)
    order: Order | None = None


class Callbacks:
    """Reads callbacks of one merchant. The key is in no ``repr``."""

    def __init__(self, verifier: Verifier, apiv3_key: bytes, mchid: str) -> None:
        if len(apiv3_key) != 32:
            raise ValueError("the APIv3 key has 32 characters")
        self._verifier = verifier
        self._cipher = AESGCM(apiv3_key)
        self._mchid = mchid

    def read(self, headers: Mapping[str, str], body: bytes) -> Notice:
        """Raises BadSignature, StaleAnswer, Replayed, BadAnswer."""
        if len(body) > MAX_BYTES:
            raise BadAnswer(f"a callback of {len(body)} bytes, at most {MAX_BYTES} are read")
        self._verifier.verify(headers, body)
        try:
            event = parse_object(body, MAX_BYTES)
            resource = event.get("resource")
            if not isinstance(resource, dict):
                raise BadAnswer("a callback without a resource")
            found = parse_object(self.decrypt(resource), MAX_BYTES)
        except JsonError as error:
            raise BadAnswer(f"a callback: {error}") from None
        kind = text(event, "event_type")
        order = order_of(found, self._mchid) if kind.startswith("TRANSACTION.") else None
        return Notice(text(event, "id"), kind, found, order)

    def decrypt(self, resource: Mapping[str, Any]) -> bytes:
        """The text of an encrypted resource (callbacks, platform certificates). Raises BadAnswer."""
        if resource.get("algorithm") != "AEAD_AES_256_GCM":
            raise BadAnswer("encrypted by an algorithm that is not used here")
        nonce = text(resource, "nonce").encode()
        extra = text(resource, "associated_data", "").encode()
        sealed = resource.get("ciphertext")
        if not isinstance(sealed, str):
            raise BadAnswer("ciphertext is missing or no text")
        try:
            return self._cipher.decrypt(nonce, base64.b64decode(sealed, validate=True), extra)
        except (InvalidTag, binascii.Error, ValueError):
            raise BadAnswer("cannot be decrypted: check the APIv3 key") from None
