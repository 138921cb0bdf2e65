"""Plays tests/scenarios/*.txt against the gate's table: one test per scenario, lane and row."""

from __future__ import annotations

import pytest

from tests.support.player import play
from tests.support.scenario import Case, ScenarioError, load

BOOK = load()


@pytest.mark.parametrize("case", BOOK.cases, ids=lambda case: case.name)
def test_scenario(case: Case) -> None:
    play(BOOK, case)


def test_a_wrong_line_fails(tmp_path) -> None:
    (tmp_path / "a.txt").write_text(
        "Scenario: wrong\n When the sensors are read\n # a remark\n\n Then the gate is open\n"
    )
    book = load(tmp_path)
    with pytest.raises(ScenarioError, match=r"a\.txt:5: .*\n.*the gate is closed"):
        play(book, book.cases[0])


def test_a_fact_that_no_line_expects_fails(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("Scenario: silent\n the sensors are read\n the leaf opens\n")
    book = load(tmp_path)
    with pytest.raises(ScenarioError, match="not expected by any line: alarm forced"):
        play(book, book.cases[0])


def test_an_unreadable_line_is_named(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("Scenario: typo\n the leef opens\n")
    with pytest.raises(ScenarioError, match=r"a\.txt:2: the leef opens"):
        load(tmp_path)
