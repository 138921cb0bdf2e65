"""The smallest consumer that keeps the contract: commits frames to SQLite in batches, then acks per board.

``python -m tests.support.consumer PORT DATABASE [STORE [mute]]``. For tests and benchmarks that must not
depend on what the real store does with a record. Records beyond a gap are kept; ``through`` is contiguous.
``mute``: commits the same bytes in the same batches and sends no ack, for measuring beside bare MQTT.
"""

from __future__ import annotations

import queue
import sqlite3
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from firmware.wire.acks import Ack, Nack
from firmware.wire.records import FrameError, parse_frame
from firmware.wire.topics import StoreTopics, parse

BATCH = 500


class Consumer:
    def __init__(self, port: int, database: str, store_id: str = "demo", mute: str = "") -> None:
        self.mute = bool(mute)
        self.topics = StoreTopics(store_id)
        self.db = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS rec(board TEXT, epoch TEXT, seq INT, body BLOB,"
            " PRIMARY KEY(board, epoch, seq)) WITHOUT ROWID"
        )
        self.inbox: queue.SimpleQueue[tuple[mqtt.MQTTMessage, int]] = queue.SimpleQueue()
        self.session = 0
        self.through: dict[tuple[str, int], int] = {}
        self.client = client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="store-consumer", protocol=mqtt.MQTTv5, manual_ack=True
        )
        client.username_pw_set("store")
        client.reconnect_delay_set(1, 1)
        client.will_set(self.topics.status("consumer"), b'{"online":false}', 1, True)
        client.on_connect = self._up
        client.on_message = lambda _c, _u, message: self.inbox.put((message, self.session))
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        client.connect_async("127.0.0.1", port, 15, clean_start=False, properties=properties)
        client.loop_start()

    def _up(self, client: mqtt.Client, *_: object) -> None:
        self.session += 1
        client.subscribe(self.topics.every("rec"), 1)
        client.publish(self.topics.status("consumer"), b'{"online":true}', 1, True)
        print("connected to the broker", file=sys.stderr, flush=True)

    def turn(self) -> None:
        """Commit what has come, then ack it."""
        batch = [self.inbox.get()]
        while not self.inbox.empty() and len(batch) < BATCH:
            batch.append(self.inbox.get())
        boards: set[tuple[str, int]] = set()
        self.db.execute("BEGIN IMMEDIATE")
        for message, _ in batch:
            found = parse(message.topic)
            assert found is not None
            try:
                frame = parse_frame(bytes(message.payload))
            except FrameError as error:
                if error.kind == "crc" and error.epoch is not None and error.seq:
                    nack = Nack(error.epoch, error.seq, "crc").encode()
                    self.client.publish(self.topics.of(found.board).nack, nack, 1)
                continue
            self.db.execute(
                "INSERT OR IGNORE INTO rec VALUES (?,?,?,?)",
                (found.board, f"{frame.epoch:016x}", frame.seq, frame.body),
            )
            boards.add((found.board, frame.epoch))
        self.db.execute("COMMIT")
        for board, epoch in () if self.mute else boards:
            ack = Ack(epoch, self._contiguous(board, epoch)).encode()
            self.client.publish(self.topics.of(board).ack, ack, 1, True)
        for message, session in batch:
            if session == self.session:
                self.client.ack(message.mid, message.qos)

    def _contiguous(self, board: str, epoch: int) -> int:
        through = self.through.get((board, epoch), 0)
        rows = self.db.execute(
            "SELECT seq FROM rec WHERE board=? AND epoch=? AND seq>? ORDER BY seq",
            (board, f"{epoch:016x}", through),
        )
        for (seq,) in rows:
            if seq != through + 1:
                break
            through = seq
        self.through[board, epoch] = through
        return through


def main() -> None:
    consumer = Consumer(int(sys.argv[1]), sys.argv[2], *sys.argv[3:5])
    while True:
        consumer.turn()
        time.sleep(0)


if __name__ == "__main__":
    main()
