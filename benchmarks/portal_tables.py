"""The portal benchmark's tables: shares with Wilson intervals, times, goals met or missed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from benchmarks.portal_model import Cell
from benchmarks.portal_run import LEVEL_DBM, PEERS, QUIET_S, Outcome
from benchmarks.report import goal, percentile, table

Found = Mapping[tuple[Cell, int | None], list[Outcome]]

RIGHT_GOAL = 0.995
STRAY_GOAL = 1e-4
FASTER_GOAL = 0.3


def wilson(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if of == 0:
        return 0.0, 1.0
    z = 1.96
    share = hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def share(hits: int, of: int, digits: int = 1) -> str:
    if of == 0:
        return "–"
    low, high = wilson(hits, of)
    return f"{100 * hits / of:.{digits}f} ({100 * low:.{digits}f}–{100 * high:.{digits}f})"


def seconds(values: list[float], percent: float) -> str:
    return f"{percentile(values, percent):.1f}" if values else "–"


HEADS = (
    "",
    "baskets",
    "exactly right %",
    "complete %",
    "wrong of complete %",
    "strays charged / shown",
    "to complete p50 s",
    "p95 s",
    "to any verdict p50 s",
    "p95 s",
)


def line(name: str, done: list[Outcome]) -> list[object]:
    complete = [one for one in done if one.at is not None]
    wrong = sum(not one.right for one in complete)
    times = [one.at for one in complete if one.at is not None]
    ended = [one.ended for one in done]
    return [
        name,
        len(done),
        share(sum(one.right for one in done), len(done)),
        share(len(complete), len(done)),
        share(wrong, len(complete), 2),
        f"{sum(one.strays for one in complete)} / {sum(one.shown for one in done)}",
        seconds(times, 50),
        seconds(times, 95),
        seconds(ended, 50),
        seconds(ended, 95),
    ]


def every(found: Found) -> list[Outcome]:
    return [one for done in found.values() for one in done]


def pooled(found: Found) -> None:
    """All cells together and along each axis, then the goals."""
    done = every(found)
    rows = [line("all cells", done)]
    axes: tuple[tuple[str, Callable[[Cell], float], str], ...] = (
        ("tags", lambda cell: cell.tags, "{:.0f} tags"),
        ("rate", lambda cell: cell.rate, "{:.0f} reads/s"),
        ("hard", lambda cell: 100 * cell.hard, "hard {:.0f} %"),
        ("strays", lambda cell: cell.strays, "{:.0f} strays"),
    )
    for _, of, words in axes:
        for value in sorted({of(cell) for cell, _ in found}):
            part = [one for (cell, _), some in found.items() if of(cell) == value for one in some]
            rows.append(line(words.format(value), part))
    table(HEADS, rows)
    complete = [one for one in done if one.at is not None]
    right = sum(one.right for one in complete)
    strays, shown = sum(one.strays for one in complete), sum(one.shown for one in done)
    rate = right / max(1, len(complete))
    print(
        f"Of complete verdicts {share(right, len(complete), 2)} % exactly right; goal "
        f"{100 * RIGHT_GOAL:.1f} %: {goal(rate >= RIGHT_GOAL)}."
    )
    low, high = wilson(strays, shown)
    print(
        f"Strays charged: {1e4 * strays / max(1, shown):.2f} in 10,000 shown (95 %: {1e4 * low:.2f}–"
        f"{1e4 * high:.2f}); goal 1: {goal(strays <= STRAY_GOAL * shown)}."
    )
    missed = sum(one.missed > 0 for one in complete)
    charged = sum(one.strays > 0 for one in complete)
    print(f"Wrong complete verdicts: {missed} lacked an item, {charged} had a stray.")
    # Precision and recall of items over all baskets of the verdicts complete.
    print(f"One judgement costs {1e3 * sum(o.judge_s for o in done) / sum(o.judges for o in done):.2f} ms.")
    reasons: dict[str, int] = {}
    for one in done:
        reasons[one.reason] = reasons.get(one.reason, 0) + 1
    print("Reasons:", ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items())), "\n")


WORDS = {
    "waits": "same presence, waits while a tag is weak",
    "present": "same presence, does not wait for weak tags",
    "level": f"fixed filter: at least {LEVEL_DBM:g} dBm inside, stronger than facing away",
    "plain": "no filter",
}
SHOWN_QUIET_S = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)


def quiet(found: Found) -> None:
    """The decision and the fixed rules on the same baskets."""
    done = every(found)
    ours = [one for one in done if one.at is not None]
    heads = ("", "complete %", "right of complete %", "right of all %", "strays", "p50 s", "p95 s", "mean s")
    print("Fixed quiet times on the same reads, all baskets:\n")
    rows = [_peer("this decision", [(one.at, one.right, one.strays) for one in ours], len(done))]
    rows += _peers(done)
    table(heads, rows)
    print("The same, only the baskets that this decision called complete:\n")
    rows = [_peer("this decision", [(one.at, one.right, one.strays) for one in ours], len(ours))]
    rows += _peers(ours)
    table(heads, rows)
    for name in PEERS:
        _compare(ours, name)


Ended = list[tuple[float | None, bool, int]]


def _one(done: list[Outcome], name: str, at: int) -> Ended:
    rules = (one.peers[name][at] for one in done)
    return [(rule.at, rule.right, rule.strays) for rule in rules if rule.at is not None]


def _peers(done: list[Outcome]) -> list[list[object]]:
    return [
        _peer(f"{WORDS[name]}, quiet {QUIET_S[at]:g} s", _one(done, name, at), len(done))
        for name in PEERS
        for at in range(len(QUIET_S))
        if QUIET_S[at] in SHOWN_QUIET_S
    ]


def _peer(name: str, some: Ended, of: int) -> list[object]:
    times = [at for at, _, _ in some if at is not None]
    right = sum(good for _, good, _ in some)
    return [
        name,
        share(len(some), of),
        share(right, len(some), 2),
        share(right, of),
        sum(strays for _, _, strays in some),
        seconds(times, 50),
        seconds(times, 95),
        f"{sum(times) / len(times):.1f}" if times else "–",
    ]


def _compare(ours: list[Outcome], name: str) -> None:
    """Equal correctness: the shortest quiet time whose share exactly right, of the baskets that this decision
    called complete, is at least this decision's. One that ends in no verdict (20 s) is not right."""
    right = sum(one.right for one in ours)
    tried = [(sum(good for _, good, _ in _one(ours, name, at)), at) for at in range(len(QUIET_S))]
    equal = [at for hits, at in tried if hits >= right]
    words = f"{WORDS[name][0].upper()}{WORDS[name][1:]}:"
    if not equal:
        hits, at = max(tried)
        print(
            f"{words} no quiet time up to {QUIET_S[-1]:g} s is as often right ({right} of "
            f"{len(ours)}); the nearest, {QUIET_S[at]:g} s, in {hits}."
        )
    else:
        at = equal[0]
        print(
            f"{words} as often right from {QUIET_S[at]:g} s on ({tried[at][0]} and {right} of {len(ours)})."
        )
    both = [
        (one.at or 0.0, one.peers[name][at].at or 0.0) for one in ours if one.peers[name][at].at is not None
    ]
    if not both:
        return
    mine, other = (sum(pair[side] for pair in both) / len(both) for side in (0, 1))
    middle, its = (percentile([pair[side] for pair in both], 50) for side in (0, 1))
    faster = 1.0 - mine / other
    print(
        f"  Mean {other:.2f} s, this decision {mine:.2f} s: {100 * faster:.0f} % faster; median {its:.1f} s, "
        f"{middle:.1f} s: {100 * (1.0 - middle / its):.0f} %. Goal 30 %: {goal(faster >= FASTER_GOAL)}.\n"
    )


def _name(cell: Cell) -> str:
    return f"{cell.tags} tags, {cell.rate:.0f}/s, hard {100 * cell.hard:.0f} %, {cell.strays} strays"


def worst(found: Found, number: int = 8) -> None:
    """Those with the most wrong complete verdicts, and those with the fewest complete ones."""

    def wrong(done: Iterable[Outcome]) -> float:
        complete = [one for one in done if one.at is not None]
        return sum(not one.right for one in complete) / max(1, len(complete))

    print("The cells with the largest share of wrong complete verdicts:\n")
    order = sorted(found.items(), key=lambda item: -wrong(item[1]))[:number]
    table(HEADS, [line(_name(cell), done) for (cell, _), done in order])
    print("The cells with the fewest complete verdicts:\n")
    order = sorted(found.items(), key=lambda item: sum(one.at is not None for one in item[1]))[:number]
    table(HEADS, [line(_name(cell), done) for (cell, _), done in order])


def cells(found: Found) -> None:
    print("Every cell:\n")
    order = sorted(found.items(), key=lambda item: (item[0][0].tags, item[0][0].rate))
    table(HEADS, [line(_name(cell), done) for (cell, _), done in order])


def special(name: str, found: Found, off: int | None) -> None:
    """A row apart. Silent tags count as missing here: only a declared count can know of them."""
    print(f"{name}:\n")
    rows = [line(_name(cell), done) for (cell, _), done in found.items()]
    table(HEADS, rows)
    if off is not None:
        done = every(found)
        reasons: dict[str, int] = {}
        for one in done:
            reasons[one.reason] = reasons.get(one.reason, 0) + 1
        print("Reasons:", ", ".join(f"{why} {number}" for why, number in sorted(reasons.items())), "\n")
