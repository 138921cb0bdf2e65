"""A whole board in stepped time: the real app, journal, decoder and lane model in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware.app import App, Mode
from firmware.boardfile import load
from firmware.boardschema import Board, Site
from firmware.loop import Guard, SteppedLoop
from firmware.wire.issue import Issued, issue
from firmware.wire.records import Record, decode_body, parse_frame
from firmware.worker import InlineWorker
from hal.clock.declared import SteppedClock
from hal.sim.person import Walk
from hal.sim.scene import render, wall

STORE = "demo"
START_MS = 1_790_000_000_000
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
BOARDS = Path(__file__).parents[2] / "boards"


class SteppedBoard:
    """``data`` survives ``cut()`` and a new ``SteppedBoard`` on it, as a card survives a power cut."""

    def __init__(
        self,
        data: Path,
        *,
        wall_ms: int = START_MS,
        quality: str = "declared",
        file: str = "sim-entry.toml",
        **change: Any,
    ) -> None:
        self.board = changed(load(BOARDS / file), **change)
        name = f"{self.board.board.role}-1"
        self.site = Site(store=STORE, board=name, data=str(data), pass_keys={"1": PUBLIC.hex()})
        self.loop = SteppedLoop()
        asyncio.set_event_loop(self.loop)
        self.crashes: list[str] = []
        self.guard = Guard(self.loop, self.crashes.append)
        self.clock = SteppedClock(self.loop.time, wall_ms, quality)
        self.app = App(
            self.board,
            self.site,
            self.guard,
            Mode(InlineWorker, clock=self.clock, stepped=True, link=False),
        )
        self._shown = False
        self.told: list[dict[str, Any]] = []
        self.loop.call_soon(self.guard.call, self.app.start)
        self.advance(0.01)
        live = self.app.station.kit.tell

        def tell(fields: dict[str, Any]) -> None:
            self.told.append(fields)
            live(fields)

        self.app.station.kit.tell = tell
        self.advance(1.0)

    # -- what people do ------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        self.loop.advance(seconds)
        assert not self.crashes, self.crashes

    def show(self, text: str, for_s: float = 0.2) -> None:
        """Hold a code to the camera, after whatever was there was taken away."""
        if self._shown:
            self.take_away()
        self._shown = True
        camera: Any = self.app.sources[0]
        frame = render(text)
        for _ in range(max(1, round(for_s * 15))):
            self.loop.call_soon(camera.show, frame, self.loop.time())
            self.advance(1 / 15)

    def take_away(self) -> None:
        """An empty wall for long enough that the same code counts again."""
        self._shown = False
        camera: Any = self.app.sources[0]
        empty = wall()
        for _ in range(15):
            self.loop.call_soon(camera.show, empty, self.loop.time())
            self.advance(1 / 15)

    def walk(self, **walk: Any) -> None:
        self.app.world.stage.walk(Walk(**walk))

    def inside(self, people: int) -> None:
        """So many people stand in the portal."""
        self.app.world.stage.stand(people)

    def tags(self, *numbers: int) -> None:
        """Exactly these tags are in the reader's field."""
        self.app.hardware.module.present([number.to_bytes(12, "big") for number in numbers])

    def fire(self, on: bool) -> None:
        self.app.world.stage.set_fire(on)

    def issue(self, number: int = 1, party: int = 1, kind: str = "entry", **fields: Any) -> Issued:
        return issue(
            PRIVATE,
            key_id=1,
            store_id=fields.pop("store_id", STORE),
            visit=number.to_bytes(8, "big"),
            kind=kind,
            party=party,
            campaign=0,
            placement=0,
            issued_at=fields.pop("issued_at", self.clock.wall_ms() // 1000),
            valid_for=fields.pop("valid_for", 3600),
            settled=kind == "exit",
            seed=number.to_bytes(12, "big"),
        )

    def show_pass(self, issued: Issued) -> None:
        self.show(issued.shown_at(self.clock.wall_ms() / 1000))

    # -- what is there to see --------------------------------------------------------------------

    @property
    def state(self) -> str:
        return self.app.station.state

    @property
    def released(self) -> bool:
        return self.app.pins.outputs()["release"]

    def worker(self) -> InlineWorker:
        assert isinstance(self.app.worker, InlineWorker)
        return self.app.worker

    def records(self) -> list[Record]:
        """Every record in the journal, in order."""
        found: list[Record] = []
        self.app.desk.run(
            lambda j: found.extend(decode_body(parse_frame(f).body) for _, _, f in j.pending(0, 10000))
        )
        return found

    def kinds(self) -> list[str]:
        return [type(record).__name__ for record in self.records()]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [one for one in self.told if one["event"] == name]

    # -- ends ------------------------------------------------------------------------------------

    def cut(self) -> None:
        """The power goes: nothing is said good-bye to; the disk keeps what was committed."""
        self.worker().fault = None
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.app.close()
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
        self.loop.close()
        asyncio.set_event_loop(None)


def boards_on(data: Path) -> Iterator[Callable[..., SteppedBoard]]:
    """For a fixture: makes boards on one data folder; making another one cuts the power of the one before."""
    boards: list[SteppedBoard] = []

    def build(**change: Any) -> SteppedBoard:
        if boards:
            boards[-1].cut()
        boards.append(SteppedBoard(data, **change))
        return boards[-1]

    yield build
    boards[-1].cut()


def changed(board: Board, /, **sections: Any) -> Board:
    """``board`` with sections replaced (None) or some of their keys changed (dict)."""
    plain: dict[str, Any] = msgspec.to_builtins(board)
    for name, value in sections.items():
        if value is None:
            plain[name] = None
        else:
            plain[name] = {**(plain.get(name) or {}), **value}
    return msgspec.convert(plain, Board)
