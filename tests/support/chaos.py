"""What goes wrong in a shop, in rounds, while a board goes on recording; shared by e2e and torture tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.support.broker import Mosquitto
from tests.support.linkboard import LinkBoard, until
from tests.support.storeproc import StoreProcess


@contextmanager
def recording(board: LinkBoard, pause_s: float = 0.004) -> Iterator[None]:
    """Records are made one after the other for as long as the block lasts."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            while not stop.wait(pause_s):
                board.record(1)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="recorder", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not failed, failed


def more(board: LinkBoard, count: int) -> None:
    """Wait until ``count`` more records were made."""
    there = len(board.bodies)
    until(lambda: len(board.bodies) >= there + count, 60)


def settled(board: LinkBoard, store: StoreProcess, deadline_s: float = 60) -> None:
    """Every record is in the ledger exactly once and in order, and none is left in the journal."""
    board.drained(deadline_s)
    rows = store.rows()
    assert [seq for _, seq, _ in rows] == list(range(1, len(board.bodies) + 1))
    assert [body for _, _, body in rows] == board.bodies
    assert not board.crashes


def store_and_broker_die_together(folder: Path, broker: Mosquitto, rounds: int, rng: Random) -> LinkBoard:
    """The store is killed, then the broker with everything it had acknowledged; both come back."""
    with (
        StoreProcess(folder / "store", broker.port) as store,
        LinkBoard(folder / "board", broker.port) as board,
    ):
        until(lambda: store.rows() or board.record(1), 60, store.log())
        with recording(board):
            for _ in range(rounds):
                more(board, rng.randrange(5, 60))
                store.kill()
                more(board, rng.randrange(5, 60))
                broker.kill()
                more(board, rng.randrange(1, 20))
                broker.start()
                store.start()
        settled(board, store)
    return board


def store_dies_while_it_commits(
    folder: Path, broker: Mosquitto, rounds: int, backlog: int, rng: Random
) -> LinkBoard:
    """The store is killed at a random point of taking in a backlog."""
    with (
        StoreProcess(folder / "store", broker.port) as store,
        LinkBoard(folder / "board", broker.port) as board,
    ):
        until(lambda: store.rows() or board.record(1), 60, store.log())
        for _ in range(rounds):
            there = len(store.rows())
            board.record(backlog)
            target = there + rng.randrange(1, backlog)
            until(lambda: len(store.rows()) >= target, 60)  # noqa: B023
            store.kill()
            store.start()
        settled(board, store)
    return board


def broker_freezes(folder: Path, broker: Mosquitto, rounds: int) -> LinkBoard:
    """The broker stands still for longer than the keep-alive: connections stay open, nothing is answered."""
    with (
        StoreProcess(folder / "store", broker.port) as store,
        LinkBoard(folder / "board", broker.port, keepalive_s=1, connect_s=1.0) as board,
    ):
        until(lambda: store.rows() or board.record(1), 60, store.log())
        with recording(board, 0.02):
            for _ in range(rounds):
                losses = board.link.counts["losses"]
                broker.freeze()
                until(lambda: board.link.counts["losses"] > losses, 20, "the frozen broker noticed")  # noqa: B023
                more(board, 50)
                broker.thaw()
                until(lambda: board.link.up, 30, "connected again")
                more(board, 5)
        settled(board, store)
    return board
