"""The display's own thread: pictures are drawn and written there, the newest screen wins.

``show`` only leaves a screen and returns; a slow, hung or missing display never holds the loop and never
raises into it. A display that fails is reported once, tried again from time to time, and reported back.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from hal.ports import DeviceBack, DeviceLost, Event, Post, Screen

log = logging.getLogger("display")

RETRY_S = 5.0
CLOSE_S = 1.0
OUT_OF_SERVICE = Screen("stop", ("Out of service", "Please ask for help"))
"""Left behind by ``close``: a panel keeps its last picture, and "Welcome" would then be a lie."""


class DisplayFault(Exception):
    """A picture cannot be shown. ``check`` says what to look at."""

    def __init__(self, reason: str, check: str) -> None:
        super().__init__(f"{reason}; check: {check}")
        self.reason = reason
        self.check = check


class Painter:
    """``Display`` around ``paint(screen)``, which runs on the thread "display" and may raise.

    ``post`` receives DeviceLost and DeviceBack ("display") on ``loop``, or on the loop that runs while
    this object is made; without ``post`` they are only logged.
    """

    def __init__(
        self,
        paint: Callable[[Screen], None],
        release: Callable[[], None] = lambda: None,
        *,
        post: Post | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        retry_s: float = RETRY_S,
    ) -> None:
        self._paint = paint
        self._release = release
        self._post = post
        self._loop = asyncio.get_running_loop() if post is not None and loop is None else loop
        self._retry_s = retry_s
        self._change = threading.Condition()
        self._next: Screen | None = None
        self._closed = False
        self._fault: DisplayFault | None = None
        self._shown: Screen | None = None
        self._painted = 0
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="display", daemon=True)
        self._thread.start()

    @property
    def fault(self) -> str | None:
        """Why the display shows nothing now, or None."""
        return str(self._fault) if self._fault is not None else None

    @property
    def shown(self) -> Screen | None:
        """The screen that was painted last."""
        return self._shown

    def stats(self) -> dict[str, int]:
        """Pictures painted, and screens that a newer one overtook."""
        return {"display_painted": self._painted, "display_overtaken": self._dropped}

    def show(self, screen: Screen) -> None:
        """Leave ``screen`` to be painted as soon as the thread is free. Never waits for the device."""
        with self._change:
            if self._closed:
                return
            if self._next is not None:
                self._dropped += 1
            self._next = screen
            self._change.notify()

    def close(self) -> None:
        """Paint "out of service" and give the device up; bounded. Idempotent, never raises."""
        with self._change:
            if self._closed:
                return
            self._next = OUT_OF_SERVICE
            self._closed = True
            self._change.notify()
        self._thread.join(CLOSE_S)  # one that hangs in the kernel is left behind

    # -- on the thread "display" -------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._change:
                if self._next is None and not self._closed:
                    retry = self._fault is not None
                    self._change.wait(self._retry_s if retry else None)
                    if self._next is None and retry and not self._closed:
                        self._next = self._wanted
                screen, self._next = self._next, None
                closed = self._closed
            if screen is not None:
                self._wanted = screen
                self._attempt(screen)
            if closed:
                self._quietly_release()
                return

    _wanted: Screen | None = None

    def _attempt(self, screen: Screen) -> None:
        try:
            self._paint(screen)
        except DisplayFault as fault:
            self._lost(fault)
        except ImportError as error:
            self._lost(DisplayFault(f"{error.name} is not installed", "pip install 'tallygate[display]'"))
        except OSError as error:
            self._lost(DisplayFault(f"{error.filename or 'writing'}: {error.strerror}", "the panel's cable"))
        except Exception as error:
            if self._fault is None:
                log.exception("a screen could not be drawn")
            self._lost(DisplayFault(f"{type(error).__name__}: {error}", "the log: this is a defect"))
        else:
            self._shown = screen
            self._painted += 1
            if self._fault is not None:
                self._fault = None
                self._tell("back", lambda now: DeviceBack("display", now))

    def _lost(self, fault: DisplayFault) -> None:
        first, self._fault = self._fault is None, fault
        self._quietly_release()
        if first:
            self._tell(f"lost: {fault}", lambda now: DeviceLost("display", fault.reason, fault.check, now))

    def _quietly_release(self) -> None:
        try:
            self._release()
        except Exception as error:
            log.debug("releasing the display: %s", error)

    def _tell(self, words: str, event: Callable[[float], Event]) -> None:
        """Once, to whoever listens; the listener logs it."""
        loop, post = self._loop, self._post
        if loop is None or post is None:
            log.warning("the display is %s", words)
            return
        try:
            loop.call_soon_threadsafe(lambda: post(event(loop.time())))
        except RuntimeError:
            pass  # the loop is closed: nobody is left to be told
