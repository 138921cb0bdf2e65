"""What every benchmark prints around its figures: machine, date, load; and how it counts percentiles."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path


def machine() -> str:
    """Processor, cores, system, Python, date and the load of the last minute."""
    model = platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("model name"))
    except (OSError, StopIteration):
        pass
    now = datetime.datetime.now(datetime.UTC)
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {now:%Y-%m-%d %H:%M} UTC, load {os.getloadavg()[0]:.1f}"
    )


def title(text: str) -> None:
    print(f"\n{text}\n{machine()}\n", flush=True)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A markdown table."""
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least ``percent`` of 100 of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(len(ordered) * percent) // 100) - 1)] if ordered else float("nan")


def goal(met: bool) -> str:
    return "met" if met else "MISSED"
