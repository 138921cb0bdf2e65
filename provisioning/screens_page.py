"""The shopper's screens on one sheet, as a gate draws them: ``docs/img/screens.png``.

``python -m provisioning.screens_page`` draws it; ``--check`` (and a test) only compares the words, since
pixels differ between font versions. A board never imports it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.gate.facts import SCREENS
from firmware.screens import ONE_MOMENT
from firmware.wire.refusals import REASONS
from hal.display.painter import OUT_OF_SERVICE
from hal.ports import Screen
from provisioning.generated_page import write_or_check

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "img" / "screens.png"
COMMAND = "python -m provisioning.screens_page"

DRAWN, SHOWN = (800, 480), (220, 132)
COLUMNS, GAP, LABEL = 5, 12, 20
LEGEND = "tallygate-screens"
"""Name of the PNG text that says which words the sheet was drawn from."""


def screens() -> Iterator[tuple[str, Screen]]:
    """(label, screen): the gate's own, the two of the moment, then one for each refusal."""
    yield from SCREENS.items()
    yield "one-moment", ONE_MOMENT
    yield "ended", OUT_OF_SERVICE
    for reason, row in REASONS.items():
        yield f"refused: {reason}", Screen("stop", row.words)


def digest() -> str:
    """Changes when a label, a tone or a word of any screen changes."""
    words = "\n".join(f"{label}|{screen.tone}|{'|'.join(screen.lines)}" for label, screen in screens())
    return hashlib.sha256(words.encode()).hexdigest()


def sheet() -> Image:
    """The whole sheet; needs Pillow and the fonts of this machine."""
    from PIL import Image, ImageDraw, ImageFont

    from hal.display.draw import draw

    every = list(screens())
    rows = -(-len(every) // COLUMNS)
    wide, high = SHOWN[0] + GAP, SHOWN[1] + GAP + LABEL
    paper = Image.new("RGB", (COLUMNS * wide + GAP, rows * high + GAP), (255, 255, 255))
    pen, font = ImageDraw.Draw(paper), ImageFont.load_default(13)
    for number, (label, screen) in enumerate(every):
        x, y = GAP + number % COLUMNS * wide, GAP + number // COLUMNS * high
        pen.text((x, y), label, fill=(30, 40, 50), font=font)
        paper.paste(draw(screen, DRAWN).resize(SHOWN, Image.Resampling.LANCZOS), (x, y + LABEL))
    return paper


def main() -> int:
    return write_or_check(COMMAND, _wrong, _write)


def _wrong() -> Iterator[str]:
    from PIL import Image

    with Image.open(PICTURE) as picture:
        if picture.info.get(LEGEND) != digest():
            yield f"{PICTURE.name} shows other words than the screens"


def _write() -> None:
    from PIL import Image, PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_text(LEGEND, digest())
    small = sheet().quantize(48, dither=Image.Dither.NONE)
    small.save(PICTURE, "PNG", optimize=True, pnginfo=info)


if __name__ == "__main__":
    sys.exit(main())
