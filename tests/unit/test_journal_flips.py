"""One flipped bit in the page that holds the schema: the journal opens or recovers, and loses no record."""

from __future__ import annotations

import itertools
from pathlib import Path

from tests.support.journals import Bench

ROWS, PAGE = 5, 4096


def test_a_bit_that_makes_a_name_no_text(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for _ in range(ROWS):
        bench.refused()
    epoch = bench.epoch
    bench.journal.close()
    raw = bench.path.read_bytes()
    # The top bit: what was ASCII is no UTF-8 any more, which Python reports in its own way.
    places = itertools.chain(range(100, PAGE, 151), range(PAGE - 300, PAGE, 13))
    recovered = 0
    for number, at in enumerate(places):
        folder = tmp_path / str(number)
        folder.mkdir()
        data = bytearray(raw)
        data[at] ^= 0x80
        bench.path = folder / "journal.sqlite"
        bench.path.write_bytes(data)
        journal = bench.open()
        recovered += journal.recovery is not None
        assert len([seq for of, seq, _ in journal.pending(limit=50) if of == epoch]) == ROWS, at
        journal.close()
    assert recovered > 10
