"""``python -m store status`` and the command line: what is printed, and the exit codes."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from firmware.wire.records import BasketClosed, PriceLook, Refused, frame
from store.__main__ import main
from store.ingest import Arrived, commit
from store.ledger import migrate, open_ledger
from tests.support import shopfeed as feed


@pytest.fixture
def url(tmp_path: Path) -> str:
    return feed.sqlite_url(tmp_path / "ledger.sqlite")


def fill(url: str, *frames: bytes, state: bytes | None = None, age_ms: int = 0) -> None:
    now_ms = time.time_ns() // 1_000_000 - age_ms
    engine = open_ledger(url)
    migrate(engine)
    batch = [Arrived("entry-1", "rec", data, now_ms) for data in frames]
    if state is not None:
        batch.append(Arrived("entry-1", "state", state, now_ms))
    commit(engine, batch)
    engine.dispose()


def test_init_makes_the_ledger_once(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--db", url]) == 0
    assert main(["init", "--db", url]) == 0
    assert "schema 0005" in capsys.readouterr().out


def test_a_well_ledger(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    visits = [*feed.visits_of(1, 4), feed.framed(1, 5, Refused(feed.STAMP, 11, "pass", feed.visit(9)))]
    tags = feed.basket(bytes(12), bytes([1] * 12))
    fill(url, *visits, feed.framed(1, 6, tags), state=feed.state(1, 1, 6))
    assert main(["status", "--db", url, "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["records"], status["visits"], status["attention"]) == (6, 3, [])
    (board,) = status["boards"]
    wanted = {"board": "entry-1", "online": True, "state": "ready", "through": 6, "waiting": 0, "missing": 0}
    wanted |= {"admitted": 2, "passed": 2, "annulled": 0, "refused": {"used": 1}, "baskets": 1, "tags": 2}
    wanted |= {"alarms": {}, "quarantined": 0}
    assert {key: board[key] for key in wanted} == wanted
    assert main(["status", "--db", url]) == 0
    text = capsys.readouterr().out
    assert "entry-1 refused: used 1" in text
    assert "nothing to look at" in text


def test_a_portal_and_a_price_point_are_told_by_their_work(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    two, three = (feed.basket(*(bytes([n] * 12) for n in range(count))) for count in (2, 3))
    again = replace(three, ref_seq=1, version=2)
    records = [two, again, feed.basket(bytes(12)), BasketClosed(feed.STAMP, 3, "abandoned")]
    records += [PriceLook(feed.STAMP, bytes(12)), PriceLook(feed.STAMP, bytes(12), 990)]
    frames = [feed.framed(1, seq, record) for seq, record in enumerate(records, 1)]
    fill(url, *frames, state=feed.state(1, 1, len(frames)))
    assert main(["status", "--db", url, "--json"]) == 0
    (board,) = json.loads(capsys.readouterr().out)["boards"]
    assert (board["baskets"], board["tags"], board["unpaid"], board["looks"]) == (2, 4, 1, 2)
    assert main(["status", "--db", url]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("entry-1"))
    assert line.endswith("  baskets 2, tags 4, unpaid 1, price looks 2")


@pytest.mark.parametrize(
    ("frames", "state", "age_ms", "says"),
    [
        (feed.visits_of(1, 3)[1:], None, 0, "2 records wait for an earlier one"),
        ([frame(1, 1, b"\xa0")], None, 0, "1 records could not be read"),
        (feed.visits_of(1, 5)[3:], feed.state(1, 4, 5), 0, "3 records will never come"),
        ([], feed.state(1, 1, 0), 3_600_000, "nothing heard for 60 min"),
    ],
)
def test_what_needs_attention_is_said_with_what_to_check(
    url: str,
    capsys: pytest.CaptureFixture[str],
    frames: list[bytes],
    state: bytes | None,
    age_ms: int,
    says: str,
) -> None:
    fill(url, *frames, state=state, age_ms=age_ms)
    assert main(["status", "--db", url]) == 1
    out = capsys.readouterr().out
    assert says in out
    assert "check" in out.split(says)[1] or "compare" in out.split(says)[1]


def test_one_gate_that_granted_twice_is_not_sent_to_look_at_a_second_one(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(url, *(feed.framed(1, seq, feed.admitted(5)) for seq in (1, 2)))
    assert main(["status", "--db", url]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("! ")]
    assert "two gates" not in line
    assert "lost journal" in line


@pytest.mark.parametrize(
    ("age_h", "says"),
    [(1, "! entry-1: messages came that could not be taken"), (25, "nothing new to look at")],
)
def test_bad_frames_never_stand_beside_nothing_to_look_at(
    url: str, capsys: pytest.CaptureFixture[str], age_h: int, says: str
) -> None:
    fill(url, *feed.visits_of(1, 4))
    damaged = bytearray(feed.visits_of(1, 4)[0])
    damaged[-1] ^= 1
    fill(url, bytes(damaged), b"short", age_ms=age_h * 3_600_000)
    assert main(["status", "--db", url]) == (1 if age_h < 24 else 0)
    out = capsys.readouterr().out
    assert "entry-1 bad frames: crc 1, short 1" in out
    assert says in out
    assert "nothing to look at" not in out


def test_an_empty_ledger(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", "--db", url])
    assert main(["status", "--db", url]) == 0
    assert "no board has reported yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["status", "--db", "sqlite:////nowhere/l.sqlite"], "there is no ledger"),
        (["run", "--store-id", "demo", "--db", "x", "--broker", "127.0.0.1"], "write HOST:PORT"),
        (["run", "--store-id", "demo", "--db", "x", "--broker", "192.0.2.1:1883"], "plain TCP"),
        (["run", "--store-id", "Demo", "--db", "x", "--broker", "127.0.0.1:1883"], "store id 'Demo'"),
        (["run", "--store-id", "demo", "--db", "x", "--broker", "127.0.0.1:1883"], "four slashes"),
        (
            ["run", "--store-id", "d", "--db", "x", "--broker", "h:1", "--ca", "/nowhere/ca.crt"],
            "no file /nowhere/ca.crt",
        ),
        (
            ["run", "--store-id", "d", "--db", "x", "--broker", "h:1", "--cert", "/nowhere/w.crt"],
            "--cert and --key belong together",
        ),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error
