"""``tallygate boards``: check board files with the reader the boards use. Changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provisioning.trouble import BAD_INPUT, Trouble

SHIPPED = Path(__file__).resolve().parent.parent / "boards"


def boards(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[BOARD.toml]...", help="Board files; the shipped ones where left out."),
    ] = None,
) -> None:
    """Check board files: unknown keys, ranges, pins used twice, parts that do not fit together.

    Prints one line per file, and every fault with file, key and limit. Exit code 2 when there is one.

    Example: tallygate boards boards/gate-pi5.toml
    """
    from firmware.boardfile import BoardFileError, load

    chosen = files or sorted(path for path in SHIPPED.glob("*.toml") if path.name != "site.toml")
    if not chosen:
        raise Trouble(f"no board file in {SHIPPED}; name one: tallygate boards BOARD.toml", BAD_INPUT)
    faulty = 0
    for path in chosen:
        try:
            board = load(path)
        except BoardFileError as error:
            faulty += 1
            for fault in error.faults:
                typer.echo(fault, err=True)
            continue
        section = board.board
        about = f": {section.description}" if section.description else ""
        reader = f", {board.reader.protocol} reader" if board.reader is not None else ""
        typer.echo(f"{path}: ok ({section.model}, {section.role}{reader}){about}")
    if faulty:
        raise Trouble(
            f"{faulty} of {len(chosen)} board files cannot be used; correct the lines above", BAD_INPUT
        )
