"""``tallygate replay`` of a gate's trace: the recorded events to today's policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from firmware.gate import facts
from firmware.gate.entry import EntryPolicy, Rules
from firmware.gate.machine import Gate
from firmware.gate.orders import Restored
from firmware.gate.timing import RANGES, TRIES, Timing
from firmware.trace import TraceError, event_of, order_text
from hal.ports import InputChanged


@dataclass(frozen=True, slots=True)
class Difference:
    """The first event whose orders differ. ``line``: its number in the file."""

    line: int
    at: float
    event: str
    recorded: list[Any]
    now: list[Any]


def run_again(
    path: Path, header: dict[str, Any], lines: Iterator[dict[str, Any]]
) -> tuple[int, Difference | None]:
    """(events compared, the first difference or None). Raises TraceError."""
    policy: EntryPolicy | None = None
    count = 0
    for number, line in enumerate(lines, 2):
        event, at, recorded = event_of(line), time_of(path, number, line), line.get("orders")
        if policy is None:
            policy = _policy(path, header, event, at)
        count += 1
        now = plain_orders(policy.handle(event, at))
        if now != recorded:
            kept = recorded if isinstance(recorded, list) else [recorded]
            return count, Difference(number, at, str(line.get("type")), kept, now)
    return count, None


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


def time_of(path: Path, number: int, line: dict[str, Any]) -> float:
    at = line.get("at")
    if not isinstance(at, int | float):
        raise TraceError(f"{path}: line {number}: no time")
    return float(at)


def plain_orders(orders: Sequence[object]) -> list[Any]:
    """Orders as they look after they were written to a trace and read back."""
    plain: list[Any] = msgspec.json.decode(msgspec.json.encode([order_text(order) for order in orders]))
    return plain
