"""How many tags in the portal have not been read yet, from how often the others were. Pure.

An empirical Bayes mixture: tags are read as Poisson processes whose rates lie on a grid; how many of each
rate there are is learned from this basket's own reads, beginning with a small number of slow tags in every
basket (a basket without any seen so far is no proof of none). It is the reasoning behind Good-Turing's and
Chao's estimates, which use only the tags seen once or twice, for a mixture and an elapsed time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

RATES = tuple(0.3 * 1.5**step for step in range(14))
"""Reads per second, 0.3 to 58."""
_LOG = tuple(math.log(rate) for rate in RATES)
_EM_STEPS = 3
TRUST = 6.0
"""Baskets that the expectation is worth beside this one's reads."""


SLOW_READS_PER_S = 3.0
"""Fewer, and less than half as many as the others: a hard tag."""


def slow_share(rate: float, hard: float) -> float:
    """Tags of this rate per tag in the basket, before anything is read: ``hard`` of 1.1 to 3 reads/s, fewer
    of slower ones (they would take longer than a shopper waits), and a trace of every faster one."""
    if rate > 3.5:
        return 0.002
    return 0.4 * hard if rate >= 1.1 else 0.4 * hard * (rate / 1.1) ** 5


class Experience:
    """What the baskets here had so far, to expect it of the next one. It forgets: the last 30 or so count.

    ``hard``: share of hard tags expected of a portal without experience; ``strays``: how many tags that were
    not known to lie near, and are not in the basket, either."""

    KEEP = 0.97
    TAGS = 30.0
    BASKETS = 4.0
    """What the first expectations are worth beside what was counted."""

    def __init__(self, hard: float, strays: float) -> None:
        self._hard, self._stray = hard, strays
        self._slow = self._tags = self._strays = self._baskets = 0.0

    @property
    def hard(self) -> float:
        """Share of hard tags to expect; never below a tenth of the first expectation."""
        share = (self._hard * self.TAGS + self._slow) / (self.TAGS + self._tags)
        return min(0.5, max(self._hard / 10.0, share))

    @property
    def strays(self) -> float:
        return (self._stray * self.BASKETS + self._strays) / (self.BASKETS + self._baskets)

    def learn(self, looks: Sequence[int], elapsed_s: float, strays: int) -> None:
        """One finished basket: how often each tag was read, and how many strays there were. A basket in
        which easy tags were slow as well (slow reader, too many tags) teaches nothing about hard ones."""
        self._strays = self._strays * self.KEEP + strays
        self._baskets = self._baskets * self.KEEP + 1.0
        if len(looks) < 2 or elapsed_s < 1.2:
            return
        usual = sorted(looks)[len(looks) // 2] / elapsed_s
        if usual < SLOW_READS_PER_S:
            return
        limit = min(SLOW_READS_PER_S, usual / 2.0)
        self._slow = self._slow * self.KEEP + sum(1 for count in looks if count / elapsed_s < limit)
        self._tags = self._tags * self.KEEP + len(looks)


class Unseen:
    """The mixture of one stay. ``hard``: share of hard tags expected in any basket."""

    def __init__(self, hard: float = 0.05) -> None:
        self._share = tuple(slow_share(rate, hard) for rate in RATES)
        self._seen = [1.0] * len(RATES)

    def estimate(self, looks: Mapping[int, float], elapsed_s: float) -> float:
        """Expected number of tags not read within ``elapsed_s``.

        ``looks``: how often → how many tags were read that often (may be a fraction of a tag)."""
        number = sum(looks.values())
        if number <= 0 or elapsed_s <= 0:
            return 0.0
        miss = [math.exp(-rate * elapsed_s) for rate in RATES]
        first = [share * number for share in self._share]
        log_t = math.log(elapsed_s)
        # Poisson weights of each count, scaled so that the largest is 1.
        weights: list[tuple[float, Sequence[float]]] = []
        for count, tags in looks.items():
            logs = [count * (log + log_t) - rate * elapsed_s for log, rate in zip(_LOG, RATES, strict=True)]
            top = max(logs)
            weights.append((tags, [math.exp(max(-60.0, one - top)) for one in logs]))
        seen = self._seen
        for _ in range(_EM_STEPS):
            mean = [_mean(*one) for one in zip(first, seen, miss, strict=True)]
            seen = [0.0] * len(RATES)
            for tags, row in weights:
                parts = [weight * many for weight, many in zip(row, mean, strict=True)]
                part = tags / sum(parts)
                seen = [value + part * one for value, one in zip(seen, parts, strict=True)]
        self._seen = seen
        mean = [_mean(*one) for one in zip(first, seen, miss, strict=True)]
        return sum(many * missed for many, missed in zip(mean, miss, strict=True))


def _mean(expected: float, seen: float, miss: float) -> float:
    """Tags of one rate, read or not: the expectation corrected by what was seen (gamma prior)."""
    return (TRUST * expected + seen) / (TRUST + 1.0 - miss)
