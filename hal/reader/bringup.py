"""Bringing a module up as a table: what to send, what must come back, how long, how often. Pure.

Time is an argument; nothing here touches a port. The driver sends what ``Sequence`` hands out, feeds it
the events, and calls it again at ``deadline``.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Rows
from dataclasses import dataclass
from typing import Generic, TypeVar

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Row(Generic[E]):
    """One step. ``send``: the bytes, or what makes them when the step's turn has come.

    ``accepts`` judges an event: True = done, a text = the module answered wrongly (the reason), None =
    not an answer to this step. ``quiet_s`` instead of ``accepts``: the step is done when the line has
    been silent for so long. ``optional`` steps may fail: some modules do not know the command. ``again``:
    what is sent instead of ``send`` when the step is tried again.
    """

    name: str
    send: bytes | Callable[[], bytes]
    accepts: Callable[[E], bool | str | None] | None
    timeout_s: float
    retries: int
    check: str
    quiet_s: float = 0.0
    optional: bool = False
    again: bytes | None = None

    def frame(self, tries: int = 0) -> bytes:
        """What goes out at try ``tries``, from 0."""
        if tries and self.again is not None:
            return self.again
        return self.send() if callable(self.send) else self.send


class Sequence(Generic[E]):
    """Runs ``rows`` from ``now``; finished when ``done``; ``failed`` then holds the reason or None."""

    def __init__(self, rows: Rows[Row[E]], send: Callable[[bytes], None], now: float) -> None:
        self._rows = rows
        self._send = send
        self._at = -1
        self._tries = 0
        self._wrong = ""
        self._gives_up = 0.0
        self.deadline = now
        self.done = False
        self.failed: str | None = None
        self.check = ""
        self.skipped: list[str] = []
        self._next(now)

    def event(self, event: E, now: float) -> None:
        """Something came in."""
        if self.done:
            return
        row = self._rows[self._at]
        if row.accepts is None:
            self.traffic(now)
            return
        verdict = row.accepts(event)
        if verdict is True:
            self._next(now)
        elif isinstance(verdict, str):
            self._wrong = verdict
            self._again(now)

    def traffic(self, now: float) -> None:
        """Bytes came in, whatever they are: a quiet step waits on, up to its time limit."""
        if not self.done and (quiet_s := self._rows[self._at].quiet_s):
            self.deadline = min(now + quiet_s, self._gives_up)

    def time(self, now: float) -> None:
        """Call at ``deadline``."""
        if self.done or now < self.deadline - 1e-9:
            return
        if self._rows[self._at].accepts is None and now < self._gives_up - 1e-9:
            self._next(now)
            return
        self._again(now)

    def _next(self, now: float) -> None:
        self._at += 1
        self._tries = 0
        self._wrong = ""
        if self._at == len(self._rows):
            self.done = True
            return
        self._try(now)

    def _try(self, now: float) -> None:
        row = self._rows[self._at]
        self._gives_up = now + row.timeout_s
        self.deadline = min(now + row.quiet_s, self._gives_up) if row.accepts is None else self._gives_up
        self._send(row.frame(self._tries))

    def _again(self, now: float) -> None:
        row = self._rows[self._at]
        self._tries += 1
        if self._tries <= row.retries:
            self._try(now)
        elif row.optional:
            self.skipped.append(row.name)
            self._next(now)
        else:
            silent = "kept sending" if row.accepts is None else f"no answer in {row.timeout_s:g} s"
            self.done = True
            self.failed = f"{row.name}: {self._wrong or silent} ({self._tries} tries)"
            self.check = row.check
