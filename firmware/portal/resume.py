"""A portal's policy at rest, as plain values and back: the head of a trace. Pure.

At rest nobody is served, so there is no stay and no basket to tell; what was settled lately is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firmware.portal.policy import PortalPolicy


def plain(policy: PortalPolicy) -> dict[str, Any]:
    return {
        "state": policy.state,
        "due": policy.machine.due,
        "people": policy.people.plain(),
        "settled": policy.goods.plain(),
        "listening": policy.listening.on,
        "listening_due": policy.listening.due,
        "reader": policy.reader,
        "conditions": sorted(policy.conditions),
        "shop": policy.shop,
        "token": policy.till.last_token,
        "attempts": policy.till.money.attempts,
        "rung": policy.bell.last,
        "started": policy.started,
    }


def resume(policy: PortalPolicy, told: Mapping[str, Any]) -> None:
    """Make ``policy`` what ``plain`` told. Raises KeyError, TypeError, ValueError for anything else."""
    policy.machine.name, policy.machine.due = str(told["state"]), told["due"]
    policy.people.resume(told["people"])
    policy.goods.resume(told["settled"])
    policy.listening.on, policy.listening.due = bool(told["listening"]), float(told["listening_due"])
    policy.reader, policy.conditions = bool(told["reader"]), set(told["conditions"])
    policy.shop = str(told["shop"])
    policy.till.last_token, policy.till.money.attempts = int(told["token"]), int(told["attempts"])
    policy.bell.last = {str(kind): float(at) for kind, at in told["rung"].items()}
    policy.started = bool(told["started"])
    if policy.started:
        policy.surface.resume(policy.state, policy.machine.state)
