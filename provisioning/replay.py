"""``tallygate replay``: feed what a board recorded to today's policy and show the first difference.

A gate's trace names every event that reached policy and the orders that came of it; a portal's raw-read log
every tag read of one shopper and the decision's verdicts. Time is in the file. Opens no device or port.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from firmware.gate import facts
from firmware.gate.entry import EntryPolicy, Rules
from firmware.gate.machine import Gate
from firmware.gate.orders import Restored
from firmware.gate.timing import RANGES, TRIES, Timing
from firmware.rawstory import MAGIC, RawReadsError, decode
from firmware.trace import TraceError, event_of, order_text, read
from hal.ports import InputChanged
from provisioning.trouble import BAD_INPUT, FAILED, Trouble


@dataclass(frozen=True, slots=True)
class Difference:
    """The first event whose orders differ. ``line``: its number in the file."""

    line: int
    at: float
    event: str
    recorded: list[Any]
    now: list[Any]


def replay(
    trace: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A gate's trace (trace-0.jsonl) or a portal's raw-read log."),
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
            is_reads = file.read(len(MAGIC)) == MAGIC
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
    policy: EntryPolicy | None = None
    count = 0
    for number, line in enumerate(lines, 2):
        event, at, recorded = event_of(line), _at(path, number, line), line.get("orders")
        if policy is None:
            policy = _policy(path, header, event, at)
        count += 1
        now = _plain(policy.handle(event, at))
        if now != recorded:
            kept = recorded if isinstance(recorded, list) else [recorded]
            difference = Difference(number, at, str(line.get("type")), kept, now)
            return count, str(header.get("version")), difference
    return count, str(header.get("version")), None


def _policy(path: Path, header: dict[str, Any], first: object, at: float) -> EntryPolicy:
    """The policy as it was before the first event, as the header describes it."""
    try:
        timing = Timing(**{name: header["timing"][name] for name in (*RANGES, *TRIES)})
        gate = Gate(timing, motor=bool(header["motor"]), kind=header["role"])
        rules = Rules("in" if header["role"] == "entry" else "out", **header["admission"])
        policy = EntryPolicy(gate, rules)
        policy.spent = {(bytes.fromhex(v), d): int(n) for v, d, n in header["spent"]}
        policy.last_token = int(header["token"])
        levels = dict(header["levels"])
        at_start = header.get("state", "") == "unknown" or isinstance(first, facts.Levels | Restored)
    except (KeyError, TypeError, ValueError) as error:
        raise TraceError(f"{path}: line 1: the header is not usable: {error!r}") from None
    if not at_start:
        # A later file of the ring: it begins with the gate at rest, and with the levels before the event.
        if isinstance(first, InputChanged):
            levels[first.name] = not first.active
        policy.handle(facts.Levels(levels), at)
    return policy


def _at(path: Path, number: int, line: dict[str, Any]) -> float:
    at = line.get("at")
    if not isinstance(at, int | float):
        raise TraceError(f"{path}: line {number}: no time")
    return float(at)


def _plain(orders: list[Any]) -> list[Any]:
    """Orders as they look after they were written to a trace and read back."""
    plain: list[Any] = msgspec.json.decode(msgspec.json.encode([order_text(order) for order in orders]))
    return plain
