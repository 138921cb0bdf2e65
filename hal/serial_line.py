"""A serial port on the loop: opened off the loop by pyserial, then read and written without waiting.

The only file that imports pyserial; tag readers and scanner heads share it. Every callback comes on the
loop's thread; none comes after ``close``. A port that is gone, locked or full is reported once, never
raised.
"""

from __future__ import annotations

import asyncio
import errno
import os
import termios
import threading
from collections.abc import Callable
from typing import Any, Protocol

READ_BYTES = 4096


class Line(Protocol):
    """Bytes to and from a module. ``on_lost`` gets the reason; then the line must be opened again."""

    def open(
        self,
        on_open: Callable[[], None],
        on_bytes: Callable[[bytes], None],
        on_lost: Callable[[str], None],
    ) -> None: ...
    def write(self, data: bytes) -> None: ...
    def close(self, drain: bool = False) -> None: ...


class SerialLine:
    """8N1 without flow control at ``baud`` on ``path``; exclusive, so that two programs cannot share it."""

    def __init__(self, path: str, baud: int, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        self._baud = baud
        self._loop = loop
        self._port: Any = None
        self._fd = -1
        self._turn = 0  # an answer of an older turn's thread is for nobody
        self._opener: threading.Thread | None = None
        self._on_bytes: Callable[[bytes], None] = lambda _: None
        self._on_lost: Callable[[str], None] = lambda _: None

    def open(
        self,
        on_open: Callable[[], None],
        on_bytes: Callable[[bytes], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self.close()
        self._on_bytes, self._on_lost = on_bytes, on_lost
        turn = self._turn
        if self._opener is not None and self._opener.is_alive():
            # Opening can hang in the kernel: never pile up threads behind one that does.
            self._loop.call_soon(self._failed, turn, "opening it has not returned")
            return
        self._opener = threading.Thread(
            target=self._open_off_loop, args=(turn, on_open), name="serial-open", daemon=True
        )
        self._opener.start()

    def write(self, data: bytes) -> None:
        """Commands are a few bytes: what does not fit at once means that nobody takes them."""
        if self._port is None:
            return
        try:
            sent = os.write(self._fd, data)
        except OSError as error:
            self._loop.call_soon(self._failed, self._turn, f"writing failed: {error.strerror}")
            return
        if sent < len(data):
            self._loop.call_soon(self._failed, self._turn, "writing failed: the port takes no more bytes")

    def close(self, drain: bool = False) -> None:
        """Give the port up. ``drain``: let what was written go out first, on a thread of its own."""
        self._turn += 1
        if self._port is None:
            return
        self._loop.remove_reader(self._fd)
        port, self._port, self._fd = self._port, None, -1
        if drain:
            # The kernel may hold this call back for as long as the line does not take the bytes.
            threading.Thread(target=_close, args=(port, False), name="serial-close", daemon=True).start()
        else:
            _close(port)

    # -- opening, on a thread of its own -----------------------------------------------------------

    def _open_off_loop(self, turn: int, on_open: Callable[[], None]) -> None:
        port: Any = None
        reason = ""
        try:
            from serial import Serial

            port = Serial(self._path, self._baud, timeout=0, exclusive=True, rtscts=False, dsrdtr=False)
            _settle(port.fileno())
        except Exception as error:
            reason = f"it cannot be opened: {_why(error)}"
            if port is not None:
                _close(port)
                port = None
        try:
            self._loop.call_soon_threadsafe(self._opened, turn, port, reason, on_open)
        except RuntimeError:  # the loop is closed
            if port is not None:
                _close(port)

    def _opened(self, turn: int, port: Any, reason: str, on_open: Callable[[], None]) -> None:
        if turn != self._turn:
            if port is not None:
                _close(port)
            return
        if port is None:
            self._failed(turn, reason)
            return
        self._port, self._fd = port, port.fileno()
        self._loop.add_reader(self._fd, self._readable)
        on_open()

    # -- reading -----------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._failed(self._turn, f"reading failed: {error.strerror}")
            return
        if not data:
            self._failed(self._turn, "it was unplugged")
            return
        self._on_bytes(data)

    def _failed(self, turn: int, reason: str) -> None:
        if turn == self._turn:
            self.close()
            self._on_lost(f"{self._path}: {reason}")


def _settle(fd: int) -> None:
    """After pyserial: reads that return nothing mean the end, and closing must not pulse DTR."""
    os.set_blocking(fd, False)
    try:
        settings = termios.tcgetattr(fd)
        settings[2] &= ~termios.HUPCL
        settings[6][termios.VMIN] = 1
        settings[6][termios.VTIME] = 0
        termios.tcsetattr(fd, termios.TCSANOW, settings)
    except termios.error as error:
        raise OSError(errno.ENOTTY, str(error)) from error


WHY = {
    errno.ENOENT: "there is no such port",
    errno.ENXIO: "nothing is behind it",
    errno.ENODEV: "nothing is behind it",
    errno.EACCES: "no permission for it",
    errno.EPERM: "no permission for it",
    errno.EAGAIN: "another program has it open",
    errno.EBUSY: "another program has it open",
    errno.EISDIR: "it is a folder, not a serial port",
    errno.ENOTTY: "it is not a serial port",
    errno.EINVAL: "it is not a serial port",
}


def _why(error: BaseException) -> str:
    """In words: pyserial's own text repeats the path and the system's number, or hides the cause."""
    number: int | None = getattr(error, "errno", None)
    cause = error.__cause__ or error.__context__
    if number is None and isinstance(cause, termios.error) and cause.args:
        number = cause.args[0]
    if number is None:
        return str(error)
    return WHY.get(number) or os.strerror(number)


def _close(port: Any, discard: bool = True) -> None:
    try:
        if discard:  # else closing can wait for a dead line
            termios.tcflush(port.fileno(), termios.TCOFLUSH)
    except (OSError, termios.error, ValueError):
        pass
    try:
        port.close()
    except Exception:
        pass  # it is gone either way
