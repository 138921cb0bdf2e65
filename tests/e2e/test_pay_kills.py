"""A store that is really killed (SIGKILL) at every step of a payment: the end is what was really paid."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from store.pay.double.__main__ import write
from store.pay.double.server import Double
from tests.support.wechat import keys

TREE = Path(__file__).parents[2]


def courses(tmp_path: Path, endings: str, limit_s: float) -> int:
    """Runs them all; how many kills. Fails where ledger and double differ."""
    folder = tmp_path / "pay"
    with Double(keys()) as double:
        write(folder, keys(), double.url)
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.paykill", str(folder), endings],
            capture_output=True,
            text=True,
            timeout=limit_s,
            cwd=TREE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        for order, (ending, kill_at, state, end, total_fen) in found["ends"].items():
            held = double.bank.net_fen(order)
            told = f"code …{ending}, killed at step {kill_at}: {state}, the double holds {held} fen"
            assert held == (total_fen if end == "paid" else 0), told
            assert double.bank.calls.count(("charge", order)) <= 1, told
        assert double.guard.reasons == []
    kills: int = found["kills"]
    return kills


def test_killed_at_every_step(tmp_path: Path) -> None:
    """Paid, behind an answer that was lost."""
    assert courses(tmp_path, "15", 60) >= 7


@pytest.mark.torture
def test_killed_at_every_step_of_every_kind(tmp_path: Path) -> None:
    assert courses(tmp_path, "00,01,02,03,04,05,06,08,14,15,16,17,18,19,20,22", 600) >= 100
