"""What drivers of a serial module share: one deadline, lost once and opened again ever later, back once.

Tag readers and scanner heads build on it. Nothing is posted, and no deadline is set, once ``_post`` is None.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from hal.ports import DeviceBack, DeviceLost, Event, Post
from hal.serial_line import Line

STABLE_S = 10.0
"""A module that was there for so long is opened again as soon as one lost for the first time."""


class SerialDevice(ABC):
    """``name``: in events. ``kind``: what its counters begin with. The driver sets ``_loop`` and ``_line``,
    at the latest when it sets ``_post``."""

    _loop: asyncio.AbstractEventLoop
    _line: Line

    def __init__(self, name: str, kind: str) -> None:
        self._name = name
        self._kind = kind
        self._post: Post | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gap: asyncio.TimerHandle | None = None
        self._lost = False
        self._failures = 0
        self._counts = {f"{kind}_opened": 0, f"{kind}_lost": 0}

    @abstractmethod
    def _open(self) -> None:
        """Open the line."""

    def _lose(self, reason: str, check: str, there_since: float | None, backoff_s: Sequence[float]) -> None:
        """Tell it once and open the port again later: ``backoff_s`` are the pauses, the last one for good.

        ``there_since``: since when the module was known to be there, None when it was not.
        """
        now = self._loop.time()
        if there_since is not None and now - there_since >= STABLE_S:
            self._failures = 0
        if not self._lost:
            self._lost = True
            self._counts[f"{self._kind}_lost"] += 1
            self._send(DeviceLost(self._name, reason, check, now))
        wait = backoff_s[min(self._failures, len(backoff_s) - 1)]
        self._failures += 1
        self._arm(wait, self._open)

    def _back(self) -> None:
        """It is there: told once, when it was lost before."""
        if self._lost:
            self._lost = False
            self._send(DeviceBack(self._name, self._loop.time()))

    def _arm(self, seconds: float, then: Callable[[], None]) -> None:
        """The one deadline from now on."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, then) if self._post is not None else None

    def _cancel(self) -> None:
        for handle in (self._timer, self._gap):
            if handle is not None:
                handle.cancel()
        self._timer = self._gap = None

    def _send(self, event: Event) -> None:
        if self._post is not None:
            self._post(event)
