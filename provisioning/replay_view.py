"""How a raw-read log run again is shown: tables for people, plain data for machines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from provisioning.replay_reads import Levels, Outcome, TagStory, Turn

LINES = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""A line under the heads and nothing else."""
COLOURS = {"in": "green", "weak": "yellow", "stray": "dim"}
MOST_COLUMNS = 4
"""Antennas that have a column each."""
PIPE_WIDTH = 150
"""Columns where the output is no terminal: an EPC and its reasons fit in one line."""


def console() -> Console:
    """For the terminal, or wide enough for a file."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(width=PIPE_WIDTH, highlight=False)


def show(out: Console, path: Path, outcome: Outcome) -> None:
    """The whole page."""
    story = outcome.story
    out.print(f"[bold]{escape(str(path))}[/bold]: {_about(outcome)}", soft_wrap=True)
    for remark in outcome.remarks:
        out.print(f"  [yellow]{escape(remark)}[/yellow]", soft_wrap=True)
    out.print("antennas: best / mean level, times read", style="dim")
    out.print(_tags_table(outcome.tags, outcome.veto))
    counts = {place: sum(tag.place == place for tag in outcome.tags) for place in COLOURS}
    out.print(
        f"{counts['in']} in the basket, {counts['weak']} weak, {counts['stray']} strays; "
        f"{len(story.reads)} reads in {story.ended - story.begun:.1f} s"
    )
    out.print(_turns_table(outcome.turns))
    if outcome.difference is not None:
        for line in difference_lines(outcome.difference):
            out.print(escape(line), soft_wrap=True)
    elif outcome.judged:
        out.print(f"[green]{outcome.judged} verdicts, the same from this version[/green]")


def _about(outcome: Outcome) -> str:
    about, words = outcome.story.about, []
    for name in ("board", "version"):
        if about.get(name):
            words.append(f"{name} {escape(str(about[name]))}")
    wall_ms = about.get("wall_ms")
    if isinstance(wall_ms, int) and 0 < wall_ms < 32_503_680_000_000:
        words.append(f"{datetime.fromtimestamp(wall_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC")
    if about.get("clock") not in (None, "synced"):
        words.append(f"clock {escape(str(about['clock']))}")
    words.append(f"{outcome.story.known} tags known to lie near")
    return ", ".join(words)


def _tags_table(tags: list[TagStory], veto: frozenset[int]) -> Table:
    """A row a tag; a column an antenna while they fit: best / mean and, small, how often."""
    ports = sorted({port for tag in tags for port in tag.antennas})
    if len(ports) > MOST_COLUMNS:
        ports = []
    table = Table(box=LINES, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("EPC", overflow="fold", min_width=24)
    table.add_column("GTIN-14 and serial", overflow="fold", min_width=14)
    table.add_column("reads", justify="right")
    for port in ports:
        table.add_column(f"ant {port}{' (away)' if port in veto else ''}", justify="right")
    if not ports:
        table.add_column("antennas")
    table.add_column("seen, s", justify="right")
    table.add_column("basket")
    table.add_column("why", overflow="fold")
    for tag in tags:
        place = tag.place if tag.place == tag.recorded else f"{tag.place}, was {tag.recorded}"
        levels = [_level(tag.antennas.get(port)) for port in ports] or [
            "\n".join(f"{port}: {_level(one)}" for port, one in sorted(tag.antennas.items()))
        ]
        table.add_row(
            tag.epc.hex().upper(),
            escape(tag.item),
            str(tag.reads),
            *levels,
            "" if tag.first is None else f"{tag.first:.2f}-{tag.last:.2f}",
            place,
            escape(tag.why),
            style=COLOURS[tag.place],
        )
    return table


def _level(levels: Levels | None) -> str:
    if levels is None:
        return ""
    return f"{levels.best:.0f} / {levels.mean:.0f}  x{levels.reads:<3d}"


def _turns_table(turns: list[Turn]) -> Table:
    table = Table(box=LINES, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("at, s", justify="right")
    table.add_column("recorded verdict")
    table.add_column("this version")
    shown: tuple[str, str] | None = None
    for number, turn in enumerate(turns):
        recorded, now = _words(turn.recorded), _words(turn.now)
        kinds = (_kind(turn.recorded), _kind(turn.now))
        # The many steps in which a basket fills are told by the first and by what came of them.
        if kinds == shown and not turn.differs and number + 1 < len(turns):
            continue
        shown = kinds
        table.add_row(
            f"{turn.at:.3f}", recorded, "[dim]the same[/dim]" if not turn.differs and turn.recorded else now
        )
    return table


def _kind(verdict: Mapping[str, Any] | None) -> str:
    return "-" if verdict is None else f"{verdict['kind']} ({verdict['reason']})"


def _words(verdict: Mapping[str, Any] | None) -> str:
    if verdict is None:
        return "-"
    words = [f"{len(verdict['items'])} items"]
    for name in ("weak", "duplicates"):
        if verdict[name]:
            words.append(f"{len(verdict[name])} {name}")
    for name in ("missing", "strays"):
        if verdict[name]:
            words.append(f"{verdict[name]} {name}")
    return escape(f"{_kind(verdict)}: {', '.join(words)}")


def difference_lines(turn: Turn) -> list[str]:
    """The first difference, field by field."""
    assert turn.recorded is not None
    lines = [f"first difference at {turn.at:.3f} s:"]
    for name in turn.differs:
        old, new = turn.recorded[name], turn.now[name]
        if isinstance(old, tuple):
            for word, epcs in (("only recorded", set(old) - set(new)), ("only now", set(new) - set(old))):
                lines += [f"  {name}, {word}: {epc.hex().upper()}" for epc in sorted(epcs)]
        else:
            lines.append(f"  {name}: recorded {old}, now {new}")
    return lines


def as_json(path: Path, outcome: Outcome) -> dict[str, Any]:
    """The same as plain data: EPCs as upper-case hex, seconds since the shopper came."""
    story = outcome.story
    return {
        "file": str(path),
        "same": None if not outcome.judged else outcome.difference is None,
        "complete": story.complete,
        "left_out": {"reads": story.left_out[0], "others": story.left_out[1]},
        "seconds": round(story.ended - story.begun, 4),
        "reads": len(story.reads),
        "about": _plain(story.about),
        "known_near": story.known,
        "remarks": outcome.remarks,
        "tags": [_tag(tag) for tag in outcome.tags],
        "verdicts": [_turn(turn) for turn in outcome.turns],
        "difference": None if outcome.difference is None else _turn(outcome.difference),
    }


def _tag(tag: TagStory) -> dict[str, Any]:
    return {
        "epc": tag.epc.hex().upper(),
        "item": tag.item,
        "reads": tag.reads,
        "rssi": "raw" if tag.raw else "dBm",
        "antennas": {
            str(port): {"reads": one.reads, "best": one.best, "mean": round(one.mean, 2)}
            for port, one in sorted(tag.antennas.items())
        },
        "first_s": tag.first,
        "last_s": tag.last,
        "shown": tag.shown,
        "place": tag.place,
        "recorded": tag.recorded,
        "why": tag.why,
    }


def _turn(turn: Turn) -> dict[str, Any]:
    recorded = None if turn.recorded is None else _plain(turn.recorded)
    return {"at_s": round(turn.at, 4), "recorded": recorded, "now": _plain(turn.now), "differs": turn.differs}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
