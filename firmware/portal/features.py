"""What a tag showed, looked up in learned tables: the odds that it is in the portal. Pure.

A generalised additive model in two steps. Each table takes one or two numbers (a level and how often it was
measured, say) and gives nats, linear between its knots and level beyond them: whatever a shop does, no table
can say more than its largest entry. The first step adds up what the tag alone showed, the second what the
other tags make of it. ``benchmarks/fit_presence.py`` learns the entries.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from firmware.portal.presence import Level, PresenceRules, Track

EVEN_DBM, VETO_IN_DB = -58.0, 15.0
"""What the tables were learned with."""
CLEAR_DB = 4.0
"""Against ``even_dbm``: what only an antenna that faces away hears, and this well, is certainly out there."""
LAY_LOOKS = 8
"""Heard that often before the shopper came, a tag lay there; else somebody may have carried it past."""


class Axes(NamedTuple):
    """The knots of a table, rising."""

    x: tuple[float, ...]
    y: tuple[float, ...] = (0.0,)


_FEW = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0)
_LEVEL = (-76.0, -72.0, -69.0, -66.0, -63.0, -60.0, -57.0, -54.0, -50.0, -45.0)
_LESS = (-18.0, -12.0, -8.0, -4.0, 0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 19.0, 24.0)
_KNOWN = (1.0, 2.0, 4.0, 8.0)
TABLES: dict[str, Axes] = {
    # Mean level inside by how often measured, where the antenna facing away hears it too, and where not.
    "level": Axes(_LEVEL, _FEW),
    "only": Axes(_LEVEL, _FEW),
    # Only the antenna facing away hears it.
    "away": Axes(_LEVEL, _FEW),
    # Inside minus facing away, dB, by the rarer of both.
    "less": Axes(_LESS, _FEW),
    # Share of reads inside, by the number of reads.
    "share": Axes((0.0, 0.2, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 1.0), (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)),
    # It lay near: now minus then, inside; now inside minus then facing away; facing away now minus then.
    "rise": Axes((-8.0, -4.0, 0.0, 4.0, 8.0, 12.0, 16.0, 22.0), _KNOWN),
    "turned": Axes((-20.0, -14.0, -8.0, -2.0, 4.0, 10.0, 16.0), _KNOWN),
    "stayed": Axes((-20.0, -14.0, -8.0, -3.0, 2.0, 8.0), _KNOWN),
    # Level from second to second, inside and facing away: chi-square above what fading explains.
    "moves": Axes((0.0, 1.0, 2.0, 4.0, 8.0, 16.0), (2.0, 4.0, 8.0)),
    "sways": Axes((0.0, 1.0, 2.0, 4.0, 8.0, 16.0), (2.0, 4.0, 8.0)),
    # Usual intervals of silence since it was last heard, and before it was first heard.
    "gone": Axes((0.0, 2.0, 4.0, 6.0, 9.0, 14.0), (2.0, 4.0, 8.0, 16.0)),
    "late": Axes((0.0, 1.0, 2.0, 4.0, 8.0, 14.0), (2.0, 4.0, 8.0, 16.0)),
    # Seconds until it was first heard, by how long it is since then.
    "first": Axes((0.0, 0.3, 0.7, 1.2, 2.0, 3.0, 4.5, 6.5), (0.0, 0.7, 2.0, 5.0)),
    # Difference between the two best antennas inside, dB.
    "two": Axes((0.0, 2.0, 4.0, 7.0, 11.0), (1.0, 3.0, 6.0)),
    # Without a unit: which side is stronger, and by how many looks.
    "side": Axes((-1.0, 1.0), _FEW),
    "count": Axes(_FEW, (1.0, 2.0, 4.0, 8.0)),
    "none": Axes(_FEW),
    "was": Axes(_KNOWN, (0.0, 1.0)),
    # Second step: nats so far by the others' odds, by how many lie near, by the strays of other days.
    "others": Axes(
        (-9.0, -5.0, -3.0, -1.0, 1.0, 3.0, 5.0, 7.0, 10.0, 14.0), (-2.5, -1.0, 0.0, 1.0, 2.0, 3.5)
    ),
    "near": Axes((-5.0, -1.0, 2.0, 5.0, 9.0), (0.0, 1.0, 3.0, 8.0)),
    "days": Axes((-5.0, -1.0, 2.0, 5.0, 9.0), (0.3, 1.0, 3.0, 8.0)),
}
Showing = list[tuple[str, float, float]]
"""Tables to look into, and where."""


def spot(knots: Sequence[float], value: float) -> tuple[int, float]:
    """The knot at or below ``value``, and how far it is to the next one, 0 to 1."""
    if value <= knots[0]:
        return 0, 0.0
    if value >= knots[-1]:
        return len(knots) - 1, 0.0
    at = bisect_right(knots, value) - 1
    return at, (value - knots[at]) / (knots[at + 1] - knots[at])


def corners(axes: Axes, x: float, y: float) -> list[tuple[int, float]]:
    """The entries of a table (row by row) around a point, and how much each counts."""
    i, u = spot(axes.x, x)
    j, v = spot(axes.y, y)
    wide = len(axes.y)
    found = [(i * wide + j, (1.0 - u) * (1.0 - v))]
    if u:
        found.append(((i + 1) * wide + j, u * (1.0 - v)))
    if v:
        found.append((i * wide + j + 1, (1.0 - u) * v))
        if u:
            found.append(((i + 1) * wide + j + 1, u * v))
    return found


def nats(showing: Showing, weights: Mapping[str, Sequence[float]]) -> float:
    """The sum of what the tables say; a table that ``weights`` has not says nothing."""
    total = 0.0
    for name, x, y in showing:
        entries = weights.get(name)
        if entries is not None:
            for at, part in corners(TABLES[name], x, y):
                total += part * entries[at]
    return total


def alone(track: Track, near: Level | None, rules: PresenceRules, began: float, now: float) -> Showing:
    """What this tag alone showed until ``now``."""
    veto = rules.veto
    reads, levels, level = track.heard(veto, outside=False)
    reads_away, levels_away, away = track.heard(veto, outside=True)
    shift = EVEN_DBM - rules.even_dbm
    level, away = level + shift, away + shift
    both = min(levels, levels_away)
    found: Showing = []
    if track.rawonly:
        found.append(("count", float(levels), float(levels_away) if veto else 1.0))
        if both:
            found.append(("side", 1.0 if level > away else -1.0, float(both)))
        if near is not None:
            found.append(("was", float(near.looks), 1.0 if levels else 0.0))
    else:
        if levels:
            found.append(("level" if levels_away else "only", level, float(levels)))
        else:
            found.append(("away", away, float(levels_away)))
        if both:
            found.append(("less", level - away - rules.veto_in_db + VETO_IN_DB, float(both)))
        if near is not None and near.looks:
            _near(
                found,
                near,
                (level - shift) if levels else None,
                (away - shift) if levels_away else None,
                rules,
            )
        _moves(found, track)
        _two(found, track, veto)
    if veto:
        found.append(("share", reads / (reads + reads_away), float(reads + reads_away)))
    looks = track.looks
    if looks >= 2:
        usual = max(0.08, (track.last - track.first) / (looks - 1))
        found.append(("gone", (now - track.last) / usual, float(looks)))
        found.append(("late", (track.first - began) / usual, float(looks)))
    found.append(("first", track.first - began, now - track.first))
    return found


def facing_away(track: Track, rules: PresenceRules) -> bool:
    """Heard only by an antenna that faces away, and well: weak tags in the portal are faint there."""
    if track.rawonly or not track.ears or track.inside(rules.veto):
        return False
    return track.heard(rules.veto, outside=True)[2] > rules.even_dbm + CLEAR_DB


def _near(found: Showing, near: Level, level: float | None, away: float | None, rules: PresenceRules) -> None:
    """Nothing when it has become so much stronger, or has turned so far, that it was taken: the model shop
    has no such items, so the tables have not learned them."""
    veto = rules.veto
    before = max((value for port, value in near.best.items() if port not in veto), default=None)
    before_away = max((value for port, value in near.best.items() if port in veto), default=None)
    looks = float(near.looks)
    if level is not None and before is not None and near.looks >= LAY_LOOKS:
        rise = level - before
        turn = before_away - away if before_away is not None and away is not None else -math.inf
        if rise >= rules.rise_db or (rise >= 0.0 and rise + turn >= 1.5 * rules.rise_db):
            return
    if level is not None and before is not None:
        found.append(("rise", level - before, looks))
    if level is not None and before_away is not None:
        found.append(("turned", level - before_away, looks))
    if away is not None and before_away is not None:
        found.append(("stayed", away - before_away, looks))


def _moves(found: Showing, track: Track) -> None:
    """Between-group chi-square against a deviation of 5 dB: a shopper turns round, too."""
    for name, seconds in zip(("moves", "sways"), track.moved, strict=True):
        if len(seconds) >= 2:
            looks = sum(count for count, _ in seconds.values())
            middle = sum(total for _, total in seconds.values()) / looks
            # Reads of one second share their fades: more than four say no more.
            chi = (
                sum(min(4, count) * (total / count - middle) ** 2 for count, total in seconds.values()) / 25.0
            )
            found.append((name, max(0.0, chi - len(seconds) + 1.0), float(len(seconds))))


def _two(found: Showing, track: Track, veto: frozenset[int]) -> None:
    ears = sorted((ear.mean, ear.levels) for port, ear in track.ears.items() if port not in veto)
    if len(ears) >= 2:
        (one, many), (other, more) = ears[-2:]
        found.append(("two", other - one, float(min(many, more))))


def together(own: float, inside: int, strays: int, near: int, usual: float) -> Showing:
    """Second step. ``own``: nats of the first; how many others are clearly in, clearly not, and not but known
    to lie near; ``usual``: strays to expect of other days."""
    return [
        ("others", own, math.log((0.5 + inside) / (0.5 + strays))),
        ("near", own, float(near)),
        ("days", own, usual),
    ]
