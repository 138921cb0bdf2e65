"""The shopper's screen as a PNG file, for simulated boards, documentation and pages that mirror it.

The file is complete at any time: written beside its place, then renamed over it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from hal.display.painter import RETRY_S, DisplayFault, Painter
from hal.ports import Post, Screen

SIZE = (800, 480)


class PngDisplay(Painter):
    """``Display`` that keeps ``path`` a picture of the current screen, ``size`` in pixels."""

    def __init__(
        self,
        path: Path,
        *,
        size: tuple[int, int] = SIZE,
        post: Post | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        retry_s: float = RETRY_S,
    ) -> None:
        self._path = path
        self._size = size
        super().__init__(self._write, post=post, loop=loop, retry_s=retry_s)

    def _write(self, screen: Screen) -> None:
        from hal.display.draw import draw

        picture = draw(screen, self._size)
        part = self._path.with_name(f".{self._path.name}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                picture.save(file, "PNG", compress_level=1)
            part.replace(self._path)
        except OSError as error:
            raise DisplayFault(
                f"{self._path} cannot be written: {error.strerror}",
                "display.path in the board file, the rights on its folder, and df",
            ) from error
