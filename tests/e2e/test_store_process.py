"""The real store process, a real mosquitto, and boards that resend what was not acknowledged."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from firmware.wire.broker import BrokerTls
from firmware.wire.records import frame
from firmware.wire.topics import StoreTopics, Topics
from store.ledger import migrate, open_ledger
from tests.support import shopfeed as feed
from tests.support.broker import Mosquitto
from tests.support.certificates import Authority, Issued
from tests.support.linkboard import until
from tests.support.storeproc import StoreProcess

ROOT = Path(__file__).parents[2]
EPOCH = 0xABCD


class Board:
    """Publishes frames as a board does: from the last ack on, again whenever no ack moves on."""

    def __init__(self, broker: Mosquitto, name: str, tls: ssl.SSLContext | None = None) -> None:
        self.topics = Topics("demo", name)
        self.acks: list[dict[str, int | str]] = []
        self.nacks: list[dict[str, int | str]] = []
        self.status: list[dict[str, object]] = []
        self.changed = threading.Condition()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        if tls is None:
            self.client.username_pw_set(name)
        else:
            self.client.tls_set_context(tls)
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        topics = (self.topics.ack, self.topics.nack, StoreTopics("demo").status("w1"))
        client.subscribe([(topic, 1) for topic in topics])

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if not message.payload:
            return
        kind = message.topic.split("/")[4]
        with self.changed:
            {"ack": self.acks, "nack": self.nacks, "status": self.status}[kind].append(
                json.loads(message.payload)
            )
            self.changed.notify_all()

    def wait(self, condition: Callable[[], object], deadline_s: float = 20.0) -> bool:
        with self.changed:
            return bool(self.changed.wait_for(condition, deadline_s))

    @property
    def through(self) -> int:
        return max((int(ack["through"]) for ack in self.acks), default=0)

    def publish(self, *frames: bytes) -> None:
        for data in frames:
            self.client.publish(self.topics.rec, data, qos=1)

    def tell(self, payload: bytes) -> None:
        self.client.publish(self.topics.state, payload, qos=1, retain=True)

    def deliver(self, frames: list[bytes], each: Callable[[], None] = lambda: None) -> None:
        """Send all, a window at a time, until every one is acknowledged."""
        end = time.monotonic() + 60 + len(frames) / 50
        while self.through < len(frames):
            assert time.monotonic() < end, f"acknowledged only through {self.through}"
            before = self.through
            self.publish(*frames[before : before + 100])
            each()
            self.wait(lambda before=before: self.through >= min(before + 100, len(frames)), 0.5)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def shop(own_broker: Mosquitto, tmp_path: Path) -> Iterator[StoreProcess]:
    with StoreProcess(tmp_path / "store", own_broker.port) as process:
        process.connected()
        yield process


@pytest.fixture
def board(own_broker: Mosquitto) -> Iterator[Board]:
    made = Board(own_broker, "entry-1")
    yield made
    made.close()


def count(shop: StoreProcess, table: str) -> int:
    with sqlite3.connect(shop.ledger, timeout=10) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_everything_a_bad_link_does_ends_in_each_record_once(shop: StoreProcess, board: Board) -> None:
    frames = feed.visits_of(EPOCH, 60)
    frames[9] = frame(EPOCH, 10, b"not a record")
    broken = frames[20][:-1] + bytes([frames[20][-1] ^ 0xFF])
    shuffled = [*frames[:20], *frames[:5], *reversed(frames[21:40]), *frames[35:], broken, b"x"]
    board.publish(*shuffled)
    assert board.wait(lambda: board.nacks)
    assert board.nacks == [{"epoch": f"{EPOCH:016x}", "seq": 21, "reason": "crc"}]
    assert board.wait(lambda: board.through == 20)
    board.publish(frames[20])
    assert board.wait(lambda: board.through == 60)
    assert [seq for _, seq, _ in shop.rows()] == list(range(1, 61))
    assert (count(shop, "admissions"), count(shop, "passages"), count(shop, "quarantine")) == (30, 29, 1)
    board.tell(feed.state(EPOCH, 71, 80))
    assert board.wait(lambda: board.through == 70)
    shop.stop()
    assert count(shop, "gaps") == 1


def test_a_single_record_gets_its_receipt_at_once(shop: StoreProcess, board: Board) -> None:
    end = time.monotonic() + 15  # a receipt that waited for the network thread to look took up to 1 s each
    for seq, data in enumerate(feed.visits_of(EPOCH, 60), 1):
        board.publish(data)
        assert board.wait(lambda seq=seq: board.through == seq, end - time.monotonic())


def test_presence_is_retained_with_a_will_and_sigterm_ends_in_order(shop: StoreProcess, board: Board) -> None:
    assert board.wait(lambda: board.status and board.status[-1]["online"] is True)
    process = shop.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert board.wait(lambda: board.status[-1]["online"] is False)
    assert board.status[-1]["state"] == "stopped"
    shop.start()
    assert board.wait(lambda: board.status[-1]["online"] is True)
    shop.kill()
    assert board.wait(lambda: board.status[-1]["online"] is False)
    assert board.status[-1]["state"] == "lost"


def _drain_while_killed(shop: StoreProcess, board: Board, records: int, kills: int) -> None:
    """Deliver ``records`` while the store dies ``kills`` times; then hold the ledger against them."""
    dice = random.Random(4)
    due = [records * n // (kills + 1) for n in range(1, kills + 1)]

    def kill_when_due() -> None:
        if due and board.through >= due[0]:
            del due[0]
            threading.Event().wait(dice.uniform(0, 0.02))  # somewhere within the batches that are under way
            shop.kill()
            shop.start()

    board.deliver(feed.visits_of(EPOCH, records), kill_when_due)
    assert due == []
    assert [seq for _, seq, _ in shop.rows()] == list(range(1, records + 1))
    half = records // 2
    assert (count(shop, "admissions"), count(shop, "passages"), count(shop, "visits")) == (half, half, half)
    through = [int(ack["through"]) for ack in board.acks]
    assert through == sorted(through), "an ack never goes back"


def test_store_killed_again_and_again_loses_nothing_and_doubles_nothing(
    shop: StoreProcess, board: Board
) -> None:
    _drain_while_killed(shop, board, records=1200, kills=3)


@pytest.mark.torture
def test_store_killed_very_often(shop: StoreProcess, board: Board) -> None:
    kills = 30 * int(os.environ.get("TALLYGATE_TORTURE", "1"))
    _drain_while_killed(shop, board, records=400 * kills, kills=kills)


def test_what_waits_in_the_broker_while_the_store_is_down_arrives(shop: StoreProcess, board: Board) -> None:
    shop.stop()
    board.publish(*feed.visits_of(EPOCH, 30))
    shop.start()
    assert board.wait(lambda: board.through == 30)


def test_a_broker_that_is_killed_is_logged_once_lost_once_back(
    shop: StoreProcess, own_broker: Mosquitto, board: Board
) -> None:
    own_broker.kill()
    own_broker.start()
    board.wait(lambda: False, 0.1)
    board.deliver(feed.visits_of(EPOCH, 20))
    log = shop.log()
    assert log.count("no broker at") == 1
    assert log.count("connected to the broker") == 2


def test_a_locked_ledger_is_waited_for_and_shown(shop: StoreProcess, board: Board) -> None:
    other = sqlite3.connect(shop.ledger, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    board.publish(*feed.visits_of(EPOCH, 4))
    assert board.wait(lambda: board.status and board.status[-1]["state"] == "degraded")
    assert "another program holds the ledger" in str(board.status[-1]["reason"])
    assert board.acks == []
    other.execute("ROLLBACK")
    other.close()
    assert board.wait(lambda: board.through == 4)
    assert board.wait(lambda: board.status[-1]["state"] == "ok")


KILLED_IN_COMMIT = """
import os, signal, sys
from sqlalchemy import event
from store.ingest import Arrived, commit
from store.ledger import open_ledger
from tests.support import shopfeed as feed
engine = open_ledger(sys.argv[1])
frames = feed.visits_of(1, 40)
commit(engine, [Arrived("entry-1", "rec", data, 1) for data in frames[:20]])
event.listen(engine, "commit", lambda _c: os.kill(os.getpid(), signal.SIGKILL))
commit(engine, [Arrived("entry-1", "rec", data, 1) for data in frames[20:]])
"""


def test_killed_between_the_last_write_and_its_commit(tmp_path: Path) -> None:
    url = feed.sqlite_url(tmp_path / "ledger.sqlite")
    engine = open_ledger(url)
    migrate(engine)
    engine.dispose()
    done = subprocess.run([sys.executable, "-c", KILLED_IN_COMMIT, url], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
        assert db.execute("SELECT count(*), max(seq) FROM records").fetchone() == (20, 20)
        assert db.execute("SELECT through FROM journals").fetchone() == (20,)
        assert db.execute("SELECT count(*) FROM visits").fetchone() == (10,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_example_consumer_keeps_records_and_gives_receipts(own_broker: Mosquitto, tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    command = [
        sys.executable,
        "examples/consumer.py",
        "demo",
        own_broker.host,
        str(own_broker.port),
        str(path),
    ]
    board = Board(own_broker, "entry-1")
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        frames = feed.visits_of(EPOCH, 20)
        board.tell(feed.state(EPOCH, 3, 20))
        assert board.wait(lambda: board.through == 2)
        board.publish(frames[3], b"x", frames[2][:-1] + b"\0", *frames[4:])
        board.publish(frames[2])
        assert board.wait(lambda: board.through == 20)
        with sqlite3.connect(path) as db:
            assert db.execute("SELECT count(*) FROM records").fetchone() == (18,)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        board.close()


class TlsStore(StoreProcess):
    """The store with a certificate, as worker w1."""

    certificates: list[str]

    def _arguments(self) -> list[str]:
        return [*super()._arguments(), *self.certificates]


def test_with_certificates_the_worker_is_known_by_its_own_name(tmp_path: Path) -> None:
    authority, stranger = Authority(_folder(tmp_path / "ca")), Authority(_folder(tmp_path / "other"))
    server, own = authority.server(), authority.issue("store-w1")
    tls = BrokerTls(*map(str, (authority.ca, server.cert, server.key, authority.crl)))
    with Mosquitto(_folder(tmp_path / "broker"), tls=tls, store_users=("store-w1",)) as broker:
        distrustful = TlsStore(tmp_path / "distrustful", broker.port)
        distrustful.certificates = _tls_options(stranger, own)
        store = TlsStore(tmp_path / "store", broker.port)
        store.certificates = _tls_options(authority, own)
        with distrustful:
            until(lambda: "no broker at" in distrustful.log(), 20, "it trusts a foreign CA")
            assert "CERTIFICATE_VERIFY_FAILED" in distrustful.log()
        with store:
            store.connected()
            board = Board(broker, "entry-1", authority.context("entry-1"))
            board.deliver(feed.visits_of(EPOCH, 10))
            board.close()


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def _tls_options(authority: Authority, own: Issued) -> list[str]:
    return ["--ca", str(authority.ca), "--cert", str(own.cert), "--key", str(own.key)]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_it_ends_in_order_also_when_no_broker_was_ever_there(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", "store", "run", "--store-id", "demo", "--broker", "127.0.0.1:9"]
    command += ["--db", feed.sqlite_url(tmp_path / "ledger.sqlite")]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert process.stderr is not None
    for line in process.stderr:
        if "no broker at" in line:
            break
    process.send_signal(getattr(signal, name))
    assert process.wait(15) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_an_empty_password_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "password").touch()
    command = [sys.executable, "-m", "store", "run", "--store-id", "demo", "--broker", "127.0.0.1:1"]
    command += ["--db", f"sqlite:///{tmp_path / 'ledger.sqlite'}", "--user", "store"]
    command += ["--password-file", str(tmp_path / "password")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "holds no password" in done.stderr
    assert "Traceback" not in done.stderr
