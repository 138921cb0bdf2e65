"""Pictures for the simulated camera: walls, QR codes in perspective, and the scene file.

The scene file is a binary PGM that ``hal.camera.simulated`` looks at; it is replaced in one step, so
that the camera never sees half a picture.  Boards never import this module.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hal.camera.port import Gray

    Matrix = NDArray[np.bool_]

QUIET = 4
"""Modules of white around a code, as the standard asks."""


def matrix(content: str | bytes, *, level: str = "M", version: int | None = None) -> Matrix:
    """The modules of a QR Code (never Micro QR) without its quiet zone; True = dark."""
    import segno

    code = segno.make_qr(content, error=level, version=version, boost_error=False)
    return np.array([[bool(module) for module in row] for row in code.matrix], dtype=np.bool_)


def wall(
    size: tuple[int, int] = (640, 480), *, level: float = 110, noise: float = 2.0, seed: int = 1
) -> Gray:
    """An empty picture of ``size`` (width, height): grey ``level`` with Gaussian noise (grey levels)."""
    rng = np.random.default_rng(seed)
    picture = rng.normal(level, noise, (size[1], size[0])) if noise else np.full((size[1], size[0]), level)
    return np.clip(picture, 0, 255).astype(np.uint8)


def place(
    picture: Gray,
    modules: Matrix,
    *,
    height_share: float = 0.4,
    centre: tuple[float, float] = (0.5, 0.5),
    roll_deg: float = 0.0,
    tilt_deg: float = 0.0,
    ink: int = 20,
    paper: int = 235,
    quiet: int = QUIET,
) -> None:
    """Draw a code into ``picture`` in place, seen by a pinhole camera.

    ``height_share``: side of the code (without quiet zone) over the picture's height, untilted.
    ``centre``: where its middle is, in shares of width and height. ``tilt_deg`` turns it about its
    vertical axis at a distance of four times its side; ``roll_deg`` in the picture's plane.
    """
    height, width = picture.shape
    side = modules.shape[0]
    padded = np.pad(modules, quiet)
    scale = height_share * height / side  # pixels per module
    reach = 0.9 * padded.shape[0] * scale  # half the diagonal, and the near edge's magnification when tilted
    top, left = max(0, int(centre[1] * height - reach)), max(0, int(centre[0] * width - reach))
    part = picture[top : int(centre[1] * height + reach) + 1, left : int(centre[0] * width + reach) + 1]
    ys, xs = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]].astype(np.float32)
    u = (xs - centre[0] * width) / scale
    v = (ys - centre[1] * height) / scale
    roll, tilt = np.deg2rad(roll_deg), np.deg2rad(tilt_deg)
    u, v = u * np.cos(roll) + v * np.sin(roll), v * np.cos(roll) - u * np.sin(roll)
    distance = (
        4.0 * side
    )  # inverse of the projection x' = d x cos t / (d + x sin t), y' = d y / (d + x sin t)
    across = u * distance / (distance * np.cos(tilt) - u * np.sin(tilt))
    down = v * (distance + across * np.sin(tilt)) / distance
    column = np.floor(across + padded.shape[0] / 2).astype(np.int32)
    row = np.floor(down + padded.shape[0] / 2).astype(np.int32)
    inside = (column >= 0) & (column < padded.shape[1]) & (row >= 0) & (row < padded.shape[0])
    dark = padded[row[inside], column[inside]]
    part[inside] = np.where(dark, ink, paper).astype(np.uint8)


def soften(picture: Gray, passes: int = 1) -> Gray:
    """Blur with a 3 x 3 binomial kernel, ``passes`` times (about 0.7 pixel of standard deviation each)."""
    blurred: NDArray[Any] = picture.astype(np.float32)
    for _ in range(passes):
        edged = np.pad(blurred, 1, mode="edge")
        across = (edged[:, :-2] + 2 * edged[:, 1:-1] + edged[:, 2:]) / 4
        blurred = (across[:-2] + 2 * across[1:-1] + across[2:]) / 4
    soft: Gray = np.clip(blurred, 0, 255).astype(np.uint8)
    return soft


def render(
    content: str | bytes | Matrix,
    size: tuple[int, int] = (640, 480),
    *,
    height_share: float = 0.4,
    centre: tuple[float, float] = (0.5, 0.5),
    roll_deg: float = 0.0,
    tilt_deg: float = 0.0,
    noise: float = 2.0,
    blur: int = 1,
    ink: int = 20,
    paper: int = 235,
    level: str = "M",
    seed: int = 1,
) -> Gray:
    """A phone's code before a wall, as gray picture of ``size``. ``content``: text, bytes or modules."""
    modules = matrix(content, level=level) if isinstance(content, str | bytes) else content
    picture = wall(size, noise=0)
    place(
        picture,
        modules,
        height_share=height_share,
        centre=centre,
        roll_deg=roll_deg,
        tilt_deg=tilt_deg,
        ink=ink,
        paper=paper,
    )
    picture = soften(picture, blur)
    if not noise:
        return picture
    grain = np.random.default_rng(seed).normal(0.0, noise, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def write_scene(path: str | Path, picture: Gray) -> None:
    """Replace the scene file (binary PGM, P5) in one step. Raises OSError."""
    path = Path(path)
    height, width = picture.shape
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    fresh.write_bytes(b"P5\n%d %d\n255\n" % (width, height) + np.ascontiguousarray(picture).tobytes())
    fresh.replace(path)
