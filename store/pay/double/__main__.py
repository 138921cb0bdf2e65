"""``python -m store.pay.double FOLDER``: the double as a process of its own, on loopback.

Writes into FOLDER the keys of this run and ``pay.toml``, settings with which a store speaks to it. The keys
are worth nothing anywhere else.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from store.pay.double.faults import FAULTS, MONEY, RULES
from store.pay.double.guard import Keys
from store.pay.double.server import Double


def main(arguments: list[str] | None = None) -> int:
    """The exit code. Runs until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m store.pay.double", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="where the keys and pay.toml are written")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--notify-url", default="", help="where callbacks are posted; default: nowhere")
    parser.add_argument(
        "--rules", action="store_true", help="show what the last digits of a code do, and end"
    )
    options = parser.parse_args(arguments)
    if options.rules:
        for digits, rule in RULES.items():
            print(f"…{digits}  {FAULTS[rule.fault.kind] if rule.fault else MONEY[rule.money]}")
        return 0
    if options.folder is None:
        parser.error("name the folder for the keys and pay.toml")
    keys = Keys()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        double = Double(keys, port=options.port, notify_url=options.notify_url)
        write(options.folder, keys, double.url)
    except OSError as error:
        print(f"payment double: {error}", file=sys.stderr)
        return 2
    with double:
        print(f"payment double on {double.url}, settings in {options.folder / 'pay.toml'}", flush=True)
        ended.wait()
    return 0


def write(folder: Path, keys: Keys, url: str) -> Path:
    """The keys and the settings for a store; the settings' path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    secrets = {"merchant.pem": keys.merchant_pem(), "apiv3.key": keys.apiv3_key.encode()}
    for name, data in secrets.items():
        path = folder / name
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_bytes(data)
    (folder / "platform.pem").write_bytes(keys.platform_pem())
    settings = folder / "pay.toml"
    settings.write_text(
        f"""provider = "wechat"

[wechat]
mchid = "{keys.mchid}"
appid = "{keys.appid}"
serial = "{keys.serial}"
private_key_file = "merchant.pem"
apiv3_key_file = "apiv3.key"
device_ip = "127.0.0.1"
hosts = ["{url}"]
notify_url = "https://shop.example/pay"
score_service = "500001"

[wechat.platform_keys]
"{keys.platform_id}" = "platform.pem"
""",
        encoding="utf-8",
    )
    return settings


if __name__ == "__main__":
    sys.exit(main())
