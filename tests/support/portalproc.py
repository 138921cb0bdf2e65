"""A real portal process (``python -m firmware run``): module on a pseudo-terminal, world on a socket."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from tests.support.boardproc import BOARDS, BoardProcess
from tests.support.portaldouble import epc

NAME = "portal-1"
SAID = re.compile(r"basket ([0-9a-f]{16})-([0-9]+) version ([0-9]+) is in the journal")


class PortalProcess(BoardProcess):
    """``with PortalProcess(tmp_path, broker.port) as portal:``; counts only, as its board file says."""

    def __init__(self, folder: Path, port: int, **changes: Any) -> None:
        plain = tomllib.loads((BOARDS / "sim-portal.toml").read_text())
        entry = tomllib.loads((BOARDS / "sim-entry.toml").read_text())
        gone = {section: None for section in entry if section not in plain}
        camera = {**plain["camera"], "fps": 10}
        super().__init__(folder, port, name=NAME, **{**gone, **plain, "camera": camera, **changes})

    def state(self) -> str | None:
        """ "closed" (what ``start`` waits for) once the world answers; None before."""
        try:
            self.world.ask(status={})
        except Exception:
            return None
        return "closed"

    def submitted(self) -> list[tuple[str, int, int]]:
        """(epoch, seq of the first version, version) of every basket that it said to be in the journal."""
        found = SAID.findall(self.log())
        return [(epoch, int(first), int(version)) for epoch, first, version in found]

    def lay(self, *numbers: int) -> None:
        self.world.ask(tags=[epc(number).hex() for number in numbers])

    def stand(self, people: int) -> None:
        self.world.ask(inside=people)
