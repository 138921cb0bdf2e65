"""What a board's pins are and how a logical value becomes a level. Pure.

Board files give one ``PinIn`` or ``PinOut`` per wire; policy only ever sees logical values (see
``hal.ports.INPUTS`` and ``OUTPUTS``). Nothing here may touch a pin, a clock or a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from hal.ports import INPUTS, OUTPUTS

Pull = Literal["up", "down", "none"]
Energised = Literal["locks", "releases", "on"]
Fail = Literal["safe", "secure"]

OPPOSED = {"motor_open": "motor_close", "motor_close": "motor_open"}
"""Outputs that must never be driven together: two directions of one motor."""


class PinsError(Exception):
    """A pin is declared wrongly, or could not be claimed, read or driven. Says which and what to check."""


@dataclass(frozen=True, slots=True)
class PinIn:
    """One input wire. ``pin`` is the GPIO (BCM) number; active_low: a low level means active.

    ``debounce_s``: how long a new level must be stable before it counts (0 = at once).
    """

    name: str
    pin: int
    active_low: bool = False
    pull: Pull = "none"
    debounce_s: float = 0.03

    def __post_init__(self) -> None:
        _check(self.name, self.pin, INPUTS, "input")
        if self.pull not in ("up", "down", "none"):
            raise PinsError(f"input {self.name}: pull is {self.pull!r}; use up, down or none")
        if not 0 <= self.debounce_s <= 5:
            raise PinsError(f"input {self.name}: debounce_s is {self.debounce_s}; it must be 0 to 5")

    def active(self, level: bool) -> bool:
        """The logical value of an electrical level."""
        return bool(level) != self.active_low

    def level(self, active: bool) -> bool:
        """The electrical level that means this logical value (used by the simulation)."""
        return bool(active) != self.active_low


@dataclass(frozen=True, slots=True)
class PinOut:
    """One output wire.

    ``energised`` says what current in the actuator does: it "locks" or "releases" the leaf, or is
    simply "on". ``fail`` is the side the driver falls to when policy stops renewing: "safe" lets
    people through, "secure" keeps the leaf locked. ``active_low``: a low level energises.
    ``hold_limit_s``: how long a non-safe value lasts without renewal.
    """

    name: str
    pin: int
    active_low: bool = False
    energised: Energised = "on"
    fail: Fail = "safe"
    hold_limit_s: float = 2.0

    def __post_init__(self) -> None:
        _check(self.name, self.pin, OUTPUTS, "output")
        wanted = ("locks", "releases") if self.name == "release" else ("on",)
        if self.energised not in wanted:
            raise PinsError(f"output {self.name}: energised is {self.energised!r}; use {' or '.join(wanted)}")
        if self.fail not in ("safe", "secure"):
            raise PinsError(f"output {self.name}: fail is {self.fail!r}; use safe or secure")
        if self.fail == "secure" and self.name != "release":
            raise PinsError(f"output {self.name}: fail = secure is only for the lock; use safe")
        if not 0 < self.hold_limit_s <= 60:
            raise PinsError(f"output {self.name}: hold_limit_s is {self.hold_limit_s}; it must be up to 60")

    @property
    def safe_value(self) -> bool:
        """The logical value nobody has to keep alive: a released lock unless ``secure``; else off."""
        return self.name == "release" and self.fail == "safe"

    def level(self, active: bool) -> bool:
        """The electrical level that drives this logical value."""
        energised = not active if self.energised == "locks" else bool(active)
        return energised != self.active_low

    def active(self, level: bool) -> bool:
        """The logical value of an electrical level."""
        energised = bool(level) != self.active_low
        return not energised if self.energised == "locks" else energised


class HoldLimits:
    """Until when each non-safe output may last. The caller locks; times are its clock's seconds."""

    def __init__(self, outs: Iterable[PinOut]) -> None:
        self._limit = {out.name: out.hold_limit_s for out in outs}
        self._until: dict[str, float] = {}

    def hold(self, name: str, now: float) -> None:
        self._until[name] = now + self._limit[name]

    def drop(self, name: str) -> None:
        self._until.pop(name, None)

    def clear(self) -> None:
        self._until.clear()

    def renew(self, now: float) -> None:
        for name in self._until:
            self._until[name] = now + self._limit[name]

    def expired(self, now: float) -> list[str]:
        return [name for name, until in self._until.items() if until <= now + 1e-9]  # a timer may round

    def next_at(self) -> float | None:
        return min(self._until.values(), default=None)


def check_pins(ins: Iterable[PinIn], outs: Iterable[PinOut]) -> None:
    """Raise ``PinsError`` when a name or a GPIO number is used twice."""
    names: set[str] = set()
    owner: dict[int, str] = {}
    wires: list[PinIn | PinOut] = [*ins, *outs]
    for wire in wires:
        if wire.name in names:
            raise PinsError(f"{wire.name} is declared twice; keep one of them in the board file")
        if wire.pin in owner:
            raise PinsError(
                f"GPIO {wire.pin} is used by {owner[wire.pin]} and {wire.name}; check the board file"
            )
        names.add(wire.name)
        owner[wire.pin] = wire.name


def _check(name: str, pin: int, known: Iterable[str], what: str) -> None:
    if name not in known:
        raise PinsError(f"{what} {name!r} is not known; known are {', '.join(known)}")
    if isinstance(pin, bool) or not isinstance(pin, int) or not 0 <= pin <= 27:
        raise PinsError(f"{what} {name}: pin is {pin!r}; it must be a GPIO number from 0 to 27")


@contextmanager
def claimed(name: str, pin: int) -> Iterator[None]:
    """Turn whatever a factory raises while a pin is claimed into one ``PinsError``."""
    try:
        yield
    except Exception as error:
        raise PinsError(
            f"{name}: GPIO {pin} cannot be claimed: {error}; check that no other process holds it "
            f"(gpioinfo) and that the board file names the right pin"
        ) from error
