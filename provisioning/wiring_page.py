"""The wiring of a gate as a page and a picture, from the board file's own pins: ``docs/wiring.md``.

``python -m provisioning.wiring_page`` rewrites both; ``--check`` (and a test) only compares. A board never
imports it. Must never show a level that the pin driver would not drive: polarity is asked of ``PinOut``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from firmware.boardfile import load
from firmware.boardschema import Board, InputPin
from firmware.safe import pin_outs
from hal.pins.outputs import PinOut
from hal.ports import INPUTS
from provisioning.generated_page import write_or_check_texts

TREE = Path(__file__).resolve().parents[1]
BOARD = "gate-pi5"
PAGE = TREE / "docs" / "wiring.md"
PICTURE = TREE / "docs" / "img" / f"wiring-{BOARD}.svg"
COMMAND = "python -m provisioning.wiring_page"

HEADER = {
    pin: number
    for number, pin in (
        *((3, 2), (5, 3), (7, 4), (8, 14), (10, 15), (11, 17), (12, 18), (13, 27), (15, 22), (16, 23)),
        *((18, 24), (19, 10), (21, 9), (22, 25), (23, 11), (24, 8), (26, 7), (27, 0), (28, 1), (29, 5)),
        *((31, 6), (32, 12), (33, 13), (35, 19), (36, 16), (37, 26), (38, 20), (40, 21)),
    )
}
"""GPIO (BCM) number to pin of the 40-pin header, the same on every Raspberry Pi that has it."""
REST = {
    "leaf": "the leaf is open",
    "beam_outer": "the beam is clear",
    "beam_inner": "the beam is clear",
    "fire": "no fire",
    "help": "nobody presses",
}
"""What each input says while it is not active."""
FITTED = {
    "leaf": "leaf contact",
    "beam_outer": "beam, street side",
    "beam_inner": "beam, shop side",
    "fire": "fire loop",
    "help": "help button",
    "release": "lock relay",
    "motor_open": "motor relay, open",
    "motor_close": "motor relay, close",
    "lamp_green": "green lamp",
    "lamp_red": "red lamp",
    "buzzer": "buzzer",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One wire in words. ``rest``: its pull resistor (outputs), or what a cut wire reads as (inputs)."""

    name: str
    gpio: int
    wire: str
    rest: str


def input_line(name: str, pin: InputPin) -> Line:
    """How the contact of an input is wired, and what a cut wire looks like to the board."""
    active = INPUTS[name].removeprefix("active = ")
    if pin.pull == "none":
        level = "low" if pin.active_low else "high"
        return Line(name, pin.pin, f"driven by the device, {level}: {active}", "anything: fit a pull")
    closed_is_active = (pin.pull == "up") == pin.active_low
    contact = f"contact to {'GND' if pin.pull == 'up' else '3.3 V'}"
    wire = f"{contact}, {'closed' if closed_is_active else 'open'}: {active.split(' (')[0]}"
    return Line(name, pin.pin, wire, REST[name] if closed_is_active else active)


def output_line(out: PinOut) -> Line:
    """Which level energises the relay, and where the pull resistor must hold it."""
    on = "low" if out.active_low else "high"
    does = {"locks": "the lock holds", "releases": "the lock lets go", "on": "on"}[out.energised]
    pull = "10 kΩ to 3.3 V" if out.level(out.safe_value) else "10 kΩ to GND"
    return Line(out.name, out.pin, f"{on}: {does}", pull)


def lines_of(board: Board) -> tuple[list[Line], list[Line]]:
    ins = [input_line(name, pin) for name, pin in board.pins.inputs.items()]
    return ins, [output_line(out) for out in pin_outs(board)]


# -- the page ----------------------------------------------------------------------------------------


def page() -> str:
    """``docs/wiring.md`` as text."""
    board = load(TREE / "boards" / f"{BOARD}.toml")
    ins, outs = lines_of(board)
    same = sorted(
        path.stem
        for path in (TREE / "boards").glob("gate-*.toml")
        if path.stem != BOARD and load(path).pins == board.pins
    )
    head = [
        f"# Wiring of {BOARD}",
        "",
        f"Written by `{COMMAND}` from `boards/{BOARD}.toml`; do not edit (a test compares). "
        + (f"The same pins: {', '.join(same)}." if same else ""),
        "",
        f"![Wiring of {BOARD}](img/{PICTURE.name})",
        "",
        "GPIO numbers are BCM numbers, as in the board file; `pin` counts on the 40-pin header. "
        "GND is on header pins 6, 9, 14, 20, 25, 30, 34 and 39, 3.3 V on 1 and 17.",
        "",
        "## Inputs",
        "",
        "| name | fitted | GPIO | pin | wire | pull, set by the board | a cut wire reads as |",
        "|---|---|---|---|---|---|---|",
    ]
    pulls = {name: pin.pull for name, pin in board.pins.inputs.items()}
    inputs = [
        f"| `{one.name}` | {FITTED[one.name]} | {one.gpio} | {HEADER[one.gpio]} | {one.wire} "
        f"| {pulls[one.name]} | {one.rest} |"
        for one in ins
    ]
    outputs = [
        f"| `{one.name}` | {FITTED[one.name]} | {one.gpio} | {HEADER[one.gpio]} | {one.wire} "
        f"| {one.rest} | {_falls(out)} |"
        for one, out in zip(outs, pin_outs(board), strict=True)
    ]
    titles = [
        "",
        "## Outputs",
        "",
        "| name | fitted | GPIO | pin | level | pull resistor, at the relay | without program or renewal |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *inputs, *titles, *outputs]) + "\n"


def _falls(out: PinOut) -> str:
    if out.name == "release":
        where = "released" if out.safe_value else "locked"
        return f"{where}, after {out.hold_limit_s:g} s"
    return f"off, after {out.hold_limit_s:g} s"


# -- the picture -------------------------------------------------------------------------------------

WIDTH, ROW, TOP = 1220, 54, 92
BOARD_X, BOARD_W = 510, 240
INK, SOFT, LOCK = "#1d2733", "#5c6b7a", "#b0101c"


def picture() -> str:
    """The SVG: contacts left, the board in the middle, relays right, the lock's own circuit below."""
    board = load(TREE / "boards" / f"{BOARD}.toml")
    ins, outs = lines_of(board)
    rows = max(len(ins), len(outs))
    bottom = TOP + rows * ROW
    height = bottom + 220
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="DejaVu Sans, Verdana, sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(24, 36, f"Wiring of {BOARD}", 22, weight="bold"),
        _text(24, 60, board.board.description, 13, SOFT),
        f'<rect x="{BOARD_X}" y="{TOP - 24}" width="{BOARD_W}" height="{bottom - TOP + 30}" rx="10" '
        f'fill="#e9f2ea" stroke="{INK}" stroke-width="2"/>',
        _text(BOARD_X + BOARD_W // 2, TOP - 4, "Raspberry Pi, 40-pin header", 12, INK, "middle"),
    ]
    for number, one in enumerate(ins):
        parts += _input(one, TOP + 22 + number * ROW)
    for number, one in enumerate(outs):
        parts += _output(one, TOP + 22 + number * ROW)
    release = next(out for out in pin_outs(board) if out.name == "release")
    parts += _lock(bottom + 44, release, board.pins.inputs["fire"].pin)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _input(one: Line, y: int) -> Iterable[str]:
    left = BOARD_X - 120
    yield f'<path d="M{left} {y}H{BOARD_X}" stroke="{INK}" stroke-width="2"/>'
    yield f'<circle cx="{left}" cy="{y}" r="4" fill="{INK}"/>'
    yield _text(left - 14, y - 3, f"{FITTED[one.name]} ({one.name})", 14, INK, "end", "bold")
    yield _text(left - 14, y + 14, one.wire, 12, SOFT, "end")
    yield _text(BOARD_X + 8, y + 5, f"GPIO {one.gpio}", 13, INK)
    yield _text(BOARD_X - 6, y - 6, f"pin {HEADER[one.gpio]}", 11, SOFT, "end")


def _output(one: Line, y: int) -> Iterable[str]:
    right, end = BOARD_X + BOARD_W, BOARD_X + BOARD_W + 150
    yield f'<path d="M{right} {y}H{end}" stroke="{INK}" stroke-width="2"/>'
    yield (
        f'<path d="M{end - 40} {y}v10" stroke="{INK}" stroke-width="1.5"/>'
        f'<rect x="{end - 46}" y="{y + 8}" width="12" height="22" fill="#fff" stroke="{INK}" '
        f'stroke-width="1.5"/>'
    )
    yield _text(end - 52, y + 24, one.rest, 11, LOCK, "end")
    yield f'<rect x="{end}" y="{y - 13}" width="26" height="26" fill="#fff" stroke="{INK}" stroke-width="2"/>'
    yield f'<path d="M{end} {y + 13}l26 -26" stroke="{INK}" stroke-width="1.5"/>'
    yield _text(end + 38, y - 3, f"{FITTED[one.name]} ({one.name})", 14, INK, weight="bold")
    yield _text(end + 38, y + 14, one.wire, 12, SOFT)
    yield _text(right - 8, y + 5, f"GPIO {one.gpio}", 13, INK, "end")
    yield _text(right + 6, y - 6, f"pin {HEADER[one.gpio]}", 11, SOFT)


def _lock(top: int, release: PinOut, fire_gpio: int) -> Iterable[str]:
    """The lock's own circuit, in which the board only opens one contact, and the fire panel's word to it."""
    locks = release.energised == "locks"
    yield _text(24, top, "The lock's supply runs through the fire loop", 16, INK, weight="bold")
    says = (
        "The lock holds while it has current: fire, a power cut and a dead board all let go."
        if locks
        else "The lock lets go while it has current: how the fire loop frees it must be agreed on site."
    )
    yield _text(24, top + 22, says, 13, SOFT)
    relay = f"contact of the lock relay: {'closed = locked' if locks else 'closed = released'}"
    supply = ("+ of the lock's supply", "fire panel, contact 1 (closed at rest)", relay, "lock, then −")
    yield from _chain(top + 66, supply, LOCK)
    told = ("GND", "fire panel, contact 2 (closed at rest)", f"GPIO {fire_gpio}: the board only reads it")
    yield from _chain(top + 136, told, INK)


def _chain(y: int, boxes: tuple[str, ...], colour: str) -> Iterable[str]:
    places = ((60, 160), (330, 270), (690, 290), (1040, 120))
    end, width = places[len(boxes) - 1]
    yield f'<path d="M60 {y}H{end + width}" stroke="{colour}" stroke-width="3"/>'
    for (x, wide), words in zip(places, boxes, strict=False):
        yield (
            f'<rect x="{x}" y="{y - 22}" width="{wide}" height="44" rx="6" fill="#fff" stroke="{colour}" '
            f'stroke-width="2"/>'
        )
        yield _text(x + wide // 2, y + 4, words, 12, INK, "middle")


def _text(
    x: int, y: int, words: str, size: int, fill: str = INK, anchor: str = "start", weight: str = "normal"
) -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(words)}</text>'
    )


def main() -> int:
    made = {PAGE: page(), PICTURE: picture()}
    return write_or_check_texts(COMMAND, f"boards/{BOARD}.toml", made)


if __name__ == "__main__":
    sys.exit(main())
