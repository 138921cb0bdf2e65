"""A serial scanner head of the GM65 class as a source of codes, beside or instead of the camera.

The head reads by itself (continuous mode) and sends each code as a line. It is never configured from
here: a technician sets it up once with the codes in its manual. Payloads are posted and kept nowhere.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

from hal.ports import CodeSeen, DeviceNote, Post, Progress
from hal.scanner.lines import VERSION_ADDRESS, Answer, Lines, read_command
from hal.serial_device import SerialDevice
from hal.serial_line import Line as Port
from hal.serial_line import SerialLine

MAX_CODES = 32
"""Codes remembered as in view; the one seen longest ago is forgotten first."""
CHECK = "the scanner's cable, its supply and scanner.port in the board file"
CHECK_SETUP = "scan the codes 'serial output', 'continuous mode' and 'tail CR' of the scanner's manual"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. ``rearm_s``: a code counts again after it was not read for so long. ``gap_s``: a line that
    pauses for longer is given up. ``ask_s``: how often the head is asked whether it is there; ``answer_s``:
    how long one answer may take. ``open_s``: how long opening the port may take. ``backoff_s``: pauses before
    a lost port is opened again; the last one for good."""

    rearm_s: float = 3.0
    gap_s: float = 0.25
    ask_s: float = 10.0
    answer_s: float = 1.0
    open_s: float = 5.0
    backoff_s: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)


ASK_TRIES = 3


class Gm65(SerialDevice):
    """``Source`` of CodeSeen, Progress and the device events of "scanner".

    A head that has answered once must go on answering; one that never did (its receive wire is not
    connected, or it is of another make) is read all the same, and only an unplugged USB port is noticed.
    ``line`` replaces the serial port in stepped time. ``ask`` False sends nothing to the head at all.
    """

    def __init__(
        self,
        port: str,
        baud: int = 9600,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        terminators: bytes = b"\r\n",
        timing: Timing | None = None,
        ask: bool = True,
        line: Port | None = None,
        name: str = "scanner",
    ) -> None:
        super().__init__(name, "scanner")
        self._port = port
        self._baud = baud
        self._given_loop = loop
        self._timing = timing if timing is not None else Timing()
        self._ask_head = ask
        self._given_line = line
        self._codec = Lines(terminators)
        self._in_view: dict[bytes, float] = {}
        self._began: float | None = None
        self._opened_at: float | None = None
        self._tries = 0
        self._answers = False
        self._told: set[str] = set()
        self._counts["scanner_repeats"] = 0

    # -- the port ----------------------------------------------------------------------------------

    def start(self, post: Post) -> None:
        """Open the port. On the loop's thread, once."""
        self._post = post
        self._loop = self._given_loop if self._given_loop is not None else asyncio.get_running_loop()
        self._line = self._given_line or SerialLine(self._port, self._baud, self._loop)
        self._open()

    def close(self) -> None:
        """Give the port up. Idempotent."""
        if self._post is None:
            return
        self._post = None
        self._cancel()
        self._line.close()

    def stats(self) -> dict[str, int]:
        """Counters for health, numbers only."""
        return {**self._counts, **{f"scanner_{name}": n for name, n in self._codec.counters.items()}}

    # -- opening and losing ------------------------------------------------------------------------

    def _open(self) -> None:
        self._arm(self._timing.open_s, self._open_timed_out)
        self._line.open(self._opened, self._bytes, self._fail)

    def _open_timed_out(self) -> None:
        self._fail(f"{self._port}: opening it takes longer than {self._timing.open_s:g} s")

    def _opened(self) -> None:
        self._counts["scanner_opened"] += 1
        self._codec.reset()
        self._began = None
        self._opened_at = self._loop.time()
        self._tries = 0
        if not (self._answers and self._ask_head):
            self._back()  # of a head that has never answered, an open port is all that can be known
        if self._ask_head:
            self._ask()
        elif self._timer is not None:
            self._timer.cancel()

    def _fail(self, reason: str) -> None:
        self._cancel()
        self._line.close()
        there_since, self._opened_at = self._opened_at, None
        self._lose(reason, CHECK, there_since, self._timing.backoff_s)

    # -- is it there? ------------------------------------------------------------------------------

    def _ask(self) -> None:
        self._tries += 1
        self._line.write(read_command(VERSION_ADDRESS))
        self._arm(self._timing.answer_s, self._no_answer)

    def _no_answer(self) -> None:
        if self._tries < ASK_TRIES:
            self._ask()
        elif self._answers:
            self._fail(f"{self._port}: the head has not answered {ASK_TRIES} times")
        else:
            detail = f"{self._port}: the head answers no question, so an unplugged one goes unnoticed"
            self._note("scanner_silent", f"{detail}; check: its receive wire, baud, or another make")

    def _answered(self) -> None:
        self._answers = True
        self._tries = 0
        self._back()
        if self._ask_head:
            self._arm(self._timing.ask_s, self._ask)

    # -- bytes -------------------------------------------------------------------------------------

    def _bytes(self, data: bytes) -> None:
        now = self._loop.time()
        if self._began is None:
            self._began = now
        for found in self._codec.feed(data):
            if isinstance(found, Answer):
                self._answered()
            else:
                self._back()
                self._tries = 0
                self._code(found.data, now)
            self._progress(now)
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
        if not self._codec.pending:
            self._began = None
        elif self._post is not None:
            self._gap = self._loop.call_later(self._timing.gap_s, self._quiet)

    def _quiet(self) -> None:
        self._gap = None
        before = self._codec.counters["unfinished"]
        now = self._loop.time()
        for found in self._codec.idle():
            if not isinstance(found, Answer):
                self._code(found.data, now)
                self._progress(now)
        self._began = None
        if self._codec.counters["unfinished"] != before and not self._codec.counters["lines"]:
            detail = f"{self._port}: what the head sends has no line end"
            self._note("scanner_unfinished", f"{detail}; check: baud, and {CHECK_SETUP}")

    def _code(self, data: bytes, now: float) -> None:
        """Post a code that newly came into view. Only digests are kept: payment codes are never stored."""
        key = hashlib.sha256(data).digest()
        last = self._in_view.pop(key, None)
        self._in_view[key] = now
        if len(self._in_view) > MAX_CODES:
            del self._in_view[next(iter(self._in_view))]
        if last is not None and now - last < self._timing.rearm_s:
            self._counts["scanner_repeats"] += 1
            return
        began = self._began if self._began is not None else now
        self._send(CodeSeen(data, self._name, began, now, decoder="head"))

    def _progress(self, now: float) -> None:
        counters = self._codec.counters
        self._send(Progress(self._name, counters["lines"] + counters["answers"], now))

    # -- helpers -----------------------------------------------------------------------------------

    def _note(self, name: str, detail: str) -> None:
        if name not in self._told:
            self._told.add(name)
            self._send(DeviceNote(self._name, name, detail, self._loop.time()))
