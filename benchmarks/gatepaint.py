"""Paints one picture of the gate set: a lane, a phone with a code on its screen, and what spoils the view.

Lengths are in modules of the code unless named px; grey levels are 0..255. A model, kept simple on purpose:
moiré is two beats, bands are square, a lens is a disk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIZE = (640, 480)
"""Width and height of a frame, px."""
Picture = NDArray[np.uint8]
Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """How one code is shown and seen. The defaults are the easy hold of the family "base"."""

    height: float = 0.4
    """Side of the code over the picture's height."""
    centre: tuple[float, float] = (0.5, 0.5)
    roll_deg: float = 0.0
    tilt_deg: float = 0.0
    turn_deg: float = 0.0
    """Direction of the tilt's axis."""
    defocus: float = 0.15
    """Radius of the blur disk, modules."""
    motion: float = 0.0
    """Length of the smear, modules."""
    glare: float = 0.0
    """Share of the code's area under a saturated reflection."""
    moire: float = 0.0
    """Amplitude of the screen's grid beating with the sensor's, as a share of the contrast."""
    bands: float = 0.0
    """Depth of the dark bands that a dimmed screen (PWM) leaves under a rolling shutter."""
    ink: float = 25.0
    paper: float = 215.0
    bloom: float = 1.0
    """Over-exposure: the screen this many times too bright, spilling into the dark modules."""
    quiet: int = 4
    """Quiet zone, modules; what is around it is ``page``."""
    page: float | None = None
    """The screen around code and quiet zone; None: like the paper."""
    room: float = 95.0
    """Mean grey of the lane behind."""
    noise: float = 3.0
    of_side: int | None = None
    """The side, modules, that defocus, motion, moiré and bloom are meant for; None: the code's own. Codes of
    several versions at the same size are spoilt alike when this is given."""


# -- the lane behind ---------------------------------------------------------------------------------


def background(rng: np.random.Generator, mean: float) -> Plane:
    """A wall in uneven light, with shelves, a door frame or blurred colours before it."""
    width, height = SIZE
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    slope = rng.uniform(-0.5, 0.5, 2)
    plane = mean * (1 + slope[0] * (xs / width - 0.5) + slope[1] * (ys / height - 0.5))
    kind = rng.integers(3)
    if kind == 0:  # shelves with packages
        for _ in range(int(rng.integers(10, 40))):
            x, y = rng.integers(0, width), rng.integers(0, height)
            w, h = rng.integers(15, 90), rng.integers(15, 90)
            plane[y : y + h, x : x + w] = mean * rng.uniform(0.4, 1.7)
    elif kind == 1:  # soft blobs: people and lights out of focus
        coarse = rng.normal(1.0, 0.35, (9, 12))
        plane = plane * _enlarge(coarse, (height, width))
    else:  # a door frame and its edges
        for x in rng.integers(0, width, 3):
            plane[:, x : x + int(rng.integers(4, 30))] = mean * rng.uniform(0.5, 1.5)
    return np.clip(plane, 0, 255).astype(np.float32)


def _enlarge(coarse: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Bilinear."""
    rows = np.linspace(0, coarse.shape[0] - 1.001, shape[0])
    columns = np.linspace(0, coarse.shape[1] - 1.001, shape[1])
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[:, None], (columns - left)[None, :]
    upper = coarse[top][:, left] * (1 - right) + coarse[top][:, left + 1] * right
    lower = coarse[top + 1][:, left] * (1 - right) + coarse[top + 1][:, left + 1] * right
    return upper * (1 - down) + lower * down


# -- the phone ---------------------------------------------------------------------------------------


def draw(room: Plane, modules: NDArray[np.bool_], look: Look, rng: np.random.Generator) -> Plane:
    screen = _screen(modules, look)
    side = modules.shape[0]
    scale = look.height * SIZE[1] / side  # px per module
    unit = look.height * SIZE[1] / (look.of_side or side)  # px per module of what spoils it
    plane = room.copy()
    centre = (look.centre[0] * SIZE[0], look.centre[1] * SIZE[1])
    total = np.zeros(plane.shape, np.float32)
    for dy, dx in ((-0.25, -0.25), (-0.25, 0.25), (0.25, -0.25), (0.25, 0.25)):  # four rays a pixel
        u, v = _seen_at(look, scale, side, centre, dx, dy)
        total += _sample(screen, u, v, plane)
    plane = total / 4
    u, v = _seen_at(look, scale, side, centre, 0.0, 0.0)
    on_screen = (np.abs(u) < side / 2 + 6) & (np.abs(v) < side * 1.05)
    if look.moire:
        plane = _moire(plane, u * scale / unit, v * scale / unit, on_screen, look, rng)
    if look.bands:
        rows = np.arange(SIZE[1], dtype=np.float32)[:, None]
        dip = look.bands * (
            0.5 + 0.5 * np.sign(np.sin(2 * np.pi * (rows / rng.uniform(40, 130) + rng.uniform())))
        )
        plane = np.where(on_screen, plane * (1 - _smooth(dip, 5)), plane)
    if look.bloom > 1:
        plane = _bloom(plane, unit, look.bloom)
    if look.glare:
        plane = _glare(plane, u, v, side, look.glare, rng)
    if look.motion:
        plane = _blur(plane, _smear(look.motion * unit, rng.uniform(0, np.pi)))
    if look.defocus:
        plane = _blur(plane, _disk(look.defocus * unit))
    return np.clip(plane, 0, 255).astype(np.float32)


def _screen(modules: NDArray[np.bool_], look: Look) -> Plane:
    """Grey levels of phone and code, one value a module; NaN outside the phone."""
    side = modules.shape[0]
    page = look.paper if look.page is None else look.page
    code = np.where(np.pad(modules, look.quiet), look.ink, look.paper).astype(np.float32)
    around = max(2, 6 - look.quiet)
    code = np.pad(code, around, constant_values=page)
    tall = int(side * 0.55)
    code = np.pad(code, ((tall, tall), (0, 0)), constant_values=page)
    for line in range(3, tall - 4, 4):  # some text above and below the code
        code[line, around + 2 : -around - 2] = (page + look.ink) / 2
    return np.pad(code, 3, constant_values=12.0)  # the phone's edge


def _seen_at(
    look: Look, scale: float, side: int, centre: tuple[float, float], dx: float, dy: float
) -> tuple[Plane, Plane]:
    """For each pixel the place on the phone, in modules from the code's middle. The camera stands four
    sides of the code away."""
    ys, xs = np.mgrid[0 : SIZE[1], 0 : SIZE[0]].astype(np.float32)
    x, y = (xs + dx - centre[0]) / scale, (ys + dy - centre[1]) / scale
    turn, roll, tilt = np.deg2rad(look.turn_deg), np.deg2rad(look.roll_deg), np.deg2rad(look.tilt_deg)
    a = x * np.cos(turn) + y * np.sin(turn)
    b = y * np.cos(turn) - x * np.sin(turn)
    far = 4.0 * side
    across = a * far / np.maximum(far * np.cos(tilt) - a * np.sin(tilt), 1.0)
    down = b * (far + across * np.sin(tilt)) / far
    back = roll - turn
    u = across * np.cos(back) + down * np.sin(back)
    v = down * np.cos(back) - across * np.sin(back)
    return u.astype(np.float32), v.astype(np.float32)


def _sample(screen: Plane, u: Plane, v: Plane, behind: Plane) -> Plane:
    rows, columns = screen.shape
    row = np.floor(v + rows / 2).astype(np.int32)
    column = np.floor(u + columns / 2).astype(np.int32)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    out = behind.copy()
    out[inside] = screen[row[inside], column[inside]]
    return out


# -- what spoils it ----------------------------------------------------------------------------------


def _moire(
    plane: Plane, u: Plane, v: Plane, on_screen: NDArray[np.bool_], look: Look, rng: np.random.Generator
) -> Plane:
    """Two beats of a few modules' length across the code, as of a pixel grid seen almost at its own pitch."""
    contrast = abs(look.paper - look.ink)
    wave = np.zeros(plane.shape, np.float32)
    for _ in range(2):
        angle, length = rng.uniform(0, np.pi), rng.uniform(1.5, 5.0)
        wave += np.sin(2 * np.pi * (u * np.cos(angle) + v * np.sin(angle)) / length + rng.uniform(0, 6))
    return np.where(on_screen, plane + look.moire * contrast * wave / 2, plane)


def _bloom(plane: Plane, scale: float, times: float) -> Plane:
    """Light beyond the sensor's range, part of it scattered about a module far before it is clipped."""
    bright = plane * times
    return np.clip(bright + 0.025 * (times - 1) * _blur(bright, _disk(1.5 * scale)), 0, 255)


def _glare(plane: Plane, u: Plane, v: Plane, side: int, share: float, rng: np.random.Generator) -> Plane:
    """An oval reflection of a lamp somewhere on the code, soft at its edge."""
    area = share * side * side
    longer = rng.uniform(1.0, 2.5)
    a = np.sqrt(area * longer / np.pi)
    b = np.sqrt(area / longer / np.pi)
    angle = rng.uniform(0, np.pi)
    x, y = u - rng.uniform(-0.35, 0.35) * side, v - rng.uniform(-0.35, 0.35) * side
    p = (x * np.cos(angle) + y * np.sin(angle)) / a
    q = (y * np.cos(angle) - x * np.sin(angle)) / b
    light = np.clip(2.0 - 2.0 * (np.sqrt(p * p + q * q) - 0.5), 0, 2)
    return plane + (255 * np.clip(light / 1.2, 0, 1)).astype(np.float32)


def _disk(radius_px: float) -> Plane:
    """A disk of light, its edge pixels weighted; one pixel for no blur."""
    reach = int(np.ceil(radius_px + 0.5))
    ys, xs = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    weight = np.clip(radius_px + 0.5 - np.sqrt(xs * xs + ys * ys), 0, 1)
    return weight / weight.sum()


def _smear(length_px: float, angle: float) -> Plane:
    reach = int(np.ceil(length_px / 2 + 1))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for t in np.linspace(-length_px / 2, length_px / 2, max(2, int(length_px * 8))):
        y, x = reach + t * np.sin(angle), reach + t * np.cos(angle)
        top, left = int(y), int(x)
        fy, fx = y - top, x - left
        for row, column, weight in (
            (top, left, (1 - fy) * (1 - fx)),
            (top, left + 1, (1 - fy) * fx),
            (top + 1, left, fy * (1 - fx)),
            (top + 1, left + 1, fy * fx),
        ):
            kernel[row, column] += weight
    return kernel / kernel.sum()


def _blur(plane: Plane, kernel: Plane) -> Plane:
    """Convolution, the border repeated."""
    reach = kernel.shape[0] // 2
    if reach == 0:
        return plane
    padded = np.pad(plane, reach, mode="edge")
    shape = (_even(padded.shape[0]), _even(padded.shape[1]))
    product = np.fft.rfft2(padded, shape) * np.fft.rfft2(kernel, shape)
    full = np.fft.irfft2(product, shape)
    return full[2 * reach : 2 * reach + plane.shape[0], 2 * reach : 2 * reach + plane.shape[1]].astype(
        np.float32
    )


def _even(number: int) -> int:
    """The next length that is quick to transform (a multiple of 32)."""
    return -(-number // 32) * 32


def _smooth(rows: Plane, passes: int) -> Plane:
    for _ in range(passes):
        rows = (np.roll(rows, 1, 0) + 2 * rows + np.roll(rows, -1, 0)) / 4
    return rows
