"""The camera of stepped tests: the same plan, decoder and tracker, in this process, on demand.

Never used by a board: a decoder must not run where the gate's outputs live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hal.camera.port import Frame
from hal.ports import CodeSeen, Post, Progress

if TYPE_CHECKING:
    from hal.camera.port import Gray


class InlineSource:
    """``Source`` whose frames are handed in by ``show``; zxing only."""

    def __init__(self, device: str = "camera") -> None:
        from hal.decoder.zxing import Zxing
        from hal.vision.eye import Eye

        self._eye = Eye(Zxing(), Zxing(second_binarizer=True))
        self._device = device
        self._frames = 0
        self._post: Post = lambda event: None

    def start(self, post: Post) -> None:
        """Deliver events to ``post`` from now on."""
        self._post = post

    def show(self, gray: Gray, now: float) -> None:
        """Read one frame (2-D uint8) at ``now`` (the loop's seconds) and post what follows from it."""
        self._frames += 1
        code = self._eye.look(Frame(gray, now, self._frames))
        if code is not None:
            self._post(CodeSeen(code.data, self._device, now, now, code.share, code.decoder))
        self._post(Progress(self._device, self._frames, now))

    def close(self) -> None:
        """Post nothing any more."""
        self._post = lambda event: None
