"""Log lines never hold the thread that writes them."""

from __future__ import annotations

import logging
import os
import threading

from firmware.logwriter import QUEUED, LogWriter


def test_a_full_pipe_holds_nobody_and_the_loss_is_told() -> None:
    read_end, write_end = os.pipe()
    writer = LogWriter(os.fdopen(write_end, "w"))
    log = logging.Logger("board")
    log.addHandler(writer)

    def flood() -> None:
        for number in range(QUEUED + 2000):
            log.warning("line %d %s", number, "x" * 80)

    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    flooding.join(10)
    assert not flooding.is_alive()

    got = threading.Event()
    seen: list[str] = []

    def drain() -> None:
        with os.fdopen(read_end) as pipe:
            for line in pipe:
                seen.append(line)
                if "the last" in line:
                    got.set()

    threading.Thread(target=drain, daemon=True).start()
    while not writer._lines.empty():
        writer.flush()
    log.warning("the last one")
    assert got.wait(10)
    assert seen[0].startswith("line 0 ")
    assert "lines were lost" in seen[-2]


def test_the_last_lines_are_written_at_the_end() -> None:
    read_end, write_end = os.pipe()
    writer = LogWriter(os.fdopen(write_end, "w"))
    writer.emit(logging.makeLogRecord({"msg": "ended by a defect"}))
    writer.flush()
    assert os.read(read_end, 100) == b"ended by a defect\n"
    os.close(read_end)
