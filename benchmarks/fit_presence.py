"""Learns the tables of firmware/portal/presence_weights.py from baskets of the model shop.

python -m benchmarks.fit_presence [--baskets N] [--processes N] [--check]

Logistic regression (Newton's method, ridge, neighbouring entries of a table drawn together) on what every tag
showed at eight moments of a stay, over all cells of the benchmark and rows of shoppers through one portal.
Fitted in two steps, like the model (``firmware/portal/features.py``): what a tag alone showed, then what the
others make of it. Seeds are ``tune-...``; ``--check`` prints, on other ones, how often tags of each stated
chance were really inside. Needs numpy; a board does not.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from multiprocessing import Pool
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.bench_portal import MAIN
from benchmarks.portal_model import Basket, Cell
from benchmarks.portal_run import rules_for
from firmware.portal import presence_weights
from firmware.portal.decision import Decision
from firmware.portal.features import TABLES, Showing, alone, corners, together

MOMENTS_S = (0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 6.5, 9.0, 11.5)
OUT = Path(__file__).resolve().parent.parent / "firmware" / "portal" / "presence_weights.py"
STEP_TWO = ("others", "near", "days")
RIDGE, SMOOTH = 0.03, 0.4
"""Pull of each entry to nothing, and to its neighbours, in samples."""
CORRELATED = 0.3
"""What a sample counts: a tag's moments are not independent of one another."""

Sample = tuple[int, bool, Showing, tuple[float, int, int, int, float]]
"""Basket, inside, what it showed, and for the second step: place holder, others in, out, near, usual."""
KINDS = ("veto", "single", "rawveto", "rawsingle")
FIRST: dict[str, list[tuple[list[int], list[float]]]] = {}


def offsets(names: Iterable[str]) -> dict[str, int]:
    found, at = {}, 0
    for name in names:
        found[name] = at
        at += len(TABLES[name].x) * len(TABLES[name].y)
    return found


STEP_ONE = tuple(name for name in TABLES if name not in STEP_TWO)


class Taken(Decision):
    """A decision whose tracks can be looked at."""

    def showings(self, now: float) -> list[tuple[bytes, Showing]]:
        heard = self._last_read
        return [
            (epc, alone(track, self._near.heard(epc), self.rules.presence, self._began, heard))
            for epc, track in self._tracks.items()
        ]

    def known(self, epc: bytes) -> bool:
        return self._near.heard(epc) is not None

    @property
    def usual(self) -> float:
        return self._experience.strays


def sparse(showing: Showing, where: dict[str, int]) -> tuple[list[int], list[float]]:
    at: list[int] = []
    part: list[float] = []
    for name, x, y in showing:
        for index, share in corners(TABLES[name], x, y):
            at.append(where[name] + index)
            part.append(share)
    return at, part


def baskets(cell: Cell, name: str, first: int, number: int) -> Iterable[Basket]:
    return (Basket(cell, f"{name}{first + i}") for i in range(number))


Moment = tuple[list[tuple[bool, bool, list[int], list[float]]], float]
"""Per tag: inside, known to lie near, entries and shares of the first step; usual strays."""
Source = Callable[[Cell, str, int, int], Iterable[Basket]]
SOURCE: list[Source] = [baskets]


def take(job: tuple[Cell, str, int, int, bool]) -> list[Moment]:
    """A row of shoppers through one portal: what every tag showed at every moment."""
    cell, name, first, number, raw = job
    where = offsets(STEP_ONE)
    decision = Taken(rules_for(cell))
    found: list[Moment] = []
    for turn, basket in enumerate(SOURCE[0](cell, name, first, number)):
        clock = 100.0 * (turn + 1)
        moments = list(MOMENTS_S)
        begun = False
        for now, reads in basket.rounds(MOMENTS_S[-1] + 0.1, clock):
            if raw:
                reads = [
                    replace(read, rssi_dbm=None, rssi_raw=round((read.rssi_dbm or 0) + 130)) for read in reads
                ]
            if now < 0.0:
                for read in reads:
                    decision.background(read)
                continue
            if not begun:
                begun = True
                decision.begin(clock)
            for read in reads:
                decision.add(read)
            if moments and now >= moments[0]:
                moments.pop(0)
                tags = []
                for epc, showing in decision.showings(clock + now):
                    at, part = sparse(showing, where)
                    tags.append((epc in basket.inside, decision.known(epc), at, part))
                found.append((tags, decision.usual))
        decision.judge(clock + MOMENTS_S[-1])
        decision.end(clock + MOMENTS_S[-1])
    return found


def collect(cells: list[Cell], name: str, number: int, processes: int, raw: bool) -> list[Moment]:
    jobs = [(cell, name, 0, number, raw) for cell in cells]
    with Pool(processes) as pool:
        return [one for found in pool.imap(take, jobs) for one in found]


def fit(
    rows: list[tuple[list[int], list[float]]],
    truth: np.ndarray,
    names: tuple[str, ...],
    offset: np.ndarray | None,
) -> np.ndarray:
    """Entries of the tables, one after the other."""
    where = offsets(names)
    size = sum(len(TABLES[name].x) * len(TABLES[name].y) for name in names)
    pull = RIDGE * np.eye(size)
    for name in names:
        axes, base = TABLES[name], where[name]
        wide = len(axes.y)
        for i in range(len(axes.x)):
            for j in range(wide):
                here = base + i * wide + j
                for other in ([here + wide] if i + 1 < len(axes.x) else []) + (
                    [here + 1] if j + 1 < wide else []
                ):
                    pull[here, here] += SMOOTH
                    pull[other, other] += SMOOTH
                    pull[here, other] -= SMOOTH
                    pull[other, here] -= SMOOTH
    counts = np.array([len(at) for at, _ in rows])
    column = np.concatenate([np.array(at, dtype=np.int32) for at, _ in rows])
    value = np.concatenate([np.array(part, dtype=np.float32) for _, part in rows])
    ends = np.concatenate([[0], np.cumsum(counts)])
    line = np.repeat(np.arange(len(rows)), counts)
    weights = np.zeros(size)

    def chance(entries: np.ndarray) -> tuple[np.ndarray, float]:
        z = np.bincount(line, value * entries[column], minlength=len(rows))
        p = 1.0 / (1.0 + np.exp(-np.clip(z, -30, 30)))
        loss = -CORRELATED * np.sum(np.log(np.where(truth, p, 1 - p) + 1e-12))
        return p, float(loss + 0.5 * entries @ pull @ entries)

    p, loss = chance(weights)
    for _ in range(25):
        gradient = (
            CORRELATED * np.bincount(column, value * (p - truth)[line], minlength=size) + pull @ weights
        )
        hessian = pull.copy()
        spread = (CORRELATED * p * (1 - p)).astype(np.float32)
        for begin in range(0, len(rows), 20000):
            end = min(begin + 20000, len(rows))
            keep = slice(ends[begin], ends[end])
            # What is sure already bends nothing: most of the samples, most of the time.
            bends = spread[begin:end] > (3e-4 if size > 200 else 0.0)
            place = np.cumsum(bends) - 1
            mine = bends[line[keep] - begin]
            at = place[line[keep][mine] - begin] * size + column[keep][mine]
            many = int(bends.sum())
            dense = np.bincount(at, value[keep][mine], minlength=many * size).reshape(many, size)
            dense = (dense * np.sqrt(spread[begin:end][bends])[:, None]).astype(np.float32)
            hessian += dense.T @ dense
        step = np.linalg.solve(hessian, gradient)
        old, size_of = loss, 1.0
        while size_of > 0.01:
            p, loss = chance(weights - size_of * step)
            if loss < old:
                break
            size_of *= 0.5
        else:
            break
        weights = weights - size_of * step
        if old - loss < 1e-5 * loss:
            break
    print(
        f"  {len(rows)} samples, {size} entries, loss a sample {loss / CORRELATED / len(rows):.4f}",
        flush=True,
    )
    return weights


def split(weights: np.ndarray, names: tuple[str, ...], used: set[int]) -> dict[str, tuple[float, ...]]:
    found = {}
    for name, base in offsets(names).items():
        size = len(TABLES[name].x) * len(TABLES[name].y)
        if any(base + i in used for i in range(size)):
            found[name] = tuple(round(float(one), 2) for one in weights[base : base + size])
    return found


def second(
    moments: list[Moment], weights: np.ndarray
) -> tuple[list[tuple[list[int], list[float]]], np.ndarray]:
    where = offsets(STEP_TWO)
    rows: list[tuple[list[int], list[float]]] = []
    truth: list[bool] = []
    for tags, usual in moments:
        own = [float(np.dot(weights[at], part)) for _, _, at, part in tags]
        inside = sum(value >= 2.0 for value in own)
        strays = sum(value <= -2.0 and not tag[1] for value, tag in zip(own, tags, strict=True))
        near = sum(value <= -2.0 and tag[1] for value, tag in zip(own, tags, strict=True))
        for value, tag in zip(own, tags, strict=True):
            others = inside - (value >= 2.0), strays - (value <= -2.0 and not tag[1]), near
            rows.append(sparse(together(value, *others, usual), where))
            truth.append(tag[0])
    return rows, np.array(truth)


def learn(moments: list[Moment]) -> tuple[dict[str, tuple[float, ...]], np.ndarray, np.ndarray]:
    rows = [(at, part) for tags, _ in moments for _, _, at, part in tags]
    truth = np.array([inside for tags, _ in moments for inside, _, _, _ in tags])
    used = {index for at, _ in rows for index in at}
    first = fit(rows, truth, STEP_ONE, None)
    more, truth = second(moments, first)
    then = fit(more, truth, STEP_TWO, None)
    tables = split(first, STEP_ONE, used) | split(then, STEP_TWO, set(range(10**4)))
    return tables, first, then


def reliability(moments: list[Moment], first: np.ndarray, then: np.ndarray) -> None:
    rows, truth = second(moments, first)
    z = np.array([float(np.dot(then[at], part)) for at, part in rows])
    p = 1.0 / (1.0 + np.exp(-z))
    print("  loss a sample", round(float(-np.mean(np.log(np.where(truth, p, 1 - p) + 1e-12))), 4))
    print("| nats | samples | stated | inside |\n|---|---|---|---|")
    edges = [-99, -9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 99]
    for low, high in zip(edges, edges[1:], strict=False):
        some = (z >= low) & (z < high)
        if some.any():
            print(f"| {low} to {high} | {some.sum()} | {p[some].mean():.5f} | {truth[some].mean():.5f} |")


HEAD = '''"""What the portal has learned of tags inside and strays: tables for ``features``. Data, no code.

Written by ``python -m benchmarks.fit_presence``; do not edit. Kinds: with and without an antenna that faces
away (veto, single), and the same for readers that give no level in dBm (raw). Entries row by row, one row for
each knot of the first axis of ``features.TABLES``.
"""

from __future__ import annotations

'''


def write(found: dict[str, dict[str, tuple[float, ...]]]) -> None:
    text = repr(sorted((kind, sorted(tables.items())) for kind, tables in found.items()))
    text += repr(sorted(TABLES.items()))
    version = f"{zlib.crc32(text.encode()):08x}"
    lines = [HEAD, f'VERSION = "{version}"\n', '"""Of these tables and their knots."""\n\n# fmt: off\n']
    lines.append("WEIGHTS: dict[str, dict[str, tuple[float, ...]]] = {\n")
    for kind, tables in found.items():
        lines.append(f'    "{kind}": {{\n')
        for name, entries in tables.items():
            lines.append(f'        "{name}": (\n')
            wide = len(TABLES[name].y)
            wide = wide if wide > 1 else len(entries)
            for begin in range(0, len(entries), wide):
                lines.append(
                    "            " + " ".join(f"{one:g}," for one in entries[begin : begin + wide]) + "\n"
                )
            lines.append("        ),\n")
        lines.append("    },\n")
    lines.append("}\n# fmt: on\n")
    OUT.write_text("".join(lines), encoding="utf-8")
    print(f"wrote {OUT.name}, version {version}")


def cells_of(kind: str) -> list[Cell]:
    if kind.endswith("veto"):
        return MAIN
    return [
        replace(cell, veto=False) for cell in MAIN if cell.tags < 50 and cell.rate > 60 and cell.hard < 0.1
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn the portal's presence tables.")
    parser.add_argument("--baskets", type=int, default=10, help="a cell")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="how well stated chances hold on other seeds")
    given = parser.parse_args()
    began = time.monotonic()
    found = dict(presence_weights.WEIGHTS)
    for kind in KINDS:
        raw = kind.startswith("raw")
        print(kind, flush=True)
        number = given.baskets if kind == "veto" else max(2, given.baskets // 2)
        moments = collect(cells_of(kind), "tune-a", number, given.processes, raw)
        found[kind], first, then = learn(moments)
        if given.check:
            reliability(collect(cells_of(kind), "tune-b", 8, given.processes, raw), first, then)
    write(found)
    print(f"Took {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
