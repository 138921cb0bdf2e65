"""One MQTT connection from dial to loss: a fresh paho client with a network thread of its own.

A session is used once. paho keeps a queue and resends it by itself after a reconnect, before CONNACK and in
its own order; a client that is thrown away has nothing to resend. The thread dials, reads and writes; every
callback only puts a value in the inbox. Nothing here blocks the loop, decides, or touches the journal.
paho's ``loop()`` is run here, not ``loop_start()``: an exception (a broker that sends garbage) then ends
this session with a reason instead of ending a thread in silence, and the thread's pulse can be seen.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h); the ssl module has no name for it."""
USER_TIMEOUT_MS = 15_000
INBOX = 1000
"""With so many unread the thread waits: the broker feels it as TCP back-pressure."""
WILL_DELAY_S = 10


@dataclass(frozen=True, slots=True)
class Dial:
    """Where to connect and as whom. ``user``: the board's id, also the client id. ``ca`` None: plain TCP.
    ``check_time``: False only while this board's clock is not synchronised."""

    host: str
    port: int
    user: str
    keepalive_s: int
    will_topic: str
    will: bytes
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    check_time: bool = True
    connect_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Up:
    """CONNACK with success."""

    receive_max: int
    max_packet: int


@dataclass(frozen=True, slots=True)
class Down:
    """The session is over; nothing follows."""

    reason: str


@dataclass(frozen=True, slots=True)
class Puback:
    mid: int
    code: int


@dataclass(frozen=True, slots=True)
class Suback:
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes
    retained: bool
    correlation: bytes | None


Happened = Up | Down | Puback | Suback | Message


class Session:
    """``wake(session)`` is called from the network thread when there is something; then call ``take``."""

    def __init__(self, dial: Dial, wake: Callable[[Session], None]) -> None:
        self.alive_at = time.monotonic()
        self._dial = dial
        self._wake = wake
        self._inbox: deque[Happened] = deque()
        self._woken = False
        self._closing = False
        self._up = False
        self._reason = ""
        self._client = self._make()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    # -- loop side: memory only ------------------------------------------------------------------

    def take(self, most: int) -> list[Happened]:
        """What has happened, oldest first; ``wake`` comes again for the rest."""
        self._woken = False
        taken: list[Happened] = []
        while self._inbox and len(taken) < most:
            taken.append(self._inbox.popleft())
        if self._inbox:
            self._notify()
        return taken

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool = False,
        expiry_s: int | None = None,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> int | None:
        """Hand one message to the network thread; its mid, or None when the socket has gone."""
        properties = None
        if expiry_s is not None or response_topic is not None or correlation is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if expiry_s is not None:
                properties.MessageExpiryInterval = expiry_s
            if response_topic is not None:
                properties.ResponseTopic = response_topic
            if correlation is not None:
                properties.CorrelationData = correlation
        info = self._client.publish(topic, payload, qos, retain, properties)
        return info.mid if info.rc == paho.MQTT_ERR_SUCCESS else None

    def subscribe(self, filters: list[str]) -> None:
        self._client.subscribe([(name, SubscribeOptions(qos=1)) for name in filters])

    def leave(self) -> None:
        """Send what is queued and a DISCONNECT (the will is dropped), then end."""
        self._client.disconnect()

    def drop(self) -> None:
        """End now; the broker will publish the will."""
        self._closing = True
        connection = self._client.socket()
        if connection is not None:
            try:
                # Not the SSL object's own shutdown: it would take the TLS state from under the thread.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # type: ignore[arg-type]
            except OSError:
                pass  # already gone, which is what is wanted

    def join(self, wait_s: float) -> bool:
        """Wait at most ``wait_s`` for the thread; False when it still runs."""
        if self._thread.ident is not None:
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    # -- network thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        dial = self._dial
        try:
            if dial.ca is not None:
                self._client.tls_set_context(_context(dial))
            # The broker publishes a will early when the session ends, so the session lives as long as the
            # will waits; the clean start of the next connection throws away what it may hold.
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = WILL_DELAY_S
            self._client.connect(
                dial.host, dial.port, dial.keepalive_s, clean_start=True, properties=properties
            )
            while not self._closing:
                code = self._client.loop(0.5)
                self.alive_at = time.monotonic()
                if code != paho.MQTT_ERR_SUCCESS:
                    self._reason = self._reason or paho.error_string(code)
                    break
        except (OSError, ssl.SSLError) as error:
            self._reason = f"{dial.host}:{dial.port}: {error}"
        except Exception as error:  # paho raises whatever a malformed packet leads it to
            self._reason = f"{dial.host}:{dial.port} sent something that is not MQTT 5 ({error!r:.100})"
        finally:
            self._closing = True
            self._shut()
            self._put(Down(self._reason or "closed"))

    def _shut(self) -> None:
        client = self._client
        client.on_socket_open = client.on_connect = client.on_disconnect = None  # no cycle is left behind,
        client.on_publish = client.on_subscribe = client.on_message = None  # so its sockets close at once
        connection = client.socket()
        if connection is not None:
            try:
                connection.close()
            except OSError:
                pass

    def _make(self) -> paho.Client:
        dial = self._dial
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=dial.user,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        client.connect_timeout = dial.connect_s
        client.max_inflight_messages_set(0)  # no queue of its own: the window is ours
        client.username_pw_set(dial.user)
        properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
        properties.WillDelayInterval = WILL_DELAY_S
        client.will_set(dial.will_topic, dial.will, qos=1, retain=True, properties=properties)
        # publish() then only queues and wakes the thread, instead of writing the socket on the loop.
        client.on_socket_register_write = _nothing
        client.on_socket_open = _guarded(self._on_socket_open)
        client.on_connect = _guarded(self._on_connect)
        client.on_disconnect = _guarded(self._on_disconnect)
        client.on_publish = _guarded(self._on_publish)
        client.on_subscribe = _guarded(self._on_subscribe)
        client.on_message = _guarded(self._on_message)
        return client

    def _on_socket_open(self, _client: Any, _user: Any, connection: Any) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)

    def _on_connect(self, _client: Any, _user: Any, _flags: Any, code: ReasonCode, found: Properties) -> None:
        if code.is_failure:
            self._reason = f"the broker refused the connection: {code}"
        elif getattr(found, "MaximumQoS", 1) < 1:
            self._reason = "the broker does not offer QoS 1: check its configuration"
            self._closing = True
        elif not self._up:
            self._up = True
            self._put(
                Up(getattr(found, "ReceiveMaximum", 65535), getattr(found, "MaximumPacketSize", 1 << 28))
            )

    def _on_disconnect(self, _client: Any, _user: Any, flags: Any, code: ReasonCode, _found: Any) -> None:
        # Comes twice at times (eclipse-paho/paho.mqtt.python#870): only the first reason is kept.
        who = "the broker closed" if flags.is_disconnect_packet_from_server else "connection lost"
        self._reason = self._reason or f"{who}: {code}"

    def _on_publish(self, _client: Any, _user: Any, mid: int, code: ReasonCode, _found: Any) -> None:
        self._put(Puback(mid, code.value))

    def _on_subscribe(
        self, _client: Any, _user: Any, _mid: int, codes: list[ReasonCode], _found: Any
    ) -> None:
        self._put(Suback(tuple(code.value for code in codes)))

    def _on_message(self, _client: Any, _user: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # counted as unknown by whoever reads it
        correlation = getattr(message.properties, "CorrelationData", None)
        while len(self._inbox) >= INBOX and not self._closing:
            time.sleep(0.01)
            self.alive_at = time.monotonic()
        self._put(Message(topic, bytes(message.payload), message.retain, correlation))

    def _put(self, happened: Happened) -> None:
        self._inbox.append(happened)
        self._notify()

    def _notify(self) -> None:
        if not self._woken:
            self._woken = True
            self._wake(self)


def _context(dial: Dial) -> ssl.SSLContext:
    """Raises OSError naming the file that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=str(dial.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if dial.cert is not None:
            context.load_cert_chain(str(dial.cert), str(dial.key) if dial.key else None)
    except OSError as error:
        files = ", ".join(str(path) for path in (dial.ca, dial.cert, dial.key) if path)
        raise OSError(f"cannot use the certificate files {files}: {error}") from error
    if not dial.check_time:
        context.verify_flags |= NO_CHECK_TIME
    return context


def _guarded(fn: Callable[..., None]) -> Callable[..., None]:
    """An exception in a callback must not end paho's loop: that session is ended with the reason."""

    def call(*args: Any) -> None:
        try:
            fn(*args)
        except Exception as error:
            session: Session = fn.__self__  # type: ignore[attr-defined]
            session._reason = session._reason or f"{fn.__name__} failed: {error!r}"
            session._closing = True

    return call


def _nothing(*_: Any) -> None:
    pass
