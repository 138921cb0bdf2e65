"""What a whole simulated board tells the shop and obeys, with the link's own port taken by the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware.gate.admission import Shop
from firmware.gate.orders import Note
from firmware.health import sensors
from firmware.sync.journal import JournalFault
from firmware.sync.link import Arrived, LinkUp
from firmware.wire.commands import Command
from firmware.wire.record_types import Alarm
from firmware.worker import InlineWorker
from tests.support.stepped import SteppedBoard, boards_on

Make = Callable[..., SteppedBoard]
DEAD = JournalFault("the disk is read-only", "the card; dmesg")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    yield from boards_on(tmp_path / "data")


def connect(board: SteppedBoard) -> dict[str, Any]:
    """The link is up; the dict shows the last message by the end of its topic, and all of ``live``."""
    seen: dict[str, Any] = {"told": []}

    def publish(topic: str, payload: bytes, *_: Any) -> bool:
        if payload.startswith(b"{"):  # claims are CBOR
            seen[topic.rsplit("/", 1)[1]] = message = json.loads(payload)
            if topic.endswith("live"):
                seen["told"].append(message)
        return True

    link: Any = board.app.uplink.link
    link.publish = publish
    link.up = True
    board.app.uplink._event(LinkUp(board.loop.time()))
    board.advance(2)
    return seen


def command(board: SteppedBoard, name: str, id: str = "", **args: Any) -> None:
    now = board.clock.wall_ms()
    sent = Command(id or f"{name}-{now}", name, now, now + 10_000, args).encode()
    board.app.uplink._event(Arrived("cmd", (name,), sent, False, None, board.loop.time()))


def test_every_figure_that_is_announced_is_sent(make: Make) -> None:
    board = make()
    board.show("12345", for_s=3)
    health = connect(board)["health"]
    assert {key for key, *_ in sensors("entry", reader=True, camera=True)} <= health.keys()
    assert health["camera_fps"] == pytest.approx(15, abs=2)


def test_a_board_whose_journal_never_opened_says_so(make: Make, tmp_path: Path) -> None:
    (tmp_path / "data" / "journal.sqlite").mkdir(parents=True)
    seen = connect(make())
    assert "journal" in [fault["part"] for fault in seen["state"]["faults"]]
    assert "epoch" not in seen["state"]
    assert "disk_free_mb" not in seen["health"]


def test_a_disk_that_does_not_answer_is_told(make: Make) -> None:
    board = make()
    seen = connect(board)
    board.worker().delay_s = 3600
    seen.clear()
    board.app.uplink.soon()
    board.advance(1)
    board.app.station.faults.raise_("camera", "gone", "cable")
    board.advance(3)
    assert [fault["part"] for fault in seen["state"]["faults"]] == ["camera"]


def test_a_journal_that_fills_while_the_link_is_down_is_a_fault_in_time(make: Make) -> None:
    board = make(journal={"limit_rows": 1000}, link={"heartbeat_s": 5.0})
    assert "records" not in [fault.part for fault in board.app.station.faults]
    for number in range(20):
        for _ in range(26):
            board.app.station.note(Note(Alarm, {"kind": "help", "detail": str(number)}))
        board.advance(0.1)
    board.advance(6)
    (fault,) = [one for one in board.app.station.faults if one.part == "records"]
    assert "half" in fault.reason


def test_close_shop_ends_the_lockdown(make: Make) -> None:
    board = make()
    connect(board)
    command(board, "lockdown")
    board.advance(1)
    assert board.state == "lockdown"
    command(board, "close-shop")
    board.advance(1)
    assert board.state == "closed"
    board.show_pass(board.issue(1))
    assert not board.released
    board.show_pass(board.issue(2, kind="staff"))
    assert board.released


@pytest.mark.parametrize("name", ["lockdown", "close-shop"])
def test_the_shops_state_outlives_a_power_cut(make: Make, name: str) -> None:
    board = make()
    connect(board)
    command(board, name)
    board.advance(1)
    board = make()
    board.show_pass(board.issue(1))
    assert not board.released
    assert board.app.station.house.shop.state == {"lockdown": "lockdown", "close-shop": "closed"}[name]


def test_a_change_of_state_keeps_the_limit_of_people(make: Make) -> None:
    board = make()
    controller = board.app.station
    controller.house = controller.house.__class__(
        **{**vars(controller.house), "shop": Shop("open", inside=3, limit=9)}
    )
    connect(board)
    command(board, "close-shop")
    board.advance(1)
    assert controller.house.shop == Shop("closed", inside=3, limit=9)


def test_a_flood_of_refused_commands_is_one_line_and_a_summary(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    board = make()
    told = connect(board)["told"]
    late = Command("late-0001", "open", 1, 2, {}).encode()
    for _ in range(500):
        board.app.uplink._event(Arrived("cmd", ("open",), late, False, None, board.loop.time()))
    board.advance(65)
    lines = [line for line in caplog.messages if "refused" in line]
    assert len(lines) == 2
    assert lines[0].startswith("command open refused: ")
    assert lines[1].startswith("499 more commands refused: ")
    assert sum(one["event"] == "command-refused" for one in told) == 500


def test_a_command_does_not_wait_for_a_disk_that_hangs(make: Make) -> None:
    board = make()
    told = connect(board)["told"]
    papers = board.app.papers
    assert isinstance(papers, InlineWorker)
    papers.delay_s = 30
    command(board, "open")
    board.advance(2)
    assert board.released
    board.advance(60)
    assert [one["kept"] for one in told if one["event"] == "command"] == [False]


def test_a_command_that_comes_before_the_board_remembers_waits_for_that(make: Make) -> None:
    board = make()
    connect(board)
    command(board, "open", id="open-once")
    board.advance(40)
    board = make()
    uplink = board.app.uplink
    uplink._remembers = False
    uplink._inbox.restore([])
    told = connect(board)["told"]
    command(board, "open", id="open-once")
    board.advance(1)
    assert not board.released
    board.app.memory.load(uplink.remembered)
    board.advance(1)
    assert not board.released
    assert [one["why"] for one in told if one["event"] == "command-refused"] == ["repeated"]


def test_documents_of_another_shape_are_no_reason_to_stop(make: Make) -> None:
    board = make()
    board.app.memory.keep("commands", {"seen": ["x", 5]})
    board.app.memory.keep("clock", {"floor_ms": "late"})
    board.app.memory.keep("shop", {"state": "closed"})
    board.advance(1)
    board = make()
    assert board.app.station.house.shop.state == "closed"
