"""The synthetic gate set: what a camera at a gate sees when somebody holds up a phone, made from seeds.

Each picture is a lane (own backgrounds), a phone with a lit screen and a QR code on it, seen by a pinhole
camera and spoilt on purpose in one way or, in the "real" families, in several. Everything follows from the
numbers given; no picture of anybody else is used. It is a model: screens, lenses and lamps are simpler here.

Lengths are in modules of the code unless named px. Grey levels are 0..255.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.gatepaint import Look, Picture, Plane, background, draw
from hal.sim.scene import matrix

Make = Callable[[random.Random], Look]
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
PASS_CHARS = 178
"""Characters of a pass: 116 bytes as Base45, and the prefix."""
LONG_PASS_CHARS = 190
"""The same with a hash chain of 16 bytes in place of 12."""
LENGTHS = {"L": (40, 190), "M": (30, 150), "Q": (24, 106)}
"""Letters of a byte-mode code that give versions 3 to 8, by level."""


@dataclass(frozen=True)
class Case:
    """One picture to be: a family, a level within it, the text, and how it looks."""

    family: str
    level: str
    seed: int
    text: str = field(repr=False)
    error: str
    look: Look


def texts(rng: random.Random) -> tuple[str, str]:
    """A text and its QR level: every second a pass (version 7-M), else a shorter code of version 3 to 8."""
    if rng.random() < 0.5:
        return like_a_pass(rng, PASS_CHARS), "M"
    error = rng.choice("LMQ")
    length = rng.randint(*LENGTHS[error])
    return "https://" + "".join(rng.choices(string.ascii_lowercase + string.digits, k=length - 8)), error


def like_a_pass(rng: random.Random, characters: int) -> str:
    """Base45 letters as of a pass so long: only their number matters to a picture."""
    return "TG1:" + "".join(rng.choices(ALPHABET, k=characters - 4))


def _hold(rng: random.Random, **fixed: float) -> Look:
    """An ordinary, easy hold, with what ``fixed`` names put in."""
    look = Look(
        height=rng.uniform(0.36, 0.46),
        centre=(rng.uniform(0.4, 0.6), rng.uniform(0.42, 0.58)),
        roll_deg=rng.uniform(-8, 8),
        tilt_deg=rng.uniform(0, 10),
        turn_deg=rng.uniform(0, 360),
        defocus=rng.uniform(0.1, 0.25),
        ink=rng.uniform(18, 35),
        paper=rng.uniform(195, 230),
        room=rng.uniform(60, 130),
        noise=rng.uniform(2, 4),
    )
    return replace(look, **fixed)  # type: ignore[arg-type]


INVERTED = {"white on black": (235.0, 15.0), "grey on dark": (180.0, 35.0), "white on blue": (220.0, 70.0)}
"""Dark-mode screens: grey levels of the code's modules and of what is around them."""
REAL = {"good": 0.0, "ordinary": 1.0, "careless": 2.0, "bad": 3.0}


def _real(rng: random.Random, grade: float) -> Look:
    """Everything a little wrong at once; ``grade`` 0 good .. 3 bad."""
    g = grade / 3
    some = [rng.random() < p for p in (0.15 + 0.3 * g, 0.2 + 0.3 * g, 0.15 + 0.25 * g, 0.1 + 0.2 * g, 0.2)]
    dark = rng.random() < 0.1
    ink, paper = rng.uniform(15, 45), rng.uniform(215 - 110 * g, 245 - 60 * g)
    return Look(
        height=rng.uniform(0.34 - 0.14 * g, 0.55),
        centre=(rng.uniform(0.4 - 0.1 * g, 0.6 + 0.1 * g), rng.uniform(0.42 - 0.05 * g, 0.58 + 0.05 * g)),
        roll_deg=rng.uniform(-1, 1) * (10 + 35 * g),
        tilt_deg=rng.uniform(0, 10 + 35 * g),
        turn_deg=rng.uniform(0, 360),
        defocus=rng.uniform(0.1, 0.3 + 0.55 * g),
        motion=rng.uniform(0, 0.3 + 1.3 * g) if some[0] else 0.0,
        glare=rng.uniform(0.0, 0.02 + 0.08 * g) if some[1] else 0.0,
        moire=rng.uniform(0, 0.1 + 0.25 * g) if some[2] else 0.0,
        bands=rng.uniform(0.1, 0.3 + 0.4 * g) if some[3] else 0.0,
        ink=paper if dark else ink,
        paper=ink if dark else paper,
        bloom=rng.uniform(1.0, 1.6 + 2.4 * g) if some[4] and not dark else 1.0,
        quiet=4 if rng.random() < 0.85 else 2,
        page=None if rng.random() < 0.8 else 50.0,
        room=rng.uniform(30, 150),
        noise=rng.uniform(2, 3 + 3 * g),
    )


def _with(**fixed: float) -> Make:
    return lambda rng: _hold(rng, **fixed)


def levels() -> list[tuple[str, str, Make]]:
    """(family, level, maker) of the whole set."""
    rows: list[tuple[str, str, Make]] = [("base", "", _hold)]
    plain: tuple[tuple[str, str, tuple[float, ...], float], ...] = (
        ("size, % of height", "height", (15, 20, 30, 60, 80), 0.01),
        ("tilt, degrees", "tilt_deg", (25, 35, 45, 55), 1),
        ("roll, degrees", "roll_deg", (30, 45, 90, 180), 1),
        ("defocus, modules", "defocus", (0.5, 0.7, 0.9, 1.1), 1),
        ("motion, modules", "motion", (0.8, 1.2, 1.6, 2.0), 1),
        ("glare, % of area", "glare", (6, 10, 15), 0.01),
        ("moiré, % of contrast", "moire", (20, 30, 45), 0.01),
        ("PWM bands, % deep", "bands", (40, 60, 80), 0.01),
        ("over-exposure, times", "bloom", (2, 4, 6), 1),
    )
    for family, name, values, unit in plain:
        rows += [(family, f"{value:g}", _with(**{name: value * unit})) for value in values]
    rows += [
        ("dim, % of light", f"{p}", _with(ink=0.1 * p, paper=2.2 * p, room=6.0, noise=4.0))
        for p in (25, 12, 6)
    ]
    rows += [
        ("contrast, grey levels", f"{c}", _with(ink=110 - c / 2, paper=110 + c / 2, noise=3.0))
        for c in (60, 30, 18)
    ]
    rows += [("inverted", name, _with(ink=ink, paper=paper)) for name, (ink, paper) in INVERTED.items()]
    rows += [("quiet zone, modules", f"{q}", _with(quiet=q, page=45.0)) for q in (2, 1, 0)]
    rows += [(f"real: {name}", "", _graded(grade)) for name, grade in REAL.items()]
    return rows


def _graded(grade: float) -> Make:
    return lambda rng: _real(rng, grade)


def cases(count: int, seed: int = 20_240_607, *, real: int | None = None) -> Iterator[Case]:
    """``count`` cases of each level (``real`` of each real family), always the same for the same numbers."""
    for place, (family, level, make) in enumerate(levels()):
        for number in range(real if real is not None and family.startswith("real") else count):
            own = seed + place * 100_003 + number
            rng = random.Random(own)
            text, error = texts(rng)
            yield Case(family, level, own, text, error, make(rng))


class Scene:
    """The still picture of one case before noise: ``frame()`` gives it with fresh noise each time."""

    def __init__(self, case: Case) -> None:
        look = case.look
        self._noise = look.noise
        self._rng = np.random.default_rng(case.seed)
        self._room = background(self._rng, look.room)
        self._still = draw(self._room, matrix(case.text, level=case.error), look, self._rng)

    def frame(self) -> Picture:
        return self._grain(self._still)

    def empty(self) -> Picture:
        """The lane before the phone came."""
        return self._grain(self._room)

    def _grain(self, plane: Plane) -> Picture:
        grain = self._rng.standard_normal(plane.shape, dtype=np.float32) * self._noise
        return np.clip(plane + grain, 0, 255).astype(np.uint8)
