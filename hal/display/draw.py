"""Draws a ``Screen`` with Pillow, for panels of any size, to be read from two metres.

A tone is a background colour *and* a pictogram *and* words: nobody has to tell red from green. Runs on a
display's own thread, never on the loop; Pillow and segno are imported here when the first picture is drawn.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hal.display import text
from hal.display.pictograms import Colour, pictogram
from hal.display.text import Box
from hal.ports import Screen

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

log = logging.getLogger("display")


@dataclass(frozen=True, slots=True)
class Tone:
    paper: Colour
    ink: Colour
    striped: bool = False


BLACK, WHITE, YELLOW = (0, 0, 0), (255, 255, 255), (255, 209, 0)
TONES = {
    "idle": Tone((18, 44, 74), WHITE),
    "go": Tone((0, 112, 60), WHITE),
    "wait": Tone((247, 181, 0), BLACK),
    "stop": Tone((176, 16, 28), WHITE),
    "alarm": Tone((16, 16, 16), YELLOW, striped=True),
    "price": Tone((18, 44, 74), WHITE),
}
"""Contrast of ink on paper is at least 6:1 for each (WCAG 2, relative luminance)."""

QUIET_MODULES = 4
MIN_MODULE_PX = 2


def draw(screen: Screen, size: tuple[int, int]) -> Image:
    """``screen`` as an RGB picture of ``size`` (pixels, each side at least 16).

    An unknown tone is drawn as "stop". Text that cannot be shown large is wrapped, then shrunk, at last cut
    off with an ellipsis. A ``code`` that finds no room at two pixels a module is left out and logged.
    """
    from PIL import Image as Images
    from PIL import ImageDraw as Drawing

    tone = TONES.get(screen.tone, TONES["stop"])
    image = Images.new("RGB", size, tone.paper)
    pen = Drawing.Draw(image)
    width, height = size
    edge = max(2, min(size) // 20)
    box = (edge, edge, width - edge, height - edge)
    if tone.striped:
        band = max(4, min(size) // 14)
        for top in (0, height - band):
            _stripes(pen, (0, top, width, top + band), tone)
        box = (edge, band + edge, width - edge, height - band - edge)
    if screen.code is not None:
        box = _code(image, screen.code, box)
    lines = tuple(text.printable(line) for line in screen.lines)
    sign, words = _layout(pen, lines, box)
    image.paste(pictogram(screen.tone, sign[2] - sign[0], tone.paper, tone.ink), sign[:2])
    text.write(pen, lines, words, tone.ink)
    return image


# -- layout ----------------------------------------------------------------------------------------


def _layout(pen: ImageDraw, lines: tuple[str, ...], box: Box) -> tuple[Box, Box]:
    """(pictogram, text) boxes: side by side or one above the other, whichever lets the words be larger."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if not any(lines):
        side = min(width, height) * 7 // 10
        x, y = left + (width - side) // 2, top + (height - side) // 2
        return (x, y, x + side, y + side), (left, top, left, top)
    above = min(int(height * 0.36), width)
    centre = left + (width - above) // 2
    choices = [((centre, top, centre + above, top + above), (left, top + above + above // 8, right, bottom))]
    if width > height * 0.9:
        beside = min(int(width * 0.3), height)
        middle = top + (height - beside) // 2
        choices.append(
            (
                (left, middle, left + beside, middle + beside),
                (left + beside + beside // 7, top, right, bottom),
            )
        )
    sign, words = max(choices, key=lambda choice: text.fit(pen, lines, choice[1]).size)
    if sign[1] < words[1]:  # one above the other: both together in the middle
        spare = int(words[3] - words[1] - text.fit(pen, lines, words).height)
        down = spare // 3
        sign = (sign[0], sign[1] + down, sign[2], sign[3] + down)
        words = (words[0], words[1] + down, words[2], words[3] - (spare - 2 * down))
    return sign, words


# -- the code --------------------------------------------------------------------------------------


def _code(image: Image, payload: str, box: Box) -> Box:
    """Draw the code at the right (or the bottom of an upright panel); what is left is returned."""
    try:
        import segno
    except ImportError:
        log.warning("a code cannot be shown: segno is not installed; install tallygate[display]")
        return box
    from PIL import ImageDraw as Drawing

    left, top, right, bottom = box
    upright = bottom - top > right - left
    room = (
        min(right - left, (bottom - top) * 3 // 5) if upright else min((right - left) * 3 // 5, bottom - top)
    )
    try:
        rows = [bytes(row) for row in segno.make_qr(payload, error="m").matrix]  # never Micro QR
    except segno.DataOverflowError:
        log.warning("a code of %d characters is too long to be shown", len(payload))
        return box
    modules = len(rows) + 2 * QUIET_MODULES
    scale = room // modules
    if scale < MIN_MODULE_PX:
        log.warning("a code of %d modules finds no room on a panel of %d x %d", modules, *image.size)
        return box
    side = modules * scale
    x = left + (right - left - side) // 2 if upright else right - side
    y = bottom - side if upright else top + (bottom - top - side) // 2
    pen = Drawing.Draw(image)
    pen.rectangle((x, y, x + side - 1, y + side - 1), fill=WHITE)
    for row, bits in enumerate(rows, QUIET_MODULES):
        for column, dark in enumerate(bits, QUIET_MODULES):
            if dark:
                px, py = x + column * scale, y + row * scale
                pen.rectangle((px, py, px + scale - 1, py + scale - 1), fill=BLACK)
    gap = side // 16
    return (left, top, right, y - gap) if upright else (left, top, x - gap, bottom)


def _stripes(pen: ImageDraw, box: Box, tone: Tone) -> None:
    left, top, right, bottom = box
    band = bottom - top
    pen.rectangle((left, top, right, bottom - 1), fill=tone.ink)
    for x in range(left - band, right + band, band * 2):
        pen.polygon([(x, bottom), (x + band, bottom), (x + 2 * band, top), (x + band, top)], fill=tone.paper)
