"""Fixtures that several parts share. Helpers are in tests/support/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.broker import Mosquitto

# No deadline: a busy machine must not fail a property.
settings.register_profile("tallygate", deadline=None)
settings.load_profile("tallygate")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One real broker for the whole session (shop "demo"). Use own board ids; never stop it."""
    with Mosquitto(tmp_path_factory.mktemp("broker")) as shared:
        yield shared


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A real broker of one test's own, to be killed, frozen and started again."""
    folder = tmp_path / "broker"
    folder.mkdir()
    with Mosquitto(folder) as own:
        yield own
