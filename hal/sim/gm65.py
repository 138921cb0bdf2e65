"""A simulated GM65 scanner head: reads what is held before it and speaks the real bytes.

On a pseudo-terminal, or inline for stepped time; in both the head repeats a code as long as it is held
there, as a real one does in continuous mode. Never loaded on a real board.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from hal.scanner.lines import answer, read_command
from hal.sim.terminal import InlineTerminal, Terminal

REPEAT_S = 0.5


class Head:
    """The module itself, without a line. ``answers`` False: its receive wire is not connected."""

    def __init__(self, *, tail: bytes = b"\r", answers: bool = True, version: int = 0x64) -> None:
        self.tail = tail
        self.answers = answers
        self.version = version
        self.asked = 0
        self.held: bytes | None = None
        self._heard = bytearray()

    def feed(self, data: bytes) -> bytes:
        """What it answers to these bytes: the version of its hardware, or nothing."""
        self._heard += data
        command = read_command(0x00E1)
        reply = b""
        while (at := self._heard.find(command)) >= 0:
            del self._heard[: at + len(command)]
            self.asked += 1
            if self.answers:
                reply += answer(bytes([self.version]))
        del self._heard[: -len(command)]
        return reply

    def read(self) -> bytes:
        """The bytes for the code that is held before it now."""
        return self.held + self.tail if self.held is not None else b""


class _Hand:
    """Holds one code at a time before ``head``, whose readings go to ``send`` again and again."""

    def __init__(
        self, head: Head, loop: asyncio.AbstractEventLoop, repeat_s: float, send: Callable[[bytes], None]
    ) -> None:
        self._head = head
        self._loop = loop
        self._repeat_s = repeat_s
        self._send = send
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, code: bytes | None) -> None:
        self._head.held = code
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if code is not None:
            self._again()

    def _again(self) -> None:
        self._send(self._head.read())
        self._timer = self._loop.call_later(self._repeat_s, self._again)


class SimulatedGm65(Terminal):
    """``head`` on a pseudo-terminal, plugged in; see ``Terminal`` for ``port`` and ``link``. Raises OSError
    when the terminal or the link cannot be made."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        link: Path | None = None,
        head: Head | None = None,
        repeat_s: float = REPEAT_S,
    ) -> None:
        super().__init__("gm65", loop, link)
        self.head = head if head is not None else Head()
        self._hand = _Hand(self.head, loop, repeat_s, self.send)
        self.plug(True)

    def hold(self, code: bytes | None) -> None:
        """Hold this code before the head, or take it away."""
        self._hand.hold(code)

    def close(self) -> None:
        self.hold(None)
        super().close()

    def _hear(self, data: bytes) -> None:
        self.send(self.head.feed(data))


class InlineHead(InlineTerminal):
    """``hal.serial_line.Line`` straight into a ``Head``, for stepped time."""

    def __init__(
        self, head: Head, loop: asyncio.AbstractEventLoop, repeat_s: float = REPEAT_S, plugged: bool = True
    ) -> None:
        super().__init__("the simulated head", loop, plugged)
        self.head = head
        self._hand = _Hand(head, loop, repeat_s, self.send)

    def hold(self, code: bytes | None) -> None:
        """Hold this code before the head, or take it away."""
        self._hand.hold(code)

    def write(self, data: bytes) -> None:
        self.send(self.head.feed(data))
