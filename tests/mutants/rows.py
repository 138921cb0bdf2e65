"""What the mutation runs of both tables share: rows of (lane, state, event)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from firmware.gate.table import SAME

Key = tuple[str, Any]
Mutant = tuple[str, str, Key, Any]  # sort, words, touched entry, altered table


class Watched(dict):  # type: ignore[type-arg]
    """A mapping that notes which keys were asked for."""

    def __init__(self, part: str, data: Mapping[Any, Any], asked: set[Key]) -> None:
        super().__init__(data)
        self._part, self._asked = part, asked

    def __getitem__(self, key: Any) -> Any:
        self._asked.add((self._part, key))
        return super().__getitem__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        self._asked.add((self._part, key))
        return super().get(key, default)


def with_entry(mapping: Mapping[Any, Any], key: Any, value: Any) -> dict[Any, Any]:
    """A copy with one entry replaced, or removed when ``value`` is None."""
    copy = dict(mapping)
    if value is None:
        del copy[key]
    else:
        copy[key] = value
    return copy


def row_mutants(
    table: Any, other_commands: Callable[[str], tuple[str, ...]], extras: tuple[str, ...]
) -> Iterator[Mutant]:
    """Every row deleted, sent elsewhere, with one command less, exchanged (``other_commands``) or more."""
    for key, row in table.rows.items():
        lane, state, event = key
        words = f"{lane} ({state}, {event}) → {row.to} {list(row.commands)}"

        def altered(value: Any, key: Any = key) -> Any:
            return replace(table, rows=with_entry(table.rows, key, value))

        yield "row deleted", words, ("row", key), altered(None)
        for to in _targets(table, lane, state, row):
            yield "row redirected", f"{words}: to {to}", ("row", key), altered(replace(row, to=to))
        for at, command in enumerate(row.commands):
            fewer = row.commands[:at] + row.commands[at + 1 :]
            yield (
                "command dropped",
                f"{words}: without {command}",
                ("row", key),
                altered(replace(row, commands=fewer)),
            )
            for other in other_commands(command):
                exchanged = row.commands[:at] + (other,) + row.commands[at + 1 :]
                yield (
                    "command changed",
                    f"{words}: {other}",
                    ("row", key),
                    altered(replace(row, commands=exchanged)),
                )
        for extra in extras:
            if extra not in row.commands:
                more = replace(row, commands=(*row.commands, extra))
                yield "command added", f"{words}: also {extra}", ("row", key), altered(more)


def _targets(table: Any, lane: str, state: str, row: Any) -> Iterator[str]:
    for name, spec in table.states.items():
        if spec.only in ("", lane) and name not in (row.to, state if row.to == SAME else ""):
            yield name
    if row.to != SAME:
        yield SAME
    elif table.states[state].limit:
        yield state  # the deadline starts anew
