"""A real board on a disk that fills up: run under ``unshare -m`` (own mounts, gone with the process).

``python -m tests.support.fulldisk RULE FOLDER`` (RULE: refuse or admit-in-memory) mounts a small tmpfs as
the board's data folder, fills it while shoppers come, and exits 0 only if every promise held.
"""

from __future__ import annotations

import sys
from pathlib import Path

from firmware.wire.records import Admitted, Passed, decode_body
from tests.support.boardproc import BoardProcess, Ears
from tests.support.broker import Mosquitto
from tests.support.linkboard import until
from tests.support.storeproc import StoreProcess
from tests.support.tinydisk import Filler, mount


def main(rule: str, folder: Path) -> None:
    (folder / "broker").mkdir()
    with Mosquitto(folder / "broker") as broker, StoreProcess(folder / "store", broker.port) as store:
        board = BoardProcess(folder, broker.port, admission={"on_disk_fault": rule})
        board.data.mkdir()
        mount(board.data, "-o", "size=3m")
        ears = Ears(broker.port)
        try:
            _shoppers(rule, board, store, ears)
        except AssertionError:
            print(board.log()[-4000:])
            raise
        finally:
            ears.close()
            board.close()


def _shoppers(rule: str, board: BoardProcess, store: StoreProcess, ears: Ears) -> None:
    board.start()
    state = "tallygate/1/demo/entry-1/state"

    def faults() -> list[str]:
        return [fault["part"] for fault in ears.get(state).get("faults", [])]

    inside = board.admit()
    filler = Filler(board.data)
    filler.fill()
    # Somebody in the lane goes on, whatever the disk does.
    board.world.ask(walk={"people": 1})
    until(lambda: board.status()["entered"] == 1, 20, "the first shopper to walk in")
    until(lambda: board.state() == "closed", 20, "the gate to close")
    kept = board.issue()
    for _ in range(400):
        # What still fits into the log's blocks goes on; then the fault comes.
        filler.fill()
        board.show_pass(kept)
        visit = kept.fields.visit.hex()
        until(lambda visit=visit: ears.heard("opened", visit=visit) or _refused(ears), 20)
        board.take_away()
        if "journal" in faults() or _refused(ears):
            break
        until(lambda: board.state() == "closed", 30)
        kept = board.issue()
    else:
        raise AssertionError("the disk never was full")
    until(lambda: "journal" in faults(), 20, f"the fault to be told: {faults()}")
    if rule == "refuse":
        assert _refused(ears), "nobody was refused although nothing could be written"
    else:
        board.admit()
        board.world.ask(walk={"people": 1})
        until(lambda: board.status()["entered"] == 2, 20, "the shopper admitted in memory to walk in")
    until(lambda: board.state() == "closed", 30)
    filler.release()
    until(lambda: "journal" not in faults(), 30, "the fault to end")
    last = board.admit()
    board.world.ask(walk={"people": 1})

    def records() -> list[object]:
        return [decode_body(body) for body in store.bodies()]

    def passed(visit: bytes) -> bool:
        return any(isinstance(r, Passed) and r.visit == visit for r in records())

    until(lambda: passed(inside.fields.visit), 30, "the passage of the first shopper in the ledger")
    until(lambda: passed(last.fields.visit), 30, "the passage of the last shopper in the ledger")
    admitted = [r for r in records() if isinstance(r, Admitted)]
    if rule != "refuse":
        assert any(r.flags & 2 for r in admitted), "no record is marked as kept in memory"
    seqs = [seq for _, seq, _ in store.rows()]
    assert seqs == list(range(1, len(seqs) + 1))


def _refused(ears: Ears) -> bool:
    return ears.heard("refused", why="disk-fault")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
