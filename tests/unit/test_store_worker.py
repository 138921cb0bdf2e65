"""The store's main loop: receipts only after the commit, and what it does while the ledger fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from firmware.wire.topics import Topics
from store import worker as worker_module
from store.ledger import migrate, open_ledger
from store.uplink import Message, Uplink
from store.worker import Worker, arrived
from tests.support import shopfeed as feed

TOPICS = Topics("demo", "entry-1")


class Link:
    """Stands in for the uplink: notes every call in order; ``session`` is the connection that is up."""

    def __init__(self, log: list[tuple[Any, ...]]) -> None:
        self.log = log
        self.session = 1
        self.alive = True
        self.changed = threading.Condition()

    def _note(self, *what: Any) -> None:
        with self.changed:
            self.log.append(what)
            self.changed.notify_all()

    def wait_for(self, *what: Any, deadline_s: float = 10.0) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: what in self.log, deadline_s), (what, self.log)

    def start(self) -> None:
        self._note("start")

    def stop(self) -> None:
        self._note("stop")

    def beat(self, now: float) -> None:
        pass

    def current(self, message: Message) -> bool:
        return message.session == self.session

    def done(self, message: Message) -> None:
        self._note("puback", message.mid)

    def send_ack(self, board: str, payload: bytes) -> None:
        self._note("ack", board, payload)

    def send_nack(self, board: str, payload: bytes) -> None:
        self._note("nack", board)

    def condition(self, state: str, reason: str = "") -> None:
        self._note("condition", state)


class Running:
    def __init__(self, engine: Engine) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.link = Link(self.log)
        self.inbox: SimpleQueue[Message | None] = SimpleQueue()
        self.worker = Worker(engine, cast(Uplink, self.link), self.inbox)
        self.code: int | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.code = self.worker.run()

    def arrive(self, mid: int, payload: bytes, topic: str = TOPICS.rec, session: int = 1) -> None:
        self.inbox.put(Message(session, mid, 1, topic, payload))

    def stop(self) -> int | None:
        self.worker.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()
        return self.code


@pytest.fixture
def ledger(tmp_path: Path) -> Engine:
    engine = open_ledger(feed.sqlite_url(tmp_path / "ledger.sqlite"))
    migrate(engine)
    return engine


@pytest.fixture
def running(ledger: Engine) -> Iterator[Running]:
    run = Running(ledger)
    yield run
    run.stop()


def _ack(through: int) -> bytes:
    return b'{"epoch":"0000000000000001","through":%d}' % through


def test_commit_then_puback_then_ack(ledger: Engine) -> None:
    running = Running(ledger)
    event.listen(ledger, "commit", lambda _c: running.log.append(("commit",)))
    running.arrive(41, feed.visits_of(1, 1)[0])
    running.link.wait_for("ack", "entry-1", _ack(1))
    assert running.stop() == 0
    assert running.log == [("start",), ("commit",), ("puback", 41), ("ack", "entry-1", _ack(1)), ("stop",)]


def test_a_damaged_frame_is_nacked_and_its_message_acknowledged(running: Running) -> None:
    running.arrive(1, feed.visits_of(1, 1)[0][:-1] + b"\x00")
    running.link.wait_for("nack", "entry-1")
    assert ("puback", 1) in running.log
    assert not any(entry[0] == "ack" for entry in running.log)


def test_while_the_ledger_fails_nothing_is_receipted_and_the_process_stays(ledger: Engine) -> None:
    broken = threading.Event()
    broken.set()

    def fail(_connection: Any) -> None:
        if broken.is_set():
            raise OperationalError("COMMIT", {}, Exception("database or disk is full"))

    event.listen(ledger, "commit", fail)
    running = Running(ledger)
    frames = feed.visits_of(1, 3)
    for mid, data in enumerate(frames, 1):
        running.arrive(mid, data)
    running.link.wait_for("condition", "degraded")
    assert not any(entry[0] in ("puback", "ack") for entry in running.log)
    broken.clear()
    running.link.wait_for("ack", "entry-1", _ack(3))
    running.link.wait_for("condition", "ok")
    assert running.stop() == 0


def test_stop_is_obeyed_while_the_ledger_fails(ledger: Engine) -> None:
    def fail(_connection: Any) -> None:
        raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

    event.listen(ledger, "commit", fail)
    running = Running(ledger)
    running.arrive(1, feed.visits_of(1, 1)[0])
    running.link.wait_for("condition", "degraded")
    assert running.stop() == 0
    assert running.log[-1] == ("stop",)
    assert not any(entry[0] in ("puback", "ack") for entry in running.log)


def test_what_the_broker_sends_again_is_not_hoarded(ledger: Engine) -> None:
    log: list[tuple[Any, ...]] = []
    link = Link(log)
    link.session = 2
    inbox: SimpleQueue[Message | None] = SimpleQueue()
    for mid, session in ((1, 1), (2, 2), (3, 1), (4, 2)):
        inbox.put(Message(session, mid, 1, TOPICS.rec, b""))
    Worker(ledger, cast(Uplink, link), inbox)._drop_stale()
    left = [inbox.get_nowait() for _ in range(inbox.qsize())]
    assert [message.mid for message in left if message is not None] == [2, 4]


def test_a_dead_network_thread_ends_the_process(ledger: Engine) -> None:
    running = Running(ledger)
    running.link.alive = False
    running.inbox.put(None)
    running.thread.join(10)
    assert running.code == 1


def test_topics_that_are_no_boards_are_passed_over() -> None:
    topics = ("tallygate/1/demo/store/rec", "tallygate/1/demo/entry-1/live", "x", "tallygate/1/demo/E/rec")
    assert arrived([Message(1, 1, 1, topic, b"") for topic in topics]) == []


def test_a_batch_is_bounded(ledger: Engine) -> None:
    inbox: SimpleQueue[Message | None] = SimpleQueue()
    for mid in range(worker_module.BATCH + 5):
        inbox.put(Message(1, mid, 1, TOPICS.rec, b""))
    worker = Worker(ledger, cast(Uplink, Link([])), inbox)
    assert [len(worker._collect()), len(worker._collect())] == [worker_module.BATCH, 5]
