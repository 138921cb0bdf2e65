"""The ports between policy and devices: event types in, protocols out. Pure.

Every driver under ``hal/`` implements one of these protocols; policy imports only this module and
``firmware.wire``.  Nothing here may import a device library, open a file or read a clock.

All ``at`` values are monotonic seconds (CLOCK_MONOTONIC, float), taken when the fact was received.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

# -- events: facts a device reports ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CodeSeen:
    """A code was read. Sent once when it comes into view; it re-arms after it has left.

    ``data`` is the raw payload, never decoded to text here and kept out of ``repr``: it may be money.
    ``source`` names the device ("camera", "scanner"). ``frame_at`` is when the frame that showed it was
    handed over. ``share`` is the code's height as a share of the frame's (0..1), 0 where unknown.
    """

    data: bytes = field(repr=False)
    source: str
    frame_at: float
    at: float
    share: float = 0.0
    decoder: str = ""


@dataclass(frozen=True, slots=True)
class InputChanged:
    """A debounced input changed its level. ``active`` is logical (see ``INPUTS``)."""

    name: str
    active: bool
    at: float


@dataclass(frozen=True, slots=True)
class TagRead:
    """One tag report of an RFID module (one type for all protocols).

    ``rssi_dbm`` only where a formula is known, else None and ``rssi_raw`` alone. ``at`` is the
    board's receipt time; module time stamps are relative and are not used.
    """

    epc: bytes
    pc: int
    antenna: int
    rssi_dbm: float | None
    rssi_raw: int
    at: float
    phase: int | None = None
    freq_khz: int | None = None
    read_count: int = 1


@dataclass(frozen=True, slots=True)
class DeviceLost:
    """A device stopped answering. ``check`` tells a technician what to look at."""

    device: str
    reason: str
    check: str
    at: float


@dataclass(frozen=True, slots=True)
class DeviceBack:
    """A lost device answers again."""

    device: str
    at: float


@dataclass(frozen=True, slots=True)
class DeviceNote:
    """A device's own condition that is not a loss: hot, return loss, restarted, decoder recycled.

    ``name`` is a counter name as shown in health, e.g. ``decoder_restarts``.
    """

    device: str
    name: str
    detail: str
    at: float


@dataclass(frozen=True, slots=True)
class DeviceCondition:
    """A state of a device that lasts without its being lost: a hot reader, a missing antenna.

    ``active`` False: it is over. ``name`` is a short id (``hot``); ``reason`` and ``check`` are for people.
    """

    device: str
    name: str
    active: bool
    reason: str
    check: str
    at: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Liveness by work done: a camera frame, a reader answer. Feeds the watchdog."""

    device: str
    count: int
    at: float


Event = CodeSeen | InputChanged | TagRead | DeviceLost | DeviceBack | DeviceNote | DeviceCondition | Progress
Post = Callable[[Event], None]
"""Delivers an event on the loop's thread. Drivers with threads go through call_soon_threadsafe."""

# -- names of inputs and outputs ---------------------------------------------------------------

INPUTS: Mapping[str, str] = {
    "leaf": "active = the leaf is closed",
    "beam_outer": "active = the street-side beam is broken",
    "beam_inner": "active = the shop-side beam is broken",
    "fire": "active = the fire loop is open (fire, or a broken wire)",
    "help": "active = the help button is pressed",
    "occupied": "active = somebody stands in the portal",
    "crowded": "active = a second person reaches into the portal",
}
OUTPUTS: Mapping[str, str] = {
    "release": "active = the lock lets the leaf move",
    "motor_open": "active = the leaf is driven open",
    "motor_close": "active = the leaf is driven closed",
    "lamp_green": "active = lit",
    "lamp_red": "active = lit",
    "buzzer": "active = sounding",
}

# -- protocols ---------------------------------------------------------------------------------


class Pins(Protocol):
    """All inputs and outputs of one board. Constructed at the safe values."""

    def start(self, post: Post) -> None:
        """Begin to report debounced changes."""

    def read(self) -> dict[str, bool]:
        """The debounced logical level of every declared input."""

    def set(self, name: str, active: bool) -> None:
        """Drive an output. A non-safe value lasts hold_limit_s unless renewed."""

    def renew(self) -> None:
        """The loop is alive: every non-safe output may last another hold_limit_s."""

    def outputs(self) -> dict[str, bool]:
        """The logical value every declared output is driven to now."""

    def safe(self) -> None:
        """Drive every output to its safe value. Callable from any thread, never raises."""

    def close(self) -> None:
        """safe(), then release the pins. Idempotent."""


class Source(Protocol):
    """Anything that reports events by itself: a code source, a tag reader."""

    def start(self, post: Post) -> None: ...
    def close(self) -> None: ...


class TagReader(Source, Protocol):
    """An RFID module. Inventory runs only between ``begin`` and ``end``."""

    def begin(self) -> None: ...
    def end(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Screen:
    """What the shopper sees: a tone and at most three short lines.

    ``tone``: "idle", "go", "wait", "stop", "alarm", "price". ``lines``: plain words, first is the largest.
    ``code``: text to draw as a QR code (a gate code), or None.
    """

    tone: str
    lines: tuple[str, ...]
    code: str | None = None


class Display(Protocol):
    def show(self, screen: Screen) -> None: ...
    def close(self) -> None: ...


class Clock(Protocol):
    """Wall time with its quality. Monotonic time is the loop's own ``time()``."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""

    def quality(self) -> str:
        """ "synced", "declared" (simulated boards) or "unsynced"."""
