"""The machine under the board: its model, its disk, its clock."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

from firmware.boardfile import device_tree_fault
from firmware.hardware import wall_clock
from firmware.selftest.bench import Bench, Result

SLOW_FSYNC_MS = 50.0
LEAST_FREE_MB = 200


def model(bench: Bench) -> Result:
    fault = device_tree_fault(bench.board)
    name = bench.board.board.model
    return Result(
        fault is None, fault or f"board file for {name}, {bench.role}", "use the board file of this model"
    )


def disk(bench: Bench) -> Result:
    data = Path(bench.site.data)
    check = f"is {data} on the card, writable and not full (df, dmesg)?"
    probe = data / "selftest.tmp"
    times = []
    try:
        data.mkdir(parents=True, exist_ok=True)
        for _ in range(20):
            began = time.perf_counter()
            with probe.open("wb") as file:
                file.write(os.urandom(4096))
                file.flush()
                os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
        probe.unlink()
        stat = os.statvfs(data)
    except OSError as error:
        return Result(False, f"{data}: {error.strerror}", check)
    middle, free = statistics.median(times), stat.f_bavail * stat.f_frsize / 1e6
    found = f"fsync {middle:.1f} ms median, {max(times):.0f} ms worst; {free:.0f} MB free"
    if free < LEAST_FREE_MB:
        return Result(False, found, f"less than {LEAST_FREE_MB} MB are free: clear the card")
    return Result(True if middle < SLOW_FSYNC_MS else None, found, "a slow or dying card: replace it")


def clock(bench: Bench) -> Result:
    quality = wall_clock(bench.board).quality()
    good = quality != "unsynced"
    return Result(good or None, f"wall clock {quality}", "network, then timedatectl; passes need the time")
