"""Any board's trace again: each recorded event to today's policy, its orders beside the recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from firmware.trace import TraceError, event_of, order_text


@dataclass(frozen=True, slots=True)
class Difference:
    """The first event whose orders differ. ``line``: its number in the file."""

    line: int
    at: float
    event: str
    recorded: list[Any]
    now: list[Any]


def compare(
    path: Path,
    lines: Iterator[dict[str, Any]],
    events: Mapping[str, Any],
    handle: Callable[[Any, float, dict[str, Any]], Sequence[object]],
) -> tuple[int, Difference | None]:
    """``handle(event, at, line)`` gives today's orders. (events compared, the first difference or None).

    ``events``: what may stand in the trace, by name. Raises TraceError."""
    count = 0
    for number, line in enumerate(lines, 2):
        event, at, recorded = event_of(line, events), _time_of(path, number, line), line.get("orders")
        orders = handle(event, at, line)
        count += 1
        now = _plain(orders)
        if now != recorded:
            kept = recorded if isinstance(recorded, list) else [recorded]
            return count, Difference(number, at, str(line.get("type")), kept, now)
    return count, None


def _time_of(path: Path, number: int, line: dict[str, Any]) -> float:
    at = line.get("at")
    if not isinstance(at, int | float):
        raise TraceError(f"{path}: line {number}: no time")
    return float(at)


def _plain(orders: Sequence[object]) -> list[Any]:
    """Orders as they look after they were written to a trace and read back."""
    plain: list[Any] = msgspec.json.decode(msgspec.json.encode([order_text(order) for order in orders]))
    return plain
