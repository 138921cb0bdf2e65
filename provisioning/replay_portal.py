"""``tallygate replay`` of a portal's trace: the recorded events and verdicts to today's policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from firmware.portal.decision import Decision
from firmware.portal.kinds import KindRules
from firmware.portal.policy import PortalPolicy
from firmware.portal.resume import resume
from firmware.portal.timing import Timing
from firmware.portaltrace import EVENTS, ToldDecision
from firmware.trace import TraceError
from provisioning.replay_trace import Difference, compare


def run_again(
    path: Path, header: dict[str, Any], lines: Iterator[dict[str, Any]]
) -> tuple[int, Difference | None]:
    """(events compared, the first difference or None). Raises TraceError."""
    decision = ToldDecision()
    policy = _policy(path, header, decision)

    def handle(event: Any, at: float, line: dict[str, Any]) -> Sequence[object]:
        decision.expect(line.get("judged", []))
        return policy.handle(event, at)

    return compare(path, lines, EVENTS, handle)


def _policy(path: Path, header: dict[str, Any], decision: ToldDecision) -> PortalPolicy:
    try:
        policy = PortalPolicy(
            cast(Decision, decision),
            Timing(**header["timing"]),
            lane=header["lane"],
            kinds=KindRules(tuple(header["companies"]), header["unprogrammed"]),
            known=lambda epc: epc in decision.known,
        )
        resume(policy, header["policy"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TraceError(f"{path}: line 1: the header is not usable: {error!r}") from None
    return policy
