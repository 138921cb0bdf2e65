"""The board's process: load the files, run the app, feed the watchdog, apply a changed board file.

SIGTERM, SIGINT and any exception leave the outputs safe.  Exit codes: 0 ended on request, 2 bad board or
site file, 70 a defect (systemd restarts), 71 a device that must be there is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
import time
from pathlib import Path

from firmware.app import App, Mode
from firmware.boardfile import BoardFileError, device_tree_fault, load, load_site
from firmware.boardschema import Board
from firmware.logwriter import LogWriter
from firmware.loop import Guard
from firmware.sdnotify import Notifier
from firmware.worker import ThreadWorker
from hal.pins.outputs import PinsError

log = logging.getLogger("run")

OK, BAD_FILE, DEFECT, NO_DEVICE = 0, 2, 70, 71
LOOK_S = 2.0
"""The board file is looked at this often."""
HELD_S = 2.0
"""A program that is just ending may hold the data folder so long."""


class Process:
    """One board process; ``run()`` returns the exit code."""

    def __init__(self, path: Path, site_path: Path) -> None:
        self.path = path
        self.board = load(path)
        self.site = load_site(site_path)
        fault = device_tree_fault(self.board)
        if fault is not None:
            raise BoardFileError([f"{path}: {fault}"])
        self._folder = hold(site_path, Path(self.site.data))
        self.loop = asyncio.new_event_loop()
        self.guard = Guard(self.loop, self._crash)
        self.notifier = Notifier()
        self.code = OK
        self.app: App | None = None
        self._wanted: Board | None = None
        self._before: Board | None = None
        self._gave_way: str | None = None
        self._seen = _stamp(path)
        self._looking = False

    def run(self) -> int:
        """Run until a signal or a defect; applies changed board files on the way."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self._stop, number)
        self.loop.add_signal_handler(signal.SIGHUP, self._look_now)
        feed = (self.notifier.watchdog_s or 3.0) / 3
        self.guard.every(feed, self._feed)
        self.guard.every(LOOK_S, self._look)
        try:
            while self._once():
                log.warning("the changed board file is applied")
        finally:
            self.notifier.send("STOPPING=1")
            self.notifier.close()
            self.loop.close()
            os.close(self._folder)
        return self.code

    def _once(self) -> bool:
        """One life of an app; True when it ended to take a changed board file."""
        if self._wanted is not None:
            self._before = self.board if self._gave_way is None else None
            self.board, self._wanted = self._wanted, None
        app = self.app = App(self.board, self.site, self.guard, Mode(ThreadWorker, reload=self._look_now))
        try:
            self.loop.call_soon(self.guard.call, self._begin, app)
            self.loop.run_forever()
        finally:
            with contextlib.suppress(Exception):
                app.safe()
            self.notifier.send("WATCHDOG=1")  # an end may take as long as systemd's patience
            app.close()
            self.notifier.send("WATCHDOG=1")
            self.app = None
            # Let transports and cancelled tasks of this life end before the next one begins.
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        return self._next() and self.code == OK

    def _next(self) -> bool:
        return self._wanted is not None

    def _begin(self, app: App) -> None:
        try:
            app.start()
        except PinsError as error:
            if self._before is not None:
                log.error("the changed board file cannot run, the one before is taken again: %s", error)
                self._wanted, self._gave_way = self._before, str(error)
                self.loop.stop()
                return
            log.critical("%s", error)
            self.code = NO_DEVICE
            self.notifier.send(f"STATUS={error}"[:200])
            self.loop.stop()
            return
        self._before = None
        if self._gave_way is not None:
            app.station.faults.raise_("board-file", self._gave_way, f"mend {self.path.name}")
            self._gave_way = None
        self.notifier.send("READY=1", f"STATUS={self.site.board} runs")

    # -- ends ----------------------------------------------------------------------------------

    def _stop(self, number: int) -> None:
        log.warning("%s: outputs go to their safe values", signal.Signals(number).name)
        self._wanted = None
        if self.app is not None:
            self.app.safe()
        self.loop.stop()

    def _crash(self, reason: str) -> None:
        if self.app is not None:
            self.app.safe()
        self.code = DEFECT
        self._wanted = None
        self.notifier.send(f"STATUS=ended by a defect: {reason}"[:200])
        self.loop.stop()

    # -- watchdog ------------------------------------------------------------------------------

    def _feed(self) -> None:
        if self.app is None:
            return
        stale = self.app.heartbeats.stale(self.loop.time())
        if stale:
            log.error("the watchdog is not fed: %s", "; ".join(stale))
            return
        self.notifier.send("WATCHDOG=1")

    # -- the board file ------------------------------------------------------------------------

    def _look_now(self) -> None:
        self._seen = None
        self.guard.call(self._look)

    def _look(self) -> None:
        app = self.app
        if app is None:
            return
        if self._wanted is not None:
            if app.idle():
                self.loop.stop()
            return
        if self._looking:
            return
        self._looking = True
        app.worker.submit(self._read, self._loaded)

    def _read(self) -> Board | None:
        now = _stamp(self.path)
        if now == self._seen:
            return None
        self._seen = now
        return load(self.path)

    def _loaded(self, board: Board | None, error: Exception | None) -> None:
        self._looking = False
        app = self.app
        if app is None:
            return
        faults = app.station.faults
        if isinstance(error, BoardFileError):
            if faults.raise_("board-file", "; ".join(error.faults)[:300], f"mend {self.path.name}"):
                log.error("the changed board file is not applied: %s", error)
        elif error is not None:
            raise error
        elif board is not None:
            faults.clear("board-file")
            if board != self.board:
                if board.board.model != self.board.board.model:
                    faults.raise_("board-file", "the model was changed", "restart the board for that")
                    return
                self._wanted = board
                self._look()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


class FolderHeld(BoardFileError):
    """Another board program runs on this data folder."""


def hold(site_path: Path, folder: Path) -> int:
    """Hold the data folder for this process alone, also on a read-only disk; two programs on one folder
    would admit side by side. Returns a descriptor that holds it. Raises FolderHeld, and BoardFileError where
    the folder cannot be used. The lock ends with the process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise BoardFileError(
            [
                f"{site_path}: data: the folder {folder} cannot be used: {error.strerror}; "
                "check the path, its owner and that its disk is mounted"
            ]
        ) from None
    until = time.monotonic() + HELD_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(handle)
                raise FolderHeld(
                    [
                        f"{site_path}: data: another board program runs on {folder}; only one may: "
                        'end it (systemctl status "tallygate-board@*")'
                    ]
                ) from None
            time.sleep(0.05)
            continue
        except OSError as error:  # a network file system without locks
            log.warning("%s cannot be locked (%s): see that no second program uses it", folder, error)
        return handle


def run(path: Path, site_path: Path) -> int:
    """Run the board of ``path``. Raises BoardFileError."""
    return Process(path, site_path).run()


def configure_logging(level: str) -> None:
    """Plain lines on standard error: journald adds time and unit."""
    format = "%(levelname).1s %(name)s: %(message)s"
    logging.basicConfig(level=level.upper(), format=format, handlers=[LogWriter(sys.stderr)])
