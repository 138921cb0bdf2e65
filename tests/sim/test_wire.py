"""The simulated line and the two carriers, with a module that only echoes and ticks."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from firmware.loop import SteppedLoop
from hal.sim.module import InlineModule, SimulatedModule
from hal.sim.population import Population
from hal.sim.wire import Wire


class Echo:
    """Answers what it hears; after b"go" it says b"tick" each 0.1 s."""

    def __init__(self) -> None:
        self.field = Population()
        self.cycles = 0
        self.next: float | None = None

    def feed(self, data: bytes, now: float) -> bytes:
        if data == b"go":
            self.next = now + 0.1
        return data

    def due(self) -> float | None:
        return self.next

    def speak(self, now: float) -> bytes:
        self.next = now + 0.1
        return b"tick"

    def power_cycle(self, now: float) -> bytes:
        self.cycles += 1
        self.next = None
        return b"boot"

    def status(self) -> dict[str, Any]:
        return {"cycles": self.cycles}


def stepped() -> tuple[SteppedLoop, InlineModule, list[bytes]]:
    loop = SteppedLoop()
    inline = InlineModule(Echo(), loop)
    got: list[bytes] = []
    inline.open(lambda: None, got.append, lambda _: None)
    loop.advance(0.01)
    return loop, inline, got


def test_it_answers_and_speaks_by_itself_until_it_loses_its_supply() -> None:
    loop, inline, got = stepped()
    inline.write(b"go")
    loop.advance(0.35)
    assert got == [b"go", b"tick", b"tick", b"tick"]
    inline.brown_out()
    loop.advance(1)
    assert got[4:] == [b"boot"]
    loop.close()


def test_a_module_goes_on_while_the_port_is_closed_and_stops_when_unplugged() -> None:
    loop, inline, got = stepped()
    inline.write(b"go")
    inline.close()
    loop.advance(1)
    assert got == []  # the answer, too, was for the port that is closed
    inline.open(lambda: None, got.append, lambda _: None)
    loop.advance(0.25)
    assert got == [b"tick", b"tick"]
    inline.plug(False)
    inline.plug(True)
    loop.advance(1)
    assert got == [b"tick", b"tick"]
    assert inline.status() == {"plugged": True, "cycles": 1}
    loop.close()


def test_a_reset_in_the_middle_of_a_frame() -> None:
    loop, inline, got = stepped()
    inline.write(b"go")
    inline.brown_out(in_frame=True)
    loop.advance(1)
    assert got == [b"go", b"tiboot"]
    loop.close()


def test_split_and_burst_writes_lose_nothing() -> None:
    loop, inline, got = stepped()
    inline.wire = Wire(split=True)
    inline.write(b"abc")
    loop.advance(0.01)
    assert got == [b"a", b"b", b"c"]
    got.clear()
    inline.wire = Wire(burst=True)
    inline.write(bytes(200))
    inline.write(bytes(100))
    loop.advance(0.001)
    assert [len(part) for part in got] == [255]
    loop.advance(0.1)
    assert [len(part) for part in got] == [255, 45]
    loop.close()


def test_noise_is_seeded_and_heals() -> None:
    data = bytes(range(256)) * 40
    for share in ("drop", "flip", "junk"):
        one, two = Wire(**{share: 0.01}, seed=7), Wire(**{share: 0.01}, seed=7)
        spoiled = one.to_board(data)
        assert spoiled != data
        assert spoiled == two.to_board(data)
        assert abs(len(spoiled) - len(data)) < 300
        one.heal()
        assert one.to_board(data) == data
    assert Wire(mute=True).to_board(data) == b""
    assert Wire(deaf=True).to_module(data) == b""
    bent = Wire(wrong_baud=True)
    assert not [1 for a, b in zip(data, bent.to_board(data), strict=True) if a == b]


def test_the_terminal_carries_the_same(tmp_path: Any) -> None:
    loop = asyncio.new_event_loop()
    module = SimulatedModule(Echo(), loop, tmp_path / "tty")
    port = os.open(module.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    async def hear(count: int) -> bytes:
        got = b""
        async with asyncio.timeout(5):
            while len(got) < count:
                await asyncio.sleep(0.005)
                try:
                    got += os.read(port, 100)
                except BlockingIOError:
                    continue
        return got

    assert loop.run_until_complete(hear(4)) == b"boot"
    os.write(port, b"go")
    assert loop.run_until_complete(hear(10)) == b"gotickticktick"[:10]
    os.close(port)
    module.close()
    module.close()
    assert module.status() == {"plugged": False, "cycles": 1}
    loop.close()
