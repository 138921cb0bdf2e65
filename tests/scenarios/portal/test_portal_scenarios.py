"""Plays tests/scenarios/portal/*.txt against the portal's table: one test per scenario, lane and row."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware.portal.table import TABLE
from tests.support.portalplayer import book, play
from tests.support.scenario import Case, ScenarioError

BOOK = book()


@pytest.mark.parametrize("case", BOOK.cases, ids=lambda case: case.name)
def test_scenario(case: Case) -> None:
    play(BOOK, case)


def test_every_state_has_a_way_in_its_lanes() -> None:
    lanes = {
        name: (state.only,) if state.only else ("store", "count") for name, state in TABLE.states.items()
    }
    assert set(BOOK.ways) >= {(lane, name) for name, found in lanes.items() for lane in found}


def test_a_fact_that_no_line_expects_fails(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "Scenario: silent\n the reader works\n a basket of before was left open\n"
    )
    found = book(tmp_path)
    with pytest.raises(ScenarioError, match="not expected by any line: closes the basket of before"):
        play(found, found.cases[0])


def test_a_wrong_state_fails(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Scenario: wrong\n the reader works\n the portal is idle\n")
    found = book(tmp_path)
    with pytest.raises(ScenarioError, match=r"a\.txt:3: .*\n.*the portal is starting"):
        play(found, found.cases[0])
