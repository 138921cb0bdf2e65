"""The simulated board's control socket: real unix socket, real loop, people set walking by JSON lines."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hal.pins.gpio import PinIn, PinOut, open_pins
from hal.ports import Event
from hal.sim.lane import Lane
from hal.sim.world import MAX_LINE, World, WorldError

INS = [
    PinIn("leaf", 4, debounce_s=0.01),
    PinIn("beam_outer", 5, debounce_s=0.01),
    PinIn("beam_inner", 6, debounce_s=0.01),
    PinIn("fire", 7, debounce_s=0.01),
    PinIn("help", 8, debounce_s=0.01),
]
OUTS = [PinOut("release", 17, energised="locks", hold_limit_s=60), PinOut("motor_open", 22, hold_limit_s=60)]
EPC = "E20010710000529B0940B402"


class Tags:
    def __init__(self) -> None:
        self.epcs: list[bytes] = []
        self.shelf: list[bytes] = []
        self.plugged = True

    def present(self, epcs: list[bytes]) -> None:
        self.epcs = epcs

    def lay(self, epcs: list[bytes]) -> None:
        self.shelf = epcs

    def plug(self, plugged: bool) -> None:
        self.plugged = plugged

    def status(self) -> dict[str, Any]:
        return {"tags": len(self.epcs), "plugged": self.plugged}


class Board:
    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.get_running_loop()
        self.pins = open_pins("mock", INS, OUTS, loop=self.loop, hold_timer=False)
        self.lane = Lane(INS, OUTS, self.pins.factory, self.loop.time())
        self.tags = Tags()
        self.socket = folder / "world.sock"
        self.scene = folder / "camera" / "scene.pgm"
        self.world = World(self.lane, self.pins.factory, self.loop, self.socket, self.scene, self.tags)
        self.events: list[Event] = []
        self.pins.start(self.events.append)
        self.world.start()

    async def ask(self, *lines: bytes | dict[str, Any]) -> list[dict[str, Any]]:
        reader, writer = await asyncio.open_unix_connection(self.socket, limit=1 << 20)
        answers = []
        for line in lines:
            writer.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
            answers.append(json.loads(await asyncio.wait_for(reader.readline(), 5)))
        writer.close()
        return answers

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(8):
            while not condition():  # noqa: ASYNC110 - any condition of the model
                await asyncio.sleep(0.01)


def on_board(test: Callable[[Board], Awaitable[None]], folder: Path) -> None:
    async def run() -> None:
        board = Board(folder)
        try:
            await board.world.ready()
            await test(board)
        finally:
            board.world.close()
            board.pins.close()

    asyncio.run(run())


def test_people_walk_in_when_the_board_opens(tmp_path: Path) -> None:
    async def test(board: Board) -> None:
        (answer,) = await board.ask({"walk": {"people": 2, "delay_s": 0, "speed_m_s": 5, "gap_m": 0.3}})
        assert answer["ok"] is True
        assert len(answer["lane"]["people"]) == 2
        board.pins.set("release", True)
        board.pins.set("motor_open", True)
        await board.until(lambda: board.lane.tally.entered == 2)
        (status,) = await board.ask({"status": {}})
        assert status["lane"]["entered"] == 2
        assert status["lane"]["struck"] == 0

    on_board(test, tmp_path)


def test_fire_and_help_reach_the_pins(tmp_path: Path) -> None:
    async def test(board: Board) -> None:
        await board.ask({"fire": True}, {"help": True})
        await board.until(lambda: board.pins.read()["fire"] and board.pins.read()["help"])
        await board.ask({"fire": False})
        await board.until(lambda: not board.pins.read()["fire"] and not board.pins.read()["help"])

    on_board(test, tmp_path)


def test_a_picture_is_shown_whole_and_taken_away(tmp_path: Path) -> None:
    picture = tmp_path / "pass.pgm"
    picture.write_bytes(b"P5 2 2 255\n\x00\x01\x02\x03")

    async def test(board: Board) -> None:
        (answer,) = await board.ask({"show": str(picture)})
        assert answer["shown"] == str(picture)
        assert board.scene.read_bytes() == picture.read_bytes()
        assert [path.name for path in board.scene.parent.iterdir()] == ["scene.pgm"]
        await board.ask({"show": None}, {"show": None})
        assert not board.scene.exists()

    on_board(test, tmp_path)


def test_tags_and_the_readers_plug(tmp_path: Path) -> None:
    async def test(board: Board) -> None:
        (answer,) = await board.ask({"tags": [EPC]})
        assert answer["reader"] == {"tags": 1, "plugged": True}
        assert board.tags.epcs == [bytes.fromhex(EPC)]
        await board.ask({"reader": {"plugged": False}, "tags": []})
        assert board.tags.status() == {"tags": 0, "plugged": False}

    on_board(test, tmp_path)


BAD = [
    (b"\n", "Expecting value"),
    (b"not json\n", "Expecting value"),
    (b"[1]\n", "a request is an object"),
    (b"{}\n", "a request is an object"),
    (b'{"wlak": {}}\n', "did you mean walk?"),
    (b'{"walk": {"pepole": 2}}\n', "did you mean people?"),
    (b'{"walk": {"people": "two"}}\n', "people is 'two'"),
    (b'{"walk": 3}\n', "walk: give an object"),
    (b'{"fire": 1}\n', "true or false"),
    (b'{"show": 7}\n', "path of a PGM"),
    (b'{"show": "/does/not/exist.pgm"}\n', "/does/not/exist.pgm"),
    (b'{"tags": "E2"}\n', "list of at most"),
    (b'{"tags": ["xyz"]}\n', "hexadecimal"),
    (b'{"tags": ["E2"]}\n', "even number"),
    (b'{"reader": true}\n', "plugged"),
    (b"\xff\xfe{}\n", "decode"),
    (b"[" * 20000 + b"\n", "recursion"),
]


def test_bad_lines_are_answered_and_change_nothing(tmp_path: Path) -> None:
    not_pgm = tmp_path / "a.png"
    not_pgm.write_bytes(b"\x89PNG")
    bad = [*BAD, (json.dumps({"show": str(not_pgm)}).encode() + b"\n", "must begin with P5")]
    endless = tmp_path / "fifo.pgm"
    os.mkfifo(endless)  # reading it would hold a thread for good
    bad.append((json.dumps({"show": str(endless)}).encode() + b"\n", "not a regular file"))

    async def test(board: Board) -> None:
        answers = await board.ask(*(line for line, _ in bad))
        for (line, text), answer in zip(bad, answers, strict=True):
            assert answer["ok"] is False, line
            assert text in answer["error"], line
        assert board.lane.people == []
        (answer,) = await board.ask({"status": {}})
        assert answer["ok"] is True

    on_board(test, tmp_path)


def test_an_endless_line_ends_that_connection_only(tmp_path: Path) -> None:
    async def test(board: Board) -> None:
        reader, writer = await asyncio.open_unix_connection(board.socket)
        writer.write(b"x" * (MAX_LINE * 2))
        answer = json.loads(await asyncio.wait_for(reader.readline(), 5))
        assert "longer than" in answer["error"]
        writer.close()
        assert (await board.ask({"status": {}}))[0]["ok"] is True

    on_board(test, tmp_path)


def test_a_board_without_camera_or_reader_says_so(tmp_path: Path) -> None:
    async def test(board: Board) -> None:
        bare = World(board.lane, board.pins.factory, board.loop, tmp_path / "other.sock")
        assert "no simulated camera" in (await bare.answer(b'{"show": null}'))["error"]
        assert "no simulated tag reader" in (await bare.answer(b'{"tags": []}'))["error"]
        bare.close()

    on_board(test, tmp_path)


def test_a_stale_socket_is_replaced_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "world.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert path.exists()

    async def test(board: Board) -> None:
        assert (await board.ask({"status": {}}))[0]["ok"] is True

    on_board(test, tmp_path)
    assert not path.exists()


def test_a_socket_that_cannot_be_opened_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "world.sock").mkdir()
    reported: list[str] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(str(context["message"])))
        board = Board(tmp_path)
        with pytest.raises(WorldError, match="cannot be opened"):
            await board.world.ready()
        await asyncio.sleep(0)
        board.world.close()
        board.pins.close()

    asyncio.run(run())
    assert len(reported) == 1
