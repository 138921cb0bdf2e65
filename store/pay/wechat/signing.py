"""Signatures of WeChat Pay API v3, both ways (scheme WECHATPAY2-SHA256-RSA2048).

A request is signed by the merchant's key over method, target, timestamp, nonce and body, each with a line
feed; an answer or a callback by the platform's key that ``Wechatpay-Serial`` names, over timestamp, nonce and
body. Nothing is believed that is not signed, not fresh (± 300 s), or was seen before. No key is in any
``repr`` or message.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from store.pay.provider import BadSignature, StaleAnswer

SCHEME = "WECHATPAY2-SHA256-RSA2048"
WINDOW_S = 300
MAX_NONCES = 50_000


class Replayed(StaleAnswer):
    """Signed and fresh, but its nonce was seen before."""


class Merchant:
    """Who signs requests: merchant id, the serial number of its certificate, and its private key."""

    def __init__(self, mchid: str, serial: str, private_key: RSAPrivateKey) -> None:
        if private_key.key_size < 2048:
            raise ValueError(f"the merchant's key has {private_key.key_size} bits, at least 2048 are needed")
        self.mchid = mchid
        self.serial = serial
        self._key = private_key

    def __repr__(self) -> str:
        return f"Merchant({self.mchid})"

    def sign(self, text: bytes) -> str:
        """Base64 of the RSA-SHA256 signature (PKCS #1 v1.5)."""
        return base64.b64encode(self._key.sign(text, PKCS1v15(), SHA256())).decode()

    def authorization(self, method: str, target: str, body: bytes, timestamp: int, nonce: str) -> str:
        """The ``Authorization`` header. ``target``: path and query as sent; ``body``: b"" where none."""
        text = f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"
        fields = {
            "mchid": self.mchid,
            "nonce_str": nonce,
            "signature": self.sign(text),
            "timestamp": str(timestamp),
            "serial_no": self.serial,
        }
        return f"{SCHEME} " + ",".join(f'{name}="{value}"' for name, value in fields.items())


class PlatformKeys:
    """The platform's public keys by id (``PUB_KEY_ID_…``, or a certificate's serial number).

    Several at a time: while keys rotate, answers signed with either are good. ``preferred`` is the one
    that requests name."""

    def __init__(self, keys: Mapping[str, RSAPublicKey], preferred: str) -> None:
        if preferred not in keys:
            raise ValueError(f"there is no platform key {preferred}: add it, or prefer one that is there")
        self._keys = dict(keys)
        self.preferred = preferred

    def __repr__(self) -> str:
        return f"PlatformKeys({', '.join(sorted(self._keys))})"

    def replace(self, keys: Mapping[str, RSAPublicKey], preferred: str) -> None:
        """Take other keys from now on (rotation). Raises ValueError and keeps the old ones."""
        fresh = PlatformKeys(keys, preferred)
        self._keys, self.preferred = fresh._keys, preferred

    def get(self, key_id: str) -> RSAPublicKey | None:
        return self._keys.get(key_id)


class Verifier:
    """Answers and callbacks: signed, fresh, once. ``clock``: Unix seconds. Safe from several threads."""

    def __init__(self, keys: PlatformKeys, clock: Callable[[], float], window_s: int = WINDOW_S) -> None:
        self._keys = keys
        self._clock = clock
        self._window_s = window_s
        self._seen: dict[str, float] = {}  # nonce → until when, in the order of arrival
        self._lock = threading.Lock()

    @property
    def preferred(self) -> str:
        return self._keys.preferred

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raises BadSignature, StaleAnswer, Replayed. ``headers``: any case."""
        given = {name.lower(): value for name, value in headers.items()}
        found = [given.get(f"wechatpay-{name}", "") for name in ("serial", "timestamp", "nonce", "signature")]
        serial, timestamp, nonce, signature = found
        if not all(found):
            raise BadSignature("not signed")
        scheme = given.get("wechatpay-signature-type", SCHEME)
        if scheme != SCHEME:
            raise BadSignature("signed by a scheme that is not used here")
        key = self._keys.get(serial)
        if key is None:
            raise BadSignature(f"signed with the platform key {serial[:80]!r}, which is not installed")
        text = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
        try:
            key.verify(base64.b64decode(signature, validate=True), text, PKCS1v15(), SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            raise BadSignature("the signature does not fit the text") from None
        self._fresh(timestamp, nonce)

    def _fresh(self, timestamp: str, nonce: str) -> None:
        now = self._clock()
        if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > 12:
            raise StaleAnswer("its time is no number")
        off = now - int(timestamp)
        if abs(off) > self._window_s:
            words = "ago" if off > 0 else "ahead"
            raise StaleAnswer(f"signed {abs(off):.0f} s {words}: a replay, or check this machine's clock")
        with self._lock:
            while self._seen:
                oldest = next(iter(self._seen))
                if self._seen[oldest] >= now and len(self._seen) < MAX_NONCES:
                    break
                del self._seen[oldest]
            if nonce in self._seen:
                raise Replayed("its nonce was seen before")
            self._seen[nonce] = now + 2 * self._window_s + 1


def private_key(pem: bytes) -> RSAPrivateKey:
    """Raises ValueError, never with the key's text."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise ValueError("no private key in PEM without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


def public_key(pem: bytes) -> RSAPublicKey:
    """From a public key or a certificate in PEM. Raises ValueError."""
    try:
        certificate = b"BEGIN CERTIFICATE" in pem
        key = load_pem_x509_certificate(pem).public_key() if certificate else load_pem_public_key(pem)
    except ValueError:
        raise ValueError("no public key or certificate in PEM") from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not an RSA key")
    return key
