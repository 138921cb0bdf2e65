"""What the self-test's steps share: how a result looks, and the loop that a step may run for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from firmware.boardschema import Board, Site
from firmware.loop import Guard

if TYPE_CHECKING:
    from firmware.selftest.reading import Heard


@dataclass(frozen=True)
class Result:
    """``ok`` None: not essential, and not as it should be. ``lines``: shown below, also where it passed."""

    ok: bool | None
    found: str
    check: str = ""
    lines: tuple[str, ...] = ()


@dataclass
class Bench:
    """What the steps share."""

    board: Board
    site: Site
    loop: asyncio.AbstractEventLoop
    guard: Guard
    show_code: bool = False
    levels: dict[str, bool] = field(default_factory=dict)
    """Inputs as the step "pins" read them."""
    heard: Heard | None = None
    """What the step "reader" heard; the steps after it only judge that."""

    @property
    def role(self) -> str:
        return self.board.board.role

    def until(self, done: Callable[[], bool], limit_s: float) -> bool:
        """Run the loop until ``done()``; False after ``limit_s``."""
        end = self.loop.time() + limit_s
        while not done() and self.loop.time() < end:
            self.loop.run_until_complete(asyncio.sleep(0.05))
        return done()

    def wait(self, seconds: float) -> None:
        self.until(lambda: False, seconds)


Step = Callable[[Bench], Result]
