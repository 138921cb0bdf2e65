"""The portal killed at random points of a shopper's stay: no basket lost once submitted, none twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.test_portal_process import kill_and_check
from tests.support.broker import Mosquitto


@pytest.mark.torture
def test_killed_a_hundred_times(tmp_path: Path, own_broker: Mosquitto) -> None:
    kill_and_check(tmp_path, own_broker, int(os.environ.get("TALLYGATE_TORTURE", "100")), seed=4)
