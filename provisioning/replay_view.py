"""How a raw-read log run again is shown: tables for people, plain data for machines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from provisioning.replay_reads import Levels, Outcome, TagStory, Turn

COLOURS = {"in": "green", "weak": "yellow", "stray": "dim"}
GAP = 2
FIXED_COLUMNS, ANTENNA_COLUMNS = 105, 14
"""Room for the table without antennas, and for each that has a column of its own."""
PIPE_WIDTH = 170
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
    out.print("antennas: best/mean level, times read\n", style="dim")
    out.print(_tags_table(outcome.tags, outcome.veto, out.width))
    counts = {place: sum(tag.place == place for tag in outcome.tags) for place in COLOURS}
    out.print(
        f"\n{counts['in']} in the basket, {counts['weak']} weak, {counts['stray']} strays; "
        f"{len(story.reads)} reads in {story.ended - story.begun:.1f} s\n"
    )
    out.print(_turns_table(outcome.turns))
    out.print()
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


def _tags_table(tags: list[TagStory], veto: frozenset[int], width: int) -> Table:
    """A row a tag; a column an antenna where there is room, else a line for each."""
    ports = sorted({port for tag in tags for port in tag.antennas})
    wide = width >= FIXED_COLUMNS + ANTENNA_COLUMNS * len(ports)
    # Widths are given one by one: left to itself the table would be cut off at the terminal's edge.
    columns = [("EPC", 24), ("item", 23 if wide else 14)]
    if wide:
        columns.append(("reads", 5))
        columns += [(f"ant {port}{' (away)' if port in veto else ''}", 12) for port in ports]
        columns.append(("seen, s", 11))
    else:
        columns.append(("antennas", 15))
    columns.append(("basket", max([6, *(len(_basket(tag)) for tag in tags)])))
    rest = width - sum(size + GAP for _, size in columns)
    columns.append(("why", min(max(10, rest), 40)))
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold underline")
    for head, size in columns:
        number = head[:4] in ("read", "ant ", "seen")
        table.add_column(head, justify="right" if number else "left", overflow="fold", width=size)
    for tag in tags:
        cells = [tag.epc.hex().upper(), escape(tag.item)]
        if wide:
            seen = "" if tag.first is None else f"{tag.first:.2f}-{tag.last:.2f}"
            cells += [str(tag.reads), *(_level(tag.antennas.get(port)) for port in ports), seen]
        else:
            cells.append("\n".join(f"{port}: {_level(one)}" for port, one in sorted(tag.antennas.items())))
        table.add_row(*cells, _basket(tag), escape(tag.why), style=COLOURS[tag.place])
    return table


def _basket(tag: TagStory) -> str:
    return tag.place if tag.place == tag.recorded else f"{tag.place}, was {tag.recorded}"


def _level(levels: Levels | None) -> str:
    if levels is None:
        return ""
    return f"{levels.best:.0f}/{levels.mean:.0f} x{levels.reads:<3d}"


def _turns_table(turns: list[Turn]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold underline")
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
