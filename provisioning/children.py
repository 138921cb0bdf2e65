"""Child processes of the launcher: each in its own process group, with a log file, ended with its parent.

On Linux every child gets SIGTERM when the launcher dies, however it dies (PR_SET_PDEATHSIG), so that nothing
is left running after a kill -9. Must never signal a process that it did not start.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Child:
    """One started process. ``name`` is for messages; ``log`` holds its output (None: the terminal)."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path | None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start it. With a log it leads its own group (a Ctrl-C in the terminal does not reach it), without
        one it stays in the terminal's foreground group. Raises OSError when the program is not there."""
        self.name = name
        self.log = log
        self._group = log is not None
        parent = os.getpid()

        def before_exec() -> None:
            if _LIBC is not None:
                _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
                if os.getppid() != parent:  # the launcher died in between
                    os._exit(1)

        with contextlib.ExitStack() as stack:
            out = stack.enter_context(log.open("ab")) if log is not None else None
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL if log is not None else None,
                stdout=out,
                stderr=subprocess.STDOUT if out is not None else None,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=self._group,
                preexec_fn=before_exec,
            )

    def ended(self) -> int | None:
        """Its exit code, negative for a signal, or None while it runs."""
        return self.process.poll()

    def last_lines(self, count: int = 8) -> str:
        """The end of its log, for a message about why it ended."""
        if self.log is None:
            return ""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in lines[-count:])

    def ask_to_end(self) -> None:
        """SIGTERM to the process (its own children are its business)."""
        if self.ended() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()

    def finish(self, deadline: float) -> bool:
        """Wait until ``deadline`` (time.monotonic), then SIGKILL its group. True if it ended by itself."""
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
            clean = True
        except subprocess.TimeoutExpired:
            clean = False
        if self._group:
            # also whatever it left behind: the group outlives its leader
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        elif not clean:
            self.process.kill()
        self.process.wait()
        return clean


def end_all(children: Sequence[Child], patience_s: float = 5.0) -> list[str]:
    """End children in the reverse order of their start; names of those that had to be killed."""
    killed = []
    for child in reversed(children):
        child.ask_to_end()
        if not child.finish(time.monotonic() + patience_s):
            killed.append(child.name)
    return killed
