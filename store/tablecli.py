"""``python -m store revoke``, ``keys`` and ``prices``: withdraw a visit's passes, change keys and prices.

They write the ledger only; the running store sends the change to the boards within seconds. Public keys
only: a private key must never be given on a command line.
"""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from store import pricecli, tables
from store.ledger import LedgerError, check, explain, name, open_ledger

SOON = "the running store tells the boards within seconds"


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], db: argparse.ArgumentParser
) -> None:
    """``db``: the parent parser with the ledger's option."""
    revoke = commands.add_parser("revoke", parents=[db], help="withdraw the passes of a visit at every gate")
    revoke.add_argument("visit", metavar="VISIT", help="16 hex digits, as the status and the log show it")
    revoke.add_argument("--reason", default="", help="one line for people, kept in the ledger")
    revoke.add_argument("--undo", action="store_true", help="let the visit's passes be good again")

    keys = commands.add_parser("keys", help="the public keys that boards verify passes with")
    actions = keys.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", parents=[db], help="accept passes of this key, beside the others")
    add.add_argument("key_id", type=int, metavar="ID", help="its number, 0 to 255, as in the passes")
    add.add_argument("public_key", metavar="HEX", help="the PUBLIC Ed25519 key, 64 hex digits")
    retire = actions.add_parser("retire", parents=[db], help="refuse passes of this key from now on")
    retire.add_argument("key_id", type=int, metavar="ID")
    actions.add_parser("list", parents=[db], help="all keys, and since when")
    pricecli.add_commands(commands, db)


def run(options: argparse.Namespace) -> int:
    """The exit code, 0. Raises LedgerError with what is wrong."""
    # Read-only first: a wrong --db must not make an empty ledger.
    reader = open_ledger(options.db, read_only=True)
    check(reader)
    reader.dispose()
    engine = open_ledger(options.db)
    try:
        commands = {"revoke": _revoke, "keys": _keys, "prices": pricecli.run}
        print(commands[options.command](engine, options))
    except SQLAlchemyError as error:
        raise LedgerError(f"the ledger {name(engine)}: {explain(error)}") from error
    finally:
        engine.dispose()
    return 0


def _revoke(engine: Engine, options: argparse.Namespace) -> str:
    visit = options.visit.lower()
    if not re.fullmatch(r"[0-9a-f]{16}", visit):
        raise LedgerError(
            f"VISIT is 16 hex digits, not {len(visit)} characters like this; check the log line"
        )
    with engine.begin() as connection:
        if options.undo:
            if tables.forgive(connection, visit):
                return f"visit {visit}: its passes are good again; {SOON}"
            return f"visit {visit} is not revoked: nothing changed"
        if tables.revoke(connection, visit, options.reason[:200]):
            return f"visit {visit} is revoked; {SOON}"
    return f"visit {visit} was revoked already: nothing changed"


def _keys(engine: Engine, options: argparse.Namespace) -> str:
    with engine.begin() as connection:
        if options.action == "add":
            first = not tables.keys(connection)
            if not tables.add_key(connection, options.key_id, options.public_key.strip().lower()):
                return f"key {options.key_id} is in use already: nothing changed"
            said = f"key {options.key_id} is in use; {SOON}"
            if first:
                said += (
                    "\nThis is the first key here: from now on boards use the keys of this list and no longer"
                    "\nthose of their site files. Add every other key whose passes must stay good."
                )
            return said
        if options.action == "retire":
            if tables.retire_key(connection, options.key_id):
                return f"key {options.key_id} is retired, its passes are refused; {SOON}"
            return f"key {options.key_id} is retired already: nothing changed"
        rows = tables.keys(connection)
    if not rows:
        return "no keys here: boards use those of their site files"
    lines = [f"{'id':>3}  {'public key':64}  {'added':16}  state"]
    for row in rows:
        state = "in use" if row.retired_ms is None else f"retired {_when(row.retired_ms)}"
        lines.append(f"{row.key_id:>3}  {row.public_key}  {_when(row.added_ms):16}  {state}")
    return "\n".join(lines)


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
