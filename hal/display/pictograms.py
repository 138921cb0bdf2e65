"""The pictograms of the shopper's display: one for each tone, told apart by shape alone.

Pure drawing with Pillow; nothing is loaded from files.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Colour = tuple[int, int, int]
FINER = 3
"""Drawn so many times larger, then averaged: Pillow's own shapes have hard edges."""


@lru_cache(maxsize=16)
def pictogram(name: str, side: int, paper: Colour, ink: Colour) -> Image:
    """The sign of the tone ``name`` as a square RGB picture; an unknown name is "stop"."""
    from PIL import Image as Images
    from PIL import ImageDraw as Drawing

    side = max(1, side)  # a panel of a few pixels: better a dot than nothing at all
    large = Images.new("RGB", (side * FINER, side * FINER), paper)
    sheet = _Sheet(Drawing.Draw(large), side * FINER / 100, paper, ink)
    SIGNS.get(name, _no_entry)(sheet)
    return large.reduce(FINER)


class _Sheet:
    """A square of 100 units on which a sign is drawn in ``ink`` or cut out in ``paper``."""

    def __init__(self, pen: ImageDraw, unit: float, paper: Colour, ink: Colour) -> None:
        self._pen = pen
        self._unit = unit
        self.paper = paper
        self.ink = ink

    def area(self, points: str, fill: Colour) -> None:
        """A polygon; ``points`` as "x,y x,y ..."."""
        pairs = [pair.split(",") for pair in points.split()]
        self._pen.polygon([(float(x) * self._unit, float(y) * self._unit) for x, y in pairs], fill=fill)

    def bar(self, x0: float, y0: float, x1: float, y1: float, radius: float, fill: Colour) -> None:
        """A rectangle with round corners."""
        u = self._unit
        box = (x0 * u, y0 * u, max(x0 * u, x1 * u - 1), max(y0 * u, y1 * u - 1))
        self._pen.rounded_rectangle(box, radius * u, fill=fill)

    def disc(self, x: float, y: float, radius: float, fill: Colour) -> None:
        u = self._unit
        self._pen.ellipse(((x - radius) * u, (y - radius) * u, (x + radius) * u, (y + radius) * u), fill=fill)


def _phone(on: _Sheet) -> None:
    """A phone that shows a code."""
    on.bar(24, 2, 76, 98, 9, on.ink)
    on.bar(30, 12, 70, 86, 3, on.paper)
    for x, y in ((35, 28), (53, 28), (35, 46)):
        on.bar(x, y, x + 13, y + 13, 1, on.ink)
        on.bar(x + 4, y + 4, x + 9, y + 9, 0, on.paper)
    for x, y in ((53, 46), (61, 46), (57, 52), (53, 58), (61, 58), (41, 64), (49, 64), (35, 64)):
        on.bar(x, y, x + 5, y + 5, 0, on.ink)
    on.bar(44, 90, 56, 93, 1, on.paper)


def _arrow(on: _Sheet) -> None:
    """Straight on."""
    on.area("50,3 96,50 69,50 69,97 31,97 31,50 4,50", on.ink)


def _hour_glass(on: _Sheet) -> None:
    on.bar(16, 2, 84, 13, 4, on.ink)
    on.bar(16, 87, 84, 98, 4, on.ink)
    on.area("23,13 77,13 77,24 55,50 77,76 77,87 23,87 23,76 45,50 23,24", on.ink)
    on.area("30,19 70,19 70,23 68,26 32,26 30,23", on.paper)
    on.area("50,58 70,79 70,81 30,81 30,79", on.paper)


def _warning(on: _Sheet) -> None:
    on.area("50,3 99,93 1,93", on.ink)
    on.area("43,34 57,34 54,66 46,66", on.paper)
    on.disc(50, 78, 6.5, on.paper)


def _no_entry(on: _Sheet) -> None:
    on.disc(50, 50, 48, on.ink)
    on.bar(17, 40, 83, 60, 3, on.paper)


def _price_tag(on: _Sheet) -> None:
    on.area("2,50 38,12 92,12 92,88 38,88", on.ink)
    on.bar(80, 12, 98, 88, 9, on.ink)
    on.disc(32, 50, 8, on.paper)
    for y in (34, 50, 66):
        on.bar(52, y - 4, 84, y + 4, 2, on.paper)


SIGNS: dict[str, Callable[[_Sheet], None]] = {
    "idle": _phone,
    "go": _arrow,
    "wait": _hour_glass,
    "stop": _no_entry,
    "alarm": _warning,
    "price": _price_tag,
}
