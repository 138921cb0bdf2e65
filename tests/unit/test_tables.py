"""The board's tables: stored before they count, there after a restart, asked for where unknown."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from firmware.loop import Guard, SteppedLoop
from firmware.sync import table_file
from firmware.sync.link_types import Arrived
from firmware.sync.table_file import Loaded, TableFault, TableFile
from firmware.sync.tables import ASKED_A_SECOND, GATE_TABLES, RELOAD_S, Tables
from firmware.wire.asks import decode_table_question
from firmware.wire.keys import KeySet
from firmware.wire.tables import SPECS, Delta, Snapshot, delta_between, snapshot_of
from firmware.wire.topics import Topics
from firmware.worker import InlineWorker
from tests.support.stepped import PUBLIC, SteppedBoard

ONE, TWO, THREE = (bytes([n]) * 8 for n in (1, 2, 3))


def revoked(version: int, *visits: bytes) -> Snapshot:
    return snapshot_of(version, 8, visits)


def delta(old: Snapshot, new: Snapshot) -> Delta:
    found = delta_between(old, new)
    assert found is not None
    return found


def event(kind: str, content: Snapshot | Delta | bytes, name: str = "revoked", **more: Any) -> Arrived:
    payload = content if isinstance(content, bytes) else content.encode()
    names = ("table",) if kind == "ans" else (name, "0")
    return Arrived(kind, names, payload, more.get("retained", False), more.get("correlation"), 0.0)


@dataclass
class FakeLink:
    up: bool = True
    topics: Topics = field(default_factory=lambda: Topics("demo", "entry-1"))
    sent: list[tuple[str, bytes, tuple[Any, ...]]] = field(default_factory=list)

    def publish(self, topic: str, payload: bytes, *options: Any) -> bool:
        self.sent.append((topic, payload, options))
        return True

    @property
    def correlation(self) -> bytes:
        """Of the newest question."""
        return bytes(self.sent[-1][2][4])


class Bench:
    def __init__(self, folder: Path, names: tuple[str, ...] = GATE_TABLES) -> None:
        self.names = names
        self.loop = SteppedLoop()
        self.crashes: list[str] = []
        self.guard = Guard(self.loop, self.crashes.append)
        self.worker = InlineWorker(self.guard, "documents")
        self.link = FakeLink()
        self.path = folder / "tables.sqlite"
        self.told: list[tuple[str, dict[str, Snapshot]]] = []
        self.unusable: str | None = None
        self.tables = self.make()

    def make(self) -> Tables:
        say = (self.check, self._changed)
        return Tables(self.guard, self.worker, self.path, self.link, *say, Random(1), self.names)

    def check(self, _name: str, _snapshot: Snapshot) -> str | None:
        return self.unusable

    def _changed(self, name: str, buckets: dict[str, Snapshot]) -> None:
        self.told.append((name, buckets))

    def now(self, name: str = "revoked") -> Snapshot | None:
        return next((b.get("0") for n, b in reversed(self.told) if n == name), None)

    def start(self) -> Bench:
        self.tables.load()
        return self.turn()

    def turn(self, seconds: float = 0.0) -> Bench:
        self.loop.advance(seconds)
        assert not self.crashes
        return self

    def give(self, kind: str, content: Snapshot | Delta | bytes, name: str = "revoked", **more: Any) -> None:
        self.guard.call(self.tables.arrived, event(kind, content, name, **more))
        self.turn()

    def second(self) -> None:
        self.guard.call(self.tables.second)
        self.turn(1.0)

    def answer(self, *contents: Snapshot) -> None:
        """The shop's answer to every question so far."""
        for _, payload, options in list(self.link.sent):
            opaque = decode_table_question(payload).table == "keys"
            for content in contents:
                if (content.entry_size == 0) == opaque:
                    self.give("ans", content, correlation=options[4])

    def asked(self) -> int:
        return len(self.link.sent)

    def restart(self) -> Bench:
        self.tables.close()
        self.turn()
        self.told.clear()
        self.tables = self.make()
        return self.start()

    def end(self) -> None:
        self.tables.close()
        self.turn()
        self.loop.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made.start()
    made.end()


def test_a_snapshot_counts_once_it_is_stored_and_after_a_restart(bench: Bench) -> None:
    bench.worker.delay_s = 0.2
    bench.give("table", revoked(1, ONE), retained=True)
    assert bench.now() is None
    bench.turn(0.3)
    assert bench.now() == revoked(1, ONE)
    bench.restart()
    bench.turn(0.3)
    assert bench.now() == revoked(1, ONE)
    assert bench.tables.figures()["table_revoked_version"] == 1
    assert bench.tables.figures()["table_revoked_entries"] == 1
    bench.second()
    assert bench.asked() == 0
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
    assert [name for name in bench.tables.figures() if f"`{name}`" not in page] == []


def test_deltas_follow_each_other_while_the_disk_is_slow(bench: Bench) -> None:
    bench.worker.delay_s = 0.2
    first, second, third = revoked(1, ONE), revoked(2, ONE, TWO), revoked(3, TWO)
    bench.give("table", first)
    bench.give("delta", delta(first, second))
    bench.give("delta", delta(second, third))
    bench.give("delta", delta(first, second))
    bench.turn(1.0)
    assert bench.now() == third
    bench.second()
    assert bench.asked() == 0


def test_a_gap_is_asked_for_once_and_answered(bench: Bench) -> None:
    first, second, third = revoked(1, ONE), revoked(2, ONE, TWO), revoked(3, TWO)
    bench.give("table", first)
    bench.give("delta", delta(second, third))
    assert bench.now() == first
    bench.second()
    topic, payload, (qos, retain, expiry_s, answer, correlation) = bench.link.sent[-1]
    assert topic == "tallygate/1/demo/entry-1/ask/table"
    assert decode_table_question(payload).table == "revoked"
    assert (qos, retain, answer) == (0, False, "tallygate/1/demo/entry-1/ans/table")
    assert expiry_s <= 10
    assert len(correlation) == 8
    bench.second()
    assert bench.asked() == 1
    bench.give("ans", third, correlation=b"somebody")
    bench.give("ans", third)
    assert bench.now() == first
    bench.give("ans", third, correlation=correlation)
    assert bench.now() == third
    for _ in range(20):
        bench.second()
    assert bench.asked() == 1
    bench.give("ans", first, correlation=correlation)
    assert bench.now() == third


def test_questions_grow_rarer_and_start_afresh_with_a_connection(bench: Bench) -> None:
    bench.give("delta", delta(revoked(1), revoked(2, ONE)))
    for _ in range(1200):
        bench.second()
    asked = bench.asked()
    assert 5 <= asked <= 14
    bench.link.up = False
    for _ in range(400):
        bench.second()
    assert bench.asked() == asked
    bench.link.up = True
    bench.tables.connected()
    bench.second()
    assert bench.asked() == asked + 1


def test_an_older_snapshot_is_believed_only_as_the_shops_answer(bench: Bench) -> None:
    bench.give("table", revoked(8, ONE))
    bench.give("table", revoked(5), retained=True)
    assert bench.now() == revoked(8, ONE)
    bench.second()
    bench.give("ans", revoked(5), correlation=bench.link.correlation)
    assert bench.now() == revoked(5)
    bench.give("table", revoked(6, TWO))
    assert bench.restart().now() == revoked(6, TWO)


def test_a_newer_snapshot_makes_a_question_needless(bench: Bench) -> None:
    bench.give("table", revoked(1))
    bench.give("delta", delta(revoked(2), revoked(3, ONE)))
    bench.give("table", revoked(3, ONE))
    bench.second()
    assert bench.asked() == 0


def test_damaged_messages_are_never_applied_and_asked_for(bench: Bench) -> None:
    good = revoked(1, ONE).encode()
    bench.give("table", revoked(1, TWO))
    for bad in (good[:-1], good[:-1] + b"\x00", b"", b"\xff" * 40, Snapshot(9, 0, b"x").encode()):
        bench.give("table", bad)
        bench.give("delta", bad)
    assert bench.now() == revoked(1, TWO)
    assert bench.tables.counts["refused"] == 10
    bench.second()
    assert bench.asked() == 1
    bench.give("ans", b"\x85garbage", correlation=bench.link.correlation)
    assert bench.now() == revoked(1, TWO)
    bench.give("ans", b"", correlation=bench.link.correlation)  # the shop has no such table
    for _ in range(10):
        bench.second()
    assert bench.now() == revoked(1, TWO)
    assert bench.asked() == 1


def test_tables_this_program_does_not_know_are_passed_over(bench: Bench) -> None:
    bench.give("table", revoked(1), "prices")
    bench.guard.call(bench.tables.arrived, Arrived("table", ("revoked", "7"), b"", False, None, 0.0))
    bench.second()
    assert bench.tables.counts["strays"] == 2
    assert bench.asked() == 0


def price_buckets(version: int) -> list[Arrived]:
    names = SPECS["prices"].names()
    one = Snapshot(version, 0, b"\x01").encode()
    return [Arrived("table", ("prices", bucket), one, True, None, 0.0) for bucket in names]


def test_a_table_of_many_buckets_is_few_commits_and_there_after_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (*GATE_TABLES, "prices"))
    bench.worker.delay_s = 0.2
    commits: list[int] = []
    put = TableFile.put

    def counted(self: TableFile, rows: dict[tuple[str, str], Snapshot]) -> None:
        commits.append(len(rows))
        put(self, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TableFile, "put", counted)
        bench.start().turn(0.3)
        for arrived in price_buckets(1):
            bench.guard.call(bench.tables.arrived, arrived)
        bench.turn(1.0)
    assert commits == [1, 63]
    assert bench.tables.figures()["table_prices_version"] == 64
    assert len(bench.told[-1][1]) == 64
    bench.restart().turn(1.0)
    assert [(name, len(buckets)) for name, buckets in bench.told] == [("prices", 64)]
    bench.give("table", revoked(1, ONE))
    bench.turn(0.5)
    assert bench.now() == revoked(1, ONE)
    bench.end()


def test_a_large_table_is_looked_at_where_it_is_written_and_never_holds_the_loop(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (*GATE_TABLES, "prices"))
    on_worker = False
    seen: list[tuple[str, bool]] = []
    submit, check = bench.worker.submit, bench.check

    def noted(work: Callable[[], Any], *rest: Any) -> None:
        def run() -> Any:
            nonlocal on_worker
            on_worker = True
            try:
                return work()
            finally:
                on_worker = False

        submit(run, *rest)

    def watched(name: str, snapshot: Snapshot) -> str | None:
        seen.append((name, on_worker))
        return check(name, snapshot)

    bench.worker.submit, bench.check = noted, watched  # type: ignore[method-assign]
    bench.tables = bench.make()
    bench.start()
    for arrived in price_buckets(1):
        bench.guard.call(bench.tables.arrived, arrived)
    bench.give("table", revoked(1, ONE))
    bench.turn(1.0)
    bench.restart().turn(1.0)
    assert seen.count(("prices", True)) == 128
    assert seen.count(("revoked", False)) == 2
    assert len(seen) == 130
    bench.end()


def test_a_bucket_that_cannot_be_used_leaves_the_one_before(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (*GATE_TABLES, "prices"))
    bench.start()
    for arrived in price_buckets(2):
        bench.guard.call(bench.tables.arrived, arrived)
    bench.turn(1.0)
    bench.unusable = "entries of several buckets"
    bench.give("table", Snapshot(5, 0, b"bad"), "prices")
    bench.turn(1.0)
    figures = bench.tables.figures()
    assert (figures["table_refused"], figures["table_prices_version"]) == (1, 128)
    bench.unusable = None
    bench.give("table", Snapshot(3, 0, b"good"), "prices")
    bench.turn(1.0)
    assert bench.tables.figures()["table_prices_version"] == 129
    bench.second()
    assert bench.asked() == 0
    bench.end()


def test_many_questions_go_no_faster_than_they_are_answered(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (*GATE_TABLES, "prices"))
    bench.path.write_bytes(b"no database")
    bench.start()
    for seconds in range(1, 11):
        bench.second()
        assert bench.asked() <= ASKED_A_SECOND * seconds
    for arrived in price_buckets(3):
        bench.guard.call(bench.tables.arrived, arrived)
    bench.give("table", revoked(1))
    bench.give("table", Snapshot(1, 0, b"keys"), "keys")
    assert bench.tables.fault is None
    bench.end()


def test_unusable_content_is_refused_and_not_stored(bench: Bench) -> None:
    bench.give("table", Snapshot(1, 0, b"good"), "keys")
    bench.unusable = "no key in it"
    bench.give("table", Snapshot(2, 0, b"bad"), "keys")
    assert bench.now("keys") == Snapshot(1, 0, b"good")
    bench.second()
    assert bench.asked() == 0
    bench.unusable = None
    assert bench.restart().now("keys") == Snapshot(1, 0, b"good")


def test_what_comes_before_the_file_was_read_waits(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.worker.delay_s = 0.5
    bench.tables.load()
    bench.give("table", revoked(1, ONE))
    bench.give("delta", delta(revoked(1, ONE), revoked(2, TWO)))
    bench.turn(2.0)
    assert bench.now() == revoked(2, TWO)
    bench.tables.load()
    for _ in range(100):
        bench.tables.arrived(event("table", revoked(2, TWO)))
    bench.turn(2.0)
    bench.end()


def test_a_disk_that_does_not_write_is_a_fault_until_it_does(bench: Bench) -> None:
    bench.give("table", revoked(1, ONE))
    bench.worker.fault = TableFault("tables.sqlite cannot be written: disk is full")
    bench.give("table", revoked(2, TWO))
    assert bench.now() == revoked(1, ONE)
    assert bench.tables.fault is not None
    assert "disk is full" in bench.tables.fault
    bench.turn(3 * RELOAD_S)
    assert bench.tables.fault is not None
    bench.worker.fault = None
    bench.turn(RELOAD_S)
    bench.second()
    bench.give("ans", revoked(2, TWO), correlation=bench.link.correlation)
    assert bench.now() == revoked(2, TWO)
    assert bench.tables.fault is None


def _damage(path: Path, how: str) -> None:
    raw = bytearray(path.read_bytes())
    if how == "emptied":
        raw.clear()
    elif how == "no database":
        raw[:100] = b"\xa5" * 100
    elif how == "cut":
        del raw[len(raw) // 2 :]
    elif how == "bit":
        raw[raw.index(ONE)] ^= 4
    path.write_bytes(raw)


@pytest.mark.parametrize("how", ["emptied", "no database", "cut", "bit"])
def test_a_damaged_file_is_set_aside_and_asked_for(bench: Bench, how: str) -> None:
    bench.give("table", revoked(3, ONE, TWO))
    bench.give("table", Snapshot(2, 0, b"the keys"), "keys")
    bench.tables.close()
    bench.turn()
    _damage(bench.path, how)
    damaged = bench.path.read_bytes()
    bench.restart()
    assert bench.now() is None
    assert bench.now("keys") == (Snapshot(2, 0, b"the keys") if how == "bit" else None)
    (aside,) = bench.path.parent.glob("tables.sqlite.corrupt-*")
    assert aside.read_bytes() == damaged
    assert bench.tables.fault is not None
    assert aside.name in bench.tables.fault
    bench.second()
    assert bench.asked() == 2
    bench.answer(revoked(3, ONE, TWO), Snapshot(2, 0, b"the keys"))
    assert bench.now() == revoked(3, ONE, TWO)
    assert bench.tables.fault is None
    assert bench.restart().now() == revoked(3, ONE, TWO)
    assert bench.tables.fault is None


def test_a_file_damaged_while_open_is_found(bench: Bench) -> None:
    bench.give("table", revoked(1, ONE))
    bench.path.write_bytes(b"\xa5" * 8192)
    bench.give("table", revoked(2, TWO))
    bench.turn(RELOAD_S + 0.1)
    assert bench.now() == revoked(1, ONE)  # stays in force meanwhile
    bench.second()
    bench.answer(revoked(2, TWO))
    assert bench.restart().now() == revoked(2, TWO)


def test_a_file_that_only_cannot_be_read_now_is_not_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_file, "BUSY_S", 0.05)
    path = tmp_path / "tables.sqlite"
    file = TableFile(path)
    file.put({("revoked", "0"): revoked(1, ONE)})
    file.close()
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TableFault, match="locked"):
            file.load()
        other.execute("ROLLBACK")
    other.close()
    assert file.load() == Loaded({("revoked", "0"): revoked(1, ONE)})
    assert [p.name for p in tmp_path.iterdir()] == ["tables.sqlite"]


def test_only_some_damaged_files_are_kept(tmp_path: Path) -> None:
    file = TableFile(tmp_path / "tables.sqlite")
    for _ in range(9):
        file.load()
        (tmp_path / "tables.sqlite").write_bytes(b"x" * 500)
    assert len(list(tmp_path.glob("*.corrupt-*"))) <= 6


@given(
    st.lists(st.tuples(st.integers(0, 12287), st.integers(1, 255)), max_size=5),
    st.one_of(st.none(), st.integers(0, 12287)),
)
@example([(4090, 128)], None)
@settings(max_examples=40)
def test_no_damage_of_the_file_gives_other_content(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]], cut: int | None
) -> None:
    path = tmp_path_factory.mktemp("f") / "tables.sqlite"
    written = {("revoked", "0"): revoked(9, ONE, TWO), ("keys", "0"): Snapshot(4, 0, b"the keys" * 40)}
    file = TableFile(path)
    for key, snapshot in written.items():
        file.put({key: snapshot})
    file.close()
    raw = bytearray(path.read_bytes())
    for at, bits in flips:
        raw[at % len(raw)] ^= bits
    path.write_bytes(raw[:cut])
    loaded = file.load()
    assert loaded.tables.items() <= written.items()
    # Every row is there, or the loss is known (but for bits that SQLite itself does not use).
    assert loaded.tables == written or loaded.damaged is not None
    again = TableFile(path).load()
    assert again == Loaded(loaded.tables)


messages = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["table", "delta", "restart", "fail"])), max_size=14
)


@given(messages)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_ends_right_after_the_newest_snapshot_and_the_answers(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[int, str]]
) -> None:
    bench = Bench(tmp_path_factory.mktemp("t")).start()
    sets = ((), (ONE,), (ONE, TWO), (TWO,), (TWO, THREE), (THREE,))
    published = [revoked(version, *visits) for version, visits in enumerate(sets, 1)]
    for number, what in history:
        if what == "restart":
            bench.restart()
        elif what == "fail":
            bench.worker.fault = TableFault("disk is full") if bench.worker.fault is None else None
        elif what == "table":
            bench.give("table", published[number])
        elif number:
            bench.give("delta", delta(published[number - 1], published[number]))
        assert bench.now() in (None, *published)
    bench.worker.fault = None
    bench.turn(RELOAD_S + 0.1)
    bench.give("table", published[-1])
    bench.second()
    if bench.asked():
        bench.give("ans", published[-1], correlation=bench.link.correlation)
    assert bench.now() == published[-1]
    assert bench.restart().now() == published[-1]
    bench.end()


# -- what they mean at a gate -------------------------------------------------------------------------


def push(board: SteppedBoard, name: str, content: Snapshot) -> None:
    board.guard.call(board.app.uplink.tables.arrived, event("table", content, name))
    board.advance(0.1)


def reasons(board: SteppedBoard) -> list[str]:
    return [one["why"] for one in board.events("refused")]


def test_a_revoked_visit_is_refused_also_after_a_power_cut(tmp_path: Path) -> None:
    board = SteppedBoard(tmp_path)
    push(board, "revoked", revoked(1, (7).to_bytes(8, "big")))
    board.show_pass(board.issue(7))
    assert reasons(board) == ["revoked"]
    board.cut()
    board = SteppedBoard(tmp_path)
    board.show_pass(board.issue(7))
    assert reasons(board) == ["revoked"]
    push(board, "revoked", revoked(2))
    board.advance(5)
    board.show_pass(board.issue(7))
    assert board.released
    board.cut()


def test_a_pushed_key_set_replaces_the_site_files_keys(tmp_path: Path) -> None:
    board = SteppedBoard(tmp_path)
    push(board, "keys", Snapshot(1, 0, KeySet({2: b"\x02" * 32}).encode()))
    board.show_pass(board.issue(1))
    assert reasons(board) == ["unknown-key"]
    board.cut()
    board = SteppedBoard(tmp_path)
    board.show_pass(board.issue(2))
    assert reasons(board) == ["unknown-key"]
    push(board, "keys", Snapshot(2, 0, KeySet({1: PUBLIC, 2: b"\x02" * 32}).encode()))
    board.advance(5)
    board.show_pass(board.issue(3))
    assert board.released
    board.cut()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'{"keys":{},"revoked_keys":[]}',
        KeySet({1: PUBLIC}, frozenset({1})).encode(),
        b"\xff" * 90,
    ],
)
def test_a_key_set_that_would_leave_no_key_is_refused(tmp_path: Path, text: bytes) -> None:
    board = SteppedBoard(tmp_path)
    push(board, "keys", Snapshot(1, 0, text))
    faults = {fault.part: fault for fault in board.app.station.faults}
    assert "keys list" in faults["keys"].check
    board.show_pass(board.issue(1))
    assert board.released
    push(board, "keys", Snapshot(2, 0, KeySet({1: PUBLIC}).encode()))
    assert "keys" not in {fault.part for fault in board.app.station.faults}
    board.cut()


def test_a_damaged_file_is_a_fault_of_the_board(tmp_path: Path) -> None:
    (tmp_path / "tables.sqlite").write_bytes(b"garbage" * 100)
    board = SteppedBoard(tmp_path)
    board.advance(1.5)
    assert "tables" in {fault.part for fault in board.app.station.faults}
    board.cut()
