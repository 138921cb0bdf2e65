"""A board stays lean: which modules its process has loaded, and which threads it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.boardproc import BoardProcess
from tests.support.broker import Mosquitto

FORBIDDEN = (
    "typer",
    "rich",
    "click",
    "sqlalchemy",
    "alembic",
    "nicegui",
    "fastapi",
    "httpx",
    "jinja2",
    "segno",
    "PIL",
    "numpy",
    "cv2",
    "zbar",
    "zxingcpp",
    "picamera2",
    "hypothesis",
    "pytest",
    "store",
    "provisioning",
    "firmware.wire.issue",
)


THREADS = {"MainThread", "disk", "documents", "hold-timer", "log", "mqtt"}
"""Named, and listed in docs/code-tour.md."""


def test_loaded_modules_and_threads(tmp_path: Path, own_broker: Mosquitto) -> None:
    board = BoardProcess(tmp_path, own_broker.port, name="lean-1")
    board.data.mkdir()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.module_probe", str(board.file)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=Path(__file__).parents[2],
        )
    finally:
        board.close()
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["code"] == 0, done.stderr
    modules = found["modules"]
    assert "firmware.sync.link" in modules
    loaded = [m for m in modules if any(m == name or m.startswith(f"{name}.") for name in FORBIDDEN)]
    assert loaded == []
    assert "mqtt" in found["threads"]
    assert set(found["threads"]) <= THREADS, found["threads"]
