"""What a board says of itself, its heartbeats, and its words to systemd."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from firmware.health import (
    Faults,
    discovery_message,
    health_message,
    sensors,
    state_message,
    will_message,
)
from firmware.heartbeats import Heartbeats, Pulse
from firmware.sdnotify import Notifier
from firmware.wire.topics import Topics


def test_faults_are_told_once_and_changes_are_seen() -> None:
    faults = Faults()
    assert faults.raise_("camera", "no frame", "the ribbon cable")
    assert faults.changed
    faults.changed = False
    assert not faults.raise_("camera", "no frame", "the ribbon cable")
    assert not faults.changed
    assert not faults.raise_("camera", "busy", "another program")
    assert faults.changed
    assert faults.clear("camera")
    assert not faults.clear("camera")
    assert len(faults) == 0


def test_state_names_faults_and_records() -> None:
    faults = Faults()
    faults.raise_("reader", "silent", "cable and supply")
    message = json.loads(
        state_message(
            role="entry",
            state="closed",
            boot="00ff",
            records=(0xABC, 1, 9),
            faults=list(faults),
            last_visit=None,
        )
    )
    assert message["online"] is True
    assert message["epoch"] == "0000000000000abc"
    assert message["faults"] == [{"part": "reader", "reason": "silent", "check": "cable and supply"}]


def test_the_will_guesses_nothing() -> None:
    message = json.loads(will_message("00ff"))
    assert (message["online"], message["state"]) == (False, "unknown")


def test_health_is_flat_and_numbers_only() -> None:
    message = json.loads(health_message({"queued": 3, "clock_ok": True, "open_ms": 3.14159}))
    assert message == {"queued": 3, "clock_ok": 1, "open_ms": 3.142}
    assert all(type(value) in (int, float) for value in message.values())


@pytest.mark.parametrize("role", ["entry", "exit", "portal", "pricepoint"])
def test_discovery_has_what_home_assistant_requires(role: str) -> None:
    topics = Topics("demo", "board-1")
    message = json.loads(discovery_message(topics, "demo", "board-1", role, reader=True, camera=True))
    assert message["dev"]["ids"] == ["tallygate-demo-board-1"]
    assert message["o"]["name"]
    ids = [part["uniq_id"] for part in message["cmps"].values()]
    assert len(ids) == len(set(ids)) == len(sensors(role, reader=True, camera=True)) + 1
    for part in message["cmps"].values():
        assert part["p"] == "sensor"
        assert part["stat_t"].startswith("tallygate/1/demo/board-1/")
        assert part["val_tpl"].startswith("{{ value_json.")


def test_discovery_names_only_what_the_board_has() -> None:
    def names(role: str, **parts: bool) -> set[str]:
        return set(json.loads(discovery_message(Topics("s", "b"), "s", "b", role, **parts))["cmps"])

    gate = names("entry", reader=False, camera=True)
    assert {"gate", "admitted", "camera_fps"} <= gate
    assert not {"baskets", "tag_reads", "prices_items"} & gate
    portal = names("portal", reader=True, camera=False)
    assert {"portal", "baskets", "paid", "tags_left_out", "reads_lost", "reader_resets"} <= portal
    assert not {"admitted", "tailgates", "camera_fps"} & portal
    price = names("pricepoint", reader=True, camera=False)
    assert {"pricepoint", "price_shown", "prices_items", "tag_reads"} <= price
    assert not {"admitted", "baskets", "camera_fps"} & price


def test_the_watchdog_starves_when_one_part_is_quiet() -> None:
    beats = Heartbeats()
    camera = Pulse(10.0)
    beats.declare("camera", 3.0, camera.age)
    beats.declare("disk", 20.0, lambda now: 0.0)
    assert beats.stale(13.0) == []
    (sentence,) = beats.stale(13.5)
    assert sentence.startswith("camera has been quiet for 3.5 s")
    camera.beat(14.0)
    assert beats.stale(15.0) == []
    with pytest.raises(ValueError, match="twice"):
        beats.declare("disk", 1.0, lambda now: 0.0)


def test_words_reach_systemd(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000"})
        assert notifier.watchdog_s == 3.0
        notifier.send("READY=1", "STATUS=gate closed")
        assert systemd.recv(100) == b"READY=1\nSTATUS=gate closed"
        notifier.close()
        notifier.close()


def test_a_systemd_that_does_not_hear_is_said_once_and_once_when_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for _ in range(2):
            while not caplog.messages:  # nobody reads: the socket's queue is soon full
                notifier.send("WATCHDOG=1")
            for _ in range(5):
                notifier.send("WATCHDOG=1")
            assert len(caplog.messages) == 1
            assert "does not hear" in caplog.text
            for _ in range(3):
                systemd.recv(100)
                notifier.send("WATCHDOG=1")
            assert caplog.messages[1:] == ["systemd hears again"]
            caplog.clear()
        notifier.close()


def test_nobody_listens() -> None:
    for environ in ({}, {"NOTIFY_SOCKET": "/nowhere/at/all"}, {"WATCHDOG_USEC": "soon"}):
        notifier = Notifier(environ)
        notifier.send("WATCHDOG=1")
        assert notifier.watchdog_s is None
        notifier.close()
