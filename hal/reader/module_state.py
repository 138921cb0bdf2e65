"""What a module says of itself beside its tags, told to the board: conditions that last, moments, figures.

On the loop, for the driver; one that lasts is told twice, one of a moment now and then, a figure is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from hal.ports import DeviceNote, Event
from hal.reader.conditions import LASTING, Conditions
from hal.reader.events import CONDITIONS, Condition

LOOK_S = 1.0
"""How often a condition is looked at."""
TOLD_EVERY = 100
"""A moment that happens again and again is told each so many times."""


class ModuleState:
    """``send`` posts to the board; ``running`` says whether an inventory runs now."""

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop,
        send: Callable[[Event], None],
        running: Callable[[], bool],
    ) -> None:
        self._name = name
        self._loop = loop
        self._send = send
        self._running = running
        self._conditions = Conditions(name)
        self._look: asyncio.TimerHandle | None = None
        self.figures: dict[str, int] = {}
        """Counters of moments and the module's own figures, for health."""

    def heard(self, event: Condition, now: float) -> None:
        """The module has said it."""
        if event.name in LASTING:
            self._tell(self._conditions.seen(event, now))
            if self._look is None:
                self._look = self._loop.call_later(LOOK_S, self._look_again)
        elif event.name == "temperature":
            if event.value is not None:
                self.figures["reader_temperature_c"] = round(event.value)
        elif event.name != "reset":  # that one is told when the module is set up again
            counter = f"reader_{event.name.replace('-', '_')}"
            count = self.figures[counter] = self.figures.get(counter, 0) + 1
            if count == 1 or count % TOLD_EVERY == 0:
                detail = event.text or CONDITIONS.get(event.name, event.name)
                self._send(DeviceNote(self._name, counter, detail, now))

    def tag(self, antenna: int, now: float) -> None:
        """A tag was read."""
        if self._conditions:
            self._tell(self._conditions.tag(antenna, now))

    def lost(self) -> None:
        """The module is gone: what it said counts no more."""
        self._tell(self._conditions.lost(self._loop.time()))

    def rest(self) -> None:
        """No callback from now on, until the module speaks again."""
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _look_again(self) -> None:
        self._look = None
        self._tell(self._conditions.time(self._loop.time(), running=self._running()))
        if self._conditions:
            self._look = self._loop.call_later(LOOK_S, self._look_again)

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self._send(event)
