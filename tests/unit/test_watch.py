"""The live table shows what boards said, and never trusts what came over the wire."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import paho.mqtt.client as mqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console

from firmware.health import Fault, health_message, state_message, will_message
from firmware.wire.topics import Topics
from provisioning import cli
from provisioning.watch import SILENT_S, BoardRow, table, take
from tests.support.broker import Mosquitto, free_port

TOPICS = Topics("demo", "entry-1")


def shown(rows: Mapping[str, BoardRow], now: float) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(table("demo", dict(rows), now))
    return out.getvalue()


def test_board_as_it_describes_itself() -> None:
    fault = Fault("camera", "no new frame for 3 s", "cable, then the lens")
    rows: dict[str, BoardRow] = {}
    state = state_message(
        role="entry", state="closed", boot="00", records=(1, 1, 9), faults=[fault], last_visit="beef"
    )
    take(rows, TOPICS.state, state, 10.0)
    take(rows, TOPICS.health, health_message({"queued": 3, "queue_age_s": 12.4}), 10.0)
    text = shown(rows, 11.0)
    for words in ("entry-1", "up", "closed", "3 (oldest 12 s)", "beef", "camera", "cable, then the lens"):
        assert words in text
    assert "silent" in shown(rows, 10.0 + SILENT_S + 1)
    take(rows, TOPICS.state, will_message("00"), 12.0)
    assert "lost" in shown(rows, 12.0)


@pytest.mark.parametrize(
    ("role", "health", "words"),
    [
        ("entry", {"admitted": 3, "refused": 1, "tailgates": 0, "baskets": 9}, "3 admitted, 1 refused"),
        (
            "portal",
            {"baskets": 4, "paid": 3, "declined": 0, "abandoned": 1},
            "4 baskets, 3 paid, 1 abandoned",
        ),
        ("portal", {"baskets": 0, "paid": 0}, "0 baskets"),
        ("pricepoint", {"price_shown": 12, "prices_items": 340}, "12 prices shown, 340 goods listed"),
        ("pricepoint", {"price_shown": "12"}, "-"),
    ],
)
def test_what_a_board_has_done_is_told_by_its_role(role: str, health: dict[str, object], words: str) -> None:
    rows: dict[str, BoardRow] = {}
    state = state_message(role=role, state="idle", boot="00", records=None, faults=[], last_visit=None)
    take(rows, TOPICS.state, state, 0.0)
    take(rows, TOPICS.health, json.dumps(health).encode(), 0.0)
    cells = [cell.strip() for cell in shown(rows, 0.0).splitlines()[-2].split("│")]
    assert cells[4] == words


def test_other_topics_and_markup_change_nothing() -> None:
    rows: dict[str, BoardRow] = {}
    for topic in (TOPICS.rec, TOPICS.live, "tallygate/1/demo/store/status/w1", "nonsense", "a/" * 300):
        take(rows, topic, b"{}", 0.0)
    assert rows == {}
    take(rows, TOPICS.state, json.dumps({"online": True, "state": "[red]x[/oops]"}).encode(), 0.0)
    assert "(red)x(/oops)" in shown(rows, 0.0)


@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(["online", "role", "state", "faults", "queued", "queue_age_s", "part"]),
                    inner,
                ),
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_message_can_be_shown(payload: bytes) -> None:
    rows: dict[str, BoardRow] = {}
    take(rows, TOPICS.state, payload, 0.0)
    take(rows, TOPICS.health, payload, 0.0)
    shown(rows, 1.0)


def test_boards_of_a_real_broker_are_shown(broker: Mosquitto, capfd: pytest.CaptureFixture[str]) -> None:
    topics = Topics(broker.store_id, "watched-1")
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="watched-1", protocol=mqtt.MQTTv5)
    client.username_pw_set("watched-1")
    client.connect(broker.host, broker.port)
    client.loop_start()
    state = state_message(
        role="entry", state="closed", boot="00", records=(1, 1, 1), faults=[], last_visit=None
    )
    try:
        client.publish(topics.state, state, qos=1, retain=True).wait_for_publish(10)
        where = ["--store", broker.store_id, "--broker", f"{broker.host}:{broker.port}"]
        assert cli.main(["watch", *where, "--once", "1"]) == 0
        out = capfd.readouterr().out
        assert "watched-1" in out
        assert "closed" in out
        client.publish(topics.state, b"", qos=1, retain=True).wait_for_publish(10)
        assert cli.main(["watch", "--store", "nobody", *where[2:], "--once", "0.3"]) == 1
        assert "no board of nobody" in capfd.readouterr().err
    finally:
        client.disconnect()
        client.loop_stop()


def test_broker_that_is_not_there_is_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["watch", "--broker", f"127.0.0.1:{free_port()}"]) == 1
    err = capfd.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert "cannot be reached" in err
