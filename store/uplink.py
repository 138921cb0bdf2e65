"""The store's side of MQTT: one thread that only posts what arrives, one object that sends receipts.

The session is persistent (fixed client id, 7 days), QoS 1 messages are acknowledged by hand and only
after their records are committed. Must never decide anything about a record, and never let a callback
raise: paho's thread would end in silence.
"""

from __future__ import annotations

import json
import logging
import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from firmware.wire.asks import EXPIRY_S as ANSWER_EXPIRY_S
from firmware.wire.topics import StoreTopics
from store.answers import Answer, Answers, Question

SESSION_S = 7 * 24 * 3600
KEEPALIVE_S = 15
USER_TIMEOUT_MS = 15_000  # the kernel gives up on data that nobody acknowledges
HEARTBEAT_S = 10.0
STATUS_EXPIRY_S = 30
RETRY_S = (0.5, 20.0)

log = logging.getLogger("store.uplink")


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how to be known there. ``password_file``: its first line is the password."""

    host: str
    port: int
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    user: str | None = None
    password_file: Path | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Message:
    """One PUBLISH as it came. ``session`` counts connections: an ack is only good within its own."""

    session: int
    mid: int
    qos: int
    topic: str
    payload: bytes


class Uplink:
    """Keeps the store connected. ``inbox`` receives Messages from the network thread."""

    def __init__(
        self,
        broker: Broker,
        store_id: str,
        worker: str,
        inbox: SimpleQueue[Message | None],
        answers: Answers | None = None,
    ) -> None:
        """``answers``: asked on the network thread; None: this worker answers no questions.

        Raises OSError, ssl.SSLError or ValueError when a TLS or password file cannot be used."""
        self._broker = broker
        self._topics = StoreTopics(store_id)
        self._status_topic = self._topics.status(worker)
        self._inbox = inbox
        self._answers = answers
        self._stopping = threading.Event()
        self._session = 0
        self._connected = False
        self._lost_logged = False
        self._refused_logged = False
        self._condition: tuple[str, str] = ("ok", "")
        self._next_beat = 0.0
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"store-{worker}",
            protocol=mqtt.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,  # its back-off has no jitter; _run has
        )
        if broker.user is not None:
            password = None
            if broker.password_file is not None:
                password = broker.password_file.read_text().partition("\n")[0].strip()
                if not password:
                    raise ValueError(f"the first line of {broker.password_file} holds no password")
            self._client.username_pw_set(broker.user, password)
        if broker.ca is not None:
            self._client.tls_set(
                str(broker.ca),
                str(broker.cert) if broker.cert else None,
                str(broker.key) if broker.key else None,
            )
        self._client.on_connect = self._guarded(self._on_connect)
        self._client.on_disconnect = self._guarded(self._on_disconnect)
        self._client.on_message = self._guarded(self._on_message)
        self._client.on_publish = self._guarded(self._on_publish)
        self._client.on_subscribe = self._guarded(self._on_subscribe)
        self._client.on_socket_open = self._guarded(self._on_socket_open)
        # With this callback set, publish() and ack() only queue and wake the network thread. Without it they
        # write to the socket from the caller's thread as well, and two acks can overtake one another.
        self._client.on_socket_register_write = self._guarded(self._on_want_write)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    # -- for the main thread -------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def current(self, message: Message) -> bool:
        """Whether ``message`` came over the connection that is up now."""
        return message.session == self._session

    def done(self, message: Message) -> None:
        """PUBACK: the broker may forget ``message``. Of an earlier connection it will come again instead."""
        if message.qos and self.current(message):
            self._client.ack(message.mid, message.qos)

    def send_ack(self, board: str, payload: bytes) -> None:
        """The retained receipt of ``board``."""
        self._client.publish(self._topics.of(board).ack, payload, qos=1, retain=True)

    def send_nack(self, board: str, payload: bytes) -> None:
        self._client.publish(self._topics.of(board).nack, payload, qos=1)

    def send_answer(self, answer: Answer) -> None:
        """To the board that asked; lost where it is not connected now. From any thread."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.CorrelationData = answer.correlation
        properties.MessageExpiryInterval = ANSWER_EXPIRY_S
        self._client.publish(answer.topic, answer.payload, qos=0, properties=properties)

    @property
    def session(self) -> int:
        """How many connections there were; a new one may find another broker."""
        return self._session

    def send_table(self, name: str, bucket: str, payload: bytes) -> bool:
        """The retained snapshot of one bucket. False: not connected, nothing is kept for later."""
        return self._send_shop(self._topics.table(name, bucket), payload, retain=True)

    def send_delta(self, name: str, bucket: str, payload: bytes) -> bool:
        """A change of one bucket. False as for ``send_table``."""
        return self._send_shop(self._topics.delta(name, bucket), payload, retain=False)

    def _send_shop(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        if not self._connected:
            return False
        return self._client.publish(topic, payload, qos=1, retain=retain).rc == mqtt.MQTT_ERR_SUCCESS

    def condition(self, state: str, reason: str = "") -> None:
        """ "ok" or "degraded", shown in the store's status at once."""
        if self._condition != (state, reason):
            self._condition = (state, reason)
            self._next_beat = 0.0
            self.beat(time.monotonic())

    def beat(self, now: float) -> None:
        """Refresh the retained status when its time has come; it expires where nobody does."""
        if self._connected and now >= self._next_beat:
            self._next_beat = now + HEARTBEAT_S
            self._publish_status(True, *self._condition)

    def stop(self) -> None:
        """Say offline, disconnect in order (no will), end the thread. Waits at most about 4 s."""
        self._stopping.set()
        if self._connected:
            info = self._publish_status(False, "stopped", "")
            try:
                info.wait_for_publish(2.0)
            except (RuntimeError, ValueError):
                pass  # the link went away just now: the will speaks for us
        self._client.disconnect()
        self._thread.join(2.0)

    # -- the network thread --------------------------------------------------------------------

    def _run(self) -> None:
        delay = RETRY_S[0]
        while not self._stopping.is_set():
            before = self._session
            try:
                self._client.will_set(self._status_topic, self._status(False, "lost", ""), qos=1, retain=True)
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                properties.SessionExpiryInterval = SESSION_S
                self._client.connect(
                    self._broker.host,
                    self._broker.port,
                    KEEPALIVE_S,
                    clean_start=False,
                    properties=properties,
                )
                # loop() and not loop_forever(): only the former is woken when another thread has queued.
                while self._client.loop(1.0) == mqtt.MQTT_ERR_SUCCESS:
                    pass
            except Exception as error:
                self._note_lost(f"{type(error).__name__}: {error}")
            self._connected = False
            delay = RETRY_S[0] if self._session > before else min(delay * 2, RETRY_S[1])
            self._stopping.wait(delay * random.uniform(0.5, 1.5))

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _props: Any) -> None:
        if reason.is_failure:
            self._note_lost(f"refused: {reason}; check the user or certificate name and the broker's ACL")
            return
        self._session += 1
        wanted = [(self._topics.every("rec"), 1), (self._topics.every("state"), 1)]
        if self._answers is not None:
            # QoS 0: a question that waited for the store is worth nothing.
            wanted += [(self._topics.every("ask", name), 0) for name in self._answers.questions]
        client.subscribe(wanted)
        self._connected = True
        self._lost_logged = False
        self._next_beat = time.monotonic() + HEARTBEAT_S
        self._publish_status(True, *self._condition)
        log.info("connected to the broker at %s", self._broker)

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _props: Any) -> None:
        self._connected = False
        if not self._stopping.is_set():
            self._note_lost(str(reason))

    def _on_subscribe(self, _client: mqtt.Client, _data: Any, _mid: int, reasons: Any, _props: Any) -> None:
        for reason in reasons:
            if reason.is_failure:
                log.error("the broker refuses the store's subscription: %s; check its ACL", reason)

    def _on_publish(self, _client: mqtt.Client, _data: Any, _mid: int, reason: Any, _props: Any) -> None:
        if reason.is_failure and not self._refused_logged:
            self._refused_logged = True
            log.error(
                "the broker refuses what the store sends: %s; check that its user (%s) is a store user there",
                reason,
                self._broker.user or "the name in its certificate",
            )

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if "/ask/" in message.topic:
            self._on_question(message)
            return
        self._inbox.put(
            Message(self._session, message.mid, message.qos, message.topic, bytes(message.payload))
        )

    def _on_question(self, message: mqtt.MQTTMessage) -> None:
        if self._answers is None:
            return
        given = message.properties
        question = Question(
            message.topic,
            bytes(message.payload),
            message.retain,
            getattr(given, "ResponseTopic", None),
            getattr(given, "CorrelationData", None),
        )
        answer = self._answers.answer(question)
        if answer is not None:
            self.send_answer(answer)

    def _on_socket_open(self, _client: mqtt.Client, _data: Any, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)

    def _on_want_write(self, _client: mqtt.Client, _data: Any, _sock: Any) -> None:
        """Nothing to do: the network thread looks at its own queue."""

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any) -> None:
            try:
                callback(*args)
            except Exception:
                log.exception("in an MQTT callback (%s); going on", callback.__name__)

        return call

    def _note_lost(self, why: str) -> None:
        if not self._lost_logged:
            self._lost_logged = True
            log.warning("no broker at %s: %s; trying again until it is back", self._broker, why)

    def _status(self, online: bool, state: str, reason: str) -> bytes:
        status: dict[str, Any] = {"online": online, "timestamp": time.time_ns() // 1_000_000, "state": state}
        if reason:
            status["reason"] = reason
        return json.dumps(status).encode()

    def _publish_status(self, online: bool, state: str, reason: str) -> mqtt.MQTTMessageInfo:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if online:
            properties.MessageExpiryInterval = STATUS_EXPIRY_S
        return self._client.publish(
            self._status_topic, self._status(online, state, reason), qos=1, retain=True, properties=properties
        )
