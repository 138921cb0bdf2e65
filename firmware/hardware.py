"""Chooses the drivers of one board, once, from its board file. The only place that picks one.

There is no fallback to another driver and no switch by environment; a driver's library is imported by the
driver, so a board loads nothing that its file does not name.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware.boardschema import Board
from firmware.safe import pin_outs
from firmware.station import Kit, Station
from firmware.wallclock import WallClock
from hal.ports import Clock, Display, Pins, Post, Source

if TYPE_CHECKING:
    from hal.reader.serial_reader import SerialReader


def wall_clock(board: Board) -> Clock:
    """The clock that this board's model has."""
    if board.sim is not None:
        from hal.clock.declared import DeclaredClock

        return DeclaredClock(board.sim.clock)
    from hal.clock.kernel import KernelClock

    return WallClock(KernelClock())


def code_sources(board: Board, data: Path, *, stepped: bool) -> list[Source]:
    """What reads codes: the camera child (in stepped time its inline twin), a scanner head."""
    sources: list[Source] = []
    camera = board.camera
    if camera is not None:
        if stepped:
            from hal.vision.inline import InlineSource

            sources.append(InlineSource())
        else:
            sources.append(camera_source(board, data))
    if board.scanner is not None:
        from hal.scanner.gm65 import Gm65

        sources.append(Gm65(board.scanner.port, board.scanner.baud))
    return sources


def camera_source(board: Board, data: Path) -> Source:
    from hal.camera.port import CameraSettings
    from hal.vision.protocol import Settings
    from hal.vision.supervisor import CameraSource, Limits

    camera, sim = board.camera, board.sim
    assert camera is not None
    options: dict[str, float] = {"mains_hz": float(camera.mains_hz)}
    if camera.lens_position is not None:
        options["lens_position"] = camera.lens_position
    settings = CameraSettings(
        camera.driver,
        camera.width,
        camera.height,
        camera.fps,
        camera.device,
        str(data / sim.scene) if sim is not None else "",
        sim.inbox or "" if sim is not None else camera.device,
        options,
    )
    zbar = board.decoder.second_opinion == "zbar"
    return CameraSource(settings, Settings(zbar=zbar), limits=Limits(progress_s=camera.progress_s))


@dataclass(frozen=True)
class Hardware:
    """The board's lines and, on a simulated board, the world behind them."""

    pins: Pins
    world: Any
    module: Any
    reader: SerialReader | None

    def close(self) -> None:
        for part in (self.reader, self.world, self.module, self.pins):
            if part is not None:
                part.close()


def open_hardware(
    board: Board,
    data: Path,
    loop: asyncio.AbstractEventLoop,
    *,
    stepped: bool,
    fault: Callable[[str, BaseException], None] | None = None,
) -> Hardware:
    """Claim the pins at their safe values. Raises PinsError, OSError."""
    from hal.pins.outputs import PinIn

    ins = [PinIn(n, p.pin, p.active_low, p.pull, p.debounce_s) for n, p in board.pins.inputs.items()]
    outs = pin_outs(board)
    pins: Any
    if board.pins.factory == "none":
        from hal.pins.none import NoPins

        pins = NoPins()
    else:
        from hal.pins.gpio import open_pins

        pins = open_pins(
            board.pins.factory,
            ins,
            outs,
            loop=loop,
            work_dir=Path(os.environ.get("RUNTIME_DIRECTORY", str(data))),
            hold_timer=not stepped,
            fault=fault,
        )
    world: Any = None
    module, reader = open_reader(board, loop, stepped=stepped)
    if board.sim is not None:
        from hal.sim.world import World

        stage = _stage(board, ins, outs, pins.factory, loop.time())
        world = World(stage, pins.factory, loop, data / board.sim.control, data / board.sim.scene, module)
    return Hardware(pins, world, module, reader)


def open_reader(
    board: Board, loop: asyncio.AbstractEventLoop, *, stepped: bool
) -> tuple[Any, SerialReader | None]:
    """The simulated module behind the board's reader, None on a real board, and the reader itself; both are
    the caller's to close. Raises OSError."""
    if board.reader is None:
        return None, None
    from hal.reader.serial_reader import SerialReader

    port = board.reader.port
    module: Any = None
    line: Any = None
    if board.sim is not None and port == "sim":
        from hal.sim.module import InlineModule, SimulatedModule
        from hal.sim.modules import make
        from hal.sim.population import Population

        field = Population(antennas=max(board.reader.antennas), away=board.portal.veto_antennas)
        simulated = make(board.reader.protocol, field)
        if stepped:
            # A pseudo-terminal delivers through the kernel: stepped time would not wait for it.
            module = line = InlineModule(simulated, loop)
        else:
            module = SimulatedModule(simulated, loop)
            port = module.port
    return module, SerialReader(port, board.reader, loop, line=line)


def _stage(board: Board, ins: list[Any], outs: list[Any], factory: Any, now: float) -> Any:
    """What the simulated world moves around this board."""
    assert board.sim is not None
    if board.board.role in ("portal", "pricepoint"):
        from hal.sim.booth import Booth

        return Booth(ins, factory, now)
    from hal.sim.lane import Lane, Shape

    shape = Shape(open_s=board.sim.leaf_s, close_s=board.sim.leaf_s * 1.2)
    return Lane(ins, outs, factory, now, shape)


def open_display(board: Board, loop: asyncio.AbstractEventLoop, post: Post) -> Display:
    """The shopper's screen that the board file names; what it reports is posted on the loop."""
    section = board.display
    if section.driver == "png":
        from hal.display.png import PngDisplay

        return PngDisplay(Path(section.path), post=post, loop=loop)
    if section.driver == "framebuffer":
        from hal.display.framebuffer import FramebufferDisplay

        return FramebufferDisplay(Path(section.path), post=post, loop=loop)
    from hal.display.none import NoDisplay

    return NoDisplay()


def open_station(kit: Kit) -> Station:
    """What this board is in the shop, by its role."""
    if kit.board.board.role == "portal":
        from firmware.stations.portal import PortalStation

        return PortalStation(kit)
    if kit.board.board.role == "pricepoint":
        from firmware.stations.pricepoint import PricepointStation

        return PricepointStation(kit)
    from firmware.stations.gate import GateStation

    return GateStation(kit)
