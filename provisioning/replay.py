"""``tallygate replay``: feed what a board recorded to today's policy and show the first difference.

A trace of a gate or a portal names every event that reached policy and the orders that came of it; a portal's
raw-read log every tag read of one shopper and the decision's verdicts. Time is in the file. Opens no device.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from firmware.rawlog import SUFFIX
from firmware.rawstory import MAGIC, RawReadsError, decode
from firmware.trace import TraceError, read
from provisioning import replay_gate, replay_portal
from provisioning.replay_trace import Difference
from provisioning.trouble import BAD_INPUT, FAILED, Trouble


def replay(
    trace: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A board's trace (trace-0.jsonl) or a portal's raw-read log."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")] = False,
) -> None:
    """Run a recording again and compare.

    Feeds what was recorded to this version's policy and compares what it says with what was said then; shows
    the first difference. Of a raw-read log also every tag: how strong, how often, in the basket or not, and
    why. Exit code 1 when there is a difference.

    Example: tallygate replay build/run/board/trace/trace-0.jsonl
    """
    try:
        with trace.open("rb") as file:
            # By its name too: a log that was cut off within its first bytes is no empty trace.
            is_reads = file.read(len(MAGIC)) == MAGIC or trace.suffix == SUFFIX
    except OSError as error:
        raise Trouble(f"{trace}: cannot be read: {error.strerror}", BAD_INPUT) from None
    if is_reads:
        _replay_reads(trace, as_json)
        return
    try:
        count, version, difference = run_again(trace)
    except TraceError as error:
        raise Trouble(str(error), BAD_INPUT) from None
    if as_json:
        found = None if difference is None else asdict(difference)
        about = {"file": str(trace), "same": difference is None, "events": count, "version": version}
        typer.echo(json.dumps({**about, "difference": found}, ensure_ascii=False))
        if difference is not None:
            raise typer.Exit(FAILED)
        return
    if difference is None:
        typer.echo(f"{trace}: {count} events of version {version}, the same orders from this one")
        return
    typer.echo(f"{trace}:{difference.line}: {difference.event} at {difference.at:.3f} s")
    for name, orders in (("recorded", difference.recorded), ("now", difference.now)):
        typer.echo(f"  {name}:")
        for order in orders or ["nothing"]:
            typer.echo(f"    {json.dumps(order, ensure_ascii=False)}")
    raise typer.Exit(FAILED)


def _replay_reads(path: Path, as_json: bool) -> None:
    from provisioning import replay_reads, replay_view

    try:
        outcome = replay_reads.run_again(decode(path.read_bytes()))
    except RawReadsError as error:
        raise Trouble(f"{path}: {error}", BAD_INPUT) from None
    if as_json:
        typer.echo(json.dumps(replay_view.as_json(path, outcome), ensure_ascii=False))
    else:
        replay_view.show(replay_view.console(), path, outcome)
    if outcome.difference is not None:
        raise typer.Exit(FAILED)


def run_again(path: Path) -> tuple[int, str, Difference | None]:
    """(events compared, the recording version, the first difference or None). Raises TraceError."""
    lines = read(path)
    header = next(lines, {}).get("header")
    if not isinstance(header, dict):
        raise TraceError(f"{path}: the file is empty; choose another of the ring")
    again = replay_portal.run_again if header.get("role") == "portal" else replay_gate.run_again
    count, difference = again(path, header, lines)
    return count, str(header.get("version")), difference
