"""The board's one event loop: guarded callbacks, named slow ones, and a stepped clock for tests.

Everything on the loop thread runs inside ``Guard.call``: a callback that holds the loop over 20 ms is
logged by name, and an exception calls ``crash`` (outputs to safe, process ends, systemd restarts it).
Nothing here may block, except the selector.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import threading
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger("loop")

SLOW_S = 0.020
"""A callback longer than this is logged by name."""


class Guard:
    """Runs callbacks on the loop thread; the only door for other threads is ``post``.

    ``crash(reason)`` is called once, on the first exception of any callback.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, crash: Callable[[str], None]) -> None:
        self.loop = loop
        self.slow = 0
        self._crash = crash
        self._thread = threading.get_ident()
        loop.set_exception_handler(self._unguarded)

    def call(self, fn: Callable[..., Any], *args: Any) -> None:
        """Run ``fn`` now, on the loop thread."""
        began = time.perf_counter()
        try:
            fn(*args)
        except Exception as error:
            log.critical("%s failed: %s", _name(fn), error, exc_info=True)
            self._crash(f"{_name(fn)}: {error}")
            return
        took = time.perf_counter() - began
        if took > SLOW_S:
            self.slow += 1
            log.warning("%s held the loop for %.0f ms", _name(fn), took * 1000)

    def post(self, fn: Callable[..., Any], *args: Any) -> None:
        """Run ``fn`` on the loop thread soon; callable from any thread, also while closing."""
        try:
            self.loop.call_soon_threadsafe(self.call, fn, *args)
        except RuntimeError:
            # The loop is closed: a thread reports to a board that has already gone.
            log.debug("dropped %s: the loop is closed", _name(fn))

    def at(self, when: float, fn: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        """Run ``fn`` at the loop time ``when``, s."""
        return self.loop.call_at(when, self.call, fn, *args)

    def every(self, period_s: float, fn: Callable[[], Any]) -> Callable[[], None]:
        """Run ``fn`` each ``period_s``; returns a function that ends it. Missed turns are not made up."""
        handle: asyncio.TimerHandle

        def turn() -> None:
            nonlocal handle
            handle = self.loop.call_later(period_s, turn)
            self.call(fn)

        handle = self.loop.call_later(period_s, turn)

        def stop() -> None:
            handle.cancel()

        return stop

    def _unguarded(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        log.critical("unguarded callback failed: %s", context.get("message"), exc_info=error)
        self._crash(str(error or context.get("message")))


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__qualname__", repr(fn))


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves only when nothing is left to do.

    ``time()`` is virtual seconds since construction.  When no file descriptor is ready and the next timer
    lies ahead, the clock jumps to it; a shop day passes in seconds and every run is the same.
    ``outstanding`` (a callable) holds the clock while a thread still works for the board.
    """

    def __init__(self, start: float = 1000.0) -> None:
        self._virtual = start
        self.outstanding: Callable[[], bool] = lambda: False
        super().__init__(_SteppedSelector(self))

    def time(self) -> float:
        return self._virtual

    def advance(self, seconds: float) -> None:
        """Run everything that falls due within ``seconds`` and stand at their end."""
        until = self._virtual + seconds
        done = self.create_future()
        self.call_at(until, done.set_result, None)
        self.run_until_complete(done)

    def jump(self, seconds: float) -> None:
        self._virtual += seconds


class _SteppedSelector(selectors.DefaultSelector):
    def __init__(self, owner: SteppedLoop) -> None:
        super().__init__()
        self._owner = owner

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self._owner.outstanding():
            # Only another thread or a descriptor can bring the next thing to do.
            return super().select(0.05 if timeout is None else 0.001)
        self._owner.jump(timeout)
        return ready
