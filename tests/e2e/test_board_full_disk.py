"""A real board on a real disk that is full while shoppers come."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mounts import OWN_MOUNTS


@pytest.mark.parametrize("rule", ["refuse", pytest.param("admit-in-memory", marks=pytest.mark.torture)])
def test_full_disk(tmp_path: Path, rule: str) -> None:
    done = subprocess.run(
        [
            *OWN_MOUNTS,
            sys.executable,
            "-m",
            "tests.support.fulldisk",
            rule,
            tmp_path,
        ],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout + done.stderr
