"""Listens to boards as any monitor would: its records as they pass, its state, the store's presence.

Works on a loopback broker under a user name that may read records. paho's thread only posts; everything else
happens in the caller's thread. Never publishes.
"""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from firmware.wire.records import FrameError, Record, RecordError, decode_body, parse_frame
from firmware.wire.topics import Topics, parse
from provisioning.trouble import Trouble


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as it passed the broker; ``body`` as it must stand in the ledger."""

    epoch: int
    seq: int
    body: bytes
    record: Record
    board: str = ""


class Listener:
    """Use ``next`` in a loop; ``states`` by board and ``store_online`` are what was last said."""

    def __init__(self, port: int, user: str, store: str, *boards: str, host: str = "127.0.0.1") -> None:
        self.states: dict[str, dict[str, Any]] = {board: {} for board in boards}
        self.store_online = False
        self.broken = 0
        self._main = boards[0]
        self._topics = [Topics(store, board) for board in boards]
        self._known: set[tuple[int, int]] = set()
        self._queue: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=user, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(user)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        try:
            self._client.connect(host, port, keepalive=30)
        except OSError as error:
            raise Trouble(f"the broker at {host}:{port} cannot be reached: {error}") from None
        self._client.loop_start()

    @property
    def state(self) -> dict[str, Any]:
        """The first board's."""
        return self.states[self._main]

    def next(self, wait_s: float) -> Seen | None:
        """The next new record, or None after ``wait_s``. A record that is sent again comes only once."""
        deadline = time.monotonic() + wait_s
        while True:
            try:
                topic, payload = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            seen = self._take(topic, payload)
            if seen is not None:
                return seen

    def wait_for(self, condition: Callable[[], bool], deadline: float) -> list[Seen] | None:
        """Records that came until ``condition`` held, or None at ``deadline`` (time.monotonic)."""
        came: list[Seen] = []
        while not condition():
            if time.monotonic() > deadline:
                return None
            seen = self.next(0.05)
            if seen is not None:
                came.append(seen)
        return came

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, topic: str, payload: bytes) -> Seen | None:
        parsed = parse(topic)
        if parsed is None:
            return None
        if parsed.kind == "rec":
            return self._record(parsed.board, payload)
        try:
            said = json.loads(payload) if payload else {}
        except ValueError:
            return None
        if isinstance(said, dict):
            if parsed.kind == "state":
                self.states[parsed.board] = said
            elif parsed.kind == "status":
                self.store_online = said.get("online") is True
        return None

    def _record(self, board: str, payload: bytes) -> Seen | None:
        try:
            frame = parse_frame(payload)
            record = decode_body(frame.body)
        except (FrameError, RecordError):
            self.broken += 1
            return None
        if (frame.epoch, frame.seq) in self._known:
            return None
        self._known.add((frame.epoch, frame.seq))
        return Seen(frame.epoch, frame.seq, frame.body, record, board)

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        wanted = [topic for one in self._topics for topic in (one.rec, one.state)]
        wanted.append(self._topics[0].store.every_status)
        client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in wanted])

    def _on_message(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        self._queue.put((message.topic, bytes(message.payload)))
