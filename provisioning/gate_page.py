"""The gate's states as a page for technicians: ``docs/gate.md``, written from the table itself.

``python -m provisioning.gate_page`` rewrites the page; ``--check`` (and a test) only compares.
A board never imports it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from firmware.gate.facts import ALARMS, ANNULLED, REMOTE
from firmware.gate.table import LANES, SAME, STATES, TABLE
from firmware.gate.timing import RANGES, TRIES, Timing
from provisioning.generated_page import write_or_check_texts

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gate.md"
COMMAND = "python -m provisioning.gate_page"

EVENTS = {
    "sensors_open": "sensors read, leaf open",
    "sensors_closed": "sensors read, leaf closed",
    "sensors_lost": "sensors lost",
    "fire_on": "fire",
    "fire_off": "fire line quiet",
    "granted": "pass accepted",
    "passed": "admitted person is through",
    "passed_extra": "person nobody admitted is through",
    "passed_against": "person is through the wrong way",
    "spent": "nobody expected any more",
    "leaf_opened": "leaf leaves its contact",
    "leaf_closed": "leaf on its contact",
    "beam_broken": "beam broken",
    "beams_clear": "beams clear",
    "beam_stuck": "beam broken too long",
    "hold_on": "operator wants it open",
    "lockdown_on": "lockdown",
    "time_up": "time up",
    "jammed": "time up, leaf not there",
    "jammed_out": "last try failed",
    "remote_release": "operator says release",
    "remote_close": "operator says close",
    "remote_lockdown": "operator says lockdown",
    "remote_unlock": "operator says unlock",
    "remote_reset": "operator says reset",
}
_FROM_ANYWHERE = {"fire_on", "sensors_lost"}  # told in words: arrows from everywhere hide the rest

_HEAD = f"""# The gate

Written by `{COMMAND}` from `firmware/gate/table.py`; do not edit by hand (a test compares).

The gate is a table: a state fixes every output, the screen and the longest stay; a row says where an
event leads. What it does in words is in `tests/scenarios/*.txt`, which every change must still pass;
`make mutants` alters the table bit by bit and sees a scenario fail each time.

- **Fire** leads from every state to *fire-opening* (with a motor) or *fire*, and gives every admission
  back. The lock's supply is cut by the loop itself; the board only reads the line.
- **Lost sensors** lead from every state but a fire or a fault to *blind*: unlocked, no motor.
- The **next code is accepted while the previous person is passing**. Passages are counted on the oldest
  open admission of that direction; whatever is not walked in time is given back, all of it at once.
- **More people than admitted, or people going the wrong way, are alarms only.** The gate never closes
  on a person and never fights one.
- Both beams that break and clear between two looks tell no direction: with the leaf open it was whoever
  is expected, else nobody. A pram or a trolley pushed close behind a gap can look like two people.
- An event that has no row changes nothing; it is counted and logged once per state.
"""


def _diagram(lane: str) -> str:
    arrows: dict[tuple[str, str], list[str]] = {}
    for (on, state, event), row in TABLE.rows.items():
        if on == lane and row.to not in (SAME, state) and event not in _FROM_ANYWHERE:
            arrows.setdefault((state, row.to), []).append(EVENTS[event])
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> unknown"]
    for (state, to), events in arrows.items():
        lines.append(f"    {_id(state)} --> {_id(to)}: {' / '.join(events)}")
    return "\n".join([*lines, "```"])


def _id(state: str) -> str:
    return state.replace("-", "_")


def _states() -> str:
    timing = Timing()
    lines = ["| state | what it is | outputs on | at most | lane |", "|---|---|---|---|---|"]
    for name, state in STATES.items():
        limit = f"`{state.limit}` = {timing.seconds(state.limit):g} s" if state.limit else "-"
        on = ", ".join(state.on) or "none"
        kept = f"; {', '.join(state.keeps)} left as it is" if state.keeps else ""
        lines.append(f"| {name} | {state.words} | {on}{kept} | {limit} | {state.only or 'both'} |")
    return "\n".join(lines)


def _limits() -> str:
    timing = Timing()
    lines = ["| limit | default | allowed | meaning |", "|---|---|---|---|"]
    for name, (low, high, words) in RANGES.items():
        lines.append(f"| `{name}` | {timing.seconds(name):g} s | {low:g} to {high:g} s | {words} |")
    for name, (least, most, words) in TRIES.items():
        lines.append(f"| `{name}` | {getattr(timing, name)} | {least} to {most} | {words} |")
    return "\n".join(lines)


def _list(words: dict[str, str]) -> str:
    return "\n".join(f"- **{key}**: {text}" for key, text in words.items())


def page() -> str:
    """The whole page as text."""
    titles = {"motor": "A lane with a motor", "hand": "A lane whose leaf people push"}
    parts = [_HEAD, "## States\n", _states(), "\nMotor outputs stay off in a lane without a motor.\n"]
    for lane in LANES:
        parts += [f"## {titles[lane]}\n", _diagram(lane), ""]
    parts += ["## Limits\n", _limits(), ""]
    parts += ["## Alarms, and what to check\n", _list(dict(ALARMS)), ""]
    parts += ["## Why an admission is given back\n", _list(dict(ANNULLED)), ""]
    parts += ["## What an operator can say\n", _list(dict(REMOTE))]
    return "\n".join(parts) + "\n"


def main() -> int:
    return write_or_check_texts(COMMAND, "the table", {PAGE: page()})


if __name__ == "__main__":
    sys.exit(main())
