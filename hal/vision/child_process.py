"""How the camera child and the zbar child are started and how they bind themselves to their parent.

By exec, with no inherited descriptor but the ones named, and killed by the kernel when the parent
ends (PR_SET_PDEATHSIG), so that no orphan holds a camera.  No library of the devices is imported.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def start(
    module: str, arguments: Sequence[str], *, keep: Sequence[int], own_group: bool, quiet: bool = False
) -> subprocess.Popen[bytes]:
    """Run ``python -m module ARGUMENTS`` keeping only stderr and the descriptors ``keep``.

    Must be called on a thread that lives as long as the child may: the kernel's death signal follows
    the thread that started it. ``own_group``: a new process group, so that one kill reaches the
    child's children too. ``quiet``: nor stderr (glibc's words at an abort would stand in the log without
    a name). Raises OSError.
    """
    environment = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",  # numpy's linear algebra is not used; its thread pool costs memory
    }
    return subprocess.Popen(
        [sys.executable, "-m", module, "--parent", str(os.getpid()), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if quiet else None,
        close_fds=True,
        pass_fds=tuple(keep),
        process_group=0 if own_group else None,
        env=environment,
    )


def bind(parent: int) -> None:
    """In the child, first of all: die with the parent, leave no core file (a frame may show a code)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit(f"the parent {parent} ended before this process began")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its children


def kill(process: subprocess.Popen[bytes], *, group: bool) -> None:
    """SIGKILL the child (and with ``group`` its process group). Never blocks, never raises."""
    if process.poll() is not None and not group:
        return
    try:
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError):
        pass


def ended_how(code: int) -> str:
    """A return code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
