"""The pages tell the truth where a machine can check it: links, commands, tests, threads, pictures."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
import typer

from firmware.boardfile import load
from firmware.gate.facts import ALARMS, SCREENS
from firmware.wire.refusals import REASONS
from provisioning import commands, portal_plan, screens_page, wiring_lines, wiring_page, wiring_picture

TREE = Path(__file__).parents[2]
DOCS = TREE / "docs"
PAGES = [TREE / "README.md", *sorted(DOCS.glob("*.md"))]
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
FOLDERS = "firmware|hal|store|provisioning|tests|boards|docs|examples|benchmarks|inbox"
PATH = re.compile(rf"(?:{FOLDERS})/[\w./@-]+\.(?:py|toml|txt|md|sh|cddl|json|svg|png)")


def _ids(page: Path) -> str:
    return str(page.relative_to(TREE))


@cache
def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _code_lines(page: Path) -> Iterator[str]:
    """Lines of fenced (but for diagrams) and indented code, and code spans."""
    fence: str | None = None
    for line in _text(page).splitlines():
        if line.startswith("```"):
            fence = None if fence is not None else line[3:].strip()
        elif fence is not None:
            if fence != "mermaid":
                yield line.strip()
        elif line.startswith("    "):
            yield line.strip()
        else:
            yield from SPAN.findall(line)


def _slugs(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", _text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_link_leads_somewhere(page: Path) -> None:
    wrong = []
    for target in LINK.findall(_text(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        outside = not path.exists() or TREE not in path.parents
        if outside or (anchor and anchor not in _slugs(path)):
            wrong.append(target)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_file_and_test_that_is_named_exists(page: Path) -> None:
    spans = SPAN.findall(_text(page))
    named = {span for span in spans if PATH.fullmatch(span)}
    assert {name for name in named if not (TREE / name).exists()} == set()
    tests = {span for span in spans if re.fullmatch(r"test_\w+", span)}
    assert tests - _test_names() == set()


@cache
def _test_names() -> frozenset[str]:
    files = (TREE / "tests").rglob("test_*.py")
    return frozenset(
        name for file in files for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))
    )


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_command_exists_with_its_options(page: Path) -> None:
    wrong = []
    for line in _code_lines(page):
        words = re.sub(r"^(?:sudo |\$ )*(?:\S*/)?(?=tallygate |python3? -m |make )", "", line)
        words = re.split(r"\s#|[|;&]|\s{3}", words)[0]
        if re.match(r"tallygate [a-z]", words):
            fault = _tallygate(shlex.split(words)[1:])
        elif match := re.search(r"(?:^|[ /])python3? -m (.+)", words):
            fault = _module(shlex.split(match[1]))
        elif match := re.match(r"make ([a-z]+)\b", words):
            fault = None if match[1] in _targets() else f"no target {match[1]}"
        else:
            continue
        if fault is not None:
            wrong.append(f"{line}: {fault}")
    assert wrong == []


@cache
def _targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z]+):", _text(TREE / "Makefile"), re.MULTILINE))


def _tallygate(words: list[str]) -> str | None:
    command: click.Command = typer.main.get_command(commands.build())
    while words and hasattr(command, "commands"):
        name = words.pop(0)
        if name.startswith("-"):
            return None
        if name not in command.commands:
            return f"no command {name}"
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
    unknown = [word for word in words if re.match(r"--[a-z]", word) and word.split("=")[0] not in known]
    return f"no option {', '.join(unknown)}" if unknown else None


def _module(words: list[str]) -> str | None:
    module, *rest = words
    if importlib.util.find_spec(module) is None:
        return f"no module {module}"
    command = [module]
    while rest and module in ("firmware", "store"):
        choices = re.search(r"\{([a-z,]+)\} \.\.\.", _help(tuple(command))[1])
        if choices is None:
            break
        if rest[0] not in choices[1].split(","):
            return f"no command {rest[0]}"
        command.append(rest.pop(0))
    options = [word for word in rest if word.startswith("--") and word != "--help"]
    if command == [module] and not options:
        return None
    code, said = _help(tuple(command))
    unknown = [option for option in options if option.split("=")[0] not in said]
    return f"exit {code}, unknown {unknown}" if code or unknown else None


@cache
def _help(command: tuple[str, ...]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", *command, "--help"], capture_output=True, text=True, timeout=60, cwd=TREE
    )
    return done.returncode, done.stdout


def test_a_wrong_command_would_be_seen() -> None:
    assert _tallygate(["watch", "--nonsense"]) is not None
    assert _tallygate(["pass", "burn"]) is not None
    assert _tallygate(["pass", "issue", "--qr"]) is None
    assert _module(["firmware", "walk"]) is not None
    assert _module(["store", "keys", "burn"]) is not None
    assert _module(["store", "keys", "list", "--db", "URL"]) is None
    assert "nonsense" not in _targets()


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_row_of_a_table_has_as_many_cells_as_its_head(page: Path) -> None:
    wrong, cells = [], 0
    for line in _text(page).splitlines():
        if not line.startswith("|"):
            cells = 0
            continue
        found = len(re.findall(r"(?<!\\)\|", line)) - 1
        cells = cells or found
        if found != cells or not line.endswith("|"):
            wrong.append(line)
    assert wrong == []


def test_every_page_is_in_the_index() -> None:
    listed = set(LINK.findall(_text(DOCS / "README.md")))
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert pages - listed == set(), "docs/README.md needs one line for each page"


def test_every_named_thread_is_in_the_code_tour() -> None:
    named: set[str] = set()
    for folder in ("firmware", "hal"):
        for file in (TREE / folder).rglob("*.py"):
            source = file.read_text(encoding="utf-8")
            for start in re.finditer(r"Thread\(", source):
                named.update(re.findall(r'name="([\w-]+)"', source[start.end() : start.end() + 200]))
            named.update(re.findall(r'mode\.worker\([^)]*"([\w-]+)"\)', source))
    assert {"disk", "documents", "hold-timer"} <= named
    tour = _text(DOCS / "code-tour.md")
    assert {name for name in named if f"| `{name}` |" not in tour} == set()


def test_the_field_guide_has_the_words_of_the_code() -> None:
    guide = _text(DOCS / "field-guide.md")
    wanted = [f"| `{name}` | {words} |" for name, words in ALARMS.items()]
    wanted += [f"| `{name}` | {' / '.join(row.words)} | {row.hint} |" for name, row in REASONS.items()]
    wanted += [f"| `{name}` | {' / '.join(screen.lines)} | " for name, screen in SCREENS.items()]
    assert [row for row in wanted if row not in guide] == []


def test_the_wiring_is_what_the_board_file_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["wiring_page", "--check"])
    assert wiring_page.main() == 0


@pytest.mark.parametrize("file", sorted((TREE / "boards").glob("[gp]*.toml")), ids=lambda file: file.stem)
def test_every_shipped_board_can_be_drawn(file: Path) -> None:
    board = load(file)
    drawn = ElementTree.fromstring(wiring_picture.picture(file.stem, board))
    words = " ".join(drawn.itertext())
    for name, pin in (*board.pins.inputs.items(), *board.pins.outputs.items()):
        assert f"({name})" in words
        assert f"GPIO {pin.pin}" in words
    if board.reader is not None:
        wires = dict(wiring_lines.reader_wires(board.reader))
        on_uart = board.reader.port.startswith("/dev/ttyAMA")
        assert ("TXD" in wires) == on_uart
        assert ("USB" in wires) == (not on_uart)
        assert all(f"antenna {port}" in words for port in board.reader.antennas)


def test_the_plan_names_the_antenna_that_faces_away() -> None:
    board = load(TREE / "boards" / f"{wiring_page.PLAN}.toml")
    words = " ".join(ElementTree.fromstring(portal_plan.plan("x", board)).itertext())
    assert "antenna 4, faces away" in words
    assert "antenna 3, faces away" not in words


def test_header_pins_are_the_boards_own() -> None:
    from gpiozero.pins.pi import PiBoardInfo

    header = PiBoardInfo.from_revision(0xD04170).headers["J8"]
    names = {number: re.fullmatch(r"GPIO(\d+)", pin.name) for number, pin in header.pins.items()}
    found = {int(name[1]): number for number, name in names.items() if name}
    assert found == wiring_page.HEADER


def test_the_sheet_shows_the_words_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["screens_page", "--check"])
    assert screens_page.main() == 0
    assert screens_page.PICTURE.stat().st_size < 150_000


def test_another_word_asks_for_another_sheet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(screens_page, "digest", lambda: "other")
    monkeypatch.setattr(sys, "argv", ["screens_page", "--check"])
    assert screens_page.main() == 1
    assert screens_page.COMMAND in capsys.readouterr().err
