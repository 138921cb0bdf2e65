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
TRUST = 0.3
"""Baskets that the expectation is worth beside this one's reads."""


SLOW_READS_PER_S = 3.0
"""Fewer: a hard tag, if the others were read much more often."""


def slow_share(rate: float, hard: float) -> float:
    """Tags of this rate per tag in the basket, before anything is read: ``hard`` of 1 to 3 reads/s, fewer of
    slower ones (they would take longer than a shopper waits), and a trace of every faster one."""
    if rate > 3.5:
        return 0.002
    return hard / 3.0 if rate >= 0.9 else hard / 3.0 * (rate / 0.9) ** 4


class Experience:
    """How many hard tags the baskets here had so far: what to expect of the next one. It forgets: the last
    30 or so baskets count. ``hard``: what is expected of a portal without experience."""

    WORTH = 60.0
    """Tags that the first expectation is worth beside what was counted."""
    KEEP = 0.97

    def __init__(self, hard: float) -> None:
        self._hard = hard
        self._slow = self._all = 0.0

    @property
    def hard(self) -> float:
        """Share of hard tags to expect; never below a fifth of the first expectation."""
        share = (self._hard * self.WORTH + self._slow) / (self.WORTH + self._all)
        return min(0.5, max(self._hard / 5.0, share))

    def learn(self, looks: Sequence[int], elapsed_s: float) -> None:
        """One finished basket: how often each tag was read. A basket in which easy tags were slow as well
        (slow reader, too many tags) or that was too short teaches nothing."""
        if len(looks) < 2 or elapsed_s < 1.2:
            return
        usual = sorted(looks)[len(looks) // 2] / elapsed_s
        if usual < SLOW_READS_PER_S * 1.6:
            return
        slow = sum(1 for count in looks if count / elapsed_s < SLOW_READS_PER_S)
        self._slow = self._slow * self.KEEP + slow
        self._all = self._all * self.KEEP + len(looks)


class Unseen:
    """The mixture of one stay. ``hard``: share of hard tags expected in any basket."""

    def __init__(self, hard: float = 0.05) -> None:
        self._share = tuple(slow_share(rate, hard) for rate in RATES)
        self._seen: list[float] = [0.0] * len(RATES)

    def estimate(self, looks: Mapping[int, float], elapsed_s: float) -> float:
        """Expected number of tags not read within ``elapsed_s``.

        ``looks``: how often → how many tags were read that often (may be a fraction of a tag)."""
        number = sum(looks.values())
        if number <= 0 or elapsed_s <= 0:
            return 0.0
        miss = [math.exp(-rate * elapsed_s) for rate in RATES]
        first = [TRUST * share * number for share in self._share]
        seen = self._seen if any(self._seen) else self._start(looks, elapsed_s)
        scale = number / sum(seen)
        seen = [value * scale for value in seen]
        log_t = math.log(elapsed_s)
        # Poisson weights of each count, scaled so that the largest is 1.
        weights: list[tuple[float, Sequence[float]]] = []
        for count, tags in looks.items():
            logs = [count * (log + log_t) - rate * elapsed_s for log, rate in zip(_LOG, RATES, strict=True)]
            top = max(logs)
            weights.append((tags, [math.exp(max(-60.0, one - top)) for one in logs]))
        mean = first
        for _ in range(_EM_STEPS):
            mean = [
                (prior + found) / (TRUST + 1.0 - missed)
                for prior, found, missed in zip(first, seen, miss, strict=True)
            ]
            seen = [0.0] * len(RATES)
            for tags, row in weights:
                parts = [weight * many for weight, many in zip(row, mean, strict=True)]
                part = tags / sum(parts)
                seen = [value + part * one for value, one in zip(seen, parts, strict=True)]
        self._seen = seen
        mean = [
            (prior + found) / (TRUST + 1.0 - missed)
            for prior, found, missed in zip(first, seen, miss, strict=True)
        ]
        return sum(many * missed for many, missed in zip(mean, miss, strict=True))

    @staticmethod
    def _start(looks: Mapping[int, float], elapsed_s: float) -> list[float]:
        return [1.0] * len(RATES)
