"""The chaos of tests/e2e/test_link_chaos.py at full counts. TALLYGATE_TORTURE scales them (1 = full)."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from tests.support import chaos
from tests.support.broker import Mosquitto

SCALE = float(os.environ.get("TALLYGATE_TORTURE", "1"))
pytestmark = pytest.mark.torture


def rounds(full: int) -> int:
    return max(1, round(full * SCALE))


def test_store_and_broker_killed_at_once_thirty_times(tmp_path: Path, own_broker: Mosquitto) -> None:
    chaos.store_and_broker_die_together(tmp_path, own_broker, rounds(30), Random())


def test_store_killed_in_the_middle_of_thirty_commits(tmp_path: Path, own_broker: Mosquitto) -> None:
    chaos.store_dies_while_it_commits(tmp_path, own_broker, rounds(30), 400, Random())


def test_broker_frozen_ten_times(tmp_path: Path, own_broker: Mosquitto) -> None:
    chaos.broker_freezes(tmp_path, own_broker, rounds(10))
