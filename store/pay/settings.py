"""Which provider takes the money, from one strict TOML file, and the provider itself.

Secrets are named by file, never written in the settings, and such a file must be private. A key or value that
is wrong is refused with its name, what was found and what to write; the text of a secret is in no message.
"""

from __future__ import annotations

import stat
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from store.pay.double.bank import Bank
from store.pay.local import LocalProvider
from store.pay.provider import Provider
from store.pay.score import Score
from store.pay.wechat.callback import Callbacks
from store.pay.wechat.client import Shop, WeChatPay
from store.pay.wechat.payscore import PayScore
from store.pay.wechat.signing import Merchant, PlatformKeys, Verifier, private_key, public_key
from store.pay.wechat.transport import HOSTS, Limits, Transport

EXAMPLE = """\
provider = "wechat"

[wechat]
mchid = "1900000109"
appid = "wxd678efh567hg6787"
serial = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"   # of the merchant's API certificate
private_key_file = "apiclient_key.pem"
apiv3_key_file = "apiv3.key"
device_ip = "203.0.113.7"                             # this shop, as WeChat Pay sees it
notify_url = "https://shop.example/pay"               # "" where nothing outside reaches the shop
score_service = ""                                    # the service id, for Pay Score

[wechat.platform_keys]
"PUB_KEY_ID_0119000001092024010100000000" = "platform.pem"
"""


class PayConfigError(ValueError):
    """The settings cannot be used; the message says which key, why, and what to write."""


class WeChatConfig(msgspec.Struct, forbid_unknown_fields=True):
    """``platform_keys``: id → file; the first is the one that requests name."""

    mchid: str
    appid: str
    serial: str
    private_key_file: str
    apiv3_key_file: str
    device_ip: str
    platform_keys: dict[str, str]
    notify_url: str = ""
    score_service: str = ""
    hosts: list[str] = msgspec.field(default_factory=lambda: list(HOSTS))
    connect_s: float = 3.0
    read_s: float = 10.0
    whole_s: float = 15.0


class PayConfig(msgspec.Struct, forbid_unknown_fields=True):
    """``provider``: "local" is the double without HTTP, "wechat" takes real money (or the HTTP double's)."""

    provider: Literal["local", "wechat"] = "local"
    wechat: WeChatConfig | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """What the shop pays with. ``callbacks``: None where none come. ``close`` ends its connections."""

    provider: Provider
    score: Score | None
    callbacks: Callbacks | None
    close: Callable[[], None]


def load(path: Path) -> PayConfig:
    """Raises PayConfigError."""
    try:
        config = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), PayConfig)
    except OSError as error:
        raise PayConfigError(f"{path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PayConfigError(f"{path} is no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise PayConfigError(f"{path}: {error}") from None
    if config.provider == "wechat" and config.wechat is None:
        raise PayConfigError(f'{path}: provider = "wechat" needs the section [wechat]')
    return config


def open_provider(
    config: PayConfig,
    folder: Path,
    store: str,
    *,
    wall: Callable[[], float] = time.time,
    bank: Bank | None = None,
) -> Opened:
    """``folder``: what file names are relative to. ``wall``: Unix seconds. Raises PayConfigError."""
    if config.provider == "local" or config.wechat is None:
        local = LocalProvider(bank or Bank(start_ms=0), wall)
        return Opened(local, local, None, lambda: None)
    found = config.wechat
    for name in ("mchid", "appid", "serial"):
        if not getattr(found, name):
            raise PayConfigError(f"wechat.{name} is empty: copy it from the merchant platform")
    if not found.platform_keys:
        raise PayConfigError("[wechat.platform_keys] is empty: no answer could be believed")
    for host in found.hosts:
        if not host.startswith("https://") and not host.startswith("http://127.0.0.1:"):
            raise PayConfigError(f"wechat.hosts: {host}: https:// is needed, http:// only on 127.0.0.1")
    try:
        key = private_key(_secret(folder / found.private_key_file, "private_key_file"))
        merchant = Merchant(found.mchid, found.serial, key)
        keys = {name: public_key(_read(folder / file)) for name, file in found.platform_keys.items()}
        verifier = Verifier(PlatformKeys(keys, next(iter(keys))), wall)
        shop = Shop(found.mchid, found.appid, store, found.device_ip, found.notify_url)
        secret = _secret(folder / found.apiv3_key_file, "apiv3_key_file").strip()
        callbacks = Callbacks(verifier, secret, found.mchid)
        limits = Limits(found.connect_s, found.read_s, found.whole_s)
        transport = Transport(merchant, verifier, hosts=tuple(found.hosts), limits=limits, clock=wall)
        score = PayScore(transport, shop, found.score_service) if found.score_service else None
    except PayConfigError:
        raise
    except ValueError as error:
        raise PayConfigError(f"[wechat]: {error}") from None
    return Opened(WeChatPay(transport, shop), score, callbacks, transport.close)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PayConfigError(f"{path}: {error.strerror or error}") from None


def _secret(path: Path, name: str) -> bytes:
    """Raises PayConfigError for a file that others can read."""
    data = _read(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise PayConfigError(f"wechat.{name}: {path} has mode {mode:04o}, others can read it: chmod 600")
    return data
