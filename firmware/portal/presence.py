"""What each tag in the portal, or near it, showed so far, and what lay there before. Pure.

Kept per tag and antenna: how many looks, how strong on the mean; nothing that grows with the number of reads.
What it says about being in the portal is weighed in ``features`` with the tables of ``presence_weights``. It
must never count a tag as inside that only an antenna facing away has heard.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from firmware.portal.presence_weights import VERSION
from hal.ports import TagRead

SAME_LOOK_S = 0.08
"""Reads of a tag within this time are one look: they share a fade and say little more than one of them."""
MAX_TAGS = 500
MAX_KNOWN = 1000
HOP_S = 0.35
"""Reads of a tag on one antenna within this time share a channel, and with it a reflection: one level."""
CERTAIN = 50.0
_PENDING_MAX = 2000
_SECONDS = 11


@dataclass(frozen=True, slots=True)
class PresenceRules:
    """What is installed here; defaults: antennas at 0.7 m, 2 m to the next shelf.

    ``veto``: antennas that face away from the portal. ``even_dbm``: a tag with this mean level inside may as
    well be a stray; ``veto_in_db``: a tag in the portal is this much stronger inside than on a veto antenna
    (mean). Other values than the defaults shift the learned tables by the difference.
    ``rise_db``: what lies near must get this much stronger before it can have been taken. ``sure_in``,
    ``sure_out``: logarithms of the odds at which a tag is in, or out; between them it is weak. ``level_in``:
    instead of ``sure_in`` where no antenna faces away. ``hold``: a tag that was in stays in until the odds
    are this much lower. ``approach_s``: reads this short before the shopper came are the shopper's own, not
    the shelf's. ``settle_s``: nor are the last shopper's tags, for this long. ``weights``: the tables that
    judged; a replay with others says so. Raises ValueError."""

    veto: frozenset[int] = frozenset()
    even_dbm: float = -58.0
    veto_in_db: float = 15.0
    rise_db: float = 8.0
    sure_in: float = 4.6
    level_in: float = 3.5
    sure_out: float = -4.0
    hold: float = 1.0
    approach_s: float = 3.0
    settle_s: float = 20.0
    weights: str = VERSION

    def __post_init__(self) -> None:
        if min(self.sure_in, self.level_in) <= self.sure_out:
            raise ValueError(f"sure_in, level_in: must be above sure_out = {self.sure_out:g}")
        if not -90.0 <= self.even_dbm <= -20.0:
            raise ValueError(f"even_dbm = {self.even_dbm:g}: must be -90 to -20 dBm")
        if not 0.0 <= self.veto_in_db <= 40.0:
            raise ValueError(f"veto_in_db = {self.veto_in_db:g}: must be 0 to 40 dB")
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


class Ear:
    """One tag on one antenna: reads within ``HOP_S`` are one level, however many they are."""

    __slots__ = ("_count", "_done", "_since", "_total", "levels", "reads")

    def __init__(self) -> None:
        self.reads = self.levels = self._count = 0
        self._done = self._total = 0.0
        self._since = -math.inf

    def add(self, value: float, at: float) -> None:
        self.reads += 1
        if at - self._since >= HOP_S:
            if self._count:
                self._done += self._total / self._count
            self.levels += 1
            self._since, self._count, self._total = at, 1, value
        else:
            self._count += 1
            self._total += value

    @property
    def mean(self) -> float:
        return (self._done + self._total / self._count) / self.levels


class Track:
    """One tag during one stay: counts and sums, nothing that grows with the number of reads."""

    __slots__ = ("ears", "first", "last", "looks", "moved", "pcs", "rawonly", "reads", "shown", "state")

    def __init__(self, at: float) -> None:
        self.ears: dict[int, Ear] = {}
        """By antenna."""
        self.moved: tuple[dict[int, tuple[int, float]], dict[int, tuple[int, float]]] = ({}, {})
        """Inside, and facing away: second (the last one goes on) to looks, and the sum of their levels."""
        self.first = self.last = at
        self.looks = self.reads = 0
        """Looks: at any antenna, for how often a tag is read at all."""
        self.pcs: set[int] = set()
        self.rawonly = self.shown = False
        self.state = ""
        """"in", "weak", "out"; "" before the first judgement."""

    def add(self, read: TagRead, veto: frozenset[int]) -> None:
        antenna, value = read.antenna, strength(read)
        ear = self.ears.get(antenna)
        if ear is None:
            ear = self.ears[antenna] = Ear()
        ear.add(value, read.at)
        if read.at - self.last >= SAME_LOOK_S or not self.looks:
            self.looks += 1
            self.last = max(read.at, self.last)
        seconds = self.moved[antenna in veto]
        second = max(0, min(_SECONDS, int(read.at - self.first)))
        count, level = seconds.get(second, (0, 0.0))
        seconds[second] = (count + 1, level + value)
        self.reads += max(1, min(read.read_count, 100))
        if len(self.pcs) < 4:
            self.pcs.add(read.pc)
        if read.rssi_dbm is None:
            self.rawonly = True

    def inside(self, veto: frozenset[int]) -> bool:
        """An antenna that looks into the portal has heard it."""
        return any(port not in veto for port in self.ears)

    def heard(self, veto: frozenset[int], *, outside: bool) -> tuple[int, int, float]:
        """Reads, levels, and mean strength on the best antenna of those that face away, or of the others. The
        mean of one or two levels is pulled to that of all: the best of several is by chance the best."""
        reads = levels = most = 0
        total = level = 0.0
        best = -math.inf
        for port, ear in self.ears.items():
            if (port in veto) == outside:
                mean, many = ear.mean, ear.levels
                reads, levels, total = reads + ear.reads, levels + many, total + mean * many
                if mean - 6.0 / math.sqrt(many) > best:
                    best, most, level = mean - 6.0 / math.sqrt(many), many, mean
        if not levels:
            return 0, 0, 0.0
        return reads, levels, (level * most + 2.0 * total / levels) / (most + 2.0)
