"""Ctrl-C while a program still imports its parts: it ends at once, without a traceback.

Imports nothing but ``signal``, so that it can stand before everything else in an entry module.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED = 130
"""Exit code of a program that was ended by Ctrl-C, as shells count it."""


def ends_at_once() -> None:
    """From now on; only where Python would raise KeyboardInterrupt (not where SIGINT is ignored)."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raises_again() -> None:
    """KeyboardInterrupt again: from here on somebody catches it."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
