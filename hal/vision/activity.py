"""How much of a frame is new and has edges: cheap enough for every frame (about 0.1 ms at 640 x 480).

Runs in the camera child. A cluttered background becomes habit and stops counting; noise is damped by
averaging 2 x 2 pixels first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hal.camera.port import Gray

STEP = 4
"""Every fourth row and column is looked at."""
EDGE = 24
"""Grey levels between neighbours of the subsampled frame that make an edge: five times the difference
that camera noise of 5 levels leaves after averaging."""
HABIT_S = 20.0
"""Time constant of the habit map: an edge that stays becomes background after about 14 s."""


class Activity:
    """Call once per frame, in order."""

    def __init__(self) -> None:
        self._habit: NDArray[np.float32] | None = None
        self._last = 0.0

    def __call__(self, gray: Gray, now: float) -> float:
        """Share (0..1) of the subsampled frame's pixels that are edges and were not there before."""
        edges = _edges(gray)
        if edges.size == 0:
            return 0.0
        if self._habit is None or self._habit.shape != edges.shape:
            self._habit = np.zeros(edges.shape, np.float32)
            self._last = now
        rate = min(1.0, max(0.0, now - self._last) / HABIT_S)
        self._last = now
        fresh = float(np.count_nonzero(edges & (self._habit < 0.5))) / edges.size
        self._habit += np.float32(rate) * (edges.astype(np.float32) - self._habit)
        return fresh


def _edges(gray: Gray) -> NDArray[np.bool_]:
    rows = gray.shape[0] // STEP * STEP
    columns = gray.shape[1] // STEP * STEP
    small = gray[0:rows:STEP, 0:columns:STEP].astype(np.int16)
    small += gray[1:rows:STEP, 0:columns:STEP]
    small += gray[0:rows:STEP, 1:columns:STEP]
    small += gray[1:rows:STEP, 1:columns:STEP]
    across = np.abs(small[:-1, 1:] - small[:-1, :-1])
    down = np.abs(small[1:, :-1] - small[:-1, :-1])
    edges: NDArray[np.bool_] = np.maximum(across, down) > EDGE * 4
    return edges
