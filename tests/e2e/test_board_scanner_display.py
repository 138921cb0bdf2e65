"""A real board process with a scanner head instead of a camera, and a screen: a pass opens the gate."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from hal.display.draw import TONES
from hal.display.painter import OUT_OF_SERVICE
from hal.sim.gm65 import Head, SimulatedGm65
from tests.support.boardproc import BoardProcess
from tests.support.broker import Mosquitto
from tests.support.linkboard import until


class Desk:
    """The simulated head on a loop of its own."""

    def __init__(self, link: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.link = link
        self.head = Head()
        self.front = self.call(lambda: SimulatedGm65(self.loop, link, self.head, 0.1))

    def call(self, what: Callable[[], object]) -> SimulatedGm65:
        async def run() -> object:
            return what()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)  # type: ignore[return-value]

    def close(self) -> None:
        self.call(self.front.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "ttyScanner")
    yield made
    made.close()


def tone(path: Path) -> str:
    """Which tone the screen has now, by its paper."""
    try:
        with Image.open(path) as picture:
            found = picture.convert("RGB").getpixel((2, picture.height // 2))
    except FileNotFoundError:
        return ""
    return next((name for name, one in TONES.items() if one.paper == found), "?")


def test_pass_before_a_scanner_opens_and_the_screen_says_so(
    tmp_path: Path, own_broker: Mosquitto, desk: Desk
) -> None:
    screen = tmp_path / "screen.png"
    board = BoardProcess(
        tmp_path,
        own_broker.port,
        camera=None,
        scanner={"port": str(desk.link)},
        display={"driver": "png", "path": str(screen)},
    )
    try:
        board.start()
        until(lambda: tone(screen) == "idle", 20, board.log())
        until(lambda: desk.head.asked, 10, "the head to be asked")
        shown = board.issue().shown_at(time.time()).encode()
        desk.call(lambda: desk.front.hold(shown))
        until(board.released, 20, board.log())
        until(lambda: tone(screen) == "go", 10, board.log())
        desk.call(lambda: desk.front.hold(None))
        desk.call(lambda: desk.front.plug(False))
        until(lambda: "scanner is lost" in board.log(), 10, board.log())
        desk.call(lambda: desk.front.plug(True))
        until(lambda: "scanner is back" in board.log(), 10, board.log())
        assert shown.decode() not in board.log()
        assert board.stop() == 0
        assert tone(screen) == OUT_OF_SERVICE.tone
    finally:
        board.close()
