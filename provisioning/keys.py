"""Pass keys for tests and demonstrations: Ed25519 key pairs in a folder. A private key is never printed.

``pass-<key id>.pem`` (PKCS 8, mode 0600) signs; ``pass-<key id>.pub`` (64 hex digits) goes into site files.
A real shop's keys are made with its own certificate authority; boards never hold a private one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provisioning.trouble import BAD_INPUT, Trouble

_NAME = re.compile(r"^pass-([1-9][0-9]{0,2})\.(?:pem|pub)$")


def make(folder: Path, key_id: int = 1) -> Ed25519PrivateKey:
    """A new pair in ``folder`` (made with mode 0700). Raises Trouble when the pair is already there."""
    if not 1 <= key_id <= 255:
        raise Trouble(f"key id {key_id} is not in 1..255", BAD_INPUT)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"pass-{key_id}.pem"
    try:
        # 0600 from the first byte on, and never over an existing key
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Trouble(f"{path} exists already; choose another key id or folder", BAD_INPUT) from None
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    (folder / f"pass-{key_id}.pub").write_text(public_hex(private) + "\n", encoding="ascii")
    return private


def load(folder: Path, key_id: int | None = None) -> tuple[int, Ed25519PrivateKey]:
    """The signing key with that id (the newest id where None). Raises Trouble, without the file's content."""
    if key_id is None:
        ids = sorted(_ids(folder, "pem"))
        if not ids:
            raise Trouble(
                f"no signing key (pass-<id>.pem) in {folder}; make one: tallygate pass keys {folder}",
                BAD_INPUT,
            )
        key_id = ids[-1]
    path = folder / f"pass-{key_id}.pem"
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            raise Trouble(f"{path} can be read by others; run  chmod 600 {path}", BAD_INPUT)
        private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise Trouble(f"{path}: {error.strerror}", BAD_INPUT) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Trouble(f"{path} is no unencrypted PEM private key", BAD_INPUT) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise Trouble(f"{path} is not an Ed25519 key", BAD_INPUT)
    return key_id, private


def public_keys(folder: Path) -> dict[int, bytes]:
    """Key id to raw public key (32 bytes) of every ``.pub`` file. Raises Trouble for a damaged one."""
    keys: dict[int, bytes] = {}
    for key_id in sorted(_ids(folder, "pub")):
        path = folder / f"pass-{key_id}.pub"
        text = path.read_text(encoding="ascii", errors="replace").strip()
        if not re.fullmatch(r"[0-9a-f]{64}", text):
            raise Trouble(f"{path} must hold 64 hex digits (an Ed25519 public key)", BAD_INPUT)
        keys[key_id] = bytes.fromhex(text)
    return keys


def public_hex(private: Ed25519PrivateKey) -> str:
    """The public key as 64 hex digits, as site files hold it."""
    return private.public_key().public_bytes_raw().hex()


def _ids(folder: Path, suffix: str) -> list[int]:
    if not folder.is_dir():
        return []
    matches = (_NAME.match(path.name) for path in folder.iterdir() if path.suffix == f".{suffix}")
    return [int(match[1]) for match in matches if match and int(match[1]) <= 255]
