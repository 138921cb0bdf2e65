"""The one error that commands raise on purpose: a sentence and an exit code. Never a traceback."""

from __future__ import annotations

import errno

BAD_INPUT = 2
"""Exit code for a bad board file or argument."""
FAILED = 1
"""Exit code when the thing itself did not work."""


class Trouble(Exception):
    """``str(error)`` is one sentence that says what, where and what to do. No secrets, no codes."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def in_words(error: OSError) -> str:
    """What the system refused, on which file, and what to check; for errors that nothing nearer has told."""
    where = f"{error.filename}: " if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    check = "; make room on the disk (df -h) and start again" if full else ""
    return f"{where}{error.strerror or error}{check}"
