"""``tallygate replay``: the same orders from a recorded trace, and the first difference of a changed one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware.gate import facts
from firmware.gate.admission import Admissible, Verdict
from firmware.gate.entry import EntryPolicy, Rules
from firmware.gate.machine import Gate
from firmware.gate.orders import Claimed, Committed
from firmware.gate.timing import RANGES, TRIES, Timing
from firmware.trace import TraceWriter
from firmware.wire.refusals import Refusal
from hal.ports import InputChanged
from provisioning import cli

VISIT = bytes(range(8))
LEVELS = {"leaf": True, "beam_outer": False, "beam_inner": False, "fire": False, "help": False}


def story(late: bool) -> list[tuple[float, object]]:
    """One admission, one person, one refusal; ``late``: the board has been up long before."""
    start: list[tuple[float, object]] = [] if late else [(1.0, facts.Levels(LEVELS))]
    return [
        *start,
        (2.0, Verdict("pass", Admissible(VISIT, 1, "entry"), VISIT)),
        (2.1, Claimed(1, "won")),
        (2.2, Committed(1, 1)),
        (2.6, InputChanged("leaf", False, 2.6)),
        (3.0, facts.Tick()),
        (3.9, InputChanged("beam_outer", True, 3.9)),
        (4.0, InputChanged("beam_inner", True, 4.0)),
        (4.1, InputChanged("beam_outer", False, 4.1)),
        (4.2, InputChanged("beam_inner", False, 4.2)),
        (5.0, facts.Tick()),
        (6.0, InputChanged("leaf", True, 6.0)),
        (7.0, Verdict("other", Refusal("not-a-pass"))),
    ]


def record(folder: Path, late: bool = False) -> Path:
    gate = Gate(Timing(), motor=True)
    policy = EntryPolicy(gate, Rules())
    timing = {name: getattr(Timing(), name) for name in (*RANGES, *TRIES)}
    if late:
        policy.handle(facts.Levels(LEVELS), 1.0)
    writer = TraceWriter(
        folder,
        1_000_000,
        lambda: {
            "version": "0",
            "role": "entry",
            "motor": True,
            "timing": timing,
            "admission": {"on_disk_fault": "refuse", "moment_s": 0.15, "give_up_s": 0.5},
            "levels": LEVELS,
            "spent": [[v.hex(), d, n] for (v, d), n in policy.spent.items()],
            "token": policy.last_token,
            "wall_ms": 0,
        },
    )
    for at, event in story(late):
        writer.begin()
        writer.note(event, at, policy.handle(event, at), False)  # type: ignore[arg-type]
    writer.write(writer.take())
    return folder / "trace-0.jsonl"


@pytest.mark.parametrize("late", [False, True])
def test_recorded_trace_gives_the_same_orders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], late: bool
) -> None:
    trace = record(tmp_path, late)
    assert cli.main(["replay", str(trace)]) == 0
    out = capsys.readouterr().out
    assert f"{len(story(late))} events" in out
    assert "the same orders" in out


def test_first_difference_is_shown_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = record(tmp_path)
    lines = trace.read_text().splitlines()
    changed = json.loads(lines[3])
    changed["orders"] = []
    lines[3] = json.dumps(changed)
    trace.write_text("\n".join(lines) + "\n")
    assert cli.main(["replay", str(trace)]) == 1
    out = capsys.readouterr().out
    assert f"{trace}:4: Claimed at 2.100 s" in out
    assert '"nothing"' in out
    assert "Commit" in out


@pytest.mark.parametrize(
    "fault", ["empty", "no header", "bad header", "not json", "unknown event", "no time"]
)
def test_bad_trace_is_one_sentence_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    trace = record(tmp_path)
    lines = trace.read_text().splitlines()
    if fault == "empty":
        lines = []
    elif fault == "no header":
        del lines[0]
    elif fault == "bad header":
        lines[0] = '{"header": {"role": 5}}'
    elif fault == "not json":
        lines[2] = "{"
    elif fault == "unknown event":
        lines[1] = lines[1].replace("Levels", "Unheard")
    else:
        lines[1] = json.dumps({**json.loads(lines[1]), "at": None})
    trace.write_text("\n".join(lines) + "\n" if lines else "")
    assert cli.main(["replay", str(trace)]) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert str(trace) in err or "Unheard" in err


def test_line_cut_off_by_a_power_cut_ends_the_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = record(tmp_path)
    trace.write_bytes(trace.read_bytes()[:-30])
    assert cli.main(["replay", str(trace)]) == 0
    assert f"{len(story(False)) - 1} events" in capsys.readouterr().out
