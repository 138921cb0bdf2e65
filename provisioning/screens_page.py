"""The shopper's screens as a board draws them, on a sheet for the gates and one for the portal:
``docs/img/screens.png`` and ``docs/img/screens-portal.png``.

``python -m provisioning.screens_page`` draws them; ``--check`` (and a test) only compares the words, since
pixels differ between font versions. A board never imports it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.gate.facts import SCREENS
from firmware.portal.decision import REASONS as VERDICTS
from firmware.portal.words import FIXED, REFUSED, screen_for
from firmware.screens import ONE_MOMENT
from firmware.wire.refusals import REASONS
from hal.display.painter import OUT_OF_SERVICE
from hal.ports import Screen
from provisioning.generated_page import write_or_check

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "img" / "screens.png"
PORTAL_PICTURE = PICTURE.with_name("screens-portal.png")
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


def portal_screens() -> Iterator[tuple[str, Screen]]:
    """(label, screen) of the portal, with examples for what fills them."""
    items, listed = (b"",) * 14, (18760, 0)
    filled: tuple[tuple[str, dict[str, object]], ...] = (
        ("reading", {"count": 9}),
        ("counted", {"items": items}),
        ("one-moment", {"items": items}),
        ("pay", {"items": items, "total_fen": 16980}),
        ("paid", {"count": 14}),
        ("declined", {"why": "Not enough money on the account"}),
        ("no-offer", {"items": items, "why": "One of the items was recalled"}),
    )
    for key, fields in filled:
        yield key, screen_for(key, fields, listed)
    yield "counted (unknown prices)", screen_for("counted", {"items": items}, (123450, 3))
    for key, screen in FIXED.items():
        if key != "one-moment":
            yield key, screen
    for reason in (*VERDICTS, "duplicates"):
        if reason not in ("reading", "complete", "count-matches"):
            fields = {"reason": reason, "missing": 3, "count": 14}
            yield f"advice: {reason}", screen_for("advice", fields)
    yield "ask-staff: missing", screen_for("ask-staff", {"reason": "missing", "missing": 3, "count": 14})
    for reason, screen in REFUSED.items():
        yield f"refused: {reason}", screen


def digest() -> str:
    """Changes when a label, a tone or a word of any screen of the gates changes."""
    return digest_of(screens())


def digest_of(every: Iterable[tuple[str, Screen]]) -> str:
    words = "\n".join(f"{label}|{screen.tone}|{'|'.join(screen.lines)}" for label, screen in every)
    return hashlib.sha256(words.encode()).hexdigest()


def sheet(every: list[tuple[str, Screen]]) -> Image:
    """A whole sheet; needs Pillow and the fonts of this machine."""
    from PIL import Image, ImageDraw, ImageFont

    from hal.display.draw import draw

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

    for path, want in ((PICTURE, digest()), (PORTAL_PICTURE, digest_of(portal_screens()))):
        if not path.exists():
            yield f"{path.name} is not there"
            continue
        with Image.open(path) as picture:
            if picture.info.get(LEGEND) != want:
                yield f"{path.name} shows other words than the screens"


def _write() -> None:
    from PIL import Image, PngImagePlugin

    for path, every in ((PICTURE, list(screens())), (PORTAL_PICTURE, list(portal_screens()))):
        info = PngImagePlugin.PngInfo()
        info.add_text(LEGEND, digest_of(every))
        small = sheet(every).quantize(48, dither=Image.Dither.NONE)
        small.save(path, "PNG", optimize=True, pnginfo=info)


if __name__ == "__main__":
    sys.exit(main())
