"""``make run`` as a stranger starts it: real broker, store, board and camera child; nothing left behind."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.procs import alive, descendants, wait_gone

TREE = Path(__file__).resolve().parents[2]


class Launched:
    """A launcher in a folder of its own; its output is in ``text()``."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.run = folder / "run"
        self.inbox = folder / "inbox"
        self._out = folder / "out.txt"
        where = ["--folder", str(self.run), "--inbox", str(self.inbox)]
        with self._out.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "provisioning.launcher", *where, *arguments],
                cwd=TREE,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.family: set[tuple[int, int]] = set()

    def text(self) -> str:
        return self._out.read_text()

    def wait_until(self, condition: Callable[[], bool], limit_s: float = 60.0) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            self.family |= descendants(self.process.pid)
            if self.process.poll() is not None or time.monotonic() > deadline:
                logs = "\n".join(f"== {p.name}\n{p.read_text()}" for p in self.run.glob("log/*"))
                pytest.fail(f"make run:\n{self.text()}\n{logs}")
            time.sleep(0.1)
        self.family |= descendants(self.process.pid)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        left = wait_gone(self.family)
        for pid, _ in left:  # a failed test must not leave them either
            os.kill(pid, signal.SIGKILL)
        assert not left


def test_tour_agrees_and_leaves_nothing_behind(tmp_path: Path) -> None:
    shop = Launched(tmp_path, "--tour-only", "--brisk")
    try:
        shop.wait_until(lambda: "a good pass" in shop.text())
        assert shop.process.wait(timeout=90) == 0, shop.text()
        text = shop.text()
        for reason in ("used", "expired", "foreign", "damaged", "tailgate", "annulled", "fire"):
            assert reason in text
        assert "Equal: 7 codes shown, 3 opened, 4 refused" in text
        assert "NOT EQUAL" not in text
        # broker, store, board, guide and the camera child at least
        assert len(shop.family) >= 5
        assert not alive(shop.family)
        ledger = sqlite3.connect(f"{(shop.run / 'store' / 'ledger.sqlite').as_uri()}?mode=ro", uri=True)
        assert ledger.execute("SELECT count(*) FROM admissions").fetchone() == (3,)
        ledger.close()
        again = subprocess.run(
            [sys.executable, "-m", "provisioning.cli", "replay", str(shop.run / "board/trace/trace-0.jsonl")],
            cwd=TREE,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (again.returncode, "the same orders" in again.stdout) == (0, True), again.stdout + again.stderr
    finally:
        shop.end()


def test_killed_launcher_takes_everything_with_it(tmp_path: Path) -> None:
    shop = Launched(tmp_path, "--no-tour", "--brisk")
    try:
        shop.wait_until(lambda: "The door is yours" in shop.text())
        assert len(shop.family) >= 5
        shop.process.kill()
        shop.process.wait()
        assert not wait_gone(shop.family)
    finally:
        shop.end()


def test_part_that_dies_is_named_with_its_log(tmp_path: Path) -> None:
    shop = Launched(tmp_path, "--no-tour")
    try:
        shop.wait_until(lambda: "the store is up" in shop.text())
        (store,) = [pid for pid, _ in shop.family if b"ledger.sqlite" in _command(pid)]
        os.kill(store, signal.SIGKILL)
        assert shop.process.wait(timeout=30) == 1
        assert "the store ended (signal SIGKILL); its log" in shop.text()
        assert "Traceback" not in shop.text()
        assert not wait_gone(shop.family)
    finally:
        shop.end()


def _command(pid: int) -> bytes:
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes()
    except OSError:
        return b""


def test_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    from provisioning import rundir

    held = rundir.fresh(tmp_path / "run")
    second = Launched(tmp_path, "--no-tour")
    assert second.process.wait(timeout=30) == 1
    assert "another make run is using" in second.text()
    assert (tmp_path / "run" / "log").is_dir()
    held.remove_if_temporary()


@pytest.mark.parametrize("camera", ["/dev/no-such-camera", "/etc/hostname"])
def test_bad_camera_is_one_sentence(tmp_path: Path, camera: str) -> None:
    shop = Launched(tmp_path, "--camera", camera)
    assert shop.process.wait(timeout=30) == 2
    assert f"CAMERA={camera}" in shop.text()
    assert "Traceback" not in shop.text()
