"""What the shop tells its boards: versions in the ledger, what goes out when, and who is answered."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

from firmware.wire.asks import TableQuestion, decode_time_answer
from firmware.wire.keys import parse_key_set
from firmware.wire.tables import (
    MAX_DATA,
    Snapshot,
    decode_delta,
    decode_snapshot,
    snapshot_of,
    take_delta,
)
from store import tables
from store.__main__ import main
from store.answers import MOST, Answers, Question
from store.ledger import LedgerError, migrate, open_ledger
from store.push import RENEW_S, SNAPSHOT_S, TablePush
from store.schema import pushed, revocations
from tests.support.shopfeed import sqlite_url

REVOKED, KEYS = ("revoked", "0"), ("keys", "0")
ONE, TWO = "0000000000000001", "0000000000000002"
HEX = {1: "11" * 32, 2: "22" * 32}


@pytest.fixture
def url(tmp_path: Path) -> str:
    found = sqlite_url(tmp_path / "ledger.sqlite")
    migrate(open_ledger(found))
    return found


@pytest.fixture
def engine(url: str) -> Engine:
    return open_ledger(url)


def now(engine: Engine) -> dict[tables.Key, Snapshot]:
    with engine.connect() as connection:
        return tables.published(connection)


# -- the ledger ----------------------------------------------------------------------------------


def test_every_change_is_one_version_with_one_content(engine: Engine) -> None:
    with engine.begin() as connection:
        assert tables.renew(connection) == 1
        assert tables.renew(connection) == 0
    assert now(engine) == {REVOKED: Snapshot(1, 8, b"")}
    with engine.begin() as connection:
        assert tables.revoke(connection, TWO, "lost phone")
        assert tables.revoke(connection, ONE, "")
        assert not tables.revoke(connection, ONE, "")
    assert now(engine)[REVOKED] == snapshot_of(3, 8, [bytes.fromhex(ONE), bytes.fromhex(TWO)])
    with engine.begin() as connection:
        assert tables.forgive(connection, TWO)
        assert not tables.forgive(connection, TWO)
    assert now(engine)[REVOKED] == snapshot_of(4, 8, [bytes.fromhex(ONE)])


def test_a_change_that_is_taken_back_changes_nothing(engine: Engine) -> None:
    with engine.connect() as connection:
        tables.revoke(connection, ONE, "")
        connection.rollback()
    assert now(engine) == {}


def test_old_revocations_are_let_go_and_may_come_again(engine: Engine) -> None:
    with engine.begin() as connection:
        tables.revoke(connection, ONE, "")
        old = time.time_ns() // 1_000_000 - tables.REVOKED_MS - 1
        connection.execute(revocations.update().values(revoked_ms=old))
        assert tables.renew(connection) == 1
    assert now(engine)[REVOKED].data == b""
    with engine.begin() as connection:
        assert not tables.forgive(connection, ONE)
        assert tables.revoke(connection, ONE, "again")
    assert now(engine)[REVOKED].data == bytes.fromhex(ONE)


def test_a_full_table_is_refused_in_words(engine: Engine) -> None:
    with engine.begin() as connection:
        stamp = time.time_ns() // 1_000_000
        rows = [{"visit": f"{n:016x}", "reason": "", "revoked_ms": stamp} for n in range(MAX_DATA // 8)]
        connection.execute(revocations.insert(), rows)
        tables.renew(connection)
    with pytest.raises(LedgerError, match="retire the pass key"), engine.begin() as connection:
        tables.revoke(connection, "ff" * 8, "")
    assert len(now(engine)[REVOKED].data) == MAX_DATA


def test_keys_are_added_retired_and_never_renumbered(engine: Engine) -> None:
    with engine.begin() as connection:
        assert tables.add_key(connection, 1, HEX[1])
        assert not tables.add_key(connection, 1, HEX[1])
        with pytest.raises(LedgerError, match="the last one"):
            tables.retire_key(connection, 1)
        assert tables.add_key(connection, 2, HEX[2])
        assert tables.retire_key(connection, 1)
        assert not tables.retire_key(connection, 1)
        for key_id, key, says in (
            (1, "33" * 32, "new number"),
            (3, HEX[2], "already as number 2"),
            (256, "33" * 32, "0 to 255"),
            (3, "33", "64 hex digits"),
        ):
            with pytest.raises(LedgerError, match=says):
                tables.add_key(connection, key_id, key)
        with pytest.raises(LedgerError, match="no key 9"):
            tables.retire_key(connection, 9)
    found = parse_key_set(now(engine)[KEYS].data)
    assert {key_id: key.hex() for key_id, key in found.active.items()} == {2: HEX[2]}
    assert now(engine)[KEYS].version == 3
    with engine.begin() as connection:
        assert tables.add_key(connection, 1, HEX[1])
    assert sorted(parse_key_set(now(engine)[KEYS].data).active) == [1, 2]


# -- on the command line ---------------------------------------------------------------------------


def test_the_commands(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str, code: int = 0) -> str:
        assert main([*arguments, "--db", url]) == code
        out, err = capsys.readouterr()
        return out if code == 0 else err

    assert "is revoked" in said("revoke", ONE.upper(), "--reason", "lost phone")
    assert "already" in said("revoke", ONE)
    assert "good again" in said("revoke", ONE, "--undo")
    assert "not revoked" in said("revoke", ONE, "--undo")
    assert "16 hex digits" in said("revoke", "abc", code=2)
    assert "site files" in said("keys", "list")
    assert "first key here" in said("keys", "add", "1", HEX[1])
    assert "first key" not in said("keys", "add", "2", HEX[2])
    assert "in use already" in said("keys", "add", "2", HEX[2])
    assert "64 hex digits" in said("keys", "add", "3", "abc", code=2)
    assert "is retired" in said("keys", "retire", "1")
    assert "already" in said("keys", "retire", "1")
    assert "last one" in said("keys", "retire", "2", code=2)
    listed = said("keys", "list").splitlines()
    assert HEX[1] in listed[1]
    assert "retired 20" in listed[1]
    assert listed[2].endswith("in use")


def test_a_wrong_ledger_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.sqlite"
    assert main(["revoke", ONE, "--db", sqlite_url(path)]) == 2
    assert "there is no ledger" in capsys.readouterr().err
    assert not path.exists()


def test_a_ledger_of_the_first_revision_is_brought_up_to_date(tmp_path: Path) -> None:
    from alembic import command

    from store.ledger import _config

    engine = open_ledger(sqlite_url(tmp_path / "old.sqlite"))
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("INSERT INTO boards (board) VALUES ('entry-1')"))
    assert migrate(engine) == "0005"
    with engine.begin() as connection:
        assert connection.execute(text("SELECT board FROM boards")).all() == [("entry-1",)]
        assert tables.revoke(connection, ONE, "")


# -- what goes out ---------------------------------------------------------------------------------


@dataclass
class Wire:
    session: int = 1
    up: bool = True
    sent: list[tuple[str, str, bytes]] = field(default_factory=list)

    def send_table(self, name: str, bucket: str, payload: bytes) -> bool:
        if self.up:
            self.sent.append(("table", name, payload))
        return self.up

    def send_delta(self, name: str, bucket: str, payload: bytes) -> bool:
        if self.up:
            self.sent.append(("delta", name, payload))
        return self.up

    def kinds(self) -> list[tuple[str, str]]:
        found = [(kind, name) for kind, name, _ in self.sent]
        self.sent.clear()
        return found


@dataclass
class Shop:
    engine: Engine
    wire: Wire = field(default_factory=Wire)
    answers: Answers = field(default_factory=lambda: Answers("demo"))
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.push = TablePush(self.engine, self.wire, self.answers)
        self.turn()

    def turn(self, seconds: float = 1.0) -> list[tuple[str, str, bytes]]:
        self.now += seconds
        self.push.turn(self.now)
        return self.wire.sent

    def revoke(self, visit: str) -> None:
        with open_ledger(str(self.engine.url)).begin() as connection:
            tables.revoke(connection, visit, "")


def test_a_start_sends_snapshots_and_a_change_a_delta_then_one_snapshot(engine: Engine) -> None:
    shop = Shop(engine)
    ((kind, name, payload),) = shop.wire.sent
    assert (kind, name) == ("table", "revoked")
    first = decode_snapshot(payload)
    assert first == Snapshot(1, 8, b"")
    shop.wire.sent.clear()
    shop.turn()
    assert shop.wire.kinds() == []
    shop.revoke(ONE)
    ((kind, _, payload),) = shop.turn()
    assert kind == "delta"
    second = take_delta(first, decode_delta(payload))
    assert second == snapshot_of(2, 8, [bytes.fromhex(ONE)])
    shop.wire.sent.clear()
    shop.revoke(TWO)
    shop.turn()
    assert shop.wire.kinds() == [("delta", "revoked")]
    sent = [list(shop.turn()) for _ in range(round(SNAPSHOT_S) + 2)][-1]
    assert [kind for kind, _, _ in sent] == ["table"]
    assert decode_snapshot(sent[0][2]).version == 3


def test_a_key_set_goes_as_a_snapshot_at_once(engine: Engine) -> None:
    shop = Shop(engine)
    shop.wire.sent.clear()
    with engine.begin() as connection:
        tables.add_key(connection, 1, HEX[1])
    shop.turn()
    assert shop.wire.kinds() == [("table", "keys")]
    with engine.begin() as connection:
        tables.add_key(connection, 2, HEX[2])
    shop.turn()
    assert shop.wire.kinds() == [("table", "keys")]


def test_nothing_is_lost_while_the_broker_is_away(engine: Engine) -> None:
    shop = Shop(engine)
    shop.wire.sent.clear()
    shop.wire.up = False
    shop.revoke(ONE)
    shop.turn()
    shop.turn()
    assert shop.wire.kinds() == []
    shop.wire.up, shop.wire.session = True, 2
    sent = shop.turn()
    assert [(kind, decode_snapshot(payload).version) for kind, _, payload in sent] == [("table", 2)]


def test_before_the_end_the_retained_snapshot_is_brought_up(engine: Engine) -> None:
    shop = Shop(engine)
    shop.revoke(ONE)
    shop.turn()
    shop.wire.sent.clear()
    shop.push.flush()
    assert shop.wire.kinds() == [("table", "revoked")]
    shop.push.flush()
    assert shop.wire.kinds() == []


def test_old_revocations_are_let_go_by_the_running_store(engine: Engine) -> None:
    shop = Shop(engine)
    shop.revoke(ONE)
    shop.turn()
    with engine.begin() as connection:
        connection.execute(revocations.update().values(revoked_ms=1))
    shop.wire.sent.clear()
    shop.turn(RENEW_S)
    assert ("delta", "revoked") in shop.wire.kinds()
    assert now(engine)[REVOKED] == Snapshot(3, 8, b"")


def test_a_ledger_that_fails_changes_nothing_and_is_said_once(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(engine)
    broken = [True]

    def fail(*_: Any) -> None:
        if broken[0]:
            raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    event.listen(engine, "before_cursor_execute", fail)
    for _ in range(5):
        shop.turn()
    assert len([r for r in caplog.records if "boards keep what they have" in r.message]) == 1
    assert shop.answers.tables is not None
    broken[0] = False
    shop.revoke(ONE)
    shop.turn()
    assert shop.answers.tables[REVOKED].version == 2
    broken[0] = True
    with open_ledger(str(engine.url)).begin() as connection:
        connection.execute(pushed.update().values(data=b"odd", version=9))
    broken[0] = False
    shop.turn()
    assert shop.answers.tables[REVOKED].version == 2


# -- answers -----------------------------------------------------------------------------------------


def asked(name: str, payload: bytes = b"{}", board: str = "entry-1", **change: Any) -> Question:
    prefix = f"tallygate/1/demo/{board}"
    given = {
        "topic": f"{prefix}/ask/{name}",
        "payload": payload,
        "retained": False,
        "response_topic": f"{prefix}/ans/{name}",
        "correlation": b"12345678",
    }
    return Question(**(given | change))


def test_the_time_is_the_shops_own() -> None:
    answer = Answers("demo", wall_ms=lambda: 1_790_000_000_000).answer(asked("time"))
    assert answer is not None
    assert answer.topic == "tallygate/1/demo/entry-1/ans/time"
    assert answer.correlation == b"12345678"
    assert decode_time_answer(answer.payload) == 1_790_000_000_000
    assert Answers("demo", wall_ms=lambda: 60_000).answer(asked("time")) is None


def test_a_table_is_answered_from_what_was_published() -> None:
    answers = Answers("demo")
    question = asked("table", TableQuestion("revoked", "0").encode())
    assert answers.answer(question) is None  # not read yet: the board asks again
    answers.tables = {REVOKED: snapshot_of(4, 8, [b"A" * 8])}
    answer = answers.answer(question)
    assert answer is not None
    assert decode_snapshot(answer.payload) == answers.tables[REVOKED]
    missing = answers.answer(asked("table", TableQuestion("keys", "0").encode()))
    assert missing is not None
    assert missing.payload == b""


@pytest.mark.parametrize(
    "question",
    [
        asked("time", response_topic="tallygate/1/demo/exit-1/ans/time"),
        asked("time", response_topic="tallygate/1/demo/entry-1/cmd/open"),
        asked("time", response_topic=None),
        asked("time", correlation=None),
        asked("time", correlation=b""),
        asked("time", correlation=bytes(65)),
        asked("time", retained=True),
        asked("pay"),
        asked("table", b"{}"),
        asked("table", b"\xff"),
        asked("time", topic="tallygate/1/other/entry-1/ask/time"),
        asked("time", board="store"),
        asked("time", topic="x"),
    ],
)
def test_who_is_not_answered(question: Question) -> None:
    answers = Answers("demo")
    answers.tables = {}
    assert answers.answer(question) is None
    assert answers.counts == {"refused": 1}


def test_a_flood_of_one_board_is_bounded_and_does_not_hurt_another() -> None:
    clock = [0.0]
    answers = Answers("demo", monotonic=lambda: clock[0])
    given = [answers.answer(asked("time")) is not None for _ in range(MOST + 5)]
    assert given == [True] * MOST + [False] * 5
    assert answers.counts["flooded"] == 5
    assert answers.answer(asked("time", board="entry-2")) is not None
    clock[0] = 11.0
    assert answers.answer(asked("time")) is not None
