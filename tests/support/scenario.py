"""The language of ``tests/scenarios/*.txt``: files into cases. Grammar: ``tests/scenarios/README.txt``.

``load`` reads a folder; ``tests.support.player`` plays the cases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from firmware.gate.table import LANES

FOLDER = Path(__file__).resolve().parent.parent / "scenarios"


class ScenarioError(AssertionError):
    """A line of a scenario did not hold, or cannot be read."""


@dataclass(frozen=True)
class Line:
    file: str
    number: int
    text: str

    def error(self, words: str) -> ScenarioError:
        return ScenarioError(f"{self.file}:{self.number}: {self.text}\n    {words}")


@dataclass(frozen=True)
class Step:
    line: Line
    verb: str
    args: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    name: str
    lane: str
    kind: str
    steps: tuple[Step, ...]


@dataclass
class Book:
    cases: list[Case] = field(default_factory=list)
    ways: dict[tuple[str, str], tuple[Step, ...]] = field(default_factory=dict)  # (lane, state)


# -- reading -------------------------------------------------------------------------------------

_PATTERNS: tuple[tuple[str, str], ...] = (
    ("reach", r"given the gate is (\S+)"),
    ("state", r"the gate is (?:still )?(\S+)"),
    ("after", r"after ([\d.]+) s the gate is (\S+)"),
    ("later", r"([\d.]+) s later the gate is still (\S+)"),
    ("on", r"on: (.+)"),
    ("screen", r"the screen says (\S+)"),
    ("offer", r"a pass (inward|outward) is (accepted|refused: \S+)"),
    ("grant", r"a pass for (\d+) persons? (?:to go (in|out) )?is accepted"),
    ("cut", r"the power is cut and comes back"),
    ("read", r"the sensors are read"),
    ("lost", r"the sensors are lost"),
    ("leaf", r"the leaf (opens|closes)"),
    ("beams", r"beams: (.+)"),
    ("quick", r"beams at once: (.+)"),
    ("walk", r"somebody walks (in|out)"),
    ("fire", r"(fire breaks out|the fire line is quiet)"),
    ("help", r"help is (pressed|let go)"),
    ("operator", r"the operator says (\S+)"),
    ("tick", r"the clock ticks"),
    ("hang", r"the process hangs for ([\d.]+) s"),
    ("resume", r"the process runs again"),
    ("fact", r"((?:passed|alarm|ignored) .+|\d+ given back .+|\S+ is over)"),
    ("nothing", r"nothing (?:else )?happens"),
)


@dataclass(frozen=True)
class Grammar:
    """What the steps of one policy's scenarios read like. ``subject``: "given the SUBJECT is STATE"."""

    subject: str
    patterns: tuple[tuple[str, re.Pattern[str]], ...]
    lanes: tuple[str, ...]


def grammar(subject: str, patterns: tuple[tuple[str, str], ...], lanes: tuple[str, ...]) -> Grammar:
    return Grammar(subject, tuple((verb, re.compile(pattern)) for verb, pattern in patterns), lanes)


GATE = grammar("gate", _PATTERNS, LANES)


def _step(line: Line, words: Grammar) -> Step:
    text = line.text.lower()
    if not text.startswith(f"given the {words.subject} is"):
        text = re.sub(r"^(given|when|then|and|but) ", "", text)
    for verb, pattern in words.patterns:
        match = pattern.fullmatch(text)
        if match:
            return Step(line, verb, tuple(arg or "" for arg in match.groups()))
    raise line.error("no step reads like this; see tests/scenarios/README.txt")


def _blocks(path: Path) -> Iterator[tuple[Line, list[Line]]]:
    head: Line | None = None
    body: list[Line] = []
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = raw.partition("#")[0].strip()
        if not text:
            continue
        line = Line(path.name, number, text)
        if re.match(r"(Scenario|Outline|Way): ", text):
            if head:
                yield head, body
            head, body = line, []
        elif head is None:
            raise line.error("before the first 'Scenario:', 'Outline:' or 'Way:'")
        else:
            body.append(line)
    if head:
        yield head, body


def _cells(line: Line) -> list[str]:
    return [cell.strip() for cell in line.text.strip("|").split("|")]


def _fill(line: Line, row: dict[str, str], at: Line) -> list[Line]:
    """A template line with its row's values; a cell of several facts "a; b" makes several lines."""
    used = re.findall(r"<([\w -]+)>", line.text)
    unknown = [name for name in used if name not in row]
    if unknown:
        raise line.error(f"the rows have no column {unknown[0]!r}")
    if len(used) == 1 and line.text.endswith(f"<{used[0]}>"):
        if row[used[0]] == "":
            return []
        values = [value.strip() for value in row[used[0]].split(";")]
    else:
        values = [""]
    lines = []
    for value in values:
        text = line.text
        for name in used:
            text = text.replace(f"<{name}>", value or row[name])
        lines.append(replace(at, text=text))
    return lines


def _lanes(text: str, line: Line, words: Grammar) -> tuple[str, ...]:
    if text == "both":
        return words.lanes
    if text not in words.lanes:
        raise line.error(f"lane {text!r}: must be {', '.join(words.lanes)} or both")
    return (text,)


def load(folder: Path = FOLDER, words: Grammar = GATE) -> Book:
    """Read every ``*.txt`` but README.txt. Raises ScenarioError on a line that cannot be read."""
    book = Book()
    for path in sorted(folder.glob("*.txt")):
        if path.name == "README.txt":
            continue
        for head, body in _blocks(path):
            _block(book, head, body, words)
    return book


def _block(book: Book, head: Line, body: list[Line], words: Grammar) -> None:
    sort, _, title = head.text.partition(": ")
    lanes, kind = words.lanes, "entry"
    plain: list[Line] = []
    table: list[Line] = []
    for line in body:
        if line.text.startswith("Lane: "):
            lanes = _lanes(line.text[6:], line, words)
        elif line.text.startswith("Kind: "):
            kind = line.text[6:]
        elif line.text.startswith("|"):
            table.append(line)
        else:
            plain.append(line)
    if sort == "Way":
        for lane in lanes:
            book.ways[lane, title] = tuple(_step(line, words) for line in plain)
    elif sort == "Scenario":
        steps = tuple(_step(line, words) for line in plain)
        book.cases += [Case(f"{title} [{lane}]", lane, kind, steps) for lane in lanes]
    else:
        names = _cells(table[0])
        for at in table[1:]:
            cells = _cells(at)
            if len(cells) != len(names):
                raise at.error(f"{len(cells)} cells, the heading has {len(names)}")
            row = dict(zip(names, cells, strict=True))
            of = " ".join(filter(None, (row.get("state"), row.get("event")))) or cells[0]
            steps = tuple(_step(filled, words) for line in plain for filled in _fill(line, row, at))
            book.cases += [
                Case(
                    f"{title}: {of} [{lane}]",
                    lane,
                    row.get("kind", kind),
                    steps,
                )
                for lane in (_lanes(row["lane"], at, words) if "lane" in row else lanes)
            ]
