"""``python -m store``: the shop's side of the boards' records.

``run`` keeps the ledger, ``init`` only makes or updates it, ``status`` reads it, ``revoke``, ``keys`` and
``prices`` change what boards are told, ``discounts`` tries a file of rules. Secrets are never taken from the
command line.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import signal
import sys
from pathlib import Path
from queue import SimpleQueue

from firmware.wire.topics import check_id
from store import discountscli, tablecli
from store.answers import Answers
from store.ledger import LedgerError, migrate, name, open_ledger
from store.pay.settings import PayConfigError
from store.push import TablePush
from store.status import report
from store.till import open_till
from store.uplink import Broker, Message, Uplink
from store.worker import Worker

EXAMPLE = """\
examples:
  python -m store run --store-id demo --db sqlite:////var/lib/tallygate/ledger.sqlite --broker 127.0.0.1:1883
  python -m store status --db sqlite:////var/lib/tallygate/ledger.sqlite
  python -m store revoke 00a1b2c3d4e5f607 --reason "lost phone" --db sqlite:////var/lib/tallygate/ledger.sqlite
  python -m store keys list --db sqlite:////var/lib/tallygate/ledger.sqlite
  python -m store prices import goods.csv --dry-run --db sqlite:////var/lib/tallygate/ledger.sqlite
  python -m store discounts check rules.toml --prices goods.csv --basket 9521234000013x2 --member
"""


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 well, 1 something needs attention, 2 a wrong argument or an unusable ledger."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if getattr(options, "verbose", False) else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        if options.command == "run":
            return _run(options)
        if options.command == "init":
            engine = open_ledger(options.db)
            print(f"ledger {name(engine)}: schema {migrate(engine)}")
            return 0
        if options.command in ("revoke", "keys", "prices"):
            return tablecli.run(options)
        if options.command == "discounts":
            print(discountscli.run(options))
            return 0
        return report(options.db, as_json=options.json)
    except (LedgerError, PayConfigError, _Usage) as error:
        print(f"store {options.command}: {error}", file=sys.stderr)
        return 2


class _Usage(Exception):
    """A wrong argument; the message says which and what to do."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m store",
        description="Takes the boards' records into the shop's ledger.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    db = argparse.ArgumentParser(add_help=False)
    db.add_argument(
        "--db", required=True, metavar="URL", help="the ledger: sqlite:////full/path/ledger.sqlite"
    )

    run = commands.add_parser("run", parents=[db], help="serve the boards until stopped (SIGTERM)")
    run.add_argument("--store-id", required=True, help="the shop, as in the boards' site files")
    run.add_argument("--broker", required=True, metavar="HOST:PORT")
    run.add_argument("--worker", default="w1", help="this worker's name, unique in the shop (default: w1)")
    run.add_argument("--ca", type=Path, help="CA of the broker's certificate (PEM); turns TLS on")
    run.add_argument("--cert", type=Path, help="this worker's certificate (PEM)")
    run.add_argument("--key", type=Path, help="its private key (PEM)")
    run.add_argument("--user", help="user name at the broker (default on loopback: store)")
    run.add_argument("--password-file", type=Path, help="a file with the user's password in its first line")
    run.add_argument(
        "--provider",
        default="local",
        metavar="local|none|FILE.toml",
        help="who takes the money: local (default: nobody, a double that moves no money), none (this worker "
        "makes no offers), or a file of settings, docs/payment.md",
    )
    run.add_argument(
        "--discounts",
        type=Path,
        metavar="FILE.toml",
        help="discount rules (docs/discounts.md)",
    )
    run.add_argument("--verbose", action="store_true", help="log every batch")

    status = commands.add_parser("status", parents=[db], help="what is in the ledger, and what needs a look")
    status.add_argument("--json", action="store_true", help="one JSON object instead of tables")

    tablecli.add_commands(commands, db)
    discountscli.add_commands(commands)

    commands.add_parser("init", parents=[db], help="make the ledger, or bring it up to date, and end")
    return parser


def _run(options: argparse.Namespace) -> int:
    broker = _broker(options)
    try:
        check_id(options.store_id, "store id")
        check_id(options.worker, "store worker")
    except ValueError as error:
        raise _Usage(str(error)) from None
    engine = open_ledger(options.db)
    migrate(engine)
    inbox: SimpleQueue[Message | None] = SimpleQueue()
    till = open_till(engine, options.store_id, options.provider, options.discounts, lambda: inbox.put(None))
    try:
        answers = Answers(options.store_id, money=till.cashier.take if till is not None else None)
        uplink = Uplink(broker, options.store_id, options.worker, inbox, answers)
    except (OSError, ValueError) as error:
        raise _Usage(
            f"cannot use the TLS or password files: {error}; check --ca, --cert, --key and --password-file"
        ) from None
    cashier = None
    if till is not None:
        cashier = till.cashier
        cashier.send = uplink.send_answer
    worker = Worker(engine, uplink, inbox, TablePush(engine, uplink, answers), cashier)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    logging.getLogger("store").info(
        "ledger %s, shop %s, worker %s", name(engine), options.store_id, options.worker
    )
    try:
        return worker.run()
    finally:
        if till is not None:
            till.close()


def _broker(options: argparse.Namespace) -> Broker:
    host, colon, port = options.broker.rpartition(":")
    host = host.strip("[]")
    if not colon or not host or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise _Usage(f"--broker {options.broker}: write HOST:PORT, for instance 127.0.0.1:1883")
    if (options.cert is None) != (options.key is None):
        raise _Usage("--cert and --key belong together: give both or none")
    if options.ca is None:
        if options.cert is not None:
            raise _Usage("--cert needs --ca, the CA that signed the broker's certificate")
        if not _is_loopback(host):
            raise _Usage(f"--broker {host} is not this machine: plain TCP is for loopback only, give --ca")
    for path in (options.ca, options.cert, options.key, options.password_file):
        if path is not None and not path.is_file():
            raise _Usage(f"there is no file {path}")
    user = options.user or ("store" if options.ca is None else None)
    if options.password_file is not None and user is None:
        raise _Usage("--password-file needs --user")
    return Broker(host, int(port), options.ca, options.cert, options.key, user, options.password_file)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
