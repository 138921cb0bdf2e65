"""For any loss, repetition, order, batching, failed commit and restart: the ledger is the contiguous set.

The model is three lines (``Model.through``); the ledger is the real one on a real file.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from store.ingest import Arrived, commit
from store.ledger import migrate, open_ledger
from tests.support import shopfeed as feed

COUNT = 9
KEYS = [("entry-1", 1), ("entry-1", 2), ("entry-2", 1)]
FRAMES = {(board, epoch): feed.visits_of(epoch, COUNT, 1) for board, epoch in KEYS}

_messages = st.lists(
    st.tuples(st.sampled_from(KEYS), st.one_of(st.integers(1, COUNT), st.integers(1, 3))),
    min_size=1,
    max_size=8,
)


class Shop(RuleBasedStateMachine):
    template: Path

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tallygate-ledger-"))
        self.path = self.folder / "ledger.sqlite"
        shutil.copy(self.template, self.path)
        self.arrived: dict[tuple[str, int], set[int]] = {key: set() for key in KEYS}
        self.floor = dict.fromkeys(KEYS, 1)  # the first seq its board still holds
        self.acked = dict.fromkeys(KEYS, 0)
        self.engine = open_ledger(feed.sqlite_url(self.path))

    def through(self, key: tuple[str, int]) -> int:
        seq = 0
        while seq + 1 in self.arrived[key] or seq + 1 < self.floor[key]:
            seq += 1
        return seq

    def _commit(self, batch: list[Arrived]) -> None:
        for board, ack in commit(self.engine, batch).acks:
            key = (board, ack.epoch)
            assert ack.through == self.through(key)
            assert ack.through >= self.acked[key], "an ack never goes back"
            self.acked[key] = ack.through

    def _batch(self, messages: list[tuple[tuple[str, int], int]]) -> list[Arrived]:
        return [Arrived(key[0], "rec", FRAMES[key][seq - 1], 1) for key, seq in messages]

    @rule(messages=_messages)
    def arrive(self, messages: list[tuple[tuple[str, int], int]]) -> None:
        for key, seq in messages:
            self.arrived[key].add(seq)
        self._commit(self._batch(messages))

    @rule(messages=_messages)
    def arrive_but_the_commit_fails(self, messages: list[tuple[tuple[str, int], int]]) -> None:
        def fail(_connection: Any) -> None:
            raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

        event.listen(self.engine, "commit", fail)
        with pytest.raises(OperationalError):
            commit(self.engine, self._batch(messages))
        event.remove(self.engine, "commit", fail)

    @rule(key=st.sampled_from(KEYS), first=st.integers(1, COUNT))
    def board_says_where_it_begins(self, key: tuple[str, int], first: int) -> None:
        if first > self.through(key) + 1:
            self.floor[key] = max(self.floor[key], first)
        self._commit([Arrived(key[0], "state", feed.state(key[1], first, COUNT), 1)])

    @rule()
    def restart(self) -> None:
        self.engine.dispose()
        self.engine = open_ledger(feed.sqlite_url(self.path))
        migrate(self.engine)

    @invariant()
    def ledger_holds_what_arrived_and_posted_what_is_due_once(self) -> None:
        if not hasattr(self, "path"):
            return
        with sqlite3.connect(self.path) as db:
            names = {row[0]: (row[1], int(row[2], 16)) for row in db.execute("SELECT * FROM journals")}
            kept = [(names[j], s) for j, s in db.execute("SELECT journal, seq FROM records")]
            both = "SELECT journal, seq FROM admissions UNION ALL SELECT journal, seq FROM passages"
            posted = [(names[j], s) for j, s in db.execute(both)]
            assert db.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
        db.close()
        assert sorted(kept) == sorted((key, s) for key, seqs in self.arrived.items() for s in seqs)
        due = [(key, s) for key, seqs in self.arrived.items() for s in seqs if s <= self.through(key)]
        assert sorted(posted) == sorted(due)

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.dispose()
            shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def machine(tmp_path: Path) -> type[Shop]:
    engine = open_ledger(feed.sqlite_url(tmp_path / "empty.sqlite"))
    migrate(engine)
    engine.dispose()  # the last connection folds the WAL into the file, so that a plain copy is whole
    Shop.template = tmp_path / "empty.sqlite"
    return Shop


def test_any_arrival_leaves_the_contiguous_set_posted_once(machine: type[Shop]) -> None:
    quick = settings(
        max_examples=20, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(machine, settings=quick)  # type: ignore[no-untyped-call]
