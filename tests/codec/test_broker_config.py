"""The generated broker files: what they refuse as text, and what a real mosquitto makes of them."""

from __future__ import annotations

import queue
import socket
import ssl
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from firmware.wire.broker import BrokerPlan, BrokerTls, acl, mosquitto_conf
from firmware.wire.topics import StoreTopics, Topics
from tests.support.broker import Mosquitto
from tests.support.certificates import Authority

DEADLINE_S = 10.0
OK, NOT_AUTHORISED = 0x00, 0x87
PLAN = BrokerPlan(store_id="demo", folder="/var/lib/x", acl_file="/etc/x/acl", port=1883)
TLS = BrokerTls("/c/ca.crt", "/c/srv.crt", "/c/srv.key", "/c/crl.pem")


class Client:
    """One MQTT 5 client, waiting for answers instead of calling back."""

    def __init__(
        self,
        broker: Mosquitto,
        user: str | None,
        *,
        client_id: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        kinds = ("connect", "puback", "suback", "message")
        self.answers: dict[str, queue.SimpleQueue[Any]] = {kind: queue.SimpleQueue() for kind in kinds}
        put = {kind: answers.put for kind, answers in self.answers.items()}
        self.mqtt = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id or user or "", protocol=mqtt.MQTTv5
        )
        if user is not None:
            self.mqtt.username_pw_set(user)
        if tls is not None:
            self.mqtt.tls_set_context(tls)
        self.mqtt.on_connect = lambda _c, _u, _f, reason, _p: put["connect"](reason.value)
        self.mqtt.on_publish = lambda _c, _u, mid, reason, _p: put["puback"]((mid, reason.value))
        self.mqtt.on_subscribe = lambda _c, _u, mid, _r, _p: put["suback"](mid)
        self.mqtt.on_message = lambda _c, _u, message: put["message"]((message.topic, message.payload))
        self.mqtt.connect(broker.host, broker.port, clean_start=True, properties=_session(60))
        self.mqtt.loop_start()
        try:
            assert self.wait("connect") == OK
        except BaseException:
            self.close()
            raise

    def wait(self, kind: str) -> Any:
        return self.answers[kind].get(timeout=DEADLINE_S)

    def publish(self, topic: str, payload: bytes = b"x", retain: bool = False) -> int:
        """The reason code of the PUBACK."""
        sent = self.mqtt.publish(topic, payload, qos=1, retain=retain)
        while True:
            mid, reason = self.wait("puback")
            if mid == sent.mid:
                return int(reason)

    def subscribe(self, *topics: str) -> None:
        self.mqtt.subscribe([(topic, 1) for topic in topics])
        self.wait("suback")

    def close(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


def _session(expiry_s: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = expiry_s
    return properties


Connect = Callable[..., Client]


@pytest.fixture
def connect(broker: Mosquitto) -> Iterator[Connect]:
    clients: list[Client] = []

    def open_client(user: str | None, *, at: Mosquitto = broker, **options: Any) -> Client:
        clients.append(Client(at, user, **options))
        return clients[-1]

    yield open_client
    for client in clients:
        client.close()


@pytest.fixture
def boards() -> tuple[Topics, Topics]:
    """Two boards that no other test on the shared broker uses."""
    tail = uuid.uuid4().hex[:8]
    return Topics("demo", f"gate-a-{tail}"), Topics("demo", f"gate-b-{tail}")


# -- as text -------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "8.8.8.8"])
def test_plain_tcp_is_refused_off_loopback(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        replace(PLAN, host=host)
    assert f"listener 1883 {host}\n" in mosquitto_conf(replace(PLAN, host=host, tls=TLS))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"host": None}, "loopback"),
        ({"host": "localhost"}, "IP address"),
        ({"host": "127.0.0.1\nlistener 1884"}, "IP address"),
        ({"store_id": "Demo"}, "store id"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"folder": "relative"}, "folder"),
        ({"folder": "/a\nallow_anonymous true"}, "folder"),
        ({"acl_file": "/a "}, "acl_file"),
        ({"tls": replace(TLS, key="srv.key")}, "broker key"),
        ({"run_as": "root\nuser x"}, "run_as"),
        ({"store_users": ()}, "at least one store user"),
        ({"store_users": ("a", "a")}, "only once"),
        ({"store_users": ("monitor",)}, "only once"),
        ({"store_users": ("store\ntopic #",)}, "store user"),
        ({"monitor_users": ("store",)}, "reserved"),
    ],
)
def test_a_plan_that_would_be_unsafe_or_unreadable_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PLAN, **changes)


def test_the_whole_loopback_file() -> None:
    assert mosquitto_conf(replace(PLAN, run_as="root")).splitlines() == [
        "# Broker of shop demo. Generated: changes made here are lost.",
        "per_listener_settings false",
        "persistence true",
        "persistence_location /var/lib/x/",
        "persistent_client_expiration 14d",
        "max_queued_messages 20000",
        "max_inflight_messages 100",
        "max_packet_size 65536",
        "set_tcp_nodelay true",
        "sys_interval 10",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "user root",
        "acl_file /etc/x/acl",
        "allow_anonymous true",
        "listener 1883 127.0.0.1",
    ]


def test_the_tls_file_wants_certificates_and_binds_the_client_id() -> None:
    text = mosquitto_conf(replace(PLAN, host=None, port=8883, tls=TLS))
    assert text.endswith(
        "allow_anonymous false\nlistener 8883\ncafile /c/ca.crt\ncertfile /c/srv.crt\nkeyfile /c/srv.key\n"
        "crlfile /c/crl.pem\ntls_version tlsv1.2\nrequire_certificate true\nuse_identity_as_username true\n"
        "use_username_as_clientid true\n"
    )
    assert "listener 1883" not in text


def test_boards_have_the_same_rights_in_both_modes() -> None:
    plain, tls = acl(PLAN), acl(replace(PLAN, tls=TLS))
    boards_part = plain[plain.index("# Boards") :]
    assert boards_part == tls[tls.index("# Boards") :]
    assert "Loopback" not in tls
    before_first_user = tls[: tls.index("user ")]
    assert "topic" not in before_first_user  # nothing for clients without a name


# -- against a real mosquitto --------------------------------------------------------------------


def test_a_board_writes_its_own_topics_and_nothing_else(
    connect: Connect, boards: tuple[Topics, Topics]
) -> None:
    own, other = boards
    board = connect(own.board)
    allowed = [own.state, own.health, own.rec, own.live, own.ask("offer"), own.used, own.claim, own.discovery]
    refused = [
        *(other.state, other.health, other.rec, other.live, other.ask("offer"), other.used, other.claim),
        *(
            other.discovery,
            own.ack,
            own.nack,
            own.cmd("open"),
            own.ans("offer"),
            other.cmd("open"),
            other.ack,
        ),
        *(own.store.status("store"), own.store.table("sold"), own.store.delta("sold"), own.state + "/x"),
        *(f"tallygate/1/other/{own.board}/rec", f"tallygate/2/demo/{own.board}/rec", "anything", own.board),
        *(f"homeassistant/device/tallygate-demo-{own.board}x/config", "homeassistant/status"),
    ]
    # 0x10 = nobody listens: authorised all the same
    assert {topic: board.publish(topic) in (0x00, 0x10) for topic in allowed} == dict.fromkeys(allowed, True)
    assert {topic: board.publish(topic) for topic in refused} == dict.fromkeys(refused, NOT_AUTHORISED)


def test_a_board_hears_its_own_receipts_commands_and_the_shop(
    connect: Connect, boards: tuple[Topics, Topics]
) -> None:
    own, other = boards
    board, neighbour, shop = connect(own.board), connect(other.board), connect("store")
    board.subscribe("tallygate/#")  # granted, but each delivery is filtered
    private = [other.ack, other.nack, other.cmd("open"), other.ans("offer")]
    heard = [own.ack, own.nack, own.cmd("open"), own.ans("offer"), own.store.status("store")]
    heard += [own.store.table("sold", "7"), own.store.delta("sold", "7")]
    for topic in private + heard:
        assert shop.publish(topic, topic.encode()) in (0x00, 0x10)
    for topic in (other.state, other.rec, other.ask("pay"), other.used, other.claim):
        neighbour.publish(topic, topic.encode())
    heard += [other.used, other.claim]
    board.publish(own.claim, b"own claim comes back")
    received = [board.wait("message")[0] for _ in range(len(heard) + 1)]
    assert sorted(received) == sorted([*heard, own.claim])


def test_the_store_hears_and_writes_everything_of_its_shop(
    connect: Connect, boards: tuple[Topics, Topics]
) -> None:
    own, _ = boards
    shop, board = connect("store"), connect(own.board)
    shop.subscribe(StoreTopics("demo").every("rec"), StoreTopics("demo").every("ask"), own.state)
    for topic in (own.rec, own.ask("offer"), own.state):
        assert board.publish(topic) == OK
        while shop.wait("message")[0] != topic:  # the shared broker has other tests' boards too
            pass
    for topic in (own.ack, own.cmd("open"), own.store.status("store"), own.store.table("sold"), own.state):
        assert shop.publish(topic) in (0x00, 0x10)
    assert shop.publish("tallygate/1/other/gate/cmd/open") == NOT_AUTHORISED


@pytest.mark.parametrize("user", ["monitor", None])
def test_who_only_looks_sees_state_and_health_but_no_questions_and_writes_nothing(
    connect: Connect, boards: tuple[Topics, Topics], user: str | None
) -> None:
    own, _ = boards
    watcher, board = connect(user, client_id=f"watch-{own.board}"), connect(own.board)
    watcher.subscribe(f"{own.prefix}/#")
    for topic in (own.ask("pay"), own.rec, own.state, own.health, own.live):
        board.publish(topic)
    assert [watcher.wait("message")[0] for _ in range(3)] == [own.state, own.health, own.live]
    for topic in (own.state, own.cmd("open"), own.store.status("store"), own.claim):
        assert watcher.publish(topic) == NOT_AUTHORISED


@pytest.mark.parametrize("name", ["+", "#", "a/b", "%u", "store/used"])
def test_a_name_with_wildcards_gets_no_rights(
    connect: Connect, boards: tuple[Topics, Topics], name: str
) -> None:
    own, _ = boards
    try:
        intruder = connect(name, client_id=f"intruder-{own.board}")
    except AssertionError:
        return  # refused at the door: fine
    for topic in (own.state, own.claim, own.rec):
        assert intruder.publish(topic) == NOT_AUTHORISED


def test_a_folder_with_a_space_keeps_retained_messages_over_a_clean_restart(
    tmp_path: Path, connect: Connect
) -> None:
    folder = tmp_path / "a shop"
    folder.mkdir()
    own = Topics("demo", "gate-a")
    with Mosquitto(folder) as kept:
        board = connect(own.board, at=kept)
        assert board.publish(own.state, b"before", retain=True) in (0x00, 0x10)
        board.close()
        kept.stop()
        assert (folder / "kept" / "mosquitto.db").stat().st_size > 0
        kept.start()
        again = connect("store", at=kept)
        again.subscribe(own.state)
        assert again.wait("message") == (own.state, b"before")
        again.close()


# -- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def tls_broker(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    server = authority.server()
    files = BrokerTls(str(authority.ca), str(server.cert), str(server.key), str(authority.crl))
    with Mosquitto(tmp_path_factory.mktemp("tls broker"), tls=files) as running:
        yield running


def test_a_certificate_is_the_name_and_the_client_id(
    tls_broker: Mosquitto, authority: Authority, connect: Connect
) -> None:
    own, other = Topics("demo", "gate-a"), Topics("demo", "gate-b")
    victim = connect(None, at=tls_broker, client_id="gate-b", tls=authority.context("gate-b"))
    # claims another board's client id and user name: both come from the certificate
    board = connect("gate-b", at=tls_broker, client_id="gate-b", tls=authority.context("gate-a"))
    assert board.publish(own.rec) in (0x00, 0x10)
    assert board.publish(other.rec) == NOT_AUTHORISED
    assert victim.publish(other.rec) in (0x00, 0x10)  # still connected: its session was not taken over


def first_byte(broker: Mosquitto, context: ssl.SSLContext) -> bytes:
    """Of the answer to a CONNECT. TLS 1.3 tells of a refused certificate only at the first read."""
    connect_packet = bytes.fromhex("101300044d51545405020005000006676174652d61")
    with (
        socket.create_connection((broker.host, broker.port), timeout=DEADLINE_S) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as wrapped,
    ):
        wrapped.sendall(connect_packet)
        answer = wrapped.recv(1)
    if not answer:
        raise ConnectionError("closed without a word")
    return answer


def test_a_good_certificate_is_let_in(tls_broker: Mosquitto, authority: Authority) -> None:
    assert first_byte(tls_broker, authority.context("gate-a")) == b"\x20"  # CONNACK


@pytest.mark.parametrize("who", ["nobody", "expired", "revoked", "other-authority"])
def test_no_or_a_bad_certificate_is_turned_away(
    tls_broker: Mosquitto, authority: Authority, tmp_path: Path, who: str
) -> None:
    context = {
        "nobody": lambda: authority.context(None),
        "expired": lambda: authority.context("gate-old", days=-1),
        "revoked": lambda: authority.context("gate-revoked", revoke=True),
        "other-authority": lambda: Authority(tmp_path).context("gate-a", trust=authority),
    }[who]()
    if who == "revoked":
        tls_broker.reload()
        tls_broker.stop()  # a reload is not awaited by anything; a restart is
        tls_broker.start()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        first_byte(tls_broker, context)
