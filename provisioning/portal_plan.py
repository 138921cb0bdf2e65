"""A checkout portal seen from above, to scale: antennas, sensors, shelf. Drawn from a board file.

The distances are those that the decision expects (``firmware.portal.presence``) and that the benchmark's
model has. A board never imports it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from firmware.boardschema import Board
from provisioning.wiring_lines import FITTED
from provisioning.wiring_picture import AWAY, INK, RADIO, SOFT, box, text

ANTENNA_M, SHELF_M, WALL_M = 0.7, 2.0, 0.75
"""Metres from the middle: antennas that look in, the nearest shelf, the side walls."""
SCALE = 190
"""Points a metre."""
WIDTH, HEIGHT = 1220, 620
MIDDLE = (420, 330)
SIDES = (180, 0, 90, 270)
"""Where the antennas that look in stand, degrees (0: the shelf's side, 90: the front)."""


def plan(name: str, board: Board) -> str:
    """The SVG for the portal of the board file called ``name``."""
    assert board.reader is not None
    veto = board.portal.veto_antennas
    facing = [port for port in board.reader.antennas if port not in veto]
    x, y = MIDDLE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="DejaVu Sans, Verdana, sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        text(24, 36, f"The portal of {name}, seen from above", 22, weight="bold"),
        text(24, 60, board.board.description, 13, SOFT),
        f'<path d="M24 92h{SCALE}m0 -5v10M24 87v10" stroke="{INK}" stroke-width="2"/>',
        text(24 + SCALE // 2, 86, "1 m", 12, INK, "middle"),
    ]
    parts += _walls(x, y)
    for port, degrees in zip(facing, SIDES, strict=False):
        parts += _lobe(x, y, degrees, ANTENNA_M - 0.06, degrees + 180, RADIO, f"antenna {port}")
    for port in veto:
        parts += _lobe(x, y, 0, WALL_M + 0.12, 0, AWAY, f"antenna {port}, faces away")
    parts += _people(x, y, board)
    parts += _shelf(x, y)
    parts += _notes(board, facing)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _m(metres: float) -> float:
    return metres * SCALE


def _walls(x: float, y: float) -> Iterable[str]:
    """Two side walls, the way in below, the way out above."""
    for side in (-1, 1):
        left = x + side * _m(WALL_M) - 5
        yield f'<rect x="{left:g}" y="{y - _m(0.75):g}" width="10" height="{_m(1.5):g}" fill="#c9d1d9"/>'
    for word, at, way in (("in", y + _m(1.25), -1), ("out", y - _m(0.98), -1)):
        yield (
            f'<path d="M{x:g} {at:g}v{way * 40}m-9 12l9 -12l9 12" fill="none" stroke="{SOFT}" '
            f'stroke-width="3"/>'
        )
        yield text(x + 16, at - 14, word, 13, SOFT)


def _lobe(
    x: float, y: float, place: float, distance_m: float, looks: float, colour: str, words: str
) -> Iterable[str]:
    """An antenna at ``distance_m`` in the direction ``place``, its beam towards ``looks`` (degrees)."""
    at_x = x + _m(distance_m) * math.cos(math.radians(place))
    at_y = y - _m(distance_m) * math.sin(math.radians(place))
    reach = _m(0.95)
    points = [
        (
            at_x + reach * math.cos(math.radians(looks + turn)),
            at_y - reach * math.sin(math.radians(looks + turn)),
        )
        for turn in (-33, 33)
    ]
    (ax, ay), (bx, by) = points
    yield (
        f'<path d="M{at_x:.1f} {at_y:.1f}L{ax:.1f} {ay:.1f}A{reach:g} {reach:g} 0 0 0 {bx:.1f} {by:.1f}Z" '
        f'fill="{colour}" fill-opacity="0.13"/>'
    )
    upright = abs(math.cos(math.radians(place))) > 0.5
    wide, high = (12, 50) if upright else (50, 12)
    yield (
        f'<rect x="{at_x - wide / 2:.1f}" y="{at_y - high / 2:.1f}" width="{wide}" height="{high}" rx="4" '
        f'fill="{colour}"/>'
    )
    if place == 0 and looks == 0:
        yield text(at_x + 4, at_y - 44, words, 13, colour, weight="bold")
    elif upright:
        inward = 1 if place > 90 else -1
        yield text(at_x + inward * 8, at_y - 78, words, 13, colour, "start" if inward > 0 else "end", "bold")
    else:
        yield text(at_x + 34, at_y + (-4 if place == 90 else 12), words, 13, colour, weight="bold")


def _people(x: float, y: float, board: Board) -> Iterable[str]:
    yield f'<ellipse cx="{x}" cy="{y}" rx="42" ry="26" fill="#dfe5ea" stroke="{INK}" stroke-width="2"/>'
    yield f'<circle cx="{x}" cy="{y}" r="16" fill="#f7f9fa" stroke="{INK}" stroke-width="2"/>'
    yield f'<rect x="{x + 18}" y="{y + 22}" width="40" height="26" rx="6" fill="#f2e3c6" stroke="{INK}"/>'
    yield text(x + 38, y + 39, "bag", 11, INK, "middle")
    inputs = board.pins.inputs
    if "occupied" in inputs:
        yield (
            f'<circle cx="{x:g}" cy="{y:g}" r="{_m(0.42):g}" fill="none" stroke="{INK}" '
            f'stroke-dasharray="6 5"/>'
        )
        yield text(x, y + _m(0.42) + 18, f"{FITTED['occupied']}, above", 12, INK, "middle")
    if "crowded" in inputs:
        low = y + _m(0.86)
        yield (
            f'<path d="M{x - _m(WALL_M):g} {low:g}H{x + _m(WALL_M):g}" stroke="{INK}" stroke-dasharray="2 5" '
            f'stroke-width="2"/>'
        )
        yield text(x - _m(WALL_M), low + 18, f"{FITTED['crowded']}, at the way in", 12, INK)


def _shelf(x: float, y: float) -> Iterable[str]:
    left, top = x + _m(SHELF_M), y - _m(0.8)
    yield f'<rect x="{left:g}" y="{top:g}" width="60" height="{_m(1.6):g}" fill="#efe7db" stroke="{INK}"/>'
    for row in range(6):
        yield f'<rect x="{left + 12:g}" y="{top + 16 + row * 49:g}" width="36" height="28" fill="#d9c7a8"/>'
    yield text(left + 30, top - 8, "nearest shelf", 12, INK, "middle")
    low = HEIGHT - 44
    yield (
        f'<path d="M{x:g} {low:g}H{left:g}M{x:g} {low - 6:g}v12M{left:g} {low - 6:g}v12" stroke="{SOFT}" '
        f'stroke-width="1.5"/>'
    )
    yield text(x + _m(SHELF_M) * 0.72, low + 17, f"{SHELF_M:g} m or more", 12, SOFT, "middle")


def _notes(board: Board, facing: list[int]) -> Iterable[str]:
    """What a picture cannot say, at the right."""
    reader = board.reader
    assert reader is not None
    left, top = 892, 96
    lines = [
        f"antennas {', '.join(map(str, facing))} look in,",
        f"each {ANTENNA_M:g} m from the middle,",
        "at the height of a bag that is carried.",
    ]
    if board.portal.veto_antennas:
        ports = ", ".join(map(str, board.portal.veto_antennas))
        lines += [
            "",
            f"antenna {ports} is the veto: its back to the",
            "portal, it hears the shelf. A tag that is",
            "stronger there is not in the basket.",
            "Plugged into another port it would do",
            "the opposite: check it (field guide).",
        ]
    lines += [
        "",
        "No shelf, no basket rack and no queue",
        "within the beams. Metal behind an antenna",
        "reflects: try the place before drilling.",
        "",
        f"{reader.power_dbm:g} dBm to begin with; lower it until",
        "the shelf is no longer heard inside.",
    ]
    yield box(left, top, 304, 20 * len(lines) + 24, SOFT)
    for number, words in enumerate(lines):
        yield text(left + 14, top + 26 + number * 20, words, 12, INK)
