"""The reader driver on a real terminal: what only the kernel can do, the same for every protocol."""

from __future__ import annotations

import fcntl
import os
import termios
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hal.ports import DeviceLost
from hal.sim.module import SimulatedModule
from tests.support.readers import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig("yrm100", tmp_path)
    yield rig
    rig.close()
    for thread in threading.enumerate():
        if thread.name == "serial-close":
            thread.join(5)


def test_a_second_program_cannot_open_the_port(rig: Rig) -> None:
    from serial import Serial, SerialException

    rig.start()
    with pytest.raises(SerialException):
        Serial(rig.carrier.port, exclusive=True)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("file", "it is not a serial port"),
        ("folder", "it is a folder, not a serial port"),
        ("nothing", "there is no such port"),
        ("locked", "another program has it open"),
    ],
)
def test_why_a_port_cannot_be_opened_is_said_in_words(rig: Rig, tmp_path: Path, kind: str, why: str) -> None:
    path = tmp_path / kind
    other = -1
    match kind:
        case "file":
            path.write_text("x")
        case "folder":
            path.mkdir()
        case "locked":
            path = Path(rig.carrier.port)
            other = os.open(path, os.O_RDWR | os.O_NOCTTY)
            fcntl.flock(other, fcntl.LOCK_EX)
    rig.reader = rig.make(port=str(path))
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.of(DeviceLost))
    assert rig.of(DeviceLost)[0].reason == f"{path}: it cannot be opened: {why}"
    if other >= 0:
        os.close(other)
        rig.until(lambda: rig.reader.ready)


def test_closing_while_the_port_is_being_opened_leaves_nothing(rig: Rig) -> None:
    before = _terminals()
    rig.reader.start(rig.events.append)
    rig.reader.close()
    rig.until(lambda: all(thread.name != "serial-open" for thread in threading.enumerate()))
    rig.run(0.05)
    assert _terminals() == before
    assert not rig.module.heard


def test_the_terminal_is_set_so_that_an_empty_read_means_gone(rig: Rig) -> None:
    rig.start()
    assert isinstance(rig.carrier, SimulatedModule)
    settings = termios.tcgetattr(rig.carrier._slave)
    assert settings[6][termios.VMIN] in (1, b"\x01")
    assert not settings[2] & termios.HUPCL


def test_nothing_is_left_open(rig: Rig) -> None:
    before = _terminals()
    rig.start()
    assert _terminals() > before
    rig.reader.close()
    rig.until(lambda: _terminals() == before)


def test_a_port_at_another_speed_than_the_module_says_so(rig: Rig, tmp_path: Path) -> None:
    rig.carrier.close()  # type: ignore[call-arg]
    rig.carrier = SimulatedModule(rig.module, rig.loop, tmp_path / "ttyReader", baud=38400)
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.of(DeviceLost))
    assert "baud" in rig.of(DeviceLost)[0].check
    rig.reader.close()
    rig.settings = replace(rig.settings, baud=38400)
    rig.reader = rig.make()
    rig.start()


def _terminals() -> int:
    """Open descriptors of pseudo-terminals; other tests' files come and go."""
    count = 0
    for fd in Path("/proc/self/fd").iterdir():
        try:
            count += str(fd.readlink()).startswith("/dev/pts/")
        except OSError:
            continue  # the listing's own descriptor
    return count
