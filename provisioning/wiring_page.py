"""The wiring of the shipped boards as a page and pictures, from their board files: ``docs/wiring.md``.

``python -m provisioning.wiring_page`` rewrites all of it; ``--check`` (and a test) only compares. A board
never imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from firmware.boardfile import load
from firmware.boardschema import Board
from firmware.safe import pin_outs
from provisioning.generated_page import write_or_check_texts
from provisioning.portal_plan import plan
from provisioning.wiring_lines import FITTED, HEADER, antenna_words, falls, lines_of, reader_wires
from provisioning.wiring_picture import picture

TREE = Path(__file__).resolve().parents[1]
BOARDS = ("gate-pi5", "portal-pi5-m7e", "pricepoint-zero2w-r200")
PLAN = "portal-pi4-a0-4ant"
"""The portal that is drawn from above."""
PAGE = TREE / "docs" / "wiring.md"
PICTURES = TREE / "docs" / "img"
COMMAND = "python -m provisioning.wiring_page"


def page() -> str:
    """``docs/wiring.md`` as text."""
    lines = [
        "# Wiring",
        "",
        f"Written by `{COMMAND}` from the board files; do not edit (a test compares).",
        "",
        "GPIO numbers are BCM numbers, as in the board file; `pin` counts on the 40-pin header. "
        "GND is on header pins 6, 9, 14, 20, 25, 30, 34 and 39, 3.3 V on 1 and 17, 5 V on 2 and 4.",
    ]
    for name in BOARDS:
        lines += _section(name, load(TREE / "boards" / f"{name}.toml"))
    board = load(TREE / "boards" / f"{PLAN}.toml")
    lines += ["", "## A portal seen from above", "", f"![{PLAN} from above](img/plan-{PLAN}.svg)", ""]
    lines += [*_reader(board)]
    return "\n".join(lines) + "\n"


def _section(name: str, board: Board) -> Iterator[str]:
    same = [other for other in _shipped() if other != name and _like(board, other)]
    yield from ("", f"## {name}", "", f"![Wiring of {name}](img/wiring-{name}.svg)", "")
    more = f" The same pins: {', '.join(same)}." if same and board.pins.inputs else ""
    yield f"From `boards/{name}.toml`: {board.board.description}.{more}"
    ins, outs = lines_of(board)
    if ins:
        yield from (
            "",
            f"### Inputs of {name}",
            "",
            "| name | fitted | GPIO | pin | wire | pull, set by the board | a cut wire reads as |",
            "|---|---|---|---|---|---|---|",
        )
    for one in ins:
        pull = board.pins.inputs[one.name].pull
        yield (
            f"| `{one.name}` | {FITTED[one.name]} | {one.gpio} | {HEADER[one.gpio]} | {one.wire} "
            f"| {pull} | {one.rest} |"
        )
    if outs:
        yield from (
            "",
            f"### Outputs of {name}",
            "",
            "| name | fitted | GPIO | pin | level | pull resistor, at the relay "
            "| without program or renewal |",
            "|---|---|---|---|---|---|---|",
        )
    for one, out in zip(outs, pin_outs(board), strict=True):
        yield (
            f"| `{one.name}` | {FITTED[one.name]} | {one.gpio} | {HEADER[one.gpio]} | {one.wire} "
            f"| {one.rest} | {falls(out)} |"
        )
    if board.reader is not None:
        yield from ("", f"### RFID module of {name}", "", *_reader(board))


def _reader(board: Board) -> Iterator[str]:
    reader = board.reader
    assert reader is not None
    yield f"Protocol `{reader.protocol}`, {reader.power_dbm:g} dBm, region `{reader.region}`."
    yield from ("", "| of the module | goes to |", "|---|---|")
    for wire, where in reader_wires(reader):
        yield f"| {wire} | {where} |"
    for port, words in antenna_words(board):
        yield f"| antenna {port} | looks {words} |"


def _shipped() -> list[str]:
    return sorted(path.stem for path in (TREE / "boards").glob("*.toml") if not path.stem.startswith("sim-"))


def _like(board: Board, other: str) -> bool:
    found = load(TREE / "boards" / f"{other}.toml")
    return found.pins == board.pins and (found.board.role in ("entry", "exit")) == (
        board.board.role in ("entry", "exit")
    )


def made() -> dict[Path, str]:
    """Every file that is written from the board files."""
    boards = {name: load(TREE / "boards" / f"{name}.toml") for name in (*BOARDS, PLAN)}
    return {
        PAGE: page(),
        **{PICTURES / f"wiring-{name}.svg": picture(name, boards[name]) for name in BOARDS},
        PICTURES / f"plan-{PLAN}.svg": plan(PLAN, boards[PLAN]),
    }


def main() -> int:
    return write_or_check_texts(COMMAND, "boards/*.toml", made())


if __name__ == "__main__":
    sys.exit(main())
