"""Wires one board together: hardware, policy, journal, link; owns it all and closes it in safe order.

Which drivers there are is chosen in ``firmware.hardware``; running it as a process is ``firmware.run``'s
work.  Nothing here decides about a shopper.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware import __version__
from firmware.boardschema import Board, Site
from firmware.desk import JournalDesk, Opened
from firmware.gate.orders import Note
from firmware.hardware import code_sources, open_display, open_hardware, open_station, wall_clock
from firmware.heartbeats import Heartbeats, Pulse
from firmware.loop import Guard
from firmware.memory import Memory
from firmware.recorder import Recorder
from firmware.station import Kit, Station
from firmware.sync.journal import Journal, Limits
from firmware.uplink import Uplink
from firmware.wire.record_types import Alarm, Stamp, Started
from firmware.worker import Worker
from hal.pins.strict import strict_gpiod_warning
from hal.ports import Clock, Event, InputChanged, Pins, Progress, Source

if TYPE_CHECKING:
    from firmware.trace import TraceWriter

log = logging.getLogger("app")

RENEW_S = 0.25
"""Outputs are renewed this often; the driver lets them fall safe after hold_limit_s without."""
CAMERA_QUIET_S = 60.0
"""A camera that is gone is replaced by its supervisor, which says so each time: the gate goes on. When the
supervisor itself is silent for so long, the whole program is restarted."""
DISK_BUSY_S = 20.0
FIRST_READING_S = 0.3
FAULT_SHOWN_S = 10.0
"""A fault of the disk that comes and goes is shown at least so long."""


@dataclass(frozen=True)
class Mode:
    """How time and blocking work are done: real, or stepped in one process (tests)."""

    worker: Callable[[Guard, str], Worker]
    clock: Clock | None = None
    stepped: bool = False
    link: bool = True
    """False: the board stands alone (stepped time has no network)."""
    reload: Callable[[], None] = lambda: None
    """Looks at the board file now (the command of that name)."""


class App:
    """One board. ``start()`` on the running loop; ``close()`` leaves every output safe."""

    def __init__(self, board: Board, site: Site, guard: Guard, mode: Mode) -> None:
        self.board = board
        self.site = site
        self.guard = guard
        self.loop: asyncio.AbstractEventLoop = guard.loop
        self.data = Path(site.data)
        self.boot = os.urandom(4)
        self.started_at = self.loop.time()
        self.clock = mode.clock or wall_clock(board)
        self.heartbeats = Heartbeats()
        self.worker = mode.worker(guard, "disk")
        self.papers = mode.worker(guard, "documents")
        self.memory = Memory(self.papers, self.data / "board.json")
        # The camera child is started before any pin is opened: it must hold none of them.
        self.sources: list[Source] = code_sources(board, self.data, stepped=mode.stepped)
        self._mode = mode
        self._stops: list[Callable[[], None]] = []
        self._reading = False
        self._wired = False
        self._strict: str | None = None
        self._camera_fps = 0.0
        self._camera_before: Progress | None = None
        self._journal_open = False
        self._journal_lost = False
        self._late = Pulse(self.loop.time())
        self.loop_late_ms = 0.0
        self.desk = JournalDesk(
            guard, self.worker, self._open_journal, self._journal_opened, self._journal_recovered
        )

    # -- start ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Open everything. Raises PinsError, OSError: a board that cannot hold its pins does not run."""
        self.data.mkdir(parents=True, exist_ok=True)
        board = self.board
        for source in self.sources:
            source.start(self._source)
        self.hardware = open_hardware(
            board, self.data, self.loop, stepped=self._mode.stepped, fault=self._fault
        )
        self.pins, self.world, reader = self.hardware.pins, self.hardware.world, self.hardware.reader
        if self.world is not None:
            self.world.start()
        else:
            self._strict = strict_gpiod_warning()
        self.display = open_display(board, self.loop, lambda event: self.station.post(event))
        self.station: Station = open_station(
            Kit(
                board,
                self.site,
                self.guard,
                self.clock,
                self.pins,
                self.display,
                self.boot,
                lambda fields: self.uplink.live(fields),
                self.papers,
            )
        )
        self.uplink = Uplink(self)
        self.station.linked(self.uplink.link)
        self.station.trace = self._trace_writer() if board.trace.enabled else None
        self.recorder = Recorder(self.guard, self.desk, self.stamp, self.station.answer, self.uplink.written)
        self.station.recorder = self.recorder
        self._wired = True
        self.desk.run(lambda journal: None, self._first_open)
        self.memory.load(self.uplink.remembered)
        self.uplink.tables.load()
        self.pins.start(self._input)
        if reader is not None:
            reader.start(self.station.post)
            self.station.reader(reader)
        self.guard.at(self.loop.time() + FIRST_READING_S, self._first_reading)
        if self._strict is not None:
            log.error("%s", self._strict)
            check = "dtparam=strict_gpiod in config.txt, then reboot"
            self.station.faults.raise_("strict-gpiod", self._strict, check)
        self._stops.append(self.guard.every(RENEW_S, self._renew))
        self._stops.append(self.guard.every(1.0, self._second))
        self._declare()
        if self._mode.link:
            self.uplink.start()

    def reload(self) -> None:
        self._mode.reload()

    def stamp(self) -> Stamp:
        mono_ms = int(self.loop.time() * 1000)
        return Stamp(self.clock.wall_ms(), mono_ms, self.boot, self.clock.quality())

    def idle(self) -> bool:
        """Nobody is served and nothing waits for the disk: a changed board file may be applied."""
        return self.station.idle() and not self.recorder.backlog

    def _source(self, event: Event) -> None:
        if self._wired:
            self.station.post(event)
        else:
            # A camera that cannot be started (no memory, no descriptors) says so before all is wired.
            self.guard.post(self._source, event)

    def _input(self, event: Event) -> None:
        # Before the first reading the gate knows no levels, so a change means nothing to it.
        if self._reading or not isinstance(event, InputChanged):
            self.station.post(event)

    def _first_reading(self) -> None:
        """The inputs have been stable for longer than any debounce: now the gate may know them."""
        self._reading = True
        self.station.levels(self.pins.read())

    # -- the journal ---------------------------------------------------------------------------

    def _open_journal(self) -> Journal:
        section = self.board.journal
        return Journal.open(
            self.data / "journal.sqlite",
            clock=self.stamp,
            limits=Limits(rows=section.limit_rows, keep_days=section.keep_days),
        )

    def _first_open(self, _: object, error: Exception | None) -> None:
        if error is None:
            return
        check = "is the data folder there, writable and not full (df, dmesg)?"
        if self.station.faults.raise_("journal", str(error), check):
            log.error("the journal cannot be opened: %s", error)
        self.guard.at(self.loop.time() + 5.0, lambda: self.desk.run(lambda journal: None, self._first_open))

    def _journal_opened(self, opened: Opened) -> None:
        self._journal_open = True
        self.recorder.put(Note(Started, {"fw": __version__, "reason": "start"}))
        self.station.restored(opened, lost=opened.stats.last_seq == 0 or self._journal_lost)
        self.uplink.journal_opened(opened.stats)

    def _journal_recovered(self, what: str) -> None:
        log.error("%s", what)
        self._journal_lost = True
        self.recorder.put(Note(Alarm, {"kind": "journal-recovered", "detail": what[:200]}))

    # -- turning -------------------------------------------------------------------------------

    def _renew(self) -> None:
        now = self.loop.time()
        late = self._late.age(now) - RENEW_S
        self.loop_late_ms = max(self.loop_late_ms * 0.98, late * 1000)
        self._late.beat(now)
        self.pins.renew()

    def _measure_camera(self) -> None:
        """Frames per second since the last look; 0 when there was none."""
        now, before = self.station.progress.get("camera"), self._camera_before
        self._camera_before = now
        if now is None or before is None or now.at <= before.at or now.count < before.count:
            self._camera_fps = 0.0
        else:
            self._camera_fps = (now.count - before.count) / (now.at - before.at)

    def _second(self) -> None:
        faults = self.station.faults
        failed = self.recorder.last_fault
        if failed is not None and (
            self.recorder.fault is not None or self.loop.time() - failed[0] < FAULT_SHOWN_S
        ):
            faults.raise_("journal", failed[1], "disk full, read-only or worn out? (df, dmesg)")
        elif self._journal_open:
            faults.clear("journal")
        if self.memory.judge(faults, self.loop.time()):
            self.uplink.remember_nothing()
        if self.clock.quality() == "unsynced":
            faults.raise_("clock", "the wall clock is not synchronised", "network, chrony or timesyncd")
        else:
            faults.clear("clock")
        self._write_trace()
        self._measure_camera()
        self.uplink.second()

    def _write_trace(self) -> None:
        station: Station | None = getattr(self, "station", None)
        if station is None or (trace := station.trace) is None or not (lines := trace.take()):
            return

        def written(_: object, error: Exception | None) -> None:
            if error is not None:
                trace.failed()

        self.worker.submit(lambda: trace.write(lines), written)

    def _declare(self) -> None:
        """Not the reader: its driver lives on this loop, asks a silent module and opens a dead port anew by
        itself; a restart of the whole board could do no more, and would take screen and lamps away."""
        beats = self.heartbeats
        beats.declare("disk", DISK_BUSY_S, self.worker.busy_for)
        if self.board.camera is not None:
            began = Pulse(self.loop.time())

            def camera_age(now: float) -> float:
                heard = self.station.heard.get("camera")
                return now - heard if heard is not None else began.age(now)

            beats.declare("camera", CAMERA_QUIET_S, camera_age)

    def figures(self) -> dict[str, float | int]:
        """Everything the ``health`` message shows but the link's own figures."""
        return {
            "uptime_s": self.loop.time() - self.started_at,
            "alarms_unwritten": self.station.alarms_unwritten,
            **self._device_figures(),
            **self.station.figures(),
            "loop_late_ms": self.loop_late_ms,
            "loop_slow": self.guard.slow,
            "backlog": self.recorder.backlog,
            "records_dropped": self.recorder.dropped,
            "trace_lost": trace.lost if (trace := self.station.trace) is not None else 0,
            "clock_ok": int(self.clock.quality() != "unsynced"),
            "faults": len(self.station.faults),
        }

    def _device_figures(self) -> dict[str, float | int]:
        """Only of parts that the board file names: a price point has no camera at 0 frames/s."""
        board, station = self.board, self.station
        found: dict[str, float | int] = {}
        if self.sources:
            found["codes"] = station.counts["codes"]
        if board.camera is not None:
            camera = station.progress.get("camera")
            frames = camera.count if camera else 0
            found |= {"camera_frames": frames, "camera_fps": self._camera_fps, "decoder_restarts": 0}
        found |= station.notes
        if self.hardware.reader is not None:
            # Its own counters, which its notes tell only now and then.
            found |= {"tag_reads": station.counts["tag_reads"], **self.hardware.reader.stats()}
        return found

    # -- end -----------------------------------------------------------------------------------

    def safe(self) -> None:
        """Outputs to their safe values, from any thread, whatever state this is in."""
        pins: Pins | None = getattr(self, "pins", None)
        if pins is not None:
            pins.safe()

    def close(self) -> None:
        """Outputs safe first, then sources, link, journal. Bounded; idempotent."""
        self.safe()
        for stop in self._stops:
            stop()
        for source in self.sources:
            source.close()
        for name in ("uplink", "station", "hardware", "display"):
            part = getattr(self, name, None)
            if part is not None:
                part.close()
        self._write_trace()
        self.desk.close()
        self.memory.close()
        self.worker.close(3.0)
        self.papers.close(1.0)

    def _fault(self, what: str, error: BaseException) -> None:
        """The pins' driver failed where nobody waits for it (its hold timer, an edge): from any thread."""
        log.error("%s: %s", what, error)
        self.guard.post(self._pins_failed, f"{what}: {error}")

    def _pins_failed(self, reason: str) -> None:
        station: Station | None = getattr(self, "station", None)
        if station is not None:
            check = "did another program take a pin? Restart the board; then wiring and relay"
            station.faults.raise_("outputs", reason, check)

    def _trace_writer(self) -> TraceWriter:
        from firmware.trace import TraceWriter

        def header() -> dict[str, Any]:
            head = {"version": __version__, "wall_ms": self.clock.wall_ms()}
            return head | self.station.trace_header()

        return TraceWriter(self.data / "trace", int(self.board.trace.limit_mb * 1e6), header)
