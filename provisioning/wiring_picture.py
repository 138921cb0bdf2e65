"""The wiring of one board as an SVG: contacts left, the board, relays right; the lock's circuit, the reader.

Drawn from the board file's own pins. A board never imports it.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

from firmware.boardschema import Board, ReaderSection
from firmware.safe import pin_outs
from hal.pins.outputs import PinOut
from provisioning.wiring_lines import (
    FITTED,
    HEADER,
    RXD,
    TXD,
    Line,
    antenna_words,
    lines_of,
    on_header,
    supply,
)

WIDTH, ROW, TOP = 1220, 54, 92
BOARD_X, BOARD_W = 510, 240
INK, SOFT, LOCK, RADIO, AWAY = "#1d2733", "#5c6b7a", "#b0101c", "#12569b", "#a4560a"


def picture(name: str, board: Board) -> str:
    """The SVG of the board file called ``name``."""
    ins, outs = lines_of(board)
    rows = max(len(ins), len(outs))
    bottom = TOP + rows * ROW if rows else TOP - 34
    parts: list[str] = []
    if rows:
        parts += [
            f'<rect x="{BOARD_X}" y="{TOP - 24}" width="{BOARD_W}" height="{bottom - TOP + 30}" rx="10" '
            f'fill="#e9f2ea" stroke="{INK}" stroke-width="2"/>',
            text(BOARD_X + BOARD_W // 2, TOP - 4, "Raspberry Pi, 40-pin header", 12, INK, "middle"),
        ]
    for number, one in enumerate(ins):
        parts += _input(one, TOP + 22 + number * ROW)
    for number, one in enumerate(outs):
        parts += _output(one, TOP + 22 + number * ROW)
    height = bottom + 24
    release = next((out for out in pin_outs(board) if out.name == "release"), None)
    if release is not None:
        parts += _lock(height + 20, release, board.pins.inputs["fire"].pin)
        height += 196
    if board.reader is not None:
        parts += _reader(height + 20, board, board.reader)
        height += 96 + max(3, len(board.reader.antennas)) * 40
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="DejaVu Sans, Verdana, sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        text(24, 36, f"Wiring of {name}", 22, weight="bold"),
        text(24, 60, board.board.description, 13, SOFT),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def _input(one: Line, y: int) -> Iterable[str]:
    left = BOARD_X - 84
    yield f'<path d="M{left} {y}H{BOARD_X}" stroke="{INK}" stroke-width="2"/>'
    yield f'<circle cx="{left}" cy="{y}" r="4" fill="{INK}"/>'
    yield text(left - 14, y - 3, f"{FITTED[one.name]} ({one.name})", 14, INK, "end", "bold")
    yield text(left - 14, y + 14, one.wire, 12, SOFT, "end")
    yield text(BOARD_X + 8, y + 5, f"GPIO {one.gpio}", 13, INK)
    yield text(BOARD_X - 6, y - 6, f"pin {HEADER[one.gpio]}", 11, SOFT, "end")


def _output(one: Line, y: int) -> Iterable[str]:
    right, end = BOARD_X + BOARD_W, BOARD_X + BOARD_W + 150
    yield f'<path d="M{right} {y}H{end}" stroke="{INK}" stroke-width="2"/>'
    yield (
        f'<path d="M{end - 40} {y}v10" stroke="{INK}" stroke-width="1.5"/>'
        f'<rect x="{end - 46}" y="{y + 8}" width="12" height="22" fill="#fff" stroke="{INK}" '
        f'stroke-width="1.5"/>'
    )
    yield text(end - 52, y + 24, one.rest, 11, LOCK, "end")
    yield f'<rect x="{end}" y="{y - 13}" width="26" height="26" fill="#fff" stroke="{INK}" stroke-width="2"/>'
    yield f'<path d="M{end} {y + 13}l26 -26" stroke="{INK}" stroke-width="1.5"/>'
    yield text(end + 38, y - 3, f"{FITTED[one.name]} ({one.name})", 14, INK, weight="bold")
    yield text(end + 38, y + 14, one.wire, 12, SOFT)
    yield text(right - 8, y + 5, f"GPIO {one.gpio}", 13, INK, "end")
    yield text(right + 6, y - 6, f"pin {HEADER[one.gpio]}", 11, SOFT)


# -- the lock's own circuit --------------------------------------------------------------------------


def _lock(top: int, release: PinOut, fire_gpio: int) -> Iterable[str]:
    """The lock's own circuit, in which the board only opens one contact, and the fire panel's word to it."""
    locks = release.energised == "locks"
    yield text(24, top, "The lock's supply runs through the fire loop", 16, INK, weight="bold")
    says = (
        "The lock holds while it has current: fire, a power cut and a dead board all let go."
        if locks
        else "The lock lets go while it has current: how the fire loop frees it must be agreed on site."
    )
    yield text(24, top + 22, says, 13, SOFT)
    relay = f"contact of the lock relay: {'closed = locked' if locks else 'closed = released'}"
    boxes = ("+ of the lock's supply", "fire panel, contact 1 (closed at rest)", relay, "lock, then −")
    yield from _chain(top + 66, boxes, LOCK)
    told = ("GND", "fire panel, contact 2 (closed at rest)", f"GPIO {fire_gpio}: the board only reads it")
    yield from _chain(top + 136, told, INK)


def _chain(y: int, boxes: tuple[str, ...], colour: str) -> Iterable[str]:
    places = ((60, 160), (330, 270), (690, 290), (1040, 120))
    end, width = places[len(boxes) - 1]
    yield f'<path d="M60 {y}H{end + width}" stroke="{colour}" stroke-width="3"/>'
    for (x, wide), words in zip(places, boxes, strict=False):
        yield box(x, y - 22, wide, 44, colour)
        yield text(x + wide // 2, y + 4, words, 12, INK, "middle")


# -- the reader --------------------------------------------------------------------------------------


def _reader(top: int, board: Board, reader: ReaderSection) -> Iterable[str]:
    """Board, cable, module, antennas; what the cable is by the port in the board file."""
    antennas = antenna_words(board)
    tall = max(3, len(antennas)) * 40
    middle, module = top + 30 + tall // 2, 590
    yield text(24, top, "The RFID module", 16, INK, weight="bold")
    yield box(60, middle - 50, 200, 100, INK, "#e9f2ea")
    yield text(160, middle + 4, "Raspberry Pi", 13, INK, "middle")
    if on_header(reader):
        wires = (
            (middle - 30, f"GPIO {TXD} TXD, pin {HEADER[TXD]}", "RXD"),
            (middle, f"GPIO {RXD} RXD, pin {HEADER[RXD]}", "TXD"),
            (middle + 30, "GND, pin 6", "GND"),
        )
        for y, from_, to in wires:
            yield f'<path d="M260 {y}H{module}" stroke="{INK}" stroke-width="2"/>'
            yield text(270, y - 5, from_, 11, SOFT)
            yield text(module - 8, y - 5, to, 11, SOFT, "end")
        yield text(
            425, middle + 62, f"3.3 V levels, {reader.baud} baud 8N1, {reader.port}", 12, SOFT, "middle"
        )
    else:
        yield f'<path d="M260 {middle}H{module}" stroke="{INK}" stroke-width="4"/>'
        yield text(425, middle - 10, f"USB: {reader.port}", 13, INK, "middle", "bold")
        yield text(425, middle + 22, f"{reader.baud} baud 8N1", 12, SOFT, "middle")
    yield box(module, middle - 50, 230, 100, RADIO, "#eaf2fb")
    yield text(module + 115, middle - 24, f"protocol {reader.protocol}", 14, INK, "middle", "bold")
    yield text(
        module + 115, middle - 2, f"{reader.power_dbm:g} dBm, region {reader.region}", 13, INK, "middle"
    )
    for number, words in enumerate(_wrap(f"supply: {supply(reader)}", 36)):
        yield text(module + 115, middle + 18 + number * 14, words, 11, LOCK, "middle")
    for number, (port, words) in enumerate(antennas):
        y = middle + 40 * number - 20 * (len(antennas) - 1)
        colour = AWAY if port in board.portal.veto_antennas else RADIO
        yield f'<path d="M{module + 230} {middle}C{module + 270} {middle} {module + 270} {y} 900 {y}" '
        yield f'fill="none" stroke="{colour}" stroke-width="2"/>'
        yield f'<rect x="900" y="{y - 14}" width="10" height="28" rx="3" fill="{colour}"/>'
        yield text(922, y - 1, f"antenna {port}", 13, INK, weight="bold")
        yield text(922, y + 14, words, 12, SOFT)


def _wrap(words: str, most: int) -> list[str]:
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) + 1 > most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


# -- shapes ------------------------------------------------------------------------------------------


def box(x: int, y: int, wide: int, high: int, colour: str, fill: str = "#fff") -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="6" fill="{fill}" stroke="{colour}" '
        f'stroke-width="2"/>'
    )


def text(
    x: float, y: float, words: str, size: int, fill: str = INK, anchor: str = "start", weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(words)}</text>'
    )
