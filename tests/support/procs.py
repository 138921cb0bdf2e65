"""Looking at processes through /proc, for tests that nothing is left running."""

from __future__ import annotations

import time
from pathlib import Path


def _stat(pid: str) -> tuple[int, int, str] | None:
    """(parent, start time, state) of a process, None when it has gone."""
    try:
        text = Path("/proc", pid, "stat").read_text()
    except OSError:
        return None
    after = text.rpartition(")")[2].split()
    return int(after[1]), int(after[19]), after[0]


def descendants(pid: int) -> set[tuple[int, int]]:
    """(pid, start time) of every process below ``pid``; the start time tells a reused pid apart."""
    parents: dict[int, list[tuple[int, int]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (found := _stat(entry.name)) is not None:
            parents.setdefault(found[0], []).append((int(entry.name), found[1]))
    below: set[tuple[int, int]] = set()
    waiting = [pid]
    while waiting:
        for child in parents.get(waiting.pop(), []):
            below.add(child)
            waiting.append(child[0])
    return below


def alive(processes: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of ``processes`` that still run (zombies do not)."""
    left = set()
    for pid, started in processes:
        found = _stat(str(pid))
        if found is not None and found[1] == started and found[2] not in "ZX":
            left.add((pid, started))
    return left


def wait_gone(processes: set[tuple[int, int]], limit_s: float = 15.0) -> set[tuple[int, int]]:
    """Wait until none runs any more; returns those that still do after ``limit_s``."""
    deadline = time.monotonic() + limit_s
    while (left := alive(processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left
