"""Properties of every situation the gate's table can get into, by exhaustive search."""

from __future__ import annotations

from dataclasses import replace

import pytest

from firmware.gate.facts import ALARMS, ANNULLED, ENDS, MOMENTS, SCREENS
from firmware.gate.table import LANES, RULES, STATES, TABLE, check, expand
from firmware.gate.timing import RANGES
from provisioning.gate_page import COMMAND, PAGE, page
from tests.support.gatemodel import Model

MODELS = {lane: Model(TABLE, lane) for lane in LANES}
FIRE = {"fire-stopping", "fire-opening", "fire", "fire-over"}


@pytest.mark.parametrize("lane", LANES)
def test_every_situation_is_safe(lane: str) -> None:
    for state, facts in MODELS[lane].rest:
        on = set(STATES[state].on)
        if facts.fire:
            assert state in FIRE - {"fire-over"}, (state, facts)
            assert "release" in on
            assert "motor_close" not in on
        if "motor_close" in on:
            assert not facts.broken, (state, facts)
        assert not {"motor_open", "motor_close"} <= on
        if facts.broken and facts.read and not facts.leaf:
            assert "release" in on or state == "forced", (
                f"a person in the lane of a locked leaf: {state} {facts}"
            )


@pytest.mark.parametrize("lane", LANES)
def test_admissions_never_stay_where_nothing_is_timed(lane: str) -> None:
    for state, facts in MODELS[lane].rest:
        if facts.owed_in or facts.owed_out:
            assert STATES[state].limit, f"{state} keeps an admission for ever: {facts}"


@pytest.mark.parametrize("lane", LANES)
def test_every_row_can_be_met_and_every_pair_that_can_be_met_has_a_row(lane: str) -> None:
    model = MODELS[lane]
    unmet = {(state, event) for on, state, event in TABLE.rows if on == lane} - set(model.met)
    # A technician's reset outside a fault is the one thing that is worth a line in the log.  The two
    # short pauses of the motor end long before a beam can count as stuck.
    pauses = {("reversing", "beam_stuck"), ("fire-stopping", "beam_stuck")}
    unlisted = {(state, event) for state, event in model.unlisted if event != "remote_reset"}
    assert unmet == set()
    assert unlisted <= pauses


@pytest.mark.parametrize("lane", LANES)
def test_every_state_but_the_fault_is_left_without_a_technician(lane: str) -> None:
    for name, state in STATES.items():
        if state.only in ("", lane):
            leaving = {
                event
                for on, at, event in TABLE.rows
                if (on, at) == (lane, name) and TABLE.rows[on, at, event].to not in ("=", name)
            }
            assert leaving, name
            assert leaving - {"fire_on", "sensors_lost"}, name


def test_names_used_by_the_table_are_declared() -> None:
    for row in TABLE.rows.values():
        for command in row.commands:
            verb, _, word = command.partition(" ")
            if verb == "alarm":
                assert word in ALARMS
            elif verb in ("annul", "annul-in"):
                assert word in ANNULLED
            else:
                assert verb in ("count", "count-free")
    for state in STATES.values():
        assert state.screen in SCREENS
        assert state.limit is None or state.limit in RANGES
    ended = {kind for kinds in ENDS.values() for kind in kinds}
    assert ended | MOMENTS == set(ALARMS)
    assert not ended & MOMENTS


def test_a_pair_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"motor lane has two rows for \(closed, granted\)"):
        expand((*RULES, ("closed", "granted", "open", "", "motor")))


def test_a_row_to_nowhere_is_refused() -> None:
    rules = (*RULES, ("closed", "never", "nowhere", "", ""))
    with pytest.raises(ValueError, match="names no state: 'nowhere'"):
        check(replace(TABLE, rows=expand(rules)))


def test_a_timed_state_without_an_end_is_refused() -> None:
    rows = {key: row for key, row in TABLE.rows.items() if key != ("hand", "open", "time_up")}
    with pytest.raises(ValueError, match="timed state open has no time_up row"):
        check(replace(TABLE, rows=rows))


def test_a_state_that_drives_both_ways_is_refused() -> None:
    both = replace(STATES["closing"], on=("release", "motor_open", "motor_close"))
    with pytest.raises(ValueError, match="closing drives the motor both ways"):
        check(replace(TABLE, states={**STATES, "closing": both}))


def test_the_technicians_page_says_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), f"run: {COMMAND}"
