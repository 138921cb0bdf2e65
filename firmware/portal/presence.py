"""Is this tag in the portal, or near it? What each tag showed so far, as evidence for and against. Pure.

Evidence is added up in nats (logarithms of likelihood ratios): strength inside, strength inside against the
antennas that face away, what lay there before the shopper came, and how many strays there are at all.
Strength is the maximum per antenna, which separates better than mean or median (Hauser et al. 2018). It must
never count a tag as inside that only an antenna facing away has heard.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from hal.ports import TagRead

SAME_LOOK_S = 0.08
"""Reads of a tag within this time are one look: they share a fade and say little more than one of them."""
MAX_TAGS = 500
MAX_KNOWN = 1000
CERTAIN = 50.0
_PENDING_MAX = 2000
_SECONDS = 11


@dataclass(frozen=True, slots=True)
class PresenceRules:
    """What is installed here, in dB and dBm; defaults: antennas at 0.7 m, 2 m to the next shelf.

    ``veto``: antennas that face away from the portal. ``even_dbm``: a tag with this mean level inside may as
    well be a stray. ``veto_in_db``: a tag in the portal is this much stronger inside than on a veto antenna
    (mean); ``veto_out_db``: a stray. ``deaf_dbm``: weaker tags are not heard at all. ``rise_db``: what lies
    near must get this much stronger before it can have been taken. ``sure_in``, ``sure_out``: nats of
    evidence at which a tag is in, or out; between them it is weak. ``level_in``: instead of ``sure_in`` where
    no antenna faces away and there is little but the level: strays are then charged more easily. ``hold``: a
    tag that was in stays in until the evidence is this much lower. ``approach_s``: reads this short before
    the shopper came are the shopper's own, not the shelf's. ``settle_s``: nor are the last shopper's tags,
    for this long. Raises ValueError."""

    veto: frozenset[int] = frozenset()
    even_dbm: float = -58.0
    veto_in_db: float = 15.0
    veto_out_db: float = -3.0
    deaf_dbm: float = -70.0
    rise_db: float = 8.0
    sure_in: float = 5.2
    level_in: float = 2.5
    sure_out: float = -3.0
    hold: float = 1.0
    approach_s: float = 3.0
    settle_s: float = 20.0

    def __post_init__(self) -> None:
        if min(self.sure_in, self.level_in) <= self.sure_out:
            raise ValueError(f"sure_in, level_in: must be above sure_out = {self.sure_out:g}")
        if self.veto_in_db <= self.veto_out_db:
            raise ValueError(
                f"veto_in_db = {self.veto_in_db:g}: must be above veto_out_db = {self.veto_out_db:g}"
            )
        if not 0 < self.approach_s <= 30 or not 0 <= self.settle_s <= 600:
            raise ValueError("approach_s must be above 0 to 30, settle_s 0 to 600 seconds")


def strength(read: TagRead) -> float:
    """RSSI in dBm, else the raw number: a scale that rises with strength, its unit unknown."""
    return read.rssi_dbm if read.rssi_dbm is not None else float(read.rssi_raw)


@dataclass(slots=True)
class Level:
    """What was heard of one tag while the portal was empty: antenna → maximum, and how many looks."""

    best: dict[int, float] = field(default_factory=dict)
    looks: int = 0
    last: float = -math.inf


class Near:
    """What is heard while nobody is in the portal: per tag the maximum per antenna, and when last.

    A read counts only when it is ``approach_s`` old and nobody has come in since; the last shopper's own tags
    are not learned for ``settle_s`` after the end. At most ``MAX_KNOWN`` tags, the longest unheard go."""

    def __init__(self, rules: PresenceRules) -> None:
        self._rules = rules
        self._known: dict[bytes, Level] = {}
        self._waiting: deque[TagRead] = deque(maxlen=_PENDING_MAX)
        self._leaving: frozenset[bytes] = frozenset()
        self._left_at = -math.inf

    def __len__(self) -> int:
        return len(self._known)

    def hear(self, read: TagRead) -> None:
        self._waiting.append(read)
        self._learn(read.at - self._rules.approach_s)

    def came(self, now: float) -> None:
        """Somebody is in: what was heard shortly before says nothing about shelves."""
        self._learn(now - self._rules.approach_s)
        self._waiting.clear()

    def left(self, epcs: frozenset[bytes], now: float) -> None:
        self._leaving, self._left_at = epcs, now
        for epc in epcs:
            self._known.pop(epc, None)

    def heard(self, epc: bytes) -> Level | None:
        """None: never heard when the portal was empty."""
        return self._known.get(epc)

    def level(self, epc: bytes) -> dict[int, float] | None:
        """Maximum per antenna; None: never heard when the portal was empty."""
        known = self._known.get(epc)
        return known.best if known is not None else None

    def _learn(self, before: float) -> None:
        waiting = self._waiting
        while waiting and waiting[0].at <= before:
            read = waiting.popleft()
            if read.epc in self._leaving and read.at < self._left_at + self._rules.settle_s:
                continue
            # Taken out and put back: the order is that of the last hearing.
            level = self._known.pop(read.epc, None) or Level()
            value = strength(read)
            old = level.best.get(read.antenna)
            # A slow way down, or one reflection of last month would hide a tag for ever.
            level.best[read.antenna] = value if old is None else max(value, old - 0.02)
            if read.at - level.last >= SAME_LOOK_S:
                level.looks, level.last = level.looks + 1, read.at
            self._known[read.epc] = level
            if len(self._known) > MAX_KNOWN:
                del self._known[next(iter(self._known))]


class Track:
    """One tag during one stay: counts and maxima, nothing that grows with the number of reads."""

    __slots__ = (
        "best",
        "first",
        "last",
        "looks",
        "pcs",
        "rawonly",
        "reads",
        "shown",
        "seconds",
        "state",
        "sums",
    )

    def __init__(self, at: float) -> None:
        self.best: dict[int, float] = {}
        """Antenna → strongest."""
        self.sums: dict[int, tuple[int, float]] = {}
        """Antenna → looks, and the sum of their strengths."""
        self.seconds: dict[int, tuple[int, float]] = {}
        """Second (the last one goes on) → looks, and the sum of their strengths, all antennas."""
        self.first = self.last = at
        self.looks = self.reads = 0
        self.pcs: set[int] = set()
        self.rawonly = self.shown = False
        self.state = ""
        """"in", "weak", "out"; "" before the first judgement."""

    def add(self, read: TagRead, veto: frozenset[int]) -> None:
        antenna, value = read.antenna, strength(read)
        looks, total = self.sums.get(antenna, (0, 0.0))
        if not looks or value > self.best[antenna]:
            self.best[antenna] = value
        if read.at - self.last >= SAME_LOOK_S or not looks:
            if read.at - self.last >= SAME_LOOK_S or not self.looks:
                self.looks += 1
            self.last = max(read.at, self.last)
            self.sums[antenna] = (looks + 1, total + value)
            if antenna not in veto:
                second = max(0, min(_SECONDS, int(read.at - self.first)))
                count, level = self.seconds.get(second, (0, 0.0))
                self.seconds[second] = (count + 1, level + value)
        self.reads += max(1, min(read.read_count, 100))
        if len(self.pcs) < 4:
            self.pcs.add(read.pc)
        if read.rssi_dbm is None:
            self.rawonly = True

    def inside(self, veto: frozenset[int]) -> float | None:
        """The strongest on an antenna that looks into the portal."""
        return max((value for port, value in self.best.items() if port not in veto), default=None)

    def mean(self, veto: frozenset[int], *, outside: bool) -> tuple[int, float]:
        """Looks and mean strength on the best antenna of those that face away, or of the others. The mean of
        one or two looks is pulled to that of all of them: the best of several is by chance the best."""
        found, best = (0, 0.0), -math.inf
        all_looks, sum_of_all = 0, 0.0
        for port, (looks, total) in self.sums.items():
            if (port in veto) == outside:
                all_looks, sum_of_all = all_looks + looks, sum_of_all + total
                if total / looks - 6.0 / math.sqrt(looks) > best:
                    found, best = (looks, total), total / looks - 6.0 / math.sqrt(looks)
        if not all_looks:
            return 0, 0.0
        looks, total = found
        return looks, (total + 2.0 * sum_of_all / all_looks) / (looks + 2.0)

    def count(self, veto: frozenset[int], *, outside: bool = False) -> int:
        """Looks on antennas that look into the portal, or on those that face away."""
        return sum(looks for port, (looks, _) in self.sums.items() if (port in veto) == outside)


def evidence(track: Track, near: Level | None, rules: PresenceRules, antennas: int, now: float) -> float:
    """Nats for "in the portal" from what this tag alone showed; without what the others say (``prior``).

    ``antennas``: how many were heard from so far, veto ones included."""
    veto = rules.veto
    if track.shown:
        return CERTAIN
    inside = track.inside(veto)
    if inside is None:
        looks, away = track.mean(veto, outside=True)
        faint = away < rules.deaf_dbm and not track.rawonly
        return -1.5 * looks if faint else -CERTAIN
    total = 0.0
    if track.rawonly:
        # Levels without a unit: where no antenna faces away, being heard again is all there is.
        total += 0.0 if veto else min(3.0, 1.5 * track.looks)
    else:
        # Below, hard tags inside and strays are equally weak: no more than this against it.
        _, level = track.mean(veto, outside=False)
        even = rules.even_dbm if veto else rules.even_dbm - 3.0
        total += min(3.0, max(-1.0, 0.3 * (level - even)))
    if near is not None:
        total -= _stayed(track, near, rules)
    total -= _gone(track, now) + _moves(track)
    if veto:
        total += _veto(track, rules, antennas)
    return total


def _stayed(track: Track, near: Level, rules: PresenceRules) -> float:
    """It was near before: unless it has become much stronger it still is where it was."""
    _, level = track.mean(rules.veto, outside=False)
    before = max((value for port, value in near.best.items() if port not in rules.veto), default=None)
    away = max((value for port, value in near.best.items() if port in rules.veto), default=None)
    nats = min(2.5, 0.3 * near.looks)
    if before is not None:
        nats = min(8.0, max(0.0, 1.2 * (rules.rise_db - level + before)))
    if away is not None and not track.rawonly:
        # Stronger on the side facing away: it came with somebody who was out there.
        nats += min(2.5, max(0.0, 0.25 * (away - (before if before is not None else rules.deaf_dbm))))
    return nats * min(1.0, near.looks / 4.0)


def _gone(track: Track, now: float) -> float:
    """Silent for longer than it ever was before: somebody carried it past."""
    if track.looks < 3:
        return 0.0
    usual = max(0.1, (track.last - track.first) / (track.looks - 1))
    return min(4.0, max(0.0, 0.5 * ((now - track.last) / usual - 4.0)))


def _moves(track: Track) -> float:
    """Its level changes from second to second by more than fading explains: somebody walks past with it.
    Between-group chi-square against a deviation of 5 dB; a shopper turns round, too, so it is never much."""
    groups = [one for one in track.seconds.values() if one[0]]
    looks = sum(count for count, _ in groups)
    if len(groups) < 2 or looks < 4 or track.rawonly:
        return 0.0
    middle = sum(total for _, total in groups) / looks
    chi = sum(count * (total / count - middle) ** 2 for count, total in groups) / 30.0
    return min(3.0, max(0.0, 0.4 * (chi - 1.7 * (len(groups) - 1))))


def _veto(track: Track, rules: PresenceRules, antennas: int) -> float:
    """What the antennas facing away say: how often and how much weaker they hear it."""
    inside, level = track.mean(rules.veto, outside=False)
    outside, away = track.mean(rules.veto, outside=True)
    looks = min(inside, outside)
    if track.rawonly:
        # The raw unit is unknown: only which of the two is stronger counts, and that the more the more reads.
        return math.copysign(min(4.0, 1.0 + 0.5 * looks), level - away) if looks else min(4.0, 0.4 * inside)
    facing, looking = len(rules.veto), max(1, antennas - len(rules.veto))
    # How often: a stray there even more than inside, a weak tag in the portal hardly ever.
    margin = (level - rules.veto_in_db - rules.deaf_dbm) / 4.0
    audible = max(0.05, 1.0 / (1.0 + math.exp(-margin)))
    mine = looking / (looking + audible * facing)
    stray = looking / (looking + 1.5 * facing)
    many = track.count(rules.veto) * math.log(mine / stray)
    many += track.count(rules.veto, outside=True) * math.log((1.0 - mine) / (1.0 - stray))
    total = min(3.5, many)
    if total < 0.0:
        # A shielded tag is heard when it is, on any antenna: against it counts say little beside levels.
        total = max(-4.0, total) / (1.0 + 2.0 * looks)
    if looks:
        less = level - away
        spread_in, spread_out = math.sqrt(11.0 + 22.0 / looks), math.sqrt(15.0 + 32.0 / looks)
        # What is weak inside can be heard outside only when it is better there than usual.
        usual = rules.veto_in_db
        if away < rules.deaf_dbm + 5.0:
            usual = max(2.0, min(usual, level - rules.deaf_dbm + 3.0))
        below = min(0.0, (less - usual) / spread_in)
        above = max(0.0, (less - rules.veto_out_db) / spread_out)
        nats = 0.5 * (above * above - below * below) + math.log(spread_out / spread_in)
        total += min(9.0, max(-9.0, nats))
    return total


def prior(inside: int, strays: float, near: int) -> float:
    """Nats for a tag of which nothing is known yet, from how many others were found in and out (``strays``:
    and are to be expected), and how many are known to lie near now (one in 20 of those near was perhaps not
    heard before)."""
    most = 2.5 if near or strays >= 1.0 else 4.5
    return max(-2.0, min(most, math.log((1.0 + inside) / (0.05 + strays + 0.05 * near))))
