"""The ``tallygate`` command: for the technician's and developer's machine, never imported by a board.

Imports the commands only when it runs, so that a Ctrl-C meanwhile ends it quietly.
"""

from __future__ import annotations

import sys

from provisioning import ctrl_c


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit code. No exception but SystemExit leaves."""
    ctrl_c.ends_at_once()
    try:
        from provisioning import commands

        ctrl_c.raises_again()
        return commands.run(arguments)
    except KeyboardInterrupt:
        return ctrl_c.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
