"""Write a loopback broker's configuration: ``python -m provisioning.broker_config --port N --folder DIR``.

A program of its own so that the launcher of ``make run`` need not import what boards and shop share.
Starts nothing; overwrites only its own two files.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from firmware.wire.broker import BrokerPlan, acl, mosquitto_conf


def write(folder: Path, store_id: str, port: int, store_users: tuple[str, ...]) -> Path:
    """mosquitto.conf and its access list in ``folder``; returns the former's path.

    Raises ValueError, OSError.
    """
    folder = folder.absolute()
    data = folder / "data"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    plan = BrokerPlan(
        store_id=store_id,
        folder=str(data),
        acl_file=str(folder / "acl"),
        port=port,
        store_users=store_users,
        # started by root it would change to an account that cannot read our private folder
        run_as=getpass.getuser() if os.geteuid() == 0 else None,
    )
    for path, text in ((folder / "acl", acl(plan)), (folder / "mosquitto.conf", mosquitto_conf(plan))):
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)  # newer brokers refuse an access list that others can read
    return folder / "mosquitto.conf"


def main(arguments: list[str] | None = None) -> int:
    """Exit code 2 with one sentence for a bad argument."""
    parser = argparse.ArgumentParser(
        prog="python -m provisioning.broker_config",
        description="Write mosquitto.conf and its access list for a shop on this machine.",
        epilog="Example: python -m provisioning.broker_config --store demo --port 1883 --folder build/broker",
    )
    parser.add_argument("--store", default="demo", help="the shop's id")
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    parser.add_argument("--folder", type=Path, required=True, help="where the files and the broker's data go")
    parser.add_argument(
        "--store-user",
        action="append",
        help="a name that may read and write everything of the shop (repeatable)",
    )
    args = parser.parse_args(arguments)
    try:
        print(write(args.folder, args.store, args.port, tuple(args.store_user or ("store",))))
    except (ValueError, OSError) as error:
        print(f"broker_config: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
