"""``python -m store prices``: take the price list from a CSV file, write it to one, look at it.

It changes the ledger only; the running store sends what changed to the boards within seconds.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from firmware.wire.pricelist import PriceEntry
from store import pricefile, prices
from store.ledger import LedgerError
from store.pricefile import PriceFileError, yuan

SOON = "the running store tells the boards within seconds"
SHOWN = 20
"""Lines of each kind that an import shows."""


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], db: argparse.ArgumentParser
) -> None:
    """``db``: the parent parser with the ledger's option."""
    parser = commands.add_parser("prices", help="the price list that price points and portals show")
    actions = parser.add_subparsers(dest="action", required=True)
    take = actions.add_parser("import", parents=[db], help="make a CSV file the whole price list")
    take.add_argument("file", type=Path, metavar="FILE.csv", help=f"columns {','.join(pricefile.COLUMNS)}")
    take.add_argument("--dry-run", action="store_true", help="only show what would change")
    take.add_argument("--shrink", action="store_true", help="also where more than half of the list goes")
    give = actions.add_parser("export", parents=[db], help="write the price list to a CSV file")
    give.add_argument("file", type=Path, metavar="FILE.csv")
    actions.add_parser("list", parents=[db], help="all goods with their prices, and what boards are told")


def run(engine: Engine, options: argparse.Namespace) -> str:
    """What to print. Raises LedgerError, PriceFileError among them, with what is wrong."""
    if options.action == "import":
        return _import(engine, options)
    if options.action == "export":
        return _export(engine, options.file)
    return _list(engine)


def _import(engine: Engine, options: argparse.Namespace) -> str:
    try:
        with options.file.open("rb") as file:
            data = file.read(pricefile.MAX_BYTES + 1)
    except OSError as error:
        raise PriceFileError(f"{options.file} cannot be read: {error.strerror or error}") from error
    wanted = pricefile.read(data, options.file.name)
    made = prices.buckets(wanted)
    if options.dry_run:
        with engine.connect() as connection:
            return _told(prices.plan(connection, wanted)) + "\ndry run: nothing was changed"
    with engine.begin() as connection:
        found = prices.replace(connection, wanted, made)
        if found.shrinks and not options.shrink:
            raise PriceFileError(
                f"{options.file.name} takes away {len(found.removed)} of the list's goods, more than half; "
                "is it the whole list? Give --shrink if that is meant. Nothing was changed"
            )
        version = prices.published(connection).version
    if found.nothing:
        return _told(found)
    return f"{_told(found)}\n{SOON}; a board that has it shows table_prices_version {version} in its health"


def _export(engine: Engine, path: Path) -> str:
    with engine.connect() as connection:
        found = prices.entries(connection)
    building = path.with_name(path.name + ".new")
    try:
        building.write_bytes(pricefile.write(found))
        building.replace(path)
    except OSError as error:
        raise LedgerError(f"{path} cannot be written: {error.strerror or error}") from error
    return f"{path}: {len(found)} goods"


def _list(engine: Engine) -> str:
    with engine.connect() as connection:
        found, told = prices.entries(connection), prices.published(connection)
    if not told.version:
        return "no price list here: python -m store prices import FILE.csv"
    lines = [_line(entry) for entry in found]
    when = datetime.fromtimestamp((told.changed_ms or 0) / 1000, UTC).astimezone()
    lines.append(
        f"{len(found)} goods, changed {when:%Y-%m-%d %H:%M}; the fullest bucket is {told.fullest:.0%} full"
    )
    lines.append(f"a board that has this list shows table_prices_version {told.version} in its health")
    return "\n".join(lines)


def _told(found: prices.Plan) -> str:
    lines = [f"+ {_line(entry)}" for entry in found.new[:SHOWN]]
    lines += _more(len(found.new))
    for old, new in found.changed[:SHOWN]:
        was = f" (was {yuan(old.price_fen)})" if old.price_fen != new.price_fen else ""
        lines.append(f"~ {_line(new)}{was}")
    lines += _more(len(found.changed))
    lines += [f"- {_line(entry)}" for entry in found.removed[:SHOWN]]
    lines += _more(len(found.removed))
    counts = f"new {len(found.new)}, changed {len(found.changed)}, removed {len(found.removed)}"
    return "\n".join([*lines, f"{counts}, same {found.same}"])


def _more(count: int) -> list[str]:
    return [f"  and {count - SHOWN} more"] if count > SHOWN else []


def _line(entry: PriceEntry) -> str:
    goods = entry.gtin14 if entry.gtin14 is not None else f"epc {bytes(entry.key).hex().upper()}"
    unit = f"  ({yuan(entry.unit_fen)} / {entry.unit})" if entry.unit_fen is not None else ""
    return f"{goods}  {yuan(entry.price_fen):>9}  {entry.name}{unit}"
