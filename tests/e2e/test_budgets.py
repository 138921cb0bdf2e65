"""A running board keeps to benchmarks/budgets.toml: memory, threads, descriptors. Times are make bench's."""

from __future__ import annotations

from pathlib import Path

from tests.support.boardproc import BoardProcess
from tests.support.broker import Mosquitto
from tests.support.footprint import budgets, footprint, parts
from tests.support.linkboard import until


def test_memory_threads_and_descriptors(tmp_path: Path, own_broker: Mosquitto) -> None:
    limit = budgets()
    board = BoardProcess(
        tmp_path,
        own_broker.port,
        name="budget-1",
        reader={"protocol": "yrm100", "port": "sim"},
        decoder={"second_opinion": "zbar"},
    )
    try:
        board.start()
        assert board.process is not None
        pid = board.process.pid
        until(lambda: parts(pid).keys() >= {"loop", "camera", "zbar"}, 30, "the zbar child")
        until(lambda: "connected" in board.log(), 20, "the link")
        board.admit()
        found = {name: footprint(one) for name, one in parts(pid).items()}
        assert found.keys() == {"loop", "camera", "zbar"}, "a board has three processes"
        for name, taken in found.items():
            assert taken.pss_mb <= limit[name]["pss_mb"], (name, taken)
            assert taken.threads <= limit[name]["threads"], (name, taken)
            assert taken.descriptors <= limit[name]["descriptors"], (name, taken)
    finally:
        board.close()
