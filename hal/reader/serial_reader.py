"""Any RFID module on a serial port as ``hal.ports.TagReader``: brought up by table, watched, reopened.

Inventory runs only between ``begin`` and ``end``. A module that has stopped by itself and a dead cable look
the same, so silence is never taken as "no tags": it is asked, and after three intervals the port is opened
anew. Everything runs on the loop; nothing here may wait, raise into it, or know a protocol.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from hal.ports import DeviceNote, Post, Progress, TagRead
from hal.reader.bringup import Row, Sequence
from hal.reader.events import Condition, ErrorReply, Event, Tag
from hal.reader.families import family as make_family
from hal.reader.module_state import ModuleState
from hal.reader.port import Family, Meaning, ReaderSettings
from hal.serial_device import SerialDevice
from hal.serial_line import Line, SerialLine

BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
OPEN_LIMIT_S = 5.0
PROGRESS_S = 0.25
FRESH_S = 0.2
"""An inventory starts only on settings that were read back at most so long ago."""
STOP_AGAIN_S = 1.0
"""A module that streams though nobody asked is told to stop at most so often."""
AGAIN_MOST = 3
"""So often within ``AGAIN_S`` it is set up anew without being lost; more is a fault that lasts."""
AGAIN_S = 20.0
RESUME_MOST = 5
"""So many inventories in a row that brought nothing at all: it answers, but it does not do its work."""
CHECK_CABLE = "the reader's cable, supply and the port named in the board file"
CHECK_SPEED = "baud and protocol in the board file against the module's own; TX, RX and ground"


@dataclass(frozen=True, slots=True)
class Timing:
    """None: what the protocol's family says. ``silence_s``: a running inventory that says nothing for so
    long is asked; after about three times that the reader is lost. ``idle_check_s``: how often a resting
    module is asked. ``gap_s``: a frame that pauses for longer is given up."""

    silence_s: float | None = None
    idle_check_s: float = 5.0
    gap_s: float | None = None


class SerialReader(SerialDevice):
    """A module on ``port``. ``line`` replaces the serial port in stepped time, ``family`` what
    ``settings.protocol`` names. Raises ValueError for settings that this protocol cannot do."""

    def __init__(
        self,
        port: str,
        settings: ReaderSettings,
        loop: asyncio.AbstractEventLoop,
        *,
        timing: Timing | None = None,
        line: Line | None = None,
        name: str = "reader",
        family: Family | None = None,
    ) -> None:
        super().__init__(name, "reader")
        timing = timing if timing is not None else Timing()
        self._port = port
        self._baud = settings.baud
        self._family = family if family is not None else make_family(settings)
        self._silence_s = timing.silence_s if timing.silence_s is not None else self._family.silence_s
        self._gap_s = timing.gap_s if timing.gap_s is not None else self._family.gap_s
        self._idle_check_s = timing.idle_check_s
        self._loop = loop
        self._line = line if line is not None else SerialLine(port, settings.baud, loop)
        self._codec = self._family.codec
        self._inventory = False  # what policy wants
        self._polling = False  # what the module was told
        self._sequence: Sequence[Event] | None = None
        self._after: Callable[[], None] = lambda: None
        self._round: asyncio.TimerHandle | None = None
        self._state = ModuleState(name, loop, self._send, lambda: self._polling)
        self._heard = self._stopped_at = self._progress_at = self._checked_at = float("-inf")
        self._ready_at: float | None = None
        self._frames = self._junk = 0  # when the port was opened
        self._forgotten = False
        self._again: deque[float] = deque(maxlen=AGAIN_MOST)
        self._resumes = 0
        self.info: dict[str, str] = {}
        """What the module says of itself: model, firmware."""
        self._counts |= {"reader_resumed": 0, "reader_resets": 0, "reader_confused": 0}

    # -- the port --------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """It is there and set up."""
        return self._ready_at is not None

    def start(self, post: Post) -> None:
        self._post = post
        self._open()

    def begin(self) -> None:
        self._want(True)

    def end(self) -> None:
        self._want(False)

    def close(self) -> None:
        if self._post is None:
            return
        self._post = None
        self._inventory = False
        self._cancel()
        for row in self._family.stop_rows():
            self._line.write(row.frame())
        self._line.close(drain=True)

    def stats(self) -> dict[str, int]:
        """Counters and figures for health, numbers only."""
        counters = self._codec.counters
        return {
            **self._counts,
            **self._state.figures,
            "reader_frames": counters.frames,
            "reader_junk_bytes": counters.junk,
            "reader_bad_checks": counters.bad_checks,
            "reader_dropped_tags": counters.dropped_tags,
        }

    def _want(self, inventory: bool) -> None:
        self._inventory = inventory
        self._resumes = 0
        if self._ready_at is not None and self._sequence is None:
            self._settle()

    # -- opening and losing ------------------------------------------------------------------------

    def _open(self) -> None:
        self._arm(OPEN_LIMIT_S, self._open_timed_out)
        self._line.open(self._opened, self._bytes, self._line_lost)

    def _opened(self) -> None:
        self._counts["reader_opened"] += 1
        self._codec.reset()
        self._frames, self._junk = self._codec.counters.frames, self._codec.counters.junk
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
        self._resumes = 0
        self._again.clear()
        self._state.lost()
        self._lose(reason, check, there_since, BACKOFF_S)

    # -- sequences: bring-up, checks, stopping -------------------------------------------------------

    def _set_up(self) -> None:
        self._stop_rounds()
        self._polling = False
        self._ready_at = None
        self._run(self._family.setup_rows(self.info), self._ready)

    def _set_up_again(self, counter: str, detail: str) -> None:
        """It forgot or does something else: tell it everything again, but not for ever."""
        now = self._loop.time()
        self._counts[counter] += 1
        self._send(DeviceNote(self._name, counter, detail, now))
        if len(self._again) == AGAIN_MOST and now - self._again[0] < AGAIN_S:
            self._fail(f"{self._port}: {detail} ({AGAIN_MOST + 1} times in {AGAIN_S:g} s)", CHECK_CABLE)
            return
        self._again.append(now)
        self._set_up()

    def _ready(self) -> None:
        self._ready_at = self._checked_at = self._loop.time()
        self._back()
        self._settle()

    def _settle(self) -> None:
        """Do what policy wants: take inventory, or rest with a check from time to time."""
        if self._inventory:
            if not self._polling:
                if self._loop.time() - self._checked_at > FRESH_S:
                    self._ask(polling=False)  # never radiate with settings that a brown-out put back
                    return
                self._polling = True
                self._heard = self._loop.time()
                self._line.write(self._family.inventory())
            self._arm(self._silence_s, self._watch)
        elif self._polling:
            self._stop()
        else:
            self._arm(self._idle_check_s, lambda: self._ask(polling=False))

    def _stop(self) -> None:
        self._stop_rounds()
        self._polling = False
        self._stopped_at = self._loop.time()
        self._run(self._family.stop_rows(), self._settle)

    def _watch(self) -> None:
        silent = self._loop.time() - self._heard
        if silent < self._silence_s - 1e-6:
            self._arm(self._silence_s - silent, self._watch)
            return
        self._counts["reader_resumed"] += 1
        self._resumes += 1
        self._stop_rounds()
        self._polling = False
        if self._resumes > RESUME_MOST:
            self._fail(f"{self._port}: the module answers but takes no inventory", CHECK_CABLE)
            return
        self._ask(polling=True)

    def _ask(self, polling: bool) -> None:
        """Is the module there, and does it still have our settings? One that was reset has forgotten them."""
        self._forgotten = False
        self._run(
            self._family.check_rows(self._forgets, polling=polling, timeout_s=self._silence_s), self._asked
        )

    def _forgets(self) -> None:
        self._forgotten = True

    def _asked(self) -> None:
        if self._forgotten:
            detail = "the module lost its settings (brown-out?) and is set up again: check its supply"
            self._set_up_again("reader_resets", detail)
            return
        self._checked_at = self._loop.time()
        self._settle()

    def _run(self, rows: list[Row[Event]], after: Callable[[], None]) -> None:
        self._sequence, self._after = Sequence(rows, self._line.write, self._loop.time()), after
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
        counters = self._codec.counters
        if sequence.failed is None:
            self._after()
        elif counters.frames > self._frames:
            self._fail(f"{self._port}: {sequence.failed}", sequence.check)
        elif self._family.other_framing():
            # Not one answer since the port was opened: ask once in the other framing before giving up.
            self._set_up()
        elif junk := counters.junk - self._junk:
            at = f"{junk} bytes came at {self._baud} baud, but nothing that makes sense"
            self._fail(f"{self._port}: {at} ({sequence.failed})", CHECK_SPEED)
        else:
            self._fail(f"{self._port}: {sequence.failed}", sequence.check)

    def _sequence_due(self) -> None:
        if self._sequence is not None:
            self._sequence.time(self._loop.time())
            self._step()

    # -- rounds that the module ends by itself -------------------------------------------------------

    def _next_round(self) -> None:
        if self._round is None and self._polling and self._inventory:
            self._round = self._loop.call_later(self._family.round_pause_s, self._round_due)

    def _round_due(self) -> None:
        self._round = None
        if self._polling and self._inventory and self._post is not None:
            self._line.write(self._family.inventory())

    def _stop_rounds(self) -> None:
        if self._round is not None:
            self._round.cancel()
            self._round = None

    # -- bytes and what they mean --------------------------------------------------------------------

    def _bytes(self, data: bytes) -> None:
        if self._sequence is not None:
            self._sequence.traffic(self._loop.time())
        self._events(self._codec.feed(data))
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
        if self._codec.pending and self._post is not None:
            self._gap = self._loop.call_later(self._gap_s, self._quiet)

    def _quiet(self) -> None:
        self._gap = None
        self._events(self._codec.idle())

    def _events(self, events: list[Event]) -> None:
        now = self._loop.time()
        for event in events:
            if self._post is None:
                return
            self._event(event, now)
        if events and self._post is not None:
            if now - self._progress_at >= PROGRESS_S:
                self._progress_at = now
                self._send(Progress(self._name, self._codec.counters.frames, now))
            if self._sequence is not None:
                self._step()

    def _event(self, event: Event, now: float) -> None:
        if isinstance(event, Tag):
            if self._inventory and self._ready_at is not None:
                self._send(_report(event, now))
            self._state.tag(event.antenna, now)
        elif isinstance(event, Condition):
            self._state.heard(event, now)
        if self._sequence is not None:
            self._sequence.event(event, now)
            return
        meaning = self._family.judge(event)
        if meaning is Meaning.WRONG and self._ready_at is not None:
            reset = isinstance(event, Condition)
            worded = event.text if isinstance(event, Condition | ErrorReply) else ""
            said = worded or f"it says {type(event).__name__.lower()}"
            detail = f"the module is not doing what it was told ({said}); it is set up again"
            self._set_up_again("reader_resets" if reset else "reader_confused", detail)
        elif meaning in (Meaning.ALIVE, Meaning.AGAIN):
            self._heard = now
            self._resumes = 0
            if meaning is Meaning.AGAIN:
                self._next_round()
            elif not self._inventory and self._ready_at is not None and now - self._stopped_at > STOP_AGAIN_S:
                self._stop()  # it streams though nobody asked for it

    def _cancel(self) -> None:
        super()._cancel()
        self._stop_rounds()
        self._state.rest()


def _report(tag: Tag, now: float) -> TagRead:
    return TagRead(
        tag.epc, tag.pc, tag.antenna, tag.rssi_dbm, tag.rssi_raw, now, tag.phase, tag.freq_khz, tag.read_count
    )
