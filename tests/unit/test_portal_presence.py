"""The learned tables and what is looked up in them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.portal.decision import Decision, DecisionRules
from firmware.portal.features import TABLES, Axes, alone, corners, facing_away, nats, spot, together
from firmware.portal.presence import HOP_S, Level, PresenceRules, Track
from firmware.portal.presence_weights import VERSION, WEIGHTS
from firmware.rawstory import decode
from hal.ports import TagRead
from provisioning.replay_reads import run_again
from tests.support.portalruns import Portal

VETO = PresenceRules(veto=frozenset({3}))
EPC = b"\x30" * 12


def heard(*reads: tuple[float, int, float | None]) -> Track:
    """Of reads (s, antenna, dBm)."""
    track = Track(reads[0][0])
    for at, antenna, rssi in reads:
        track.add(TagRead(EPC, 0x3000, antenna, rssi, 60, at), VETO.veto)
    return track


@pytest.mark.parametrize("kind", ["veto", "single", "rawveto", "rawsingle"])
def test_every_table_has_an_entry_for_every_knot(kind: str) -> None:
    assert WEIGHTS[kind]
    for name, entries in WEIGHTS[kind].items():
        assert len(entries) == len(TABLES[name].x) * len(TABLES[name].y), name
        assert max(map(abs, entries)) < 20.0, name


@given(x=st.floats(-1e6, 1e6), y=st.floats(-1e6, 1e6), name=st.sampled_from(sorted(TABLES)))
def test_a_table_never_says_more_than_its_largest_entry(x: float, y: float, name: str) -> None:
    found = corners(TABLES[name], x, y)
    assert sum(part for _, part in found) == pytest.approx(1.0)
    assert all(part >= 0.0 for _, part in found)
    size = len(TABLES[name].x) * len(TABLES[name].y)
    assert all(0 <= at < size for at, _ in found)


def test_between_knots_it_is_linear_and_beyond_them_level() -> None:
    assert spot((0.0, 2.0, 6.0), 3.0) == (1, 0.25)
    assert spot((0.0, 2.0, 6.0), -9.0) == (0, 0.0)
    assert spot((0.0, 2.0, 6.0), 99.0) == (2, 0.0)
    axes = Axes((0.0, 2.0), (0.0, 1.0))
    assert dict(corners(axes, 1.0, 0.25)) == {0: 0.375, 2: 0.375, 1: 0.125, 3: 0.125}


def test_a_kind_without_a_table_says_nothing_by_it() -> None:
    assert nats([("level", -50.0, 3.0)], {}) == 0.0


def test_reads_of_one_hop_are_one_level() -> None:
    track = heard(*((0.01 * n, 1, -50.0 - n % 2) for n in range(30)), (HOP_S + 0.1, 1, -60.0))
    ear = track.ears[1]
    assert (ear.reads, ear.levels) == (31, 2)
    assert ear.mean == pytest.approx((-50.5 - 60.0) / 2)


def test_weak_tags_that_only_the_antenna_facing_away_hears_are_not_out_for_certain() -> None:
    assert facing_away(heard((0.0, 3, -45.0)), VETO)
    assert not facing_away(heard((0.0, 3, -75.0)), VETO)
    assert not facing_away(heard((0.0, 3, -45.0), (0.1, 1, -60.0)), VETO)


def test_what_lay_near_counts_against_a_tag_unless_it_was_taken() -> None:
    reads = [(0.4 * n, 1, -50.0) for n in range(6)] + [(0.4 * n + 0.1, 3, -66.0) for n in range(6)]
    track = heard(*reads)

    def own(near: Level | None) -> float:
        return nats(alone(track, near, VETO, 0.0, 2.5), WEIGHTS["veto"])

    assert own(Level({1: -50.0}, 20)) < own(None) - 2.0
    assert own(Level({1: -64.0}, 20)) == own(None)
    # Heard twice: somebody may have carried it past, and the tables say what that means.
    near = Level({1: -64.0}, 2)
    assert "rise" in {name for name, _, _ in alone(track, near, VETO, 0.0, 2.5)}
    assert own(Level({1: -54.0}, 2)) < own(None)


def test_a_strong_tag_is_rather_in_when_others_are_than_among_strays() -> None:
    tables = WEIGHTS["veto"]
    assert nats(together(3.0, 10, 0, 0, 0.5), tables) > nats(together(3.0, 0, 10, 10, 5.0), tables)


def test_the_rules_on_record_name_the_tables() -> None:
    assert Decision(DecisionRules()).rules_now.presence.weights == VERSION


def test_a_replay_with_other_tables_says_so() -> None:
    portal = Portal(2, seed=4)
    portal.run(1.0)
    story = decode(portal.log)
    assert not any("tables" in remark for remark in run_again(story).remarks)
    rules = dict(story.about["rules"])
    rules["presence"] = {**rules["presence"], "weights": "0badcafe"}
    remarks = run_again(replace(story, about={**story.about, "rules": rules})).remarks
    assert [remark for remark in remarks if "0badcafe" in remark and VERSION in remark]


def test_a_place_with_other_levels_shifts_the_tables() -> None:
    track = heard(*((0.4 * n, 1, -60.0) for n in range(5)))
    near = replace(VETO, even_dbm=-68.0)
    showing = {name: x for name, x, _ in alone(track, None, near, 0.0, 2.0)}
    assert showing["only"] == pytest.approx(-50.0)
