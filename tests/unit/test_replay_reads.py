"""A portal's raw-read log run again: the same verdicts, every tag, and the first difference."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from firmware.portal.decision import Decision, Verdict
from firmware.rawdecision import RecordedDecision, remember
from firmware.rawreads import RawReads, plain
from firmware.rawstory import Declared, Gap, Judged, Noted, RawReadsError, Shown, Story, decode, pack
from hal.ports import TagRead
from hal.sim.population import SimTag
from provisioning import cli
from provisioning.replay_reads import run_again
from tests.support.portalruns import RULES, Portal, epc

Change = Callable[[Judged], dict[str, Any]]


@dataclass(frozen=True)
class Said:
    """A verdict made of fields, as a recorder takes it."""

    fields: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.fields[name]


def recorded_again(story: Story, change: Change = lambda judged: {}, **about: Any) -> bytes:
    """The story as another board would have written it: with other verdicts, or other facts about itself."""
    raw = RawReads()
    raw.begin(story.begun, **{**story.about, **about})
    for entry in story.entries:
        match entry:
            case TagRead():
                raw.read(entry)
            case Declared():
                raw.declared(entry.count, entry.at)
            case Shown():
                raw.shown(entry.epc, entry.at)
            case Noted():
                raw.note(entry.text, entry.at)
            case Gap():
                raw.gap(entry.begin, entry.end)
            case Judged():
                raw.verdict(Said({**entry.verdict, **change(entry)}), entry.at)
    raw.background(story.known, story.levels)
    return pack(raw.end(story.ended))


@pytest.fixture(scope="module")
def portal() -> Portal:
    """14 items, one more shown by its code, 9 tags on shelves."""
    portal = Portal(14, 9, seed=7)
    portal.run(3.0, declared=15, shown=epc(500))
    return portal


@pytest.mark.parametrize("seed", range(3))
def test_same_verdicts_from_the_same_reads(seed: int) -> None:
    portal = Portal(4 + 9 * seed, 6 * seed, seed=seed, rate=(60, 150, 240)[seed])
    last = portal.run(2.0, declared=5 if seed == 1 else None)
    story = decode(portal.log)
    outcome = run_again(story)
    assert outcome.difference is None
    assert outcome.judged == len(portal.verdicts) > 10
    assert outcome.turns[-1].now["items"] == last.items
    said = [entry.verdict for entry in story.entries if isinstance(entry, Judged)]
    assert [one["items"] for one in said] == [one.items for one in portal.verdicts]
    assert [one["reason"] for one in said] == [one.reason for one in portal.verdicts]


def test_shoppers_one_after_the_other_have_each_their_own_log(portal: Portal) -> None:
    two = Portal(3, 5, seed=11)
    two.run(2.0)
    for one in two.items:
        two.field.remove(one)
    two.items = [epc(100), epc(101)]
    two.run(2.0)
    assert len(two.bodies) == 2
    for body, count in zip(two.bodies, (3, 2), strict=True):
        story = decode(pack(body))
        assert run_again(story).difference is None
        assert len({read.epc for read in story.reads}) >= count


def test_log_so_far_is_whole_and_recording_goes_on() -> None:
    portal = Portal(3, 4, seed=12)
    decision = portal.decision
    assert isinstance(decision, RecordedDecision)
    assert decision.so_far(0.0) == b""
    early: list[bytes] = []
    judge = decision.judge

    def judge_and_keep(now: float) -> Verdict:
        verdict = judge(now)
        early.append(decision.so_far(now))
        return verdict

    decision.judge = judge_and_keep  # type: ignore[method-assign]
    portal.run(1.5)
    whole = decode(portal.log)
    for body in early[::4]:
        story = decode(pack(body))
        assert run_again(story).difference is None
        assert story.entries == whole.entries[: len(story.entries)]
        assert story.levels.keys() <= whole.levels.keys()


def test_next_shopper_without_an_end_ends_the_log_before() -> None:
    portal = Portal(0, seed=1)
    portal.decision.begin(1.0)
    portal.decision.begin(9.0)
    portal.decision.end(11.0)
    assert [(one.begun, one.ended) for one in (decode(pack(body)) for body in portal.bodies)] == [
        (1.0, 9.0),
        (9.0, 11.0),
    ]


def test_every_tag_is_told_with_its_levels(portal: Portal) -> None:
    story = decode(portal.log)
    outcome = run_again(story)
    assert {tag.epc for tag in outcome.tags} == {read.epc for read in story.reads} | {epc(500)}
    for tag in outcome.tags:
        mine = [read for read in story.reads if read.epc == tag.epc]
        assert tag.reads == len(mine)
        for antenna, levels in tag.antennas.items():
            heard = [read.rssi_dbm or 0.0 for read in mine if read.antenna == antenna]
            assert (levels.reads, levels.best) == (len(heard), max(heard))
            assert levels.mean == pytest.approx(sum(heard) / len(heard))
        if mine:
            assert tag.first == mine[0].at - story.begun
            assert tag.last == mine[-1].at - story.begun
        assert tag.why
        final = outcome.turns[-1].now
        assert (tag.place == "in") == (tag.epc in final["items"])
    shown = next(tag for tag in outcome.tags if tag.epc == epc(500))
    assert (shown.why, shown.item[:14]) == ("shown by its code", "06901234567892")
    assert any("declared 15 items" in remark for remark in outcome.remarks)
    assert any("shown by its code" in remark for remark in outcome.remarks)


def judged_after(at: float, **fields: Any) -> Change:
    return lambda judged: fields if judged.at > at else {}


def test_first_difference_ends_with_exit_code_1(
    portal: Portal, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    story = decode(portal.log)
    path = tmp_path / "e-7.reads"
    path.write_bytes(recorded_again(story))
    assert cli.main(["replay", str(path)]) == 0
    assert "the same from this version" in capfd.readouterr().out
    missing = portal.verdicts[-1].items[1:]
    path.write_bytes(recorded_again(story, judged_after(story.ended - 0.3, items=missing, kind="odd")))
    assert cli.main(["replay", str(path)]) == 1
    out = capfd.readouterr().out
    first = next(e for e in story.entries if isinstance(e, Judged) and e.at > story.ended - 0.3)
    assert f"first difference at {first.at - story.begun:.3f} s:" in out
    assert "kind: recorded odd, now " in out
    assert f"items, only now: {portal.verdicts[-1].items[0].hex().upper()}" in out


def test_json_says_the_same_as_the_table(
    portal: Portal, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e-7.reads"
    path.write_bytes(portal.log)
    assert cli.main(["replay", str(path)]) == 0
    table = capfd.readouterr().out
    assert cli.main(["replay", str(path), "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["same"], said["complete"], said["difference"]) == (True, True, None)
    assert said["about"]["board"] == "portal-1"
    assert len(said["tags"]) == len(run_again(decode(portal.log)).tags)
    for tag in said["tags"]:
        assert tag["epc"] in table
        assert f" {tag['reads']} " in table
    assert said["verdicts"][-1]["now"]["items"] == [one.hex().upper() for one in portal.verdicts[-1].items]
    path.write_bytes(recorded_again(decode(portal.log), judged_after(0, strays=99)))
    assert cli.main(["replay", str(path), "--json"]) == 1
    said = json.loads(capfd.readouterr().out)
    assert (said["same"], said["difference"]["differs"]) == (False, ["strays"])


def test_incomplete_log_is_compared_as_far_as_it_goes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    portal = Portal(8, seed=2, raw=RawReads(max_reads=60))
    plain = Portal(8, seed=2)
    assert portal.run(3.0).items == plain.run(3.0).items  # the decision goes on as without a log
    story = decode(portal.log)
    assert not story.complete
    outcome = run_again(story)
    assert outcome.difference is None
    assert "incomplete" in outcome.remarks[0]
    path = tmp_path / "e-8.reads"
    path.write_bytes(portal.log)
    assert cli.main(["replay", str(path)]) == 0
    assert "incomplete" in capfd.readouterr().out


def test_rules_of_another_version_are_named() -> None:
    portal = Portal(2, seed=3)
    portal.run(0.5)
    story = decode(portal.log)
    other = {name: value for name, value in story.about["rules"].items() if name != "quiet_s"}
    changed = decode(recorded_again(story, rules={**other, "hat_size": 7}))
    remarks = run_again(changed).remarks
    assert any("rule hat_size is recorded" in remark for remark in remarks)
    assert any("rule quiet_s is not recorded" in remark for remark in remarks)
    for rules in (None, {**story.about["rules"], "sure": 7.0}, {**story.about["rules"], "sure": "x"}):
        with pytest.raises(RawReadsError, match="rules"):
            run_again(decode(recorded_again(story, rules=rules)))


def test_log_without_verdicts_still_shows_the_tags(portal: Portal) -> None:
    story = decode(portal.log)
    silent = replace(story, entries=tuple(one for one in story.entries if not isinstance(one, Judged)))
    outcome = run_again(silent)
    assert (outcome.judged, outcome.difference) == (0, None)
    assert "nothing to compare" in outcome.remarks[-1]
    assert len(outcome.tags) == 14 + 9 + 1


def test_as_many_tags_lie_near_as_were_known() -> None:
    portal = Portal(2, 5, seed=6)
    portal.run(0.5)
    for known in (0, 5, 400):
        story = replace(decode(portal.log), known=known)
        decision = Decision(RULES)
        remember(decision, story)
        decision.begin(story.begun)
        assert len(decision._near) == max(known, len(story.levels))
        for one, levels in story.levels.items():
            assert plain(decision._near._known[one]) == levels


def test_pauses_of_the_reader_are_replayed() -> None:
    portal = Portal(3, seed=5)
    raw = portal.decision
    raw.begin(0.0)
    raw.judge(0.5)
    raw.gap(0.5, 4.5)
    raw.declare(None)
    raw.judge(4.6)
    raw.end(5.0)
    outcome = run_again(decode(portal.log))
    assert outcome.difference is None
    assert "0.500 to 4.500 s: the reader did not read" in outcome.remarks


@pytest.mark.parametrize("fault", ["cut", "flipped", "version", "gone", "folder"])
def test_bad_log_is_one_sentence_and_exit_code_2(
    portal: Portal, tmp_path: Path, capfd: pytest.CaptureFixture[str], fault: str
) -> None:
    path, data = tmp_path / "e-9.reads", bytearray(portal.log)
    if fault == "flipped":
        data[200] ^= 4
    elif fault == "version":
        data[4] = 9
    path.write_bytes(data[:300] if fault == "cut" else data)
    if fault == "gone":
        path.unlink()
    given = tmp_path if fault == "folder" else path
    assert cli.main(["replay", str(given)]) == 2
    err = capfd.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert str(given) in err


def test_rules_used_are_those_of_the_file() -> None:
    portal = Portal(0, seed=4, rules=replace(RULES, empty_s=0.7))
    portal.field.add(SimTag(epc(1), level_dbm=-60.0, gains_db=(-40, -40, 0)))  # only to let time pass
    portal.run(2.0)
    story = decode(portal.log)
    assert run_again(story).difference is None
    patient = {**story.about["rules"], "empty_s": 10.0}
    difference = run_again(decode(recorded_again(story, rules=patient))).difference
    assert difference is not None
    assert difference.at >= 0.7
    assert difference.recorded is not None
    assert difference.recorded["reason"] == "empty"
    assert difference.now["reason"] != "empty"


@pytest.mark.parametrize("length", [0, 3])
def test_log_cut_off_at_its_very_begin_is_no_empty_trace(
    portal: Portal, tmp_path: Path, capfd: pytest.CaptureFixture[str], length: int
) -> None:
    path = tmp_path / "e-9.reads"
    path.write_bytes(portal.log[:length])
    assert cli.main(["replay", str(path)]) == 2
    assert ("cut off" if length else "no raw-read log") in capfd.readouterr().err


@pytest.mark.parametrize(("items", "shelf"), [(5, 0), (5, 20), (14, 20), (30, 20)])
def test_log_takes_no_more_than_4_bytes_a_read(items: int, shelf: int) -> None:
    portal = Portal(items, shelf, seed=3)
    portal.run(5.0)
    story = decode(portal.log)
    assert run_again(story).difference is None
    assert len(portal.log) <= 4 * len(story.reads)
    levels = [level for one in story.levels.values() for level in one["best"].values()]
    assert all(level * 4 == round(level * 4) for level in levels)  # else each is 6 bytes longer
