"""``tallygate run``: start exactly what a board's unit starts, here. Adds nothing to it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from provisioning.trouble import BAD_INPUT, Trouble


def run(
    board: Annotated[Path, typer.Argument(metavar="BOARD.toml", help="The board file.")],
    site: Annotated[
        Path | None, typer.Option(help="The site file; site.toml beside the board file where left out.")
    ] = None,
) -> None:
    """Run a board here, as its systemd unit would: python -m firmware run BOARD.toml.

    Example: tallygate run boards/sim-entry.toml
    """
    check_board(board)
    command = [sys.executable, "-m", "firmware", "run", str(board)]
    if site is not None:
        command += ["--site", str(site)]
    sys.stdout.flush()
    os.execv(sys.executable, command)


def selftest(
    board: Annotated[Path, typer.Argument(metavar="BOARD.toml", help="The board file.")],
    site: Annotated[
        Path | None, typer.Option(help="The site file; site.toml beside the board file where left out.")
    ] = None,
) -> None:
    """Check a board's parts once (pins, camera, screen, reader and its antennas, price list, disk, broker).

    It is python -m firmware selftest BOARD.toml; stop the board's own process first.

    Example: tallygate selftest boards/sim-portal.toml --site build/run/portal/site.toml
    """
    check_board(board)
    command = [sys.executable, "-m", "firmware", "selftest", str(board)]
    if site is not None:
        command += ["--site", str(site)]
    sys.stdout.flush()
    os.execv(sys.executable, command)


def check_board(path: Path) -> None:
    """Raise Trouble (exit code 2) with the first faults of a board file, before any process starts."""
    from firmware.boardfile import BoardFileError, load

    try:
        load(path)
    except BoardFileError as error:
        raise Trouble("; ".join(error.faults[:3]), BAD_INPUT) from None
