"""Log lines never hold the thread that writes them."""

from __future__ import annotations

import logging
import os
import threading

import pytest

from firmware.logwriter import QUEUED, LogWriter, Seldom


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


def test_what_others_cause_is_a_line_once_and_then_counted(caplog: pytest.LogCaptureFixture) -> None:
    seldom = Seldom(logging.getLogger("test"), "commands refused")
    for number in range(300):
        seldom.warn("late", f"late {number}", 100.0 + number / 10)
        seldom.warn("retained", f"retained {number}", 100.0 + number / 10)
    assert caplog.messages == ["late 0", "retained 0"]
    seldom.warn("flood", "flood", 131.0)
    seldom.second(159.0)
    assert caplog.messages[2:] == ["flood"]
    seldom.second(160.0)
    assert caplog.messages[3:] == ["598 more commands refused: late 299, retained 299"]
    seldom.warn("late", "late again", 161.0)
    assert len(caplog.messages) == 4
    seldom.second(221.0)
    assert caplog.messages[4:] == ["1 more commands refused: late 1"]
    seldom.second(282.0)  # a minute without any: the next one is new
    seldom.warn("late", "late tomorrow", 300.0)
    assert caplog.messages[5:] == ["late tomorrow"]
