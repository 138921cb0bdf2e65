"""The till killed at every step of every way a payment can go: the ledger is what the double holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.pay.double.faults import RULES
from tests.support.tillkill import killed


@pytest.mark.torture
@pytest.mark.parametrize("digits", ["00", *RULES])
def test_killed_at_every_step_of_every_kind(tmp_path: Path, digits: str) -> None:
    at = 1
    while killed(tmp_path / str(at), digits, at):
        at += 1
    assert at > 4
