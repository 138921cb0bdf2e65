"""Is this tag in the portal, or near it? What each tag showed so far, as evidence for and against. Pure.

Evidence is added up in nats (logarithms of likelihood ratios): strength inside, strength inside against the
antennas that face away, what lay there before the shopper came, and how many strays there are at all.
Strength is the maximum per antenna, which separates better than mean or median (Hauser et al. 2018). It must
never count a tag as inside that only an antenna facing away has heard.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from hal.ports import TagRead

SAME_LOOK_S = 0.08
"""Reads of a tag within this time are one look: they share a fade and say little more than one of them."""
MAX_TAGS = 500
MAX_KNOWN = 1000
CERTAIN = 50.0
_PENDING_MAX = 2000


@dataclass(frozen=True, slots=True)
class PresenceRules:
    """What is installed here, in dB and dBm; defaults: antennas at 0.7 m, 2 m to the next shelf.

    ``veto``: antennas that face away from the portal. ``even_dbm``: a tag this strong inside may as well be a
    stray. ``veto_in_db``: a tag in the portal is this much stronger inside than on a veto antenna (median);
    ``veto_out_db``: a stray. ``rise_db``: what lies near must get this much stronger before it can have been
    taken. ``sure_in``, ``sure_out``: nats of evidence at which a tag is in, or out; between them it is weak.
    ``hold``: a tag that was in stays in until the evidence is this much lower. ``approach_s``: reads this
    short before the shopper came are the shopper's own, not the shelf's. Raises ValueError."""

    veto: frozenset[int] = frozenset()
    even_dbm: float = -54.0
    veto_in_db: float = 14.0
    veto_out_db: float = -8.0
    rise_db: float = 8.0
    sure_in: float = 4.5
    sure_out: float = -3.0
    hold: float = 3.0
    approach_s: float = 2.0
    settle_s: float = 20.0

    def __post_init__(self) -> None:
        if self.sure_in <= self.sure_out:
            raise ValueError(f"sure_in = {self.sure_in:g}: must be above sure_out = {self.sure_out:g}")
        if self.veto_in_db <= self.veto_out_db:
            raise ValueError(
                f"veto_in_db = {self.veto_in_db:g}: must be above veto_out_db = {self.veto_out_db:g}"
            )
        if not 0 < self.approach_s <= 30 or not 0 <= self.settle_s <= 600:
            raise ValueError("approach_s must be above 0 to 30, settle_s 0 to 600 seconds")


def strength(read: TagRead) -> float:
    """RSSI in dBm, else the raw number: a scale that rises with strength, its unit unknown."""
    return read.rssi_dbm if read.rssi_dbm is not None else float(read.rssi_raw)


class Near:
    """What is heard while nobody is in the portal: per tag the maximum per antenna, and when last.

    A read counts only when it is ``approach_s`` old and nobody has come in since; the last shopper's own tags
    are not learned for ``settle_s`` after the end. At most ``MAX_KNOWN`` tags, the longest unheard go."""

    def __init__(self, rules: PresenceRules) -> None:
        self._rules = rules
        self._known: dict[bytes, dict[int, float]] = {}
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

    def level(self, epc: bytes) -> dict[int, float] | None:
        """Maximum per antenna; None: never heard when the portal was empty."""
        return self._known.get(epc)

    def _learn(self, before: float) -> None:
        waiting = self._waiting
        while waiting and waiting[0].at <= before:
            read = waiting.popleft()
            if read.epc in self._leaving and read.at < self._left_at + self._rules.settle_s:
                continue
            # Taken out and put back: the order is that of the last hearing.
            levels = self._known.pop(read.epc, None) or {}
            value = strength(read)
            old = levels.get(read.antenna)
            # A slow way down, or one reflection of last month would hide a tag for ever.
            levels[read.antenna] = value if old is None else max(value, old - 0.02)
            self._known[read.epc] = levels
            if len(self._known) > MAX_KNOWN:
                del self._known[next(iter(self._known))]


class Track:
    """One tag during one stay: counts and maxima, nothing that grows with the number of reads."""

    __slots__ = (
        "best",
        "first",
        "in_reads",
        "last",
        "looks",
        "pcs",
        "rawonly",
        "reads",
        "shown",
        "state",
        "veto_reads",
    )

    def __init__(self, at: float) -> None:
        self.best: dict[int, float] = {}
        self.first = self.last = at
        self.in_reads = self.veto_reads = self.looks = self.reads = 0
        self.pcs: set[int] = set()
        self.rawonly = self.shown = False
        self.state = ""
        """"in", "weak", "out"; "" before the first judgement."""

    def add(self, read: TagRead, veto: frozenset[int]) -> None:
        antenna, value = read.antenna, strength(read)
        old = self.best.get(antenna)
        if old is None or value > old:
            self.best[antenna] = value
        if not self.looks or read.at - self.last >= SAME_LOOK_S:
            self.looks += 1
            if antenna in veto:
                self.veto_reads += 1
            else:
                self.in_reads += 1
            self.last = read.at
        elif antenna not in veto and not self.in_reads:
            self.in_reads = 1
        elif antenna in veto and not self.veto_reads:
            self.veto_reads = 1
        self.reads += max(1, min(read.read_count, 100))
        if len(self.pcs) < 4:
            self.pcs.add(read.pc)
        if read.rssi_dbm is None:
            self.rawonly = True

    def inside(self, veto: frozenset[int]) -> float | None:
        """The strongest on an antenna that looks into the portal."""
        return max((value for port, value in self.best.items() if port not in veto), default=None)

    def outside(self, veto: frozenset[int]) -> float | None:
        return max((value for port, value in self.best.items() if port in veto), default=None)


def evidence(track: Track, near: dict[int, float] | None, rules: PresenceRules, antennas: int) -> float:
    """Nats for "in the portal" from what this tag alone showed; without what the others say (``prior``).

    ``antennas``: how many were heard from so far, veto ones included."""
    veto = rules.veto
    if track.shown:
        return CERTAIN
    inside = track.inside(veto)
    if inside is None:
        return -CERTAIN
    total = 0.0
    if not track.rawonly:
        # Below, hard tags inside and strays are equally weak: no more than this against it.
        total += min(4.0, max(-2.0, 0.22 * (inside - rules.even_dbm)))
    if near is not None:
        rise = max(
            (value - near[port] for port, value in track.best.items() if port in near and port not in veto),
            default=rules.rise_db / 2,
        )
        if rise < rules.rise_db:
            total -= 12.0
    if veto:
        total += _veto(track, inside, rules, antennas)
    return total


def _veto(track: Track, inside: float, rules: PresenceRules, antennas: int) -> float:
    """What the antennas facing away say: how much weaker they hear it, or that they do not hear it."""
    outside = track.outside(rules.veto)
    if outside is None:
        if track.rawonly:
            return min(4.0, 0.4 * track.in_reads)
        # A stray would have been heard there about as often as inside. So would a strong tag from within.
        facing_away = len(rules.veto)
        looking_in = max(1, antennas - facing_away)
        audible = 1.0 / (1.0 + math.exp(-(inside - rules.veto_in_db + 69.0) / 2.5))
        share = looking_in / (looking_in + facing_away * audible)
        share_stray = looking_in / (looking_in + facing_away * 1.0)
        return min(6.0, track.in_reads * math.log(share / share_stray))
    less = inside - outside
    if track.rawonly:
        # The raw unit is unknown: only which of the two is stronger counts, and that the more the more reads.
        return math.copysign(min(4.0, 1.0 + 0.5 * min(track.in_reads, track.veto_reads)), less)
    few = 36.0 / max(1, min(track.in_reads, track.veto_reads))
    spread_in, spread_out = math.sqrt(12.0 + 0.3 * few), math.sqrt(25.0 + few)
    below = min(0.0, (less - rules.veto_in_db) / spread_in)
    above = (less - rules.veto_out_db) / spread_out
    nats = 0.5 * (above * abs(above) if above > 0 else 0.0) - 0.5 * below * below
    return min(8.0, max(-8.0, nats + math.log(spread_out / spread_in)))


def prior(inside: int, strays: int, known: int) -> float:
    """Nats for a tag of which nothing is known yet, from how many others were found in and out, and how many
    are known to lie near (one in 20 of those near was perhaps not heard before)."""
    return max(-2.0, min(4.5, math.log((1.0 + inside) / (0.3 + strays + 0.05 * known))))
