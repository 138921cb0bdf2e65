"""A simulated GM65 scanner head: reads what is held before it and speaks the real bytes.

On a pseudo-terminal, or inline for stepped time; in both the head repeats a code as long as it is held
there, as a real one does in continuous mode. Never loaded on a real board.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import tty
from collections.abc import Callable
from pathlib import Path

from hal.scanner.lines import answer, read_command

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


class SimulatedGm65:
    """``head`` on a pseudo-terminal; ``port`` is the path to open, the same after every ``plug``.

    ``link``: where to put that path (default: a temporary folder of its own). Runs on the loop. Raises
    OSError when the terminal or the link cannot be made.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        link: Path | None = None,
        head: Head | None = None,
        repeat_s: float = REPEAT_S,
    ) -> None:
        self.head = head if head is not None else Head()
        self._folder = tempfile.TemporaryDirectory(prefix="gm65-") if link is None else None
        self._link = link if link is not None else Path(self._folder.name) / "tty"  # type: ignore[union-attr]
        self.port = str(self._link)
        self._loop = loop
        self._repeat_s = repeat_s
        self._master = self._slave = -1
        self._timer: asyncio.TimerHandle | None = None
        self.plug(True)

    def hold(self, code: bytes | None) -> None:
        """Hold this code before the head, or take it away."""
        self.head.held = code
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if code is not None:
            self._again()

    def send(self, data: bytes) -> None:
        """Put these bytes on the line as they are: noise, half a code."""
        if self._master >= 0:
            os.write(self._master, data)

    def plug(self, plugged: bool) -> None:
        """Put the head on the port, or pull it."""
        if plugged == (self._master >= 0):
            return
        if not plugged:
            self._detach()
            return
        # The slave stays open here: a master whose slave nobody holds reports a hang-up without end.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._link.parent.mkdir(parents=True, exist_ok=True)
        part = self._link.with_name(f".{self._link.name}.part")
        part.unlink(missing_ok=True)
        part.symlink_to(os.ttyname(self._slave))
        part.replace(self._link)
        self._loop.add_reader(self._master, self._readable)

    def close(self) -> None:
        """Unplug and clean up. Idempotent."""
        self.hold(None)
        self.plug(False)
        if self._folder is not None:
            self._folder.cleanup()

    def _detach(self) -> None:
        self._loop.remove_reader(self._master)
        self._link.unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1

    def _again(self) -> None:
        self.send(self.head.read())
        self._timer = self._loop.call_later(self._repeat_s, self._again)

    def _readable(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except OSError:
            return
        reply = self.head.feed(data)
        if reply:
            self.send(reply)


class InlineHead:
    """``hal.reader.serial_line.Line`` straight into a ``Head``, for stepped time."""

    def __init__(
        self, head: Head, loop: asyncio.AbstractEventLoop, repeat_s: float = REPEAT_S, plugged: bool = True
    ) -> None:
        self.head = head
        self.port = "the simulated head"
        self._loop = loop
        self._repeat_s = repeat_s
        self._plugged = plugged
        self._turn = 0
        self._on_bytes: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[str], None] = lambda _: None
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, code: bytes | None) -> None:
        self.head.held = code
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if code is not None:
            self._again()

    def send(self, data: bytes) -> None:
        if self._plugged and self._on_bytes is not None and data:
            self._loop.call_soon(self._deliver, self._turn, data)

    def plug(self, plugged: bool) -> None:
        self._plugged = plugged
        if not plugged and self._on_bytes is not None:
            self._loop.call_soon(self._lose, self._turn)

    def open(
        self,
        on_open: Callable[[], None],
        on_bytes: Callable[[bytes], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self.close()
        self._on_bytes, self._on_lost = on_bytes, on_lost
        if self._plugged:
            self._loop.call_soon(self._open_now, self._turn, on_open)
        else:
            self._loop.call_soon(self._lose, self._turn)

    def write(self, data: bytes) -> None:
        self.send(self.head.feed(data))

    def close(self, drain: bool = False) -> None:
        self._turn += 1
        self._on_bytes = None

    def _again(self) -> None:
        self.send(self.head.read())
        self._timer = self._loop.call_later(self._repeat_s, self._again)

    def _open_now(self, turn: int, on_open: Callable[[], None]) -> None:
        if turn == self._turn:
            on_open()

    def _deliver(self, turn: int, data: bytes) -> None:
        if turn == self._turn and self._on_bytes is not None:
            self._on_bytes(data)

    def _lose(self, turn: int) -> None:
        if turn == self._turn:
            self.close()
            self._on_lost(f"{self.port}: it was unplugged")
