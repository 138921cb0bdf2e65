"""The board killed at random points while admitting: nothing admitted is lost, nothing granted twice."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from pathlib import Path

import pytest

from firmware.sync.documents import Documents
from firmware.wire.records import Admitted, Annulled, Passed, decode_body
from tests.support.boardproc import BoardProcess, Ears
from tests.support.broker import Mosquitto
from tests.support.linkboard import until
from tests.support.storeproc import StoreProcess


def kill_and_check(tmp_path: Path, broker: Mosquitto, kills: int, seed: int) -> None:
    """``kills`` SIGKILLs at random moments; then ledger, journal and documents are held to the contract."""
    rng = random.Random(seed)
    ears = Ears(broker.port)
    with StoreProcess(tmp_path / "store", broker.port) as store:
        board = BoardProcess(tmp_path, broker.port)
        shown = []
        try:
            for _ in range(kills):
                board.start()
                again = bool(shown) and rng.random() < 0.3
                issued = rng.choice(shown) if again else board.issue()
                shown.append(issued)
                board.show_pass(issued)
                if rng.random() < 0.5:
                    board.world.ask(walk={"people": 1, "delay_s": 0.1, "speed_m_s": 3.0})
                threading.Event().wait(rng.uniform(0.0, 0.6) if rng.random() < 0.7 else rng.uniform(0.6, 2.5))
                board.kill()
                board.take_away()
            board.start()
            opened = Counter(one["visit"] for one in list(ears.live) if one["event"] == "opened")
            rows = until(lambda: _settled(store, ears), 60, board.log()[-2000:])
        finally:
            board.close()
            ears.close()
    seqs = [seq for _, seq, _ in rows]
    assert seqs == list(range(1, len(seqs) + 1)), "a gap or a repeat in the ledger"
    assert len({epoch for epoch, _, _ in rows}) == 1
    records = [decode_body(body) for _, _, body in rows]
    admitted: Counter[str] = Counter()
    back: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for record in records:
        if isinstance(record, Admitted):
            admitted[record.visit.hex()] += record.uses
        elif isinstance(record, Annulled):
            back[record.visit.hex()] += record.uses
        elif isinstance(record, Passed):
            passed[record.visit.hex()] += 1
    for visit in admitted:
        assert admitted[visit] - back[visit] <= 1, f"visit {visit} was granted twice"
        assert passed[visit] <= 1, f"visit {visit} passed twice"
    for visit, times in opened.items():
        assert admitted[visit] >= times, f"visit {visit} opened the gate and is not in the ledger"
    assert admitted, "no code was admitted at all: the test shows nothing"
    Documents.open(board.data / "board.json").close()


def _settled(store: StoreProcess, ears: Ears) -> list[tuple[str, int, bytes]]:
    """All rows, once the last record that the board speaks of is among them."""
    last = ears.get("tallygate/1/demo/entry-1/state").get("last_seq")
    rows = store.rows()
    return rows if rows and rows[-1][1] == last else []


def test_killed_a_few_times(tmp_path: Path, own_broker: Mosquitto) -> None:
    kill_and_check(tmp_path, own_broker, 4, seed=1)


@pytest.mark.torture
def test_killed_two_hundred_times(tmp_path: Path, own_broker: Mosquitto) -> None:
    kill_and_check(tmp_path, own_broker, int(os.environ.get("TALLYGATE_TORTURE", "200")), seed=2)
