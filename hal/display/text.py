"""Words on the shopper's display: wrapped, evened out, and as large as the room allows.

One font for a whole screen; Chinese, Japanese and Korean signs may be broken anywhere, other words never.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

log = logging.getLogger("display")

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels."""

LATIN_FONTS = (
    "/usr/share/fonts/truetype/noto/NotoSans-Bold.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf",
    "/usr/share/fonts/truetype/liberation2/LiberationSans-Bold.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Bold.ttf",
    "/usr/share/fonts/truetype/freefont/FreeSansBold.ttf",
    "/usr/share/fonts/truetype/piboto/Piboto-Bold.ttf",
)
CJK_FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/usr/share/fonts/truetype/arphic/uming.ttc",
)
"""Where Debian's packages put them; the first that exists is used for a screen with such letters."""

SECOND_SHARE = 0.62
"""Size of the second and third line as a share of the first one's."""
MIN_FONT_PX = 8
LEADING = 1.2
GAP = 0.2
"""Room before a further line, as a share of the first line's size."""


@dataclass(frozen=True, slots=True)
class Fitted:
    size: int
    """Pixels of the first line's font."""
    rows: tuple[tuple[str, int, bool], ...]
    """(text, font size in pixels, a new line begins here), from the top."""

    @property
    def height(self) -> float:
        return sum(size * LEADING + (GAP * self.size if first else 0.0) for _, size, first in self.rows)


def fit(pen: ImageDraw, lines: tuple[str, ...], box: Box) -> Fitted:
    """The largest text that fits the box; at the smallest size what does not fit is cut off."""
    best = _fit(lines, box[2] - box[0], box[3] - box[1])
    return best if best is not None else _cut(pen, lines, box[2] - box[0], box[3] - box[1])


@lru_cache(maxsize=16)
def _fit(lines: tuple[str, ...], width: int, height: int) -> Fitted | None:
    """Kept: a screen's layout asks for the same several times, and a shop shows the same screens again. A
    price has 200 ms on a board that is ten times slower than a desk computer."""
    cjk = _has_wide(lines)
    broken = [pieces(line) for line in lines]
    low, high = MIN_FONT_PX, max(MIN_FONT_PX, int(height / LEADING))
    best: Fitted | None = None
    while low <= high:  # by halves: whether it fits is monotonic enough in the size
        size = (low + high) // 2
        fitted = _rows(broken, cjk, size, width)
        if fitted is not None and fitted.height <= height:
            best, low = fitted, size + 1
        else:
            high = size - 1
    return best


def _rows(lines: list[list[str]], cjk: bool, size: int, width: int) -> Fitted | None:
    """Every line, given in pieces, wrapped; None where a single word is wider than the box."""
    rows: list[tuple[str, int, bool]] = []
    for number, line in enumerate(lines):
        own = size if number == 0 else max(MIN_FONT_PX, round(size * SECOND_SHARE))
        font = _font(cjk, own)
        lengths = [(piece, font.getlength(piece)) for piece in line]
        wrapped = _wrap(lengths, width, font.getlength(" "))
        if wrapped is None:
            return None
        rows.extend((text, own, number > 0 and row == 0) for row, text in enumerate(wrapped))
    return Fitted(size, tuple(rows))


def _wrap(lengths: list[tuple[str, float]], width: float, space: float) -> list[str] | None:
    """As few rows as possible, then as even as possible: no last word alone on its row."""
    rows = _greedy(lengths, width, space)
    if rows is None or len(rows) < 2:
        return rows
    for share in (0.6, 0.7, 0.8, 0.9):
        narrower = _greedy(lengths, width * share, space)
        if narrower is not None and len(narrower) == len(rows):
            return narrower
    return rows


def _greedy(lengths: list[tuple[str, float]], width: float, space: float) -> list[str] | None:
    rows, row, used = [], "", 0.0
    for piece, length in lengths:
        bare = length - space if piece.endswith(" ") else length
        if bare > width:
            return None
        if row and used + bare > width:
            rows.append(row.strip())
            row, used = "", 0.0
        row, used = row + piece, used + length
    return [*rows, row.strip()]


def _cut(pen: ImageDraw, lines: tuple[str, ...], width: int, height: int) -> Fitted:
    font = font_for(lines, MIN_FONT_PX)
    rows = []
    for line in lines[: max(1, int(height / (MIN_FONT_PX * LEADING)))]:
        text = line
        while text and pen.textlength(text + "…", font=font) > width:
            text = text[:-1]
        rows.append((line if text == line else text + "…", MIN_FONT_PX, False))
    return Fitted(MIN_FONT_PX, tuple(rows))


def printable(line: str) -> str:
    """``line`` with a space for each sign that has no picture (controls, line ends, half surrogates)."""
    return "".join(sign if sign.isprintable() else " " for sign in line).strip()


def pieces(line: str) -> list[str]:
    """Where a line may be broken: after spaces, and around each Chinese, Japanese or Korean sign."""
    found: list[str] = []
    for sign in line:
        inside = found and not found[-1].endswith(" ") and not wide(sign) and not wide(found[-1][-1])
        if inside or (found and sign == " "):
            found[-1] += sign
        else:
            found.append(sign)
    return found


def wide(sign: str) -> bool:
    return "⺀" <= sign <= "鿿" or "가" <= sign <= "힯" or "豈" <= sign <= "﫿" or "！" <= sign <= "￯"


def write(pen: ImageDraw, lines: tuple[str, ...], box: Box, ink: tuple[int, int, int]) -> None:
    if not any(lines):
        return
    fitted = fit(pen, lines, box)
    y = box[1] + (box[3] - box[1] - fitted.height) / 2
    for text, size, first in fitted.rows:
        y += GAP * fitted.size if first else 0.0
        font = font_for(lines, size)
        x = box[0] + (box[2] - box[0] - pen.textlength(text, font=font)) / 2
        pen.text((x, y + size * (LEADING - 1) / 2), text, fill=ink, font=font)
        y += size * LEADING


def font_for(lines: tuple[str, ...], size: int) -> Any:
    """The font of a whole screen: one with Chinese signs where the words have any."""
    return _font(_has_wide(lines), size)


def _has_wide(lines: tuple[str, ...]) -> bool:
    return any(wide(sign) for line in lines for sign in line)


@lru_cache(maxsize=64)
def _font(cjk: bool, size: int) -> Any:
    from PIL import ImageFont

    for path in _paths(cjk):
        try:
            return ImageFont.truetype(path, size)
        except OSError:
            continue
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow before 10.1 has one size of its own font
        return ImageFont.load_default()


@lru_cache(maxsize=2)
def _paths(cjk: bool) -> tuple[str, ...]:
    there = tuple(path for path in (CJK_FONTS if cjk else LATIN_FONTS) if Path(path).exists())
    if cjk and not there:
        log.warning("no font with Chinese signs is installed: apt install fonts-noto-cjk")
        return _paths(False)
    return there
