"""The double's doorman: every request must be signed by the merchant, fresh, and once. Pure but for its keys.

Written on its own from the documented rules, sharing nothing with the client, so that a mistake made there
is not made here again. Also signs the double's answers and seals its callbacks.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

WINDOW_S = 300
_FIELD = re.compile(r'([a-z_]+)="([^"]*)"')


@dataclass
class Keys:
    """Both sides' keys, made for one run; worth nothing outside it."""

    mchid: str = "1900000109"
    appid: str = "wxd678efh567hg6787"
    serial: str = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
    platform_id: str = "PUB_KEY_ID_0119000001092024010100000000"
    apiv3_key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    merchant: rsa.RSAPrivateKey = field(default_factory=lambda: _key(), repr=False)
    platform: rsa.RSAPrivateKey = field(default_factory=lambda: _key(), repr=False)

    def merchant_pem(self) -> bytes:
        return self.merchant.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def platform_pem(self) -> bytes:
        return self.platform.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Guard:
    """``reasons``: why requests were turned away, in order."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.reasons: list[str] = []
        self._nonces: set[str] = set()

    def refuse(self, method: str, target: str, header: str, body: bytes, now: float) -> str | None:
        """Why the request is not the merchant's, None when it is. ``now``: Unix seconds."""
        reason = self._judge(method, target, header, body, now)
        if reason:
            self.reasons.append(reason)
        return reason

    def _judge(self, method: str, target: str, header: str, body: bytes, now: float) -> str | None:
        scheme, _, rest = header.partition(" ")
        found = dict(_FIELD.findall(rest))
        if scheme != "WECHATPAY2-SHA256-RSA2048":
            return "another scheme"
        if set(found) != {"mchid", "nonce_str", "signature", "timestamp", "serial_no"}:
            return "fields missing or unknown"
        if found["mchid"] != self.keys.mchid or found["serial_no"] != self.keys.serial:
            return "another merchant or certificate"
        if not found["timestamp"].isdigit() or abs(now - int(found["timestamp"])) > WINDOW_S:
            return "the timestamp is more than 300 s off"
        signed = "\n".join((method, target, found["timestamp"], found["nonce_str"], "")).encode()
        try:
            self.keys.merchant.public_key().verify(
                base64.b64decode(found["signature"], validate=True),
                signed + body + b"\n",
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except (InvalidSignature, ValueError):
            return "the signature does not fit"
        if not 16 <= len(found["nonce_str"]) <= 32 or found["nonce_str"] in self._nonces:
            return "the nonce was used before, or has no 16 to 32 characters"
        self._nonces.add(found["nonce_str"])
        return None

    def sign(self, body: bytes, now: float, nonce: str = "") -> dict[str, str]:
        """The headers that vouch for ``body``."""
        nonce = nonce or secrets.token_hex(16)
        stamp = str(int(now))
        text = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
        signature = self.keys.platform.sign(text, padding.PKCS1v15(), hashes.SHA256())
        return {
            "Wechatpay-Serial": self.keys.platform_id,
            "Wechatpay-Timestamp": stamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        }

    def seal(self, content: dict[str, Any], extra: str) -> dict[str, str]:
        """``content`` as the encrypted resource of a callback."""
        nonce = secrets.token_hex(6)
        cipher = AESGCM(self.keys.apiv3_key.encode())
        sealed = cipher.encrypt(nonce.encode(), json.dumps(content).encode(), extra.encode())
        return {
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": base64.b64encode(sealed).decode(),
            "associated_data": extra,
            "nonce": nonce,
            "original_type": extra,
        }
