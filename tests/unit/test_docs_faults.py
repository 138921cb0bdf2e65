"""Every fault and alarm that a board or the shop can raise is on the page of whoever stands before it."""

from __future__ import annotations

import re
from pathlib import Path

from firmware.portal.alarms import ALARMS

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
