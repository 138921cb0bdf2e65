"""Journal append time and bytes against queue depth, beside TinyDB's default storage in the same run.

    python benchmarks/bench_journal.py [--quick] [--folder DIR]

Both keep the same record (a basket of ten tags) and have taken it to the disk when the call returns. The
folder should lie on the disk in question: /tmp is often memory. Prints a table and ratios; about 60 s,
5 s with --quick (depths 10 and 1,000 only).
"""

from __future__ import annotations

import argparse
import base64
import datetime
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tinydb import TinyDB  # noqa: E402

from firmware.sync import journal_queue  # noqa: E402
from firmware.sync.journal import Journal  # noqa: E402
from firmware.wire import taglist  # noqa: E402
from firmware.wire.records import Admitted, Basket, Kind, Stamp  # noqa: E402
from tests.support.shopmodel import ShopModel  # noqa: E402

DEPTHS = (10, 1_000, 100_000)
APPENDS = 300
TINYDB_APPENDS = {10: 300, 1_000: 100, 100_000: 12}

Row = tuple[str, int, int, float, float, float]
"""What, depth, appends, p50 ms, p99 ms, KB written by each."""


def clock() -> Stamp:
    return Stamp(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000, b"mark", "synced")


def basket() -> bytes:
    tags = taglist.encode(ShopModel(1).basket(10))
    return Basket(clock(), tags, 10, "quiet", b"visit-01").body()


def written() -> int:
    """Bytes this process has caused to be written to a disk, as the kernel counts."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def measure(what: str, depth: int, count: int, call: Callable[[int], object]) -> Row:
    call(-1)
    before, times = written(), []
    for n in range(count):
        start = time.perf_counter()
        call(n)
        times.append((time.perf_counter() - start) * 1000)
    times.sort()
    p99 = times[min(count - 1, int(count * 0.99))]
    return what, depth, count, times[count // 2], p99, (written() - before) / count / 1024


def journal_rows(folder: Path, depth: int) -> list[Row]:
    journal, body = Journal.open(folder / "journal.sqlite", clock=clock), basket()
    for start in range(0, depth, 5000):
        with journal._file.transaction() as db:
            for _ in range(min(5000, depth - start)):
                journal_queue.insert(db, journal._state, body, Kind.BASKET)

    def admit(n: int) -> object:
        visit = (depth * 1000 + n + 2).to_bytes(8, "big")
        return journal.admit(visit, "in", 1, lambda u: Admitted(clock(), visit, "in", u, "entry").body())

    rows = [
        measure("journal append", depth, APPENDS, lambda n: journal.append(body, Kind.BASKET)),
        measure("journal admit (key and record)", depth, APPENDS, admit),
    ]
    journal.close()
    return rows


def tinydb_row(folder: Path, depth: int) -> Row:
    db = TinyDB(folder / "tinydb.json")
    document = {"epoch": 1, "seq": 1, "body": base64.b64encode(basket()).decode()}
    db.insert_multiple(dict(document) for _ in range(depth))
    row = measure(
        "TinyDB insert (JSONStorage)", depth, TINYDB_APPENDS[depth], lambda n: db.insert(dict(document))
    )
    db.close()
    return row


def machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        info = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in info if line.lower().startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Journal append time, beside TinyDB's default storage.")
    parser.add_argument("--quick", action="store_true", help="depths 10 and 1,000 only")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where to write (default: here)")
    args = parser.parse_args()
    now = datetime.datetime.now(datetime.UTC)
    print(f"{machine()}, Python {platform.python_version()}, {now:%Y-%m-%d %H:%M} UTC")
    print(f"record body {len(basket())} bytes; every call is on the disk when it returns")
    print(f"{'':32}{'queued':>9}{'calls':>7}{'p50 ms':>10}{'p99 ms':>10}{'KB each':>10}")
    rows: list[Row] = []
    for depth in DEPTHS[:2] if args.quick else DEPTHS:
        folder = Path(tempfile.mkdtemp(prefix="bench-journal-", dir=args.folder))
        try:
            for row in [*journal_rows(folder, depth), tinydb_row(folder, depth)]:
                rows.append(row)
                what, queued, count, p50, p99, kilobytes = row
                print(
                    f"{what:32}{queued:>9,}{count:>7}{p50:>10.2f}{p99:>10.2f}{kilobytes:>10.1f}", flush=True
                )
        finally:
            shutil.rmtree(folder)
    p50 = {(row[0], row[1]): row[3] for row in rows}
    deepest, shallowest = rows[-1][1], rows[0][1]
    for what in dict.fromkeys(row[0] for row in rows):
        ratio = p50[what, deepest] / p50[what, shallowest]
        print(f"{what}: p50 at {deepest:,} queued is {ratio:.1f} times that at {shallowest:,}")
    ratio = p50[rows[-1][0], deepest] / p50["journal append", deepest]
    print(f"at {deepest:,} queued TinyDB takes {ratio:.1f} times as long as the journal")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
