"""The link before a broker that checks it and misbehaves: every record arrives once, in order."""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.sync.link import LinkDown, LinkUp
from firmware.wire.acks import Ack, Nack
from firmware.wire.topics import Topics
from tests.support.linkboard import LinkBoard, until
from tests.support.mqtt5_double import Connection, Double, broken_packets, publish
from tests.support.stepped import SteppedBoard


@pytest.fixture(autouse=True)
def _no_wait_for_what_is_retained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.sync.link.SETTLE_S", 0.01)


def check(double: Double, board: LinkBoard) -> None:
    """Everything that was recorded is with the store, nothing twice, in order, and no rule was broken."""
    board.drained()
    assert double.bodies() == board.bodies
    assert double.violations == []
    assert not board.crashes


def test_nothing_before_connack_and_never_more_than_the_receive_maximum(tmp_path: Path) -> None:
    with Double(receive_max=5) as double, LinkBoard(tmp_path, double.port) as board:
        double.connack_delay_s, double.puback_delay_s = 0.2, 0.005
        board.record(40)
        check(double, board)
        conn = double.connections[-1]
        assert 1 < conn.most_unanswered <= 5
        assert conn.client == "entry-1"
        assert conn.will_topic == double.topics.state
        assert set(conn.subscribed) >= {double.topics.ack, double.topics.nack, double.topics.every_cmd}
        assert [seq for _, seq in double.arrived] == list(range(1, 41)), "each once, in order"


def test_other_messages_count_for_the_receive_maximum_too(tmp_path: Path) -> None:
    with Double(receive_max=2) as double, LinkBoard(tmp_path, double.port) as board:
        double.puback_delay_s = 0.02
        board.record(6)
        board.link_up()
        handed = 0
        for _ in range(30):
            state = functools.partial(board.link.publish, double.topics.state, b"{}", 1, True)
            handed += board.call(state)
        check(double, board)
        assert 0 < handed < 30, "what does not fit is refused, not queued"


def test_a_refused_record_is_not_delivered_and_comes_again(tmp_path: Path) -> None:
    codes = {1: 0x10, 3: 0x80, 5: 0x83, 6: 0x87, 7: 0x97, 30: 0x99}
    with Double() as double:
        double.answer = lambda key, attempt: codes.get(key[1], 0) if attempt == 1 else 0
        with LinkBoard(tmp_path, double.port) as board:
            board.record(30)
            check(double, board)
            health = board.call(board.link.health)
            assert all(health[f"link_refused_{code:02x}"] == 1 for code in codes.values())


def test_no_puback_means_a_new_connection_and_nothing_lost(tmp_path: Path) -> None:
    with Double() as double:
        double.answer = lambda key, attempt: None if key[1] == 4 and attempt == 1 else 0
        double.acking = False
        with LinkBoard(tmp_path, double.port) as board:
            board.record(6)
            until(lambda: len(double.connections) == 2 and len(double.connections[1].seqs) >= 6)
            double.ack_now()
            check(double, board)
            assert [seq for _, seq in double.connections[1].seqs][:6] == [1, 2, 3, 4, 5, 6]
            assert any("PUBACK" in event.reason for event in board.seen(LinkDown))


def test_without_an_ack_records_are_sent_again_from_the_first_unacked(tmp_path: Path) -> None:
    with Double() as double, LinkBoard(tmp_path, double.port) as board:
        board.record(3)
        board.drained()
        double.acking = False
        board.record(3)
        until(lambda: double.attempts.get(double.arrived[0][:1] + (6,), 0) >= 2)
        assert board.queued() == 3, "a PUBACK is no receipt"
        assert [seq for _, seq in double.arrived].count(3) == 1
        double.ack_now()
        check(double, board)


def test_a_broker_that_cuts_the_connection_all_the_time(tmp_path: Path) -> None:
    with Double() as double:
        double.answer = lambda key, attempt: "drop" if key[1] % 7 == 0 and attempt == 1 else 0
        with LinkBoard(tmp_path, double.port, retry_s=0.02, retry_max_s=0.05) as board:
            board.record(30)
            check(double, board)
            assert len(double.connections) >= 4


def test_a_refused_connection_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Double() as double:
        double.connack_code = 0x87
        with LinkBoard(tmp_path, double.port) as board:
            board.record(2)
            until(lambda: len(double.connections) >= 3)
            assert not board.seen(LinkUp)
            assert len(board.seen(LinkDown)) == 1
            assert "Not authorized" in board.seen(LinkDown)[0].reason
            double.connack_code = 0
            check(double, board)
            assert len(board.seen(LinkUp)) == 1
        lines = [record.getMessage() for record in caplog.records if "link lost" in record.getMessage()]
        assert len(lines) == 1


def test_a_silent_listener_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.sync.link.DIAL_S", 0.3)
    with Double() as double:
        double.connack_delay_s = 1000
        with LinkBoard(tmp_path, double.port) as board:
            board.record(1)
            until(lambda: len(double.connections) >= 2)
            double.connack_delay_s = 0
            check(double, board)


def test_a_record_that_the_broker_cannot_take_holds_the_others_and_is_tried_again(tmp_path: Path) -> None:
    with Double() as double:
        double.max_packet = 100
        with LinkBoard(tmp_path, double.port) as board:
            board.record(2)
            until(lambda: board.call(board.link.health).get("link_too_large", 0) >= 2)
            assert double.arrived == [], "and the connection stays"
            assert len(double.connections) == 1
            assert not board.call(board.link.publish, double.topics.live, b"x" * 100)
            double.max_packet = None
            double.drop()
            check(double, board)


def test_where_the_board_file_says_so_the_brokers_puback_is_the_receipt(tmp_path: Path) -> None:
    with Double() as double:
        double.acking = False
        double.answer = lambda key, attempt: 0x10 if key[1] == 3 and attempt == 1 else 0
        with LinkBoard(tmp_path, double.port, receipt="broker") as board:
            board.record(12)
            check(double, board)


def test_a_network_thread_that_stands_still_is_given_up_for_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware.sync.link.HUNG_S", 2.0)
    with Double() as double, LinkBoard(tmp_path, double.port) as board:
        board.link_up()
        session = board.link._session
        assert session is not None
        began = session.alive_at
        until(lambda: session.alive_at > began, what="a turn of the idle thread")
        board.call(board.link.check_pulse)
        assert board.link._session is session
        hang = threading.Event()
        session._client.on_message = lambda *_: hang.wait(20)  # paho's own thread stands still
        double.send(publish(double.topics.ack, b"{}"))

        def lost() -> list[str]:
            board.call(board.link.check_pulse)
            return [event.reason for event in board.events if isinstance(event, LinkDown)]

        (reason,) = until(lost)
        assert "network thread" in reason
        board.record(3)
        check(double, board)
        assert len(double.connections) == 2
        hang.set()
        until(lambda: not session.running)


def test_connections_are_thrown_away_without_a_trace(tmp_path: Path) -> None:
    with Double() as double, LinkBoard(tmp_path, double.port, retry_s=0.01, retry_max_s=0.02) as board:
        board.link_up()
        connection = board.link._session._client.socket()  # type: ignore[union-attr]
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
        files = len(list(Path("/proc/self/fd").iterdir()))
        for number in range(1, 16):
            double.drop()
            until(lambda: len(double.connections) > number)  # noqa: B023
        check(double, board)
        board.link_up()
        until(lambda: sum(thread.name == "mqtt" for thread in threading.enumerate()) == 1)
        until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= files + 2)


@pytest.mark.parametrize("part", range(4))
def test_garbage_from_the_broker_stops_nothing(tmp_path: Path, part: int) -> None:
    """One kind of garbage on each connection; meanwhile the board goes on recording."""
    with Double() as double:
        garbage = list(broken_packets(double).values())[part::4]

        def misbehave(send: Callable[[bytes], None], conn: Connection) -> None:
            if conn.number < len(garbage):
                send(garbage[conn.number])

        double.on_subscribed = misbehave
        with LinkBoard(tmp_path, double.port, retry_s=0.01, retry_max_s=0.02, puback_s=0.3) as board:
            for number in range(len(garbage)):
                until(lambda: len(double.connections) > number)  # noqa: B023
                board.record(1)
                until(lambda: board.queued() == 0 or len(double.connections) > number + 1)  # noqa: B023
                if len(double.connections) == number + 1:
                    double.drop()
            board.record(1)
            check(double, board)
            assert len(double.connections) > len(garbage)


def test_a_false_ack_settles_nothing(tmp_path: Path) -> None:
    with Double() as double:
        double.answer = lambda key, attempt: 0x97 if attempt == 1 else 0
        with LinkBoard(tmp_path, double.port) as board:
            board.record(5)
            until(lambda: len(double.arrived) >= 1)
            epoch = double.arrived[0][0]
            double.send(publish(double.topics.ack, Ack(epoch, 4000).encode()))
            until(lambda: board.call(board.link.health).get("link_false_acks") == 1)
            check(double, board)


def test_a_nacked_record_is_sent_again_and_replaced_after_three_resends(tmp_path: Path) -> None:
    with Double() as double, LinkBoard(tmp_path, double.port) as board:
        double.acking = False
        board.record(2)
        until(lambda: len(double.arrived) >= 2)
        key = double.arrived[0]
        for resends in range(1, 5):
            until(lambda: double.attempts[key] >= resends)  # noqa: B023
            if resends == 4:
                double.ledger.pop(key)
            double.send(publish(double.topics.nack, Nack(*key, "crc").encode()))
            until(lambda: board.call(board.link.health).get("link_nacks") == resends)  # noqa: B023
        until(lambda: key in double.ledger and double.ledger[key] != board.bodies[0])
        double.ack_now()
        board.drained()
        assert board.disk(board.journal.stats).damaged == 1
        assert double.ledger[key[0], 2] == board.bodies[1]


ROLES = {
    "sim-entry.toml": (True, ("revoked", "keys")),
    "sim-portal.toml": (False, ("revoked", "keys", "prices")),
    "sim-pricepoint.toml": (False, ("prices",)),
}


@pytest.mark.parametrize("file", ROLES)
def test_a_board_asks_for_no_more_than_its_role_uses(tmp_path: Path, file: str) -> None:
    claims, tables = ROLES[file]
    board = SteppedBoard(tmp_path / "app", file=file)
    asks = board.app.uplink.link.settings
    board.cut()
    topics = Topics("demo", asks.board)
    filters = {topics.ack, topics.nack, topics.every_cmd, topics.every_ans, topics.store.every_status}
    filters |= {f"tallygate/1/demo/store/tables/{name}/#" for name in tables}
    filters |= {topics.store.every_used, topics.store.every_claim} if claims else set()
    chosen = {"board": asks.board, "tables": asks.tables, "claims": asks.claims}
    with Double(board=asks.board) as double, LinkBoard(tmp_path / "link", double.port, **chosen) as link:
        link.link_up()
        assert set(double.connections[-1].subscribed) == filters
