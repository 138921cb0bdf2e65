"""A board's disk work, to be killed: admits, passes, annuls and writes documents as fast as it can.

``python -m tests.support.killed_writer FOLDER SEED`` prints a line after each call has returned, so that
whoever reads them knows what was promised. Also the check of what a killed one left behind.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from firmware.sync.documents import Documents
from firmware.sync.journal import Granted, Journal
from firmware.wire.records import Admitted, Annulled, Kind, Passed, Record, Stamp, decode_body, parse_frame
from tests.support.journals import visit

PARTY = 3
VISITS = 25


def _clock() -> Stamp:
    return Stamp(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000, b"kill", "synced")


def write_until_killed(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    journal = Journal.open(folder / "journal.sqlite", clock=_clock)
    documents = Documents.open(folder / "documents.json")

    def annul(of: bytes, uses: int, seq: int) -> None:
        body = Annulled(_clock(), of, "in", uses, seq, "restart").body()
        print("annulled", journal.annul(of, "in", uses, body), flush=True)

    for a in journal.open_admissions():
        annul(a.visit, a.uses, a.seq)
    number = int((documents.get("self-test", "last") or {"n": 0})["n"])
    while True:
        of = visit(rng.randrange(VISITS) + seed // 5 * VISITS)

        def body(uses: int, of: bytes = of) -> bytes:
            return Admitted(_clock(), of, "in", uses, "entry").body()

        granted = journal.admit(of, "in", PARTY, body)
        if isinstance(granted, Granted):
            print("admitted", granted.seq, flush=True)
            if rng.random() < 0.1:
                print("passed", journal.append(Passed(_clock(), of, "in", granted.seq).body(), Kind.PASSED))
                granted = Granted(granted.seq, granted.uses - 1)
            if granted.uses:
                annul(of, granted.uses, granted.seq)
        number += 1
        documents.put("self-test", "last", {"n": number})
        print("document", number, flush=True)


class Left:
    """What must be true of the folder whenever a writer was killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.promised: dict[int, str] = {}
        self.document = 0

    def run_and_kill(self, seed: int) -> None:
        """One writer, killed after a random number of promises at a random moment of the next call."""
        rng = random.Random(seed)
        command = [sys.executable, "-m", "tests.support.killed_writer", str(self._folder), str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(rng.randrange(1, 50))]
            until = time.perf_counter() + rng.random() * 0.004
            while time.perf_counter() < until:
                pass
            writer.kill()
            lines += writer.stdout.readlines()
        assert writer.returncode == -9
        for line in lines:
            if line.endswith("\n"):
                what, number = line.split()
                if what == "document":
                    self.document = max(self.document, int(number))
                else:
                    self.promised[int(number)] = what

    def check(self) -> None:
        documents = Documents.open(self._folder / "documents.json")
        found = documents.get("self-test", "last")
        assert (found or {"n": 0})["n"] >= self.document
        journal = Journal.open(self._folder / "journal.sqlite", clock=_clock)
        assert journal.recovery is None
        rows = journal.pending(limit=1_000_000)
        records: dict[int, Record] = {seq: decode_body(parse_frame(data).body) for _, seq, data in rows}
        assert len({epoch for epoch, _, _ in rows}) <= 1
        assert list(records) == list(range(1, len(records) + 1))
        for seq, what in self.promised.items():
            assert records[seq].KIND.name.lower() == what, seq
        spent: dict[bytes, int] = {}
        for record in records.values():
            if isinstance(record, Admitted):
                spent[record.visit] = spent.get(record.visit, 0) + record.uses
                assert spent[record.visit] <= PARTY
            elif isinstance(record, Annulled):
                spent[record.visit] -= record.uses
                assert spent[record.visit] >= 0
        kept = {of: count for (of, _), count in journal.spent().items() if count}
        assert kept == {of: count for of, count in spent.items() if count}
        journal.close()


if __name__ == "__main__":
    write_until_killed(Path(sys.argv[1]), int(sys.argv[2]))
