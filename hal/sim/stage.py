"""What the simulated world moves around a board: a lane at a gate, a booth at a portal. Types, checks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, Protocol


class WorldError(Exception):
    """A request that cannot be done; the text is the answer."""


class Stage(Protocol):
    """A physical model on a given clock that drives the board's mock inputs."""

    @property
    def name(self) -> str:
        """Its key in a status."""

    @property
    def moving(self) -> bool:
        """False while time alone changes nothing."""

    def step(self, now: float) -> None:
        """Move the model to ``now``, monotonic s."""

    def status(self) -> dict[str, Any]:
        """Plain values by name."""

    def requests(self) -> dict[str, Callable[[Any], None]]:
        """What can be asked of it over the control socket; each raises WorldError, ValueError, TypeError."""


def flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise WorldError(f"{name}: give true or false, not {value!r}")
    return value


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return f"{what}: {name!r} is not known; {hint}"
