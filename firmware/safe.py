"""Lets go of every output: what systemd runs after the board's process has ended, however it ended.

Raspberry Pi kernels keep a dead process's outputs as they were; this drives each to its safe value.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from firmware.boardschema import Board
from hal.pins.outbank import assert_safe
from hal.pins.outputs import PinOut, PinsError

log = logging.getLogger("safe")


def pin_outs(board: Board) -> list[PinOut]:
    """The board file's outputs as the pin driver takes them."""
    return [
        PinOut(name, pin.pin, pin.active_low, pin.energised, pin.fail, pin.hold_limit_s)
        for name, pin in board.pins.outputs.items()
    ]


def make_safe(board: Board) -> int:
    """Exit code 0 when every output is at its safe value, else 1 with the reason logged."""
    if not board.pins.outputs:
        return 0
    from hal.pins.factory import lgpio_factory, mock_factory

    try:
        if board.pins.factory == "mock":
            factory = mock_factory()
        else:
            work = Path(os.environ.get("RUNTIME_DIRECTORY", "/run/tallygate"))
            factory = lgpio_factory(work, lambda what, error: log.error("%s: %s", what, error))
        failed = assert_safe(pin_outs(board), factory)
    except PinsError as error:
        failed = [str(error)]
    for fault in failed:
        log.critical("not safe: %s; cut the relay supply by hand", fault)
    return 1 if failed else 0
