"""The journal against a model a child could check: lists and dictionaries, any sequence of calls."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware.sync.journal import AckBeyond, Limits, NotOpen
from firmware.wire.records import Kind
from tests.support.journals import Bench, visit

VISITS = st.integers(1, 3).map(visit)
PARTY = 3


@dataclass
class Open:
    of: bytes
    uses: int


class JournalModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._fresh()

    def _fresh(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="journal-model-"))
        self.bench = Bench(self.folder, Limits(keep_rows=1000))
        self.kinds: list[Kind] = []
        self.acked = 0
        self.spent: dict[bytes, int] = {}
        self.open: dict[int, Open] = {}
        self.epoch = self.bench.epoch

    def teardown(self) -> None:
        self.bench.journal.close()
        shutil.rmtree(self.folder)

    def _wrote(self, seq: int, kind: Kind) -> None:
        self.kinds.append(kind)
        assert seq == len(self.kinds)

    @rule(of=VISITS)
    def admit(self, of: bytes) -> None:
        left = PARTY - self.spent.get(of, 0)
        granted = self.bench.admit(of, PARTY)
        if left == 0:
            assert granted is None
            return
        assert granted is not None
        assert granted.uses == left
        self._wrote(granted.seq, Kind.ADMITTED)
        self.spent[of] = PARTY
        self.open[granted.seq] = Open(of, left)

    @rule(data=st.data())
    @precondition(lambda self: self.open)
    def passed(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(self.open)))
        self._wrote(self.bench.passed(self.open[seq].of, seq), Kind.PASSED)
        self._close(seq, 1)

    @rule(data=st.data(), uses=st.integers(1, PARTY))
    @precondition(lambda self: self.open)
    def annul(self, data: st.DataObject, uses: int) -> None:
        seq = data.draw(st.sampled_from(sorted(self.open)))
        of = self.open[seq].of
        if uses > self.open[seq].uses:
            with pytest.raises(NotOpen):
                self.bench.annul(of, uses, seq)
            return
        self._wrote(self.bench.annul(of, uses, seq), Kind.ANNULLED)
        self._close(seq, uses)
        self.spent[of] -= uses

    def _close(self, seq: int, uses: int) -> None:
        self.open[seq].uses -= uses
        if self.open[seq].uses == 0:
            del self.open[seq]

    @rule()
    def started(self) -> None:
        self._wrote(self.bench.started(), Kind.STARTED)

    @rule(through=st.integers(0, 30))
    def ack(self, through: int) -> None:
        if through > len(self.kinds):
            return
        settled = self.bench.journal.ack(self.epoch, through)
        assert settled == max(0, through - self.acked)
        self.acked = max(self.acked, through)

    @rule(seq=st.integers(1, 30))
    def resend(self, seq: int) -> None:
        if seq <= self.acked:
            assert self.bench.journal.resend_from(seq) == seq
            self.acked = seq - 1
        else:
            assert self.bench.journal.resend_from(seq) == self.acked + 1

    @rule(times=st.integers(1, 4), seq=st.integers(1, 30))
    def nack(self, times: int, seq: int) -> None:
        for _ in range(times):
            if self.bench.journal.nacked(self.epoch, seq):
                assert self.acked < seq <= len(self.kinds)
                self.kinds[seq - 1] = Kind.DAMAGED

    @rule()
    def power_cut(self) -> None:
        """What is on the disk now is what the next start finds."""
        image = self.folder / "image"
        image.mkdir()
        for file in self.folder.glob("journal.sqlite*"):
            shutil.copy(file, image / file.name)
        self.bench.journal.close()
        for file in image.iterdir():
            shutil.copy(file, self.folder / file.name)
        shutil.rmtree(image)
        self.bench.journal = self.bench.open()
        assert self.bench.journal.recovery is None

    @rule(beyond=st.integers(1, 5))
    def ack_of_another_board(self, beyond: int) -> None:
        with pytest.raises(AckBeyond):
            self.bench.journal.ack(self.epoch, len(self.kinds) + beyond)
        # Whoever it came from: no record is lost, they only get another epoch from here on.
        before = [record.KIND for _, _, record in self.bench.pending()]
        assert before == self.kinds[self.acked :]
        self.teardown()
        self._fresh()

    @invariant()
    def agrees(self) -> None:
        journal = self.bench.journal
        found = self.bench.pending()
        assert [(epoch, seq) for epoch, seq, _ in found] == [
            (self.epoch, seq) for seq in range(self.acked + 1, len(self.kinds) + 1)
        ]
        assert [record.KIND for _, _, record in found] == self.kinds[self.acked :]
        spent = {of: count for (of, _), count in journal.spent().items() if count}
        assert spent == {of: count for of, count in self.spent.items() if count}
        assert [(a.seq, a.visit, a.uses) for a in journal.open_admissions()] == [
            (seq, o.of, o.uses) for seq, o in sorted(self.open.items())
        ]
        stats = journal.stats()
        assert (stats.last_seq, stats.acked, stats.queued) == (
            len(self.kinds),
            self.acked,
            len(self.kinds) - self.acked,
        )
        assert stats.bytes == sum(len(data) for _, _, data in journal.pending(limit=1000))


TestJournalModel = JournalModel.TestCase
TestJournalModel.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
