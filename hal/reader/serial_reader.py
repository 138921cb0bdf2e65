"""A YRM100 / R200 module as ``hal.ports.TagReader``: brought up by table, watched, reopened when lost.

Inventory runs only between ``begin`` and ``end``. The module's multi poll ends without a word and a dead
cable looks the same, so silence is never taken as "no tags": it is asked, and after three intervals the
port is opened anew. Everything runs on the loop; nothing here may wait or raise into it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hal.ports import DeviceNote, Post, Progress, TagRead
from hal.reader.bringup import Sequence
from hal.reader.setup_table import Wanted, check_rows, setup_rows, stop_rows
from hal.reader.yrm100 import END, MULTI_POLL_MAX, Cmd, Codec, ErrorReply, Tag, encode, multi_poll
from hal.reader.yrm100 import Event as ModuleEvent
from hal.serial_device import SerialDevice
from hal.serial_line import Line, SerialLine

BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
OPEN_LIMIT_S = 5.0
PROGRESS_S = 0.25
FRESH_S = 0.2
"""An inventory starts only on settings that were read back at most so long ago."""
CHECK_CABLE = "the reader's cable, supply and the port named in the board file"


class ReaderSettings(Protocol):
    """What the board file says of a reader: baud, a region of ``yrm100.REGIONS``, and dBm."""

    @property
    def baud(self) -> int: ...
    @property
    def region(self) -> str: ...
    @property
    def power_dbm(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Timing:
    """``silence_s``: a running inventory that says nothing for so long is asked; after about three times
    that the reader is lost. ``idle_check_s``: how often a resting module is asked. ``quiet_gap_s``: a frame
    that pauses for longer is given up. ``rounds``: of one multi poll, which then ends without a word."""

    silence_s: float = 1.0
    idle_check_s: float = 5.0
    quiet_gap_s: float = 0.05
    rounds: int = MULTI_POLL_MAX


class SerialReader(SerialDevice):
    """A module on ``port``. ``power_offset_db``: see ``yrm100.power_value``. ``line`` replaces the serial
    port in stepped time. Raises ValueError for a region or power that cannot be set."""

    def __init__(
        self,
        port: str,
        settings: ReaderSettings,
        loop: asyncio.AbstractEventLoop,
        *,
        power_offset_db: float = 0.0,
        timing: Timing | None = None,
        line: Line | None = None,
        name: str = "reader",
    ) -> None:
        super().__init__(name, "reader")
        self._port = port
        self._timing = timing if timing is not None else Timing()
        self._wanted = Wanted.of(settings.region, settings.power_dbm, power_offset_db)
        self._poll_command = multi_poll(self._timing.rounds)
        self._loop = loop
        self._line = line if line is not None else SerialLine(port, settings.baud, loop)
        self._codec = Codec()
        self._header = 0xBB
        self._inventory = False  # what policy wants
        self._polling = False  # what the module was told
        self._sequence: Sequence[ModuleEvent] | None = None
        self._after: Callable[[], None] = lambda: None
        self._heard = 0.0
        self._progress_at = float("-inf")
        self._ready_at: float | None = None
        self._swapped = False
        self._answers = 0
        self._was_reset = False
        self._checked_at = float("-inf")
        self.info: dict[str, str] = {}
        self._counts |= {"reader_resumed": 0, "reader_resets": 0}

    # -- the port --------------------------------------------------------------------------------

    def start(self, post: Post) -> None:
        self._post = post
        self._open()

    def begin(self) -> None:
        self._inventory = True
        if self._ready_at is not None and self._sequence is None:
            self._settle()

    def end(self) -> None:
        self._inventory = False
        if self._ready_at is not None and self._sequence is None:
            self._settle()

    def close(self) -> None:
        if self._post is None:
            return
        self._post = None
        self._inventory = False
        self._cancel()
        self._line.write(encode(Cmd.STOP, header=self._header))
        self._line.close(drain=True)

    def stats(self) -> dict[str, int]:
        """Counters for health, numbers only."""
        counters = self._codec.counters
        return {
            **self._counts,
            "reader_frames": counters.frames,
            "reader_junk_bytes": counters.junk,
            "reader_bad_checks": counters.bad_checks,
            "reader_dropped_tags": counters.dropped_tags,
        }

    # -- opening and losing ------------------------------------------------------------------------

    def _open(self) -> None:
        self._swapped = False
        self._answers = self._codec.counters.frames
        self._arm(OPEN_LIMIT_S, self._open_timed_out)
        self._line.open(self._opened, self._bytes, self._line_lost)

    def _opened(self) -> None:
        self._counts["reader_opened"] += 1
        self._codec.reset()
        self._set_up()

    def _open_timed_out(self) -> None:
        self._fail(f"{self._port}: opening it takes longer than {OPEN_LIMIT_S:g} s", CHECK_CABLE)

    def _line_lost(self, reason: str) -> None:
        self._fail(reason, CHECK_CABLE)

    def _fail(self, reason: str, check: str) -> None:
        self._cancel()
        self._line.close()
        there_since, self._ready_at = self._ready_at, None
        self._polling = False
        self._sequence = None
        self._lose(reason, check, there_since, BACKOFF_S)

    # -- sequences: bring-up, checks, stopping -------------------------------------------------------

    def _set_up(self) -> None:
        self._polling = False
        self._ready_at = None
        rows = setup_rows(self._wanted, self._header, self.info)
        self._run(Sequence(rows, self._line.write, self._loop.time()), self._ready)

    def _ready(self) -> None:
        self._ready_at = self._checked_at = self._loop.time()
        self._back()
        self._settle()

    def _settle(self) -> None:
        """Do what policy wants: poll, or rest with a check from time to time."""
        if self._inventory:
            if not self._polling:
                if self._loop.time() - self._checked_at > FRESH_S:
                    self._ask(polling=False)  # never radiate with settings that a brown-out put back
                    return
                self._poll()
            self._arm(self._timing.silence_s, self._watch)
        elif self._polling:
            self._polling = False
            rows = stop_rows(self._header)
            self._run(Sequence(rows, self._line.write, self._loop.time()), self._settle)
        else:
            self._arm(self._timing.idle_check_s, lambda: self._ask(polling=False))

    def _poll(self) -> None:
        self._polling = True
        self._heard = self._loop.time()
        self._line.write(encode(*self._poll_command, header=self._header))

    def _watch(self) -> None:
        silent = self._loop.time() - self._heard
        if silent < self._timing.silence_s:
            self._arm(self._timing.silence_s - silent, self._watch)
            return
        self._counts["reader_resumed"] += 1
        self._polling = False
        self._ask(polling=True)

    def _ask(self, polling: bool) -> None:
        """Is the module there, and does it still have our settings? One that was reset has forgotten them."""
        self._was_reset = False
        timeout = self._timing.silence_s
        rows = check_rows(self._wanted, self._header, timeout, self._mark_reset, polling=polling)
        self._run(Sequence(rows, self._line.write, self._loop.time()), self._asked)

    def _mark_reset(self) -> None:
        self._was_reset = True

    def _asked(self) -> None:
        if not self._was_reset:
            self._checked_at = self._loop.time()
            self._settle()
            return
        self._counts["reader_resets"] += 1
        detail = "the module lost its settings (brown-out?) and is set up again: check its supply"
        self._send(DeviceNote(self._name, "reader_resets", detail, self._loop.time()))
        self._set_up()

    def _run(self, sequence: Sequence[ModuleEvent], after: Callable[[], None]) -> None:
        self._sequence, self._after = sequence, after
        self._step()

    def _step(self) -> None:
        """Look where the sequence stands; arm its deadline or go on."""
        sequence = self._sequence
        if sequence is None:
            return
        if not sequence.done:
            self._arm(max(0.0, sequence.deadline - self._loop.time()), self._sequence_due)
            return
        self._sequence = None
        if sequence.failed is None:
            self._after()
        elif not self._swapped and self._codec.counters.frames == self._answers:
            # Not one answer since the port was opened: ask once in the other framing before giving up.
            self._swapped = True
            self._header = next(header for header in END if header != self._header)
            self._set_up()
        else:
            self._fail(f"{self._port}: {sequence.failed}", sequence.check)

    def _sequence_due(self) -> None:
        if self._sequence is not None:
            self._sequence.time(self._loop.time())
            self._step()

    # -- bytes -------------------------------------------------------------------------------------

    def _bytes(self, data: bytes) -> None:
        if self._sequence is not None:
            self._sequence.traffic(self._loop.time())
        self._events(self._codec.feed(data))
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
        if self._codec.pending and self._post is not None:
            self._gap = self._loop.call_later(self._timing.quiet_gap_s, self._quiet)

    def _quiet(self) -> None:
        self._gap = None
        self._events(self._codec.idle())

    def _events(self, events: list[ModuleEvent]) -> None:
        now = self._loop.time()
        for event in events:
            if self._post is None:
                return
            if isinstance(event, Tag):
                self._heard = now
                if self._inventory and self._ready_at is not None:
                    self._send(_report(event, now))
            elif isinstance(event, ErrorReply):
                self._heard = now
            if self._sequence is not None:
                self._sequence.event(event, now)
                self._header = self._codec.header
        if events and self._post is not None:
            if now - self._progress_at >= PROGRESS_S:
                self._progress_at = now
                self._send(Progress(self._name, self._codec.counters.frames, now))
            if self._sequence is not None:
                self._step()


def _report(tag: Tag, now: float) -> TagRead:
    return TagRead(tag.epc, tag.pc, 1, float(tag.rssi_dbm), tag.rssi_dbm & 0xFF, now)
