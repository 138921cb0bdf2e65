"""The decoder port: gray picture in, codes out. Imports no decoder and no numpy.

Payloads are bytes and may be payment codes: they are kept out of ``repr`` so that no log shows one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hal.camera.port import Gray

Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Code:
    """One code read in a picture.

    ``corners`` are (x, y) in 0..1 of the picture's width and height, in order around the code,
    beginning at the code's own top left. ``decoder`` names what read it ("zxing", "zbar").
    """

    data: bytes = field(repr=False)
    corners: Corners
    decoder: str

    @property
    def share(self) -> float:
        """Height of the code as a share of the picture's height, 0..1."""
        ys = [y for _, y in self.corners]
        return min(1.0, max(0.0, max(ys) - min(ys)))

    @property
    def area(self) -> float:
        """Area as a share of the picture's, 0..1 (shoelace formula)."""
        total = 0.0
        for (x1, y1), (x2, y2) in zip(self.corners, (*self.corners[1:], self.corners[0]), strict=True):
            total += x1 * y2 - x2 * y1
        return min(1.0, abs(total) / 2)

    @property
    def offset(self) -> float:
        """Distance of the code's middle from the picture's, in shares (0 = central)."""
        x = sum(x for x, _ in self.corners) / 4 - 0.5
        y = sum(y for _, y in self.corners) / 4 - 0.5
        return float((x * x + y * y) ** 0.5)


class Decoder(Protocol):
    """Reads every QR Code (Model 2) in a picture. Used by one thread; never raises for a 2-D uint8
    picture, whatever it shows."""

    def read(self, gray: Gray) -> list[Code]: ...


def corners_of(points: Sequence[tuple[float, float]], width: int, height: int) -> Corners:
    """Pixel corners as shares of the picture. Anything but four points is taken as its bounding box."""
    if len(points) != 4:
        xs = [x for x, _ in points] or [0.0]
        ys = [y for _, y in points] or [0.0]
        left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
        points = [(left, top), (right, top), (right, bottom), (left, bottom)]
    a, b, c, d = ((x / width, y / height) for x, y in points)
    return (a, b, c, d)
