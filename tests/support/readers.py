"""One reader on one simulated module, of any protocol, for the suites; and the collected frames.

A protocol joins both suites (contract and codec) by a row in ``reader_specs``; the suites name none.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from firmware.loop import SteppedLoop
from hal.ports import Event, TagRead
from hal.reader.serial_reader import SerialReader, Timing
from hal.sim.module import InlineModule, SimulatedModule
from hal.sim.modules import make
from hal.sim.population import Population
from tests.support.reader_specs import FAMILIES, spec

__all__ = ["EPCS", "FAMILIES", "VECTORS", "Rig", "spec", "vectors"]

EPCS = [bytes.fromhex(f"E28068900000500E88C6A4{n:02X}") for n in range(24)]
VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "rfid_frames.json").read_text()
)


def vectors(protocol: str, direction: str) -> list[dict[str, Any]]:
    """The collected frames of one protocol and one side, "host->reader" or "reader->host"."""
    return [row for row in VECTORS if (row["protocol"], row["direction"]) == (protocol, direction)]


class Rig:
    """One reader on one simulated module; ``until`` runs the loop, in real ("pty") or stepped time."""

    def __init__(
        self,
        protocol: str,
        folder: Path | None = None,
        variant: str = "",
        **changes: Any,
    ) -> None:
        self.spec = spec(protocol)
        self.settings = replace(self.spec.settings, **changes)
        population = Population(antennas=max(self.settings.antennas))
        make_variant = self.spec.variants.get(variant)
        self.module: Any = make_variant(population) if make_variant else make(protocol, population)
        self.events: list[Event] = []
        self.faults: list[str] = []
        self.loop: asyncio.AbstractEventLoop
        self.carrier: SimulatedModule | InlineModule
        if folder is not None:
            self.loop = asyncio.new_event_loop()
            self.carrier = SimulatedModule(self.module, self.loop, folder / "ttyReader")
        else:
            self.loop = SteppedLoop()
            self.carrier = InlineModule(self.module, self.loop)
        self.loop.set_exception_handler(lambda _, context: self.faults.append(str(context)))
        self.reader = self.make()

    def make(self, port: str = "") -> SerialReader:
        return SerialReader(
            port or self.carrier.port,
            self.settings,
            self.loop,
            # A real terminal's test must not take long; the silence is the family's otherwise.
            timing=Timing(idle_check_s=0.5) if self.stepped else Timing(silence_s=0.3, idle_check_s=0.5),
            line=self.carrier if isinstance(self.carrier, InlineModule) else None,
        )

    @property
    def stepped(self) -> bool:
        return isinstance(self.loop, SteppedLoop)

    @property
    def inventory(self) -> bool:
        """The module takes inventory."""
        return bool(self.module.status()["inventory"])

    @property
    def stored(self) -> bool:
        return self.spec.stored(self.module)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def epcs(self) -> set[bytes]:
        return {event.epc for event in self.of(TagRead)}

    def run(self, seconds: float) -> None:
        if isinstance(self.loop, SteppedLoop):
            self.loop.advance(seconds)
        else:
            self.loop.run_until_complete(asyncio.sleep(seconds))
        assert not self.faults, self.faults

    def until(self, condition: Callable[[], object], seconds: float = 40.0) -> None:
        """Run until ``condition``; ``seconds`` of the loop's time at most (real ones on a terminal)."""
        end = self.loop.time() + seconds
        began = time.monotonic()
        while not condition():
            assert self.loop.time() < end, f"it did not come true in {seconds:g} s: {self.events[-5:]}"
            assert time.monotonic() - began < 60
            self.run(0.02 if self.stepped else 0.005)

    def start(self) -> None:
        self.reader.start(self.events.append)
        self.until(lambda: self.reader.ready)

    def crash(self) -> None:
        """The board's program ends at once, without a word to the module; another one is started."""
        self.reader._post = None
        self.reader._cancel()
        self.reader._line.close()
        self.events.clear()
        self.reader = self.make()

    def close(self) -> None:
        self.reader.close()
        if isinstance(self.carrier, SimulatedModule):
            self.carrier.close()
        self.loop.close()
        assert not self.faults, self.faults
