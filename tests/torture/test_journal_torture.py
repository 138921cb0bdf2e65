"""The journal in full counts: 200 kills, thousands of damaged files. Not part of ``make test``."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from firmware.sync.journal import Journal
from firmware.wire.records import Admitted, decode_body, parse_frame
from tests.support.journals import Bench, HandClock, visit
from tests.support.killed_writer import Left

SCALE = float(os.environ.get("TALLYGATE_TORTURE", "1"))

pytestmark = pytest.mark.torture


def test_200_kills(tmp_path: Path) -> None:
    left = Left(tmp_path)
    for seed in range(max(1, int(200 * SCALE))):
        left.run_and_kill(seed)
        left.check()


@pytest.mark.parametrize("with_log", [False, True])
def test_any_damage_opens(tmp_path: Path, with_log: bool) -> None:
    """Bits, ranges and ends: always opens, always usable; a flipped bit frees no key, and nothing frees one
    whose record can still be read."""
    bench = Bench(tmp_path)
    for n in range(60):
        granted = bench.admit(visit(n))
        assert granted is not None
        bench.passed(visit(n), granted.seq)
    if not with_log:
        bench.journal.close()
    names = ["journal.sqlite", "journal.sqlite-wal"] if with_log else ["journal.sqlite"]
    good = {name: (tmp_path / name).read_bytes() for name in names}
    bench.journal.close()
    for seed in range(max(1, int(600 * SCALE))):
        rng = random.Random(seed)
        folder = tmp_path / "case"
        folder.mkdir()
        hit, how = rng.choice(names), rng.randrange(3)
        for name, content in good.items():
            data = bytearray(content)
            if name == hit:
                at = rng.randrange(len(data))
                match how:
                    case 0:
                        data[at] ^= 1 << rng.randrange(8)
                    case 1:
                        size = min(rng.randrange(1, 5000), len(data) - at)
                        data[at : at + size] = rng.randbytes(size)
                    case _ if name == "journal.sqlite":
                        del data[at:]
            (folder / name).write_bytes(data)
        journal = Journal.open(folder / "journal.sqlite", clock=HandClock())
        rows = journal.pending(limit=1000)
        spent = journal.spent()
        records = [decode_body(parse_frame(data).body) for _, _, data in rows]
        admitted = {record.visit for record in records if isinstance(record, Admitted)}
        if how == 0:
            admitted = {visit(n) for n in range(60)}
        assert all(spent.get((of, "in")) == 1 for of in admitted), seed
        if rows:
            journal.ack(rows[-1][0], rows[-1][1])
        journal.close()
        journal = Journal.open(folder / "journal.sqlite", clock=HandClock())
        assert journal.recovery is None, seed
        journal.close()
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
