"""``tallygate replay`` of a gate's trace: the recorded events to today's policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from firmware.gate import facts
from firmware.gate.entry import EntryPolicy, Rules
from firmware.gate.machine import Gate
from firmware.gate.orders import Restored
from firmware.gate.timing import RANGES, TRIES, Timing
from firmware.trace import EVENTS, TraceError
from hal.ports import InputChanged
from provisioning.replay_trace import Difference, compare


def run_again(
    path: Path, header: dict[str, Any], lines: Iterator[dict[str, Any]]
) -> tuple[int, Difference | None]:
    """(events compared, the first difference or None). Raises TraceError."""
    policy: EntryPolicy | None = None

    def handle(event: Any, at: float, _: dict[str, Any]) -> Sequence[object]:
        nonlocal policy
        if policy is None:
            policy = _policy(path, header, event, at)
        return policy.handle(event, at)

    return compare(path, lines, EVENTS, handle)


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
