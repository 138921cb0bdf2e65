"""Real broker, real store, real board loop: what dies, freezes or forgets loses no record. Short rounds; the
full counts are in tests/torture/test_link_torture.py."""

from __future__ import annotations

from pathlib import Path
from random import Random

import paho.mqtt.client as mqtt
from paho.mqtt import subscribe
from paho.mqtt.enums import CallbackAPIVersion

from tests.support import chaos
from tests.support.broker import Mosquitto
from tests.support.linkboard import LinkBoard, until


def test_store_and_broker_killed_at_once(tmp_path: Path, own_broker: Mosquitto) -> None:
    chaos.store_and_broker_die_together(tmp_path, own_broker, 2, Random(1))


def test_store_killed_in_the_middle_of_a_commit(tmp_path: Path, own_broker: Mosquitto) -> None:
    chaos.store_dies_while_it_commits(tmp_path, own_broker, 2, 80, Random(2))


def test_broker_frozen_for_longer_than_the_keepalive(tmp_path: Path, own_broker: Mosquitto) -> None:
    chaos.broker_freezes(tmp_path, own_broker, 1)


def test_an_idle_board_notices_a_frozen_broker_by_the_keepalive(
    tmp_path: Path, own_broker: Mosquitto
) -> None:
    with LinkBoard(tmp_path, own_broker.port, keepalive_s=1, connect_s=1.0) as board:
        board.link_up()
        own_broker.freeze()
        until(lambda: not board.link.up, 10)
        own_broker.thaw()
        board.link_up()


def test_a_short_loss_does_not_show_the_board_as_gone(tmp_path: Path, own_broker: Mosquitto) -> None:
    with LinkBoard(tmp_path, own_broker.port) as board:
        board.link_up()
        state, seen = board.link.topics.state, []
        monitor = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        monitor.username_pw_set("monitor")
        monitor.on_message = lambda _client, _user, message: seen.append(message.payload)
        monitor.connect(own_broker.host, own_broker.port)
        monitor.subscribe(state, 1)
        monitor.loop_start()
        for text in (b"one", b"two", b"three"):
            board.call(board.link.publish, state, text, 1, True)
            until(lambda: text in seen)  # noqa: B023
            board.call(board.link._lost, "test: no answer")
            board.link_up()
        monitor.disconnect()
        monitor.loop_stop()
        assert [text for text in seen if text not in (b"one", b"two", b"three")] == [], "the will came early"


def test_the_link_closes_in_bounded_time_and_says_offline(tmp_path: Path, own_broker: Mosquitto) -> None:
    with (
        LinkBoard(tmp_path / "one", own_broker.port) as board,
        LinkBoard(tmp_path / "two", own_broker.port, board="entry-2") as frozen,
    ):
        board.link_up()
        frozen.link_up()
        board.call(board.link.publish, board.link.topics.state, b'{"online":true}', 1, True)
        board.close()
        assert board.ended
        state = subscribe.simple(
            board.link.topics.state,
            hostname=own_broker.host,
            port=own_broker.port,
            auth={"username": "monitor", "password": None},
            protocol=mqtt.MQTTv5,
        )
        assert state.payload == board.settings.offline_state
        own_broker.freeze()
        frozen.close()
        assert not frozen.link.up
        own_broker.thaw()
