"""Which reads a frame gets. Pure: time and the frame's activity are arguments.

zxing reads every frame; its other binarizer every second one when the first found nothing; zbar
(ten times dearer) only while something is held to the camera (activity) that zxing does not read.
Costs and gains behind the numbers: docs/decoding.md.
"""

from __future__ import annotations

from dataclasses import dataclass

VARIANTS = ("raw", "half", "inverted")
ACTIVE_SHARE = 0.004
"""Activity threshold: share of the subsampled frame's pixels that are strong, new edges
(hal.vision.activity). A code at 15 % of the frame's height makes about twice this, a bare wall none."""
UNREAD_S = 0.5
"""zbar joins when zxing has read nothing for this long."""
PATIENCE_S = 15.0
"""Activity that lasts this long unread is a scene, not a shopper: zbar then looks once per SLOW_S."""
SLOW_S = 1.0


@dataclass(frozen=True, slots=True)
class Reads:
    """What to do with one frame. ``other``: zxing's other binarizer, if the first finds nothing.
    ``zbar``: the variant to hand to the second opinion, if that is free, or None."""

    other: bool
    zbar: str | None


class Plan:
    """``reads`` once per frame, then what became of it: ``read_by_zxing``, ``handed_over`` to zbar,
    ``read_by_zbar``."""

    def __init__(self, *, zbar: bool) -> None:
        self._zbar = zbar
        self._frames = 0
        self._turn = 0
        self._last_read = float("-inf")
        self._active_since: float | None = None
        self._last_zbar = float("-inf")

    def reads(self, activity: float, now: float) -> Reads:
        """``activity`` 0..1 of the frame taken at ``now`` (monotonic s)."""
        self._frames += 1
        return Reads(other=self._frames % 2 == 0, zbar=self._variant(activity, now) if self._zbar else None)

    def read_by_zxing(self, now: float) -> None:
        """zxing read something: nobody needs a second opinion for a while."""
        self._last_read = now
        self._active_since = None

    def handed_over(self, now: float) -> None:
        """The second opinion took the frame: the next variant is due next time."""
        self._turn += 1
        self._last_zbar = now

    def read_by_zbar(self, now: float) -> None:
        """zbar read something: what is shown is no mere scene, so keep asking at full rate."""
        self._active_since = now

    def _variant(self, activity: float, now: float) -> str | None:
        if activity < ACTIVE_SHARE:
            self._active_since = None
            return None
        if self._active_since is None:
            self._active_since = now
        if now - self._last_read < UNREAD_S:
            return None
        if now - self._active_since > PATIENCE_S and now - self._last_zbar < SLOW_S:
            return None
        return VARIANTS[self._turn % len(VARIANTS)]
