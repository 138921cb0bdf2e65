"""The folder of raw-read logs: bounded every way, whole files only, and a bad disk never stops a sale."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from firmware.rawlog import BLOCK, PENDING, SUFFIX, RawKeeper, RawLog
from firmware.rawreads import RawReads
from firmware.rawstory import decode
from hal.ports import TagRead
from tests.support.mounts import OWN_MOUNTS

DAY = 86_400


class Wall:
    def __init__(self, now: float) -> None:
        self.now: float | None = now

    def __call__(self) -> float | None:
        return self.now


def a_body(reads: int = 10) -> bytes:
    raw = RawReads()
    raw.begin(0.0, rules={})
    for n in range(reads):
        raw.read(TagRead(bytes([0x30] * 12), 0x3000, 1, -50.0, 79, n / 8))
    return raw.end()


BODY = a_body()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def names(log: RawLog) -> list[str]:
    return [path.name.removesuffix(SUFFIX) for path in log.files()]


def test_what_was_kept_is_read_again(folder: Path) -> None:
    log = RawLog(folder, 1, 30)
    assert log.files() == []
    assert log.keep("00000000000000ff-12", BODY) is None
    (path,) = log.files()
    assert path.name == "00000000000000ff-12.reads"
    assert len(decode(path.read_bytes()).reads) == 10
    assert [entry.name for entry in folder.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 101, "a b"])
def test_name_that_is_no_file_name_is_a_bug(folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match="raw-read log"):
        RawLog(folder, 1, 30).keep(name, BODY)


def test_the_oldest_go_when_bytes_or_files_are_full(folder: Path) -> None:
    log = RawLog(folder, 4 * BLOCK / 2**20, 30)
    for n in range(7):
        assert log.keep(f"e-{n}", BODY) is None
    assert names(log) == ["e-3", "e-4", "e-5", "e-6"]
    few = RawLog(folder, 1, 30, max_files=2)
    assert few.keep("e-7", BODY) is None
    assert names(few) == ["e-6", "e-7"]


def test_old_ones_go_only_while_the_clock_is_sure(folder: Path) -> None:
    wall = Wall(0)
    log = RawLog(folder, 1, 30, wall=wall)
    for n, age in enumerate((40, 31, 29)):
        log.keep(f"e-{n}", BODY)
        os.utime(log.files()[-1], (1e9 - age * DAY,) * 2)
        wall.now = None
    log.keep("e-3", BODY)
    assert len(log.files()) == 4
    wall.now = 1e9
    log.keep("e-4", BODY)
    assert names(log) == ["e-2", "e-3", "e-4"]


def test_a_clock_that_was_set_back_does_not_make_the_newest_the_oldest(folder: Path) -> None:
    log = RawLog(folder, 1, 30, wall=lambda: None)
    log.keep("z", BODY)
    os.utime(log.files()[0], (4e9, 4e9))
    log.keep("a", BODY)
    log.keep("0", BODY)
    assert names(log) == ["z", "a", "0"]


def test_the_last_room_on_the_card_is_left_alone(folder: Path, mocker: MockerFixture) -> None:
    log = RawLog(folder, 1, 30, reserve_bytes=10 * BLOCK)
    for n in range(3):
        log.keep(f"e-{n}", BODY)
    usage = mocker.patch.object(shutil, "disk_usage")
    usage.return_value.free = 9 * BLOCK
    assert log.keep("e-3", BODY) is None
    assert names(log) == ["e-2", "e-3"]  # two went, as many blocks as were missing
    usage.return_value.free = 0
    fault = log.keep("e-4", BODY)
    assert fault is not None
    assert "0 bytes are free" not in fault  # its own were given back first
    assert "df -h" in fault
    assert names(log) == []


def test_a_basket_larger_than_the_bound_is_told(folder: Path) -> None:
    log = RawLog(folder, BLOCK / 2**20, 30)
    log.keep("small", BODY)
    raw = RawReads()
    raw.begin(0.0, rules={})
    for n in range(2000):
        raw.read(TagRead(n.to_bytes(12, "big"), 0x3000, 1, -50.0, 79, n / 8, phase=n * n % 180))
    assert "do not fit" in str(log.keep("large", raw.end()))
    assert names(log) == ["small"]


@pytest.mark.parametrize("call", ["fsync", "replace", "write"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_is_told_and_leaves_nothing_half(
    folder: Path, mocker: MockerFixture, call: str, code: int
) -> None:
    log = RawLog(folder, 1, 30)
    log.keep("before", BODY)
    error = OSError(code, os.strerror(code))
    target: Any = {"fsync": (os, "fsync"), "replace": (Path, "replace"), "write": (Path, "open")}[call]
    patch = mocker.patch.object(*target, side_effect=error)
    fault = log.keep("during", BODY)
    assert fault is not None
    assert os.strerror(code) in fault
    assert ("df -h" if code == errno.ENOSPC else "dmesg") in fault
    mocker.stop(patch)
    assert [path.name for path in folder.iterdir()] == ["before.reads"]
    assert log.keep("after", BODY) is None


def test_a_folder_that_is_a_file_and_one_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("")
    assert "raw" in str(RawLog(tmp_path / "raw", 1, 30).keep("e-1", BODY))


def test_what_a_power_cut_left_half_written_goes(folder: Path) -> None:
    folder.mkdir()
    half = folder / f"e-1{SUFFIX}.part"
    half.write_bytes(b"TGRR")
    (folder / "notes.txt").write_text("a technician's own")
    log = RawLog(folder, 1, 30)
    assert log.keep("e-2", BODY) is None
    assert sorted(path.name for path in folder.iterdir()) == ["e-2.reads", "notes.txt"]


class Later:
    """A worker whose jobs run when told."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], Any], Any]] = []

    def submit(self, job: Callable[[], Any], done: Any = None) -> None:
        self.jobs.append((job, done))

    def run(self) -> None:
        jobs, self.jobs = self.jobs, []
        for job, done in jobs:
            try:
                done(job(), None)
            except OSError as error:
                done(None, error)

    def busy_for(self, now: float) -> float:
        return 0.0

    def close(self, wait_s: float) -> bool:
        return True


def test_keeper_tells_a_fault_once_and_its_end_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    worker, log = Later(), RawLog(folder, 1, 30)
    keeper = RawKeeper(worker, log)
    folder.write_text("in the way")
    for n in range(3):
        keeper.keep(f"e-{n}", BODY)
    worker.run()
    assert (keeper.kept, keeper.lost, keeper.fault is None) == (0, 3, False)
    folder.unlink()
    keeper.keep("e-3", BODY)
    keeper.keep("nothing", b"")
    worker.run()
    assert (keeper.kept, keeper.lost, keeper.fault) == (1, 3, None)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert names(log) == ["e-3"]


def test_keeper_lets_only_so_many_wait_for_a_hung_disk(folder: Path) -> None:
    worker = Later()
    keeper = RawKeeper(worker, RawLog(folder, 1, 30))
    for n in range(PENDING + 5):
        keeper.keep(f"e-{n}", BODY)
    assert (len(worker.jobs), keeper.lost) == (PENDING, 5)
    assert "wait for the disk" in str(keeper.fault)
    worker.run()
    assert (keeper.kept, keeper.fault) == (PENDING, None)


def test_a_real_disk_that_is_full_and_then_read_only(tmp_path: Path) -> None:
    """On a small tmpfs of its own, in its own mount namespace."""
    run = subprocess.run(
        [*OWN_MOUNTS, sys.executable, "-m", "tests.support.rawdisk", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
