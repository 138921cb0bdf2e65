"""What simulated serial modules stand on: a pseudo-terminal at a stable path, or a line without one.

``Terminal`` is opened as a real port by any program; ``InlineTerminal`` is ``hal.serial_line.Line``
for stepped time, which a terminal's way through the kernel would not wait for. Never loaded on a real board.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import tty
from collections.abc import Callable
from pathlib import Path


class Terminal:
    """``port`` is the path to open, the same after every ``plug``; it begins unplugged.

    ``link``: where to put that path (default: a temporary folder of its own, named after ``kind``). Runs on
    the loop. ``plug`` raises OSError when the terminal or the link cannot be made.
    """

    def __init__(self, kind: str, loop: asyncio.AbstractEventLoop, link: Path | None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix=f"{kind}-") if link is None else None
        self._link = link if link is not None else Path(self._folder.name) / "tty"  # type: ignore[union-attr]
        self.port = str(self._link)
        self._loop = loop
        self._master = self._slave = -1
        self.overrun = 0
        """Bytes nobody took in time (the terminal's buffer was full), as on a real UART."""

    @property
    def plugged(self) -> bool:
        return self._master >= 0

    def plug(self, plugged: bool) -> None:
        """Put the module on the port, or pull it."""
        if plugged == self.plugged:
            return
        if plugged:
            self._attach()
        else:
            self._detach()

    def send(self, data: bytes) -> None:
        """Put these bytes on the line as they are; on none when it is unplugged."""
        if not (data and self.plugged):
            return
        try:
            sent = os.write(self._master, data)
        except OSError:
            sent = 0
        self.overrun += len(data) - sent

    def close(self) -> None:
        """Unplug and clean up. Idempotent."""
        self.plug(False)
        if self._folder is not None:
            self._folder.cleanup()

    def _hear(self, data: bytes) -> None:
        """Bytes from whoever opened the port."""

    def _attach(self) -> None:
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

    def _detach(self) -> None:
        self._loop.remove_reader(self._master)
        self._link.unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1

    def _readable(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except OSError:
            return
        self._hear(data)


class InlineTerminal:
    """``hal.serial_line.Line`` straight into a module; whatever it calls back comes in a later turn
    of the loop, as from a real port. ``port`` is its name in messages."""

    def __init__(self, port: str, loop: asyncio.AbstractEventLoop, plugged: bool) -> None:
        self.port = port
        self._loop = loop
        self._plugged = plugged
        self._turn = 0  # what was sent to an older turn is for nobody
        self._on_bytes: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[str], None] = lambda _: None

    def plug(self, plugged: bool) -> None:
        """Put the module on the line, or pull it."""
        self._plugged = plugged
        if not plugged and self._on_bytes is not None:
            self._loop.call_soon(self._lose, self._turn)

    def send(self, data: bytes) -> None:
        """Put these bytes on the line as they are; on none when it is unplugged or nobody opened it."""
        if self._plugged and self._on_bytes is not None and data:
            self._loop.call_soon(self._deliver, self._turn, data)

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

    def close(self, drain: bool = False) -> None:
        self._turn += 1
        self._on_bytes = None

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
