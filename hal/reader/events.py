"""What every reader codec says, whatever the protocol: one type per thing that module or host can say. Pure.

One tag report for all protocols; a value that a protocol does not carry is None, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag, once. ``antenna`` counts from 1. ``rssi_dbm`` only where the protocol's formula is known.

    ``phase`` as the module gives it: half-turns of 180 (ThingMagic, degrees 0..180) or its raw number.
    ``module_ms`` is relative to something else in every protocol: evidence, never a time."""

    epc: bytes
    pc: int
    rssi_raw: int
    antenna: int = 1
    rssi_dbm: float | None = None
    freq_khz: int | None = None
    phase: int | None = None
    read_count: int = 1
    module_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """The module's answer to command ``cmd``; ``status`` is 0 where it is good or the protocol has none."""

    cmd: int
    data: bytes
    status: int = 0


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """The module could not do ``cmd`` (None: the protocol does not say which). ``text``: in words."""

    cmd: int | None
    code: int
    text: str
    data: bytes = b""
    antenna: int | None = None


@dataclass(frozen=True, slots=True)
class Alive:
    """The module is there and had nothing to report. ``what``: keep-alive, heartbeat, empty-round."""

    what: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class RoundEnd:
    """An inventory command is done and must be given again. ``reads``: how many it reported, if it says."""

    cmd: int
    reads: int | None = None
    antenna: int | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """The module's own state. ``name``: one of ``CONDITIONS``; ``text``: in words; ``value``: e.g. °C."""

    name: str
    text: str
    value: float | None = None
    antenna: int | None = None


CONDITIONS = {
    "hot": "the module is too hot and has switched its transmitter off",
    "return-loss": "the antenna sends the power back: cable, connector or antenna",
    "antenna-missing": "no antenna on this port",
    "reset": "the module has started anew and lost its settings",
    "buffer-full": "the module's tag buffer was full: tags may be missing",
    "temperature": "the module's temperature",
    "brown-out": "the module's supply is too weak",
}
"""``temperature`` is a figure; every other one is a fault."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command from the host's side: what a simulated module hears, what an analyser saw on the TX wire."""

    cmd: int
    data: bytes


Event = Tag | Response | ErrorReply | Alive | RoundEnd | Condition | Command


@dataclass(slots=True)
class Counters:
    """``junk`` bytes skipped, ``bad_checks`` candidates that failed, ``dropped_tags`` tags whose own CRC
    or length did not hold, ``unknown`` good frames that mean nothing to us."""

    frames: int = 0
    junk: int = 0
    bad_checks: int = 0
    dropped_tags: int = 0
    unknown: int = 0
