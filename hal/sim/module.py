"""What carries any simulated reader module: a pseudo-terminal that pyserial opens, or a line in stepped time.

A ``Module`` is pure: bytes and time in, bytes out. The carriers give it both, behind a ``Wire`` that can be
bad. A carrier must never be kinder than a cable: what nobody takes in time is lost, and a module goes on
streaming when the board's port is closed. Never loaded on a real board.
"""

from __future__ import annotations

import asyncio
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from hal.sim.population import Population, SimTag
from hal.sim.terminal import InlineTerminal, Terminal
from hal.sim.wire import BURST_BYTES, BURST_S, Wire

LEAST_S = 0.0005
"""A module that wants to speak at once gets its turn after so long, s: it must not hold up the loop."""


class Module(Protocol):
    """One simulated module. All times are monotonic s. ``field``: the tags before its antennas."""

    field: Population

    def feed(self, data: bytes, now: float) -> bytes:
        """What it answers at once to these bytes; any chunking."""

    def due(self) -> float | None:
        """When it wants to speak by itself next; None: not until it is told something."""

    def speak(self, now: float) -> bytes:
        """What it says by itself at ``now`` (b"" where it only worked)."""

    def power_cycle(self, now: float) -> bytes:
        """Supply gone and back: every setting at its default; its boot message, b"" where it has none."""

    def status(self) -> dict[str, Any]:
        """Its state for people and tests: plain values by name."""


SHELF_DBM = -66.0
"""Level of tags that lie on a shelf near by: some 16 dB under those that somebody carries in."""


def lay(field: Population, epcs: list[bytes]) -> None:
    """Put tags on the shelf, beside whatever is there."""
    for epc in epcs:
        if epc not in field.epcs:
            field.add(SimTag(epc, level_dbm=SHELF_DBM))


class _Carriage:
    """Runs ``module`` on ``loop`` behind ``wire``; ``put`` takes what reaches the board."""

    def __init__(self, module: Module, loop: asyncio.AbstractEventLoop, put: Callable[[bytes], None]) -> None:
        self.module = module
        self.wire = Wire()
        self._loop = loop
        self._put = put
        self._turn: asyncio.TimerHandle | None = None
        self._flush: asyncio.TimerHandle | None = None
        self._held = b""
        self._cut = False
        self.wrong_speed: Callable[[], bool] | None = None

    def power_cycle(self) -> None:
        self._out(self.module.power_cycle(self._loop.time()))
        self.arm()

    def hear(self, data: bytes) -> None:
        self._meet()
        data = self.wire.to_module(data)
        if data:
            self._out(self.module.feed(data, self._loop.time()))
            self.arm()

    def brown_out(self, in_frame: bool) -> None:
        if in_frame:
            self._cut = True
        else:
            self.power_cycle()

    def stop(self) -> None:
        for handle in (self._turn, self._flush):
            if handle is not None:
                handle.cancel()
        self._turn = self._flush = None
        self._held = b""

    def arm(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        due = self.module.due()
        if due is not None:
            self._turn = self._loop.call_at(max(due, self._loop.time() + LEAST_S), self._speak)

    def _speak(self) -> None:
        self._turn = None
        self._out(self.module.speak(self._loop.time()))
        self.arm()

    def _out(self, data: bytes) -> None:
        if self._cut and len(data) > 1:
            self._cut = False
            data = data[: len(data) // 2] + self.module.power_cycle(self._loop.time())
        self._meet()
        data = self.wire.to_board(data)
        if self.wire.burst or self._held:
            self._held += data
            self._pour(whole=not self.wire.burst)
            return
        for part in self.wire.writes(data):
            self._put(part)

    def _meet(self) -> None:
        if self.wrong_speed is not None:
            self.wire.wrong_baud = self.wrong_speed()

    def _pour(self, whole: bool) -> None:
        while len(self._held) >= BURST_BYTES or (whole and self._held):
            part, self._held = self._held[:BURST_BYTES], self._held[BURST_BYTES:]
            self._put(part)
        if self._held and self._flush is None:
            self._flush = self._loop.call_later(BURST_S, self._pour_rest)

    def _pour_rest(self) -> None:
        self._flush = None
        self._pour(whole=True)


class _Carried:
    """What can be done to a module on either carrier. ``wire``: how good the line is."""

    module: Module
    _carriage: _Carriage

    @property
    def wire(self) -> Wire:
        return self._carriage.wire

    @wire.setter
    def wire(self, wire: Wire) -> None:
        self._carriage.wire = wire

    def present(self, epcs: list[bytes]) -> None:
        """Exactly these tags are in the field now."""
        self.module.field.present(epcs)

    def lay(self, epcs: list[bytes]) -> None:
        """These tags lie on a shelf near by, not in the portal."""
        lay(self.module.field, epcs)

    def brown_out(self, *, in_frame: bool = False) -> None:
        """The module's supply fails for a moment: now, or in the middle of the next thing it says."""
        self._carriage.brown_out(in_frame)


class SimulatedModule(_Carried, Terminal):
    """``module`` on a pseudo-terminal, plugged in; see ``Terminal`` for ``port`` and ``link``. Raises OSError
    when the terminal or the link cannot be made. ``wire``: how good the line is. ``baud``: the module's own
    speed; a port that is set to another one hears garbage (None: it hears any)."""

    def __init__(
        self,
        module: Module,
        loop: asyncio.AbstractEventLoop,
        link: Path | None = None,
        baud: int | None = None,
    ) -> None:
        super().__init__("reader", loop, link)
        self.module = module
        self._carriage = _Carriage(module, loop, self.send)
        if baud is not None:
            self._speed = getattr(termios, f"B{baud}")
            self._carriage.wrong_speed = self._wrong_speed
        self.plug(True)

    def status(self) -> dict[str, Any]:
        return {"plugged": self.plugged, **self.module.status()}

    def _attach(self) -> None:
        super()._attach()
        self._carriage.power_cycle()  # what it was told is forgotten, as without supply

    def _detach(self) -> None:
        self._carriage.stop()
        super()._detach()

    def _hear(self, data: bytes) -> None:
        self._carriage.hear(data)

    def _wrong_speed(self) -> bool:
        return self.plugged and bool(termios.tcgetattr(self._slave)[5] != self._speed)


class InlineModule(_Carried, InlineTerminal):
    """``hal.serial_line.Line`` straight into ``module``, for stepped time: no terminal between."""

    def __init__(self, module: Module, loop: asyncio.AbstractEventLoop, plugged: bool = True) -> None:
        super().__init__("the simulated reader", loop, plugged)
        self.module = module
        self._carriage = _Carriage(module, loop, self.send)

    def status(self) -> dict[str, Any]:
        return {"plugged": self._plugged, **self.module.status()}

    def plug(self, plugged: bool) -> None:
        """Pull the module off the line, or put it back without its settings."""
        back = plugged and not self._plugged
        super().plug(plugged)
        if back:
            self._carriage.power_cycle()
        elif not plugged:
            self._carriage.stop()

    def write(self, data: bytes) -> None:
        if self._on_bytes is not None and self._plugged:
            self._carriage.hear(data)
