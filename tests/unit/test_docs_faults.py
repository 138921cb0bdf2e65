"""Every fault and alarm that a board or the shop can raise is on the page of whoever stands before it."""

from __future__ import annotations

import re
from pathlib import Path

from firmware.portal.alarms import ALARMS
from firmware.portal.decision import REASONS
from firmware.portal.table import STATES
from hal.reader.conditions import LASTING
from hal.reader.events import CONDITIONS
from hal.reader.families import PROTOCOLS

TREE = Path(__file__).parents[2]
GUIDE = (TREE / "docs" / "field-guide.md").read_text(encoding="utf-8")
DEVICES = ("camera", "scanner", "reader", "pins", "display")


def _source(*folders: str) -> str:
    return "\n".join(
        path.read_text(encoding="utf-8")
        for folder in folders
        for path in sorted((TREE / folder).rglob("*.py"))
    )


def test_every_fault_is_in_the_field_guide() -> None:
    named = set(re.findall(r'raise_\(\s*"([\w-]+)"', _source("firmware")))
    assert {"journal", "documents", "records", "outputs", "identity"} <= named
    rows = "\n".join(line for line in GUIDE.splitlines() if line.startswith("| fault"))
    assert {name for name in named | set(DEVICES) if f"`{name}`" not in rows} == set()


def test_every_alarm_is_in_the_field_guide() -> None:
    source = _source("firmware", "store")
    named = set(re.findall(r'"kind": "([\w-]+)"', source))
    named |= set(re.findall(r'_alarm\("([\w-]+)"', source))
    named |= set(ALARMS)
    assert {"remote-open", "disk-fault", "journal-recovered"} <= named
    assert {name for name in named if f"| `{name}` |" not in GUIDE} == set()


def _section(title: str) -> str:
    """The part of the field guide under this heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}$(.*?)(?=^#|\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"the field guide has no section {title!r}"
    return found[1]


def test_every_condition_of_a_reader_is_in_the_field_guide() -> None:
    rows = _section("Faults of a reader")
    assert {name for name in LASTING if f"| fault `reader-{name}` |" not in rows} == set()
    moments = CONDITIONS.keys() - LASTING.keys() - {"temperature"}  # a figure, no fault
    assert {name for name in moments if f"`{name}`" not in rows} == set()


def test_every_word_of_a_lost_reader_is_in_the_field_guide() -> None:
    rows = _section("Faults of a reader")
    source = _source("hal/reader") + (TREE / "hal" / "serial_line.py").read_text(encoding="utf-8")
    words = re.findall(r"`([^`]+)`(?=[ ,|])", rows.partition("the log says")[2])
    said = [word for word in words if " " in word and "..." not in word and not word.startswith("ls ")]
    assert len(said) >= 8
    plain = source.replace("{OPEN_LIMIT_S:g}", "5").replace("{row.timeout_s:g}", "0.3")
    assert [word for word in said if word not in plain] == []


def test_every_state_of_the_portal_is_in_the_field_guide() -> None:
    rows = _section("Portal states")
    assert {name for name in STATES if f"| `{name}` |" not in rows} == set()


def test_every_reason_of_an_uncertain_portal_is_in_the_field_guide() -> None:
    rows = _section("Why a portal is not sure")
    well = {"reading", "complete", "count-matches"}
    assert {name for name in REASONS.keys() - well if f"| `{name}` |" not in rows} == set()


def test_every_reader_protocol_is_in_the_table_that_one_chooses_by() -> None:
    head = next(line for line in GUIDE.splitlines() if line.startswith("| | `"))
    assert set(re.findall(r"`(\w+)`", head)) == set(PROTOCOLS)
