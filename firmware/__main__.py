"""``python -m firmware run BOARD.toml``: a board's process. Also ``safe``, which only lets go of the outputs.

Plain argparse: a board carries no typer and no rich.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from firmware import __version__
from firmware.boardfile import BoardFileError, load

EXAMPLE = "example: python -m firmware run boards/sim-entry.toml --site build/run/site.toml"


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0, or see ``firmware.run``; 2 for bad arguments and files."""
    parser = argparse.ArgumentParser(prog="python -m firmware", epilog=EXAMPLE)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run", help="run a board", epilog=EXAMPLE)
    tester = commands.add_parser("selftest", help="check the parts of a board, step by step")
    safe = commands.add_parser("safe", help="drive every output to its safe value and end (ExecStopPost)")
    for each in (runner, tester, safe):
        each.add_argument("board", type=Path, help="board file (TOML)")
        each.add_argument("--site", type=Path, help="site file; else site.toml beside the board file")
        each.add_argument("--log", default="info", choices=("debug", "info", "warning", "error"))
    tester.add_argument("--show-code", action="store_true", help="ask for a pass before the camera")
    args = parser.parse_args(argv)
    site = args.site or args.board.with_name("site.toml")

    from firmware.run import configure_logging, run

    configure_logging(args.log)
    try:
        if args.command == "run":
            return run(args.board.absolute(), site.absolute())
        if args.command == "safe":
            from firmware.safe import make_safe

            return make_safe(load(args.board))
        from firmware.selftest import selftest

        return selftest(args.board.absolute(), site.absolute(), args.show_code)
    except BoardFileError as error:
        for fault in error.faults:
            print(f"error: {fault}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
