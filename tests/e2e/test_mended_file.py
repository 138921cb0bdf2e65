"""When a changed board file may be applied: nobody is served, or nobody is there but a wrong setting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.stations.pricepoint import LOOK_S
from tests.support.portalboard import PortalBoard
from tests.support.stepped import SteppedBoard


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[PortalBoard]:
    made = PortalBoard(tmp_path / "data", "count")
    yield made
    made.cut()


def test_a_portal_is_idle_before_anybody_comes_and_not_while_it_counts(portal: PortalBoard) -> None:
    portal.until("idle", 15)
    assert portal.app.idle()
    portal.lay(1, 2)
    portal.inside(1)
    portal.until("collecting", 5)
    assert not portal.app.idle()


@pytest.mark.parametrize(("people", "state"), [(1, "helpless"), (2, "packed")])
def test_a_sensor_that_is_described_wrongly_keeps_no_mended_file_away(
    portal: PortalBoard, people: int, state: str
) -> None:
    portal.until("idle", 15)
    portal.inside(people)
    portal.until(state, 300)
    assert portal.app.idle()


def test_a_shelf_that_is_read_as_near_keeps_no_mended_file_away(tmp_path: Path) -> None:
    price = SteppedBoard(tmp_path / "data", file="sim-pricepoint.toml")
    try:
        assert price.app.idle()
        price.tags(1)
        price.advance(5)
        assert price.state == "showing"
        assert not price.app.idle()
        price.advance(LOOK_S)
        assert price.state == "showing"
        assert price.app.idle()
        price.tags()
        price.advance(5)
        price.tags(1)
        price.advance(5)
        assert not price.app.idle()
    finally:
        price.cut()
