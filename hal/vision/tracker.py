"""Which of the codes in view counts, and when it counts again. Pure: time is an argument.

A code is reported once when it comes into view and again only after it has left: absent from frames
worth ``REARM_S``.  Of several codes the largest counts (the phone that is held to the camera, not the
poster behind it); among those of like size the most central.  A smaller one waits until the larger one
has left, so that a poster is not announced each time the phone blurs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hal.decoder.port import Code

REARM_S = 0.7
LIKE_SIZE = 0.8
"""Codes of at least this share of the largest one's area compete by how central they are."""
DOMINATED = 0.5
"""A code smaller than this share of the area of a counted code in view waits until that one left."""
MAX_GAP_S = 0.2
"""Two frames further apart than this count as this much absence: a stalled camera re-arms nothing."""
MAX_CODES = 64
"""Codes of one frame that are looked at; the rest, smallest first, are ignored."""


@dataclass(slots=True)
class _InView:
    area: float
    absent_s: float = 0.0


class Tracker:
    """Holds what is in view. ``update`` once per frame, also for frames with no code."""

    def __init__(self, rearm_s: float = REARM_S) -> None:
        self._rearm_s = rearm_s
        self._in_view: dict[bytes, _InView] = {}
        self._last: float | None = None

    def update(self, codes: Sequence[Code], now: float) -> Code | None:
        """The code that newly counts in the frame taken at ``now``, or None."""
        self._age(now, codes)
        if len(codes) > MAX_CODES:
            codes = sorted(codes, key=lambda code: -code.area)[:MAX_CODES]
        best = choose(codes)
        if best is None or best.data in self._in_view:
            return None
        if any(best.area < DOMINATED * other.area for other in self._in_view.values()):
            return None
        self._in_view[best.data] = _InView(best.area)
        return best

    def _age(self, now: float, codes: Sequence[Code]) -> None:
        step = 0.0 if self._last is None else min(MAX_GAP_S, max(0.0, now - self._last))
        self._last = now
        seen = {code.data: code.area for code in codes}
        for data, entry in list(self._in_view.items()):
            if data in seen:
                entry.absent_s, entry.area = 0.0, seen[data]
                continue
            entry.absent_s += step
            if entry.absent_s >= self._rearm_s - 1e-9:
                del self._in_view[data]


def choose(codes: Sequence[Code]) -> Code | None:
    """The largest code, and among those of like size the most central; None for no code."""
    if not codes:
        return None
    largest = max(code.area for code in codes)
    near = [code for code in codes if code.area >= LIKE_SIZE * largest]
    return min(near, key=lambda code: (code.offset, -code.area))
