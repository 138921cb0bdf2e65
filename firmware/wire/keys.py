"""The set of public keys that passes are verified with, and its JSON text. Pure.

``{"keys": {"1": "<64 hex digits>", ...}, "revoked_keys": [..]}``: several keys at a time, so that the
shop can change its key while passes of the old one are about. Never holds a private key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from firmware.wire.strictjson import JsonError, dump, exact_keys, parse_object

MAX_BYTES = 32 * 1024
KEY_BYTES = 32
MAX_KEY_ID = 255


class KeySetError(ValueError):
    """Not a key set. The message says what is wrong and what to check."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """``keys``: key id (0 to 255) to raw Ed25519 public key. Raises KeySetError."""

    keys: Mapping[int, bytes]
    revoked_keys: frozenset[int] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        for key_id, key in self.keys.items():
            if not 0 <= key_id <= MAX_KEY_ID:
                raise KeySetError(f"key id {key_id} must be 0 to {MAX_KEY_ID}")
            if len(key) != KEY_BYTES:
                raise KeySetError(f"key {key_id} has {len(key)} bytes: an Ed25519 public key has {KEY_BYTES}")
        if not all(0 <= key_id <= MAX_KEY_ID for key_id in self.revoked_keys):
            raise KeySetError(f"revoked_keys must hold key ids from 0 to {MAX_KEY_ID}")

    @property
    def active(self) -> dict[int, bytes]:
        """What ``passes.verify`` may use: every key that is not revoked."""
        return {key_id: key for key_id, key in self.keys.items() if key_id not in self.revoked_keys}

    def encode(self) -> bytes:
        """The JSON text, keys in order."""
        keys = {str(key_id): self.keys[key_id].hex() for key_id in sorted(self.keys)}
        return dump({"keys": keys, "revoked_keys": sorted(self.revoked_keys)})


def parse_key_set(text: bytes) -> KeySet:
    """Strict: unknown keys, odd spellings of an id and wrong lengths are errors. Raises KeySetError."""
    try:
        value = parse_object(text, MAX_BYTES)
        exact_keys(value, ("keys", "revoked_keys"))
    except JsonError as error:
        raise KeySetError(f"key set: {error}") from None
    keys, revoked = value["keys"], value["revoked_keys"]
    if not isinstance(keys, dict):
        raise KeySetError('key set: "keys" must be an object of key id to hex digits')
    if not isinstance(revoked, list) or not all(type(key_id) is int for key_id in revoked):
        raise KeySetError('key set: "revoked_keys" must be a list of key ids')
    return KeySet({_key_id(name): _key(name, hex_key) for name, hex_key in keys.items()}, frozenset(revoked))


def _key_id(name: str) -> int:
    if not (name.isascii() and name.isdigit() and len(name) <= 3 and name == str(int(name))):
        raise KeySetError(f"key set: {name[:20]!r} must be a key id from 0 to {MAX_KEY_ID}")
    return int(name)


def _key(name: str, hex_key: object) -> bytes:
    if not isinstance(hex_key, str) or len(hex_key) != 2 * KEY_BYTES:
        raise KeySetError(f"key set: key {name} must be {2 * KEY_BYTES} hex digits")
    try:
        return bytes.fromhex(hex_key)
    except ValueError:
        raise KeySetError(f"key set: key {name} must be {2 * KEY_BYTES} hex digits") from None
