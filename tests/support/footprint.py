"""What a running process takes from the machine, as the kernel counts it. Linux only."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUDGETS = Path(__file__).parents[2] / "benchmarks" / "budgets.toml"
PARTS = {"camera": "hal.vision.child", "zbar": "hal.vision.zbar_child"}
"""Name of a board's child process -> the module that it runs."""


@dataclass(frozen=True)
class Footprint:
    """``pss_mb``: proportional set size, 10^6 bytes: memory shared with others counts in parts."""

    pss_mb: float
    threads: int
    descriptors: int


def budgets() -> dict[str, dict[str, Any]]:
    return tomllib.loads(BUDGETS.read_text())


def footprint(pid: int) -> Footprint:
    """Raises OSError when the process is gone."""
    proc = Path(f"/proc/{pid}")
    rollup = (proc / "smaps_rollup").read_text().splitlines()
    pss_kb = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return Footprint(pss_kb * 1024 / 1e6, _entries(proc / "task"), _entries(proc / "fd"))


def _entries(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def cpu_s(pid: int) -> float:
    """Processor time so far, s, in hundredths."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def written(pid: int) -> int:
    """Bytes that the process has caused to be written to a disk."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def parts(loop_pid: int) -> dict[str, int]:
    """The board's processes by name: loop, and camera and zbar where they run."""
    found = {"loop": loop_pid}
    parents = [loop_pid]
    while parents:
        for child in _children(parents.pop()):
            parents.append(child)
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            for name, module in PARTS.items():
                if module.encode() in words:
                    found[name] = child
    return found


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found
