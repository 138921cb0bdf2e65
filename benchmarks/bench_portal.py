"""The portal's decision on baskets of a model shop, beside fixed quiet times on the same reads.

python benchmarks/bench_portal.py [--quick] [--baskets N] [--processes N]

The model and what it assumes: benchmarks/portal_model.py (printed below). Seeds: tuning used ``tune-...``,
the figures here use ``final-...``, which nothing else uses. Baskets come in rows of ``ROW`` shoppers
through one portal, which learns from them, beginning with no experience. Prints markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from multiprocessing import Pool
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import portal_model, portal_tables
from benchmarks.portal_model import Cell
from benchmarks.portal_run import Outcome, rules_for, run
from benchmarks.report import title
from firmware.portal.decision import Decision

ROW = 25
TAGS, RATES, HARD, STRAYS = (5, 20, 50), (50.0, 150.0, 240.0), (0.0, 0.05, 0.2), (0, 5, 20)
MAIN = [Cell(t, r, h, s) for t in TAGS for r in RATES for h in HARD for s in STRAYS]
MIDDLE = Cell(20, 150.0, 0.05, 5)
SPECIAL: list[tuple[str, list[Cell], int | None]] = [
    ("very hard 5 % (0.3 reads/s)", [Cell(t, 150.0, 0.05, 5, very_hard=0.05) for t in TAGS], None),
    ("very hard 5 %, count declared", [Cell(t, 150.0, 0.05, 5, very_hard=0.05) for t in TAGS], 0),
    ("one silent tag", [replace(MIDDLE, silent=1)], None),
    ("one silent tag, count declared", [replace(MIDDLE, silent=1)], 0),
    ("count declared, right", [MIDDLE, replace(MIDDLE, tags=50), replace(MIDDLE, rate=50.0)], 0),
    ("count declared, one too many", [MIDDLE], 1),
    ("count declared, one too few", [MIDDLE], -1),
    ("one antenna, no veto", [replace(MIDDLE, strays=s, veto=False) for s in STRAYS], None),
    ("session 1, both targets", [replace(MIDDLE, session=1)], None),
    ("session 2, both targets", [replace(MIDDLE, session=2)], None),
]
"""Name, cells, and what the shopper says: None, or this many more than there are."""

Job = tuple[Cell, int, int, int | None, bool]


def row(job: Job) -> tuple[Cell, int | None, list[Outcome]]:
    """One row of shoppers through one portal."""
    cell, first, number, off, peers = job
    decision = Decision(rules_for(cell))
    said = None if off is None else cell.tags + cell.silent + off
    done = [
        run(cell, f"final-{first + i}", decision=decision, clock=100.0 * (i + 1), declared=said, peers=peers)
        for i in range(number)
    ]
    return cell, off, done


def jobs(cells: Iterable[Cell], number: int, off: int | None, peers: bool) -> list[Job]:
    """The longest first, so that both processes end together."""
    made = [
        (cell, first, min(ROW, number - first), off, peers)
        for cell in cells
        for first in range(0, number, ROW)
    ]
    return sorted(made, key=lambda job: -(job[0].tags + job[0].strays) * job[0].rate)


def measure(todo: Sequence[Job], processes: int) -> dict[tuple[Cell, int | None], list[Outcome]]:
    found: dict[tuple[Cell, int | None], list[Outcome]] = {}
    with Pool(processes) as pool:
        for cell, off, done in pool.imap_unordered(row, todo):
            found.setdefault((cell, off), []).extend(done)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the portal's decision.")
    parser.add_argument("--quick", action="store_true", help="50 baskets a cell instead of 500")
    parser.add_argument("--baskets", type=int, default=0, help="baskets a cell")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    number = given.baskets or (50 if given.quick else 500)
    began = time.monotonic()
    title(f"The portal's decision, {number} baskets a cell, {len(MAIN)} cells")
    print((portal_model.__doc__ or "").strip().partition("\n\n")[2], "\n", flush=True)
    # The fixed rules need long recordings: on every cell, but a tenth of the baskets for each.
    found = measure(jobs(MAIN, number, None, False), given.processes)
    peers = measure(jobs(MAIN, max(10, number // 10), None, True), given.processes)
    portal_tables.pooled(found)
    portal_tables.quiet(peers)
    portal_tables.worst(found)
    portal_tables.cells(found)
    for name, cells, off in SPECIAL:
        portal_tables.special(name, measure(jobs(cells, number, off, False), given.processes), off)
    print(f"\nTook {time.monotonic() - began:.0f} s with {given.processes} processes.")


if __name__ == "__main__":
    main()
