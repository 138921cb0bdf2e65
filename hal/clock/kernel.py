"""The wall clock of a real board, with the kernel's own word on whether it is synchronised.

``adjtimex(2)``: STA_UNSYNC (0x40) in ``status``, or return value TIME_ERROR (5), means that nobody
disciplines the clock.  Reads only; never sets the clock.
"""

from __future__ import annotations

import ctypes
import time

STA_UNSYNC = 0x40
TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """struct timex of <sys/timex.h> on Linux, 208 bytes on 64-bit; only ``status`` is read."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


class KernelClock:
    """Wall time; ``quality()`` is "synced" when the kernel says so, else "unsynced"."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def quality(self) -> str:
        timex = _Timex()
        state = self._libc.adjtimex(ctypes.byref(timex))
        good = state not in (-1, TIME_ERROR) and not timex.status & STA_UNSYNC
        return "synced" if good else "unsynced"
