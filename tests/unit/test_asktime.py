"""A board without a synchronised kernel clock is set by the shop's answer to ``ask/time``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware.sync.link_types import Arrived
from firmware.wallclock import WallClock
from firmware.wire.asks import time_answer
from store.answers import Answers, Question
from tests.support.stepped import START_MS, SteppedBoard

ASK, ANS = "tallygate/1/demo/entry-1/ask/time", "tallygate/1/demo/entry-1/ans/time"


class Kernel:
    """A Pi that has just started: 1970, and nobody has set it."""

    def wall_ms(self) -> int:
        return 60_000

    def quality(self) -> str:
        return "unsynced"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[SteppedBoard]:
    made = SteppedBoard(tmp_path)
    made.app.clock = WallClock(Kernel(), lambda: round(made.loop.time() * 1000))
    made.app.station.kit.clock = made.app.clock
    yield made
    made.cut()


def connect(board: SteppedBoard) -> list[tuple[Any, ...]]:
    """The board believes that it is connected; what it publishes is kept."""
    sent: list[tuple[Any, ...]] = []
    link = board.app.uplink.link

    def publish(*message: Any) -> bool:
        sent.append(message)
        return True

    link.publish = publish  # type: ignore[method-assign]
    link.up = True
    return sent


def questions(sent: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [message for message in sent if message[0] == ASK]


def answer(board: SteppedBoard, payload: bytes, correlation: bytes) -> None:
    event = Arrived("ans", ("time",), payload, False, correlation, board.loop.time())
    board.guard.call(board.app.uplink._event, event)
    board.advance(0.01)


def test_the_shops_answer_sets_the_clock_and_passes_are_good_again(board: SteppedBoard) -> None:
    refused = board.issue(1, issued_at=START_MS // 1000)
    board.show(refused.shown_at(START_MS / 1000))
    assert board.events("refused")[-1]["why"] != "used"
    assert not board.released
    sent = connect(board)
    board.advance(1.1)
    topic, payload, qos, retain, expiry_s, response_topic, correlation = questions(sent)[0]
    assert (qos, retain, expiry_s, response_topic) == (0, False, 10, ANS)
    shop = Answers("demo", wall_ms=lambda: START_MS)
    given = shop.answer(Question(topic, payload, retain, response_topic, correlation))
    assert given is not None
    answer(board, given.payload, given.correlation)
    assert board.app.clock.quality() == "synced"
    assert abs(board.app.clock.wall_ms() - START_MS) < 2000
    board.advance(2.0)
    assert "clock" not in {fault.part for fault in board.app.station.faults}
    board.advance(5.0)
    board.show(board.issue(2, issued_at=START_MS // 1000).shown_at(board.app.clock.wall_ms() / 1000))
    assert board.released


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"wall_ms":"now"}', b'{"wall_ms":-5}', b"\xff"])
def test_an_answer_that_is_none_sets_nothing(board: SteppedBoard, payload: bytes) -> None:
    sent = connect(board)
    board.advance(1.1)
    answer(board, payload, questions(sent)[0][6])
    assert board.app.clock.quality() == "unsynced"


def test_a_strange_late_or_repeated_answer_sets_nothing(board: SteppedBoard) -> None:
    sent = connect(board)
    board.advance(1.1)
    correlation = questions(sent)[0][6]
    answer(board, time_answer(START_MS), b"somebody")
    assert board.app.clock.quality() == "unsynced"
    board.advance(3.0)
    answer(board, time_answer(START_MS), correlation)
    assert board.app.clock.quality() == "unsynced"
    answer(board, time_answer(START_MS), correlation)
    assert board.app.clock.quality() == "unsynced"
    board.advance(60.0)
    assert len(questions(sent)) == 2
