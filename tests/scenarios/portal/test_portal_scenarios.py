"""Plays tests/scenarios/portal/*.txt against the portal's table: one test per file.

A test for each of the 1,300 would cost more than what it does; every scenario that fails is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware.portal.table import TABLE
from tests.support.portalplayer import book, play
from tests.support.scenario import Case, ScenarioError

BOOK = book()


def _by_file() -> dict[str, list[Case]]:
    files: dict[str, list[Case]] = {}
    for case in BOOK.cases:
        files.setdefault(case.steps[-1].line.file, []).append(case)
    return files


def _failures(cases: list[Case]) -> list[str]:
    failed = []
    for case in cases:
        try:
            play(BOOK, case)
        except Exception as error:
            failed.append(f"{case.name}\n  {type(error).__name__}: {error}")
    return failed


@pytest.mark.parametrize(
    ("file", "cases"), _by_file().items(), ids=lambda one: one if type(one) is str else ""
)
def test_scenarios(file: str, cases: list[Case]) -> None:
    failed = _failures(cases)
    assert not failed, f"{len(failed)} of {len(cases)} scenarios of {file}:\n" + "\n".join(failed)


def test_every_scenario_that_fails_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "Scenario: right\n the reader works\n the portal is starting\n"
        "Scenario: wrong\n the reader works\n the portal is idle\n"
    )
    failed = [one for case in book(tmp_path).cases for one in _failures([case])]
    assert [one.partition("\n")[0] for one in failed] == ["wrong [store]", "wrong [count]"]
    assert "a.txt:6" in failed[0]


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
