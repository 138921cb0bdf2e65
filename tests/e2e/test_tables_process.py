"""Revoked visits and pass keys from the shop's command line to a real board, over a real broker."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from firmware.wire.asks import TableQuestion, decode_time_answer
from firmware.wire.issue import Issued, issue
from firmware.wire.records import Refused, decode_body
from firmware.wire.refusals import NAME_BY_NUMBER
from firmware.wire.tables import Delta, decode_snapshot, snapshot_of
from firmware.wire.topics import StoreTopics, Topics
from store.__main__ import main
from tests.support.boardproc import PRIVATE, BoardProcess, Ears
from tests.support.broker import Mosquitto
from tests.support.linkboard import until
from tests.support.storeproc import StoreProcess

HEALTH = "tallygate/1/demo/entry-1/health"
SHOP = StoreTopics("demo")
SECOND = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


@pytest.fixture
def ears(own_broker: Mosquitto) -> Iterator[Ears]:
    listening = Ears(own_broker.port)
    yield listening
    listening.close()


@pytest.fixture
def shop(tmp_path: Path, own_broker: Mosquitto) -> Iterator[StoreProcess]:
    with StoreProcess(tmp_path / "store", own_broker.port) as store:
        store.connected()
        yield store


@pytest.fixture
def board(tmp_path: Path, own_broker: Mosquitto) -> Iterator[BoardProcess]:
    made = BoardProcess(tmp_path, own_broker.port, gate={"pass_s": 2.0}, link={"heartbeat_s": 1.0})
    yield made
    made.close()


def told(store: StoreProcess, *words: str) -> None:
    assert main([*words, "--db", f"sqlite:///{store.ledger}"]) == 0


def figure(ears: Ears, name: str, value: int) -> None:
    until(lambda: ears.get(HEALTH).get(name) == value, 30, f"{name} {value}: {ears.get(HEALTH)}")


def refusals(store: StoreProcess, visit: bytes) -> list[str]:
    found = [decode_body(body) for body in store.bodies()]
    return [NAME_BY_NUMBER[r.reason] for r in found if isinstance(r, Refused) and r.visit == visit]


def by_second_key(board: BoardProcess) -> Issued:
    fields = board.issue().fields
    return issue(
        SECOND,
        key_id=2,
        store_id="demo",
        visit=os.urandom(8),
        kind="entry",
        party=1,
        campaign=0,
        placement=0,
        issued_at=fields.issued_at,
        valid_for=3600,
        settled=False,
        seed=os.urandom(12),
    )


def lose_and_mend(ears: Ears, port: int) -> None:
    """What reaches the board does not fit what it has; each time the shop's answer mends it."""
    store = Ears(port, "store")
    # Changes 3 and 4 were lost: the next delta does not fit, and the board goes to ask.
    gap = Delta(4, 5, snapshot_of(5, 8, []).sha256, b"", bytes(7) + b"\x01")
    store.client.publish(SHOP.delta("revoked"), gap.encode(), 1)
    figure(ears, "table_asked", 1)
    # A content that is not the ledger's (this one was put back from a backup): the shop's answer counts.
    store.client.publish(SHOP.table("revoked"), snapshot_of(50, 8, []).encode(), 1)
    figure(ears, "table_revoked_version", 50)
    figure(ears, "table_revoked_entries", 0)
    store.client.publish(SHOP.delta("revoked"), Delta(60, 61, bytes(32), b"", b"").encode(), 1)
    figure(ears, "table_revoked_version", 2)
    figure(ears, "table_revoked_entries", 1)
    store.close()


def test_a_revoked_visit_stays_out_also_after_loss_and_a_restart_without_a_broker(
    board: BoardProcess, shop: StoreProcess, ears: Ears, own_broker: Mosquitto
) -> None:
    board.start()
    figure(ears, "table_revoked_version", 1)
    issued = board.issue()
    visit = issued.fields.visit
    told(shop, "revoke", visit.hex(), "--reason", "test")
    figure(ears, "table_revoked_entries", 1)
    lose_and_mend(ears, own_broker.port)
    board.show_pass(issued)
    until(lambda: refusals(shop, visit) == ["revoked"], 20, board.log())
    assert board.stop() == 0
    board.take_away()
    own_broker.stop()

    board.start()
    journal = board.data / "journal.sqlite-wal"
    before = journal.stat().st_mtime_ns
    board.show_pass(issued)
    until(lambda: journal.stat().st_mtime_ns != before, 20, "the refusal to be written")
    assert not board.released()
    own_broker.start()
    until(lambda: refusals(shop, visit) == ["revoked", "revoked"], 60, board.log())
    told(shop, "revoke", visit.hex(), "--undo")
    figure(ears, "table_revoked_entries", 0)


def test_the_shop_changes_its_pass_key_while_boards_run(
    board: BoardProcess, shop: StoreProcess, ears: Ears
) -> None:
    board.start()
    figure(ears, "table_revoked_version", 1)
    new = by_second_key(board)
    board.show_pass(new)
    until(lambda: ears.heard("refused", why="unknown-key"), 20, board.log())
    board.take_away()
    told(shop, "keys", "add", "1", PRIVATE.public_key().public_bytes_raw().hex())
    told(shop, "keys", "add", "2", SECOND.public_key().public_bytes_raw().hex())
    figure(ears, "table_keys_version", 2)
    board.admit(new)
    until(lambda: ears.heard("annulled"), 20)
    # The old key is retired while the store is down; it tells the boards when it is back.
    shop.kill()
    told(shop, "keys", "retire", "1")
    shop.start()
    figure(ears, "table_keys_version", 3)
    ears.live.clear()
    board.show_pass(board.issue())
    until(lambda: ears.heard("refused", why="unknown-key"), 20, board.log())
    board.take_away()
    assert not any(fault["part"] == "keys" for fault in ears.get(HEALTH[:-6] + "state").get("faults", []))
    board.admit(by_second_key(board))


class Asker:
    """A client that asks as a board does."""

    def __init__(self, port: int, name: str) -> None:
        self.topics = Topics("demo", name)
        self.answers: list[tuple[str, bytes, bytes | None]] = []
        self._ready = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        self.client.username_pw_set(name)
        self.client.on_message = self._message
        self.client.on_connect = lambda client, *_: client.subscribe(self.topics.every_ans)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._ready.wait(10)

    def _message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        correlation = getattr(message.properties, "CorrelationData", None)
        self.answers.append((message.topic, message.payload, correlation))

    def ask(self, name: str, payload: bytes, correlation: bytes, answer_to: str | None = None) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = answer_to or self.topics.ans(name)
        properties.CorrelationData = correlation
        properties.MessageExpiryInterval = 10
        self.client.publish(self.topics.ask(name), payload, 0, properties=properties)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_the_real_store_answers_questions(shop: StoreProcess, own_broker: Mosquitto) -> None:
    listening = Ears(own_broker.port, "store")
    asker = Asker(own_broker.port, "entry-9")
    other = Asker(own_broker.port, "exit-9")
    try:
        told(shop, "revoke", "00" * 7 + "01")
        until(lambda: _entries(listening) == [bytes(7) + b"\x01"], 20)
        asker.ask("table", TableQuestion("revoked", "0").encode(), b"a-table!")
        until(lambda: asker.answers, 10)
        topic, payload, correlation = asker.answers[0]
        assert (topic, correlation) == (asker.topics.ans("table"), b"a-table!")
        assert decode_snapshot(payload).entries == [bytes(7) + b"\x01"]
        asker.answers.clear()
        asker.ask("time", b"{}", b"to-other", other.topics.ans("time"))
        asker.ask("pay", b"{}", b"to-store")
        asker.ask("time", b"{}", b"the-time")
        until(lambda: any(c == b"the-time" for _, _, c in asker.answers), 10)
        ((topic, payload, _),) = asker.answers
        assert topic == asker.topics.ans("time")
        assert abs(decode_time_answer(payload) - time.time_ns() // 1_000_000) < 60_000
        assert other.answers == []
    finally:
        asker.close()
        other.close()
        listening.close()


def _entries(listening: Ears) -> list[bytes] | None:
    payload = listening.last.get(SHOP.table("revoked"))
    return decode_snapshot(payload).entries if payload else None
