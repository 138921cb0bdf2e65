"""Mutation run of the portal: ``python -m tests.mutants.portal``; exit 1 when a mutant survives.

Every row of the table is deleted, sent to every other state, loses, doubles or exchanges each command; every
state's lamps, deadline, screen and flags are altered, the standing conditions dropped and moved. The
scenarios must notice, or a proof must say that nobody could: a state that is never left by time alone may
have any order of conditions that never hold together (``_alike``); there is no list of excuses.

A mutant runs only against scenarios that touched the altered entry in the unaltered run: the policy is
deterministic, so the others cannot differ.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from firmware.portal.alarms import ALARMS
from firmware.portal.table import LANES, SAME, TABLE, Row, State, Table, check
from firmware.portal.timing import RANGES
from firmware.wire.record_types import CLOSED_WHY
from tests.mutants.gate import Key, Mutant, _Watched, _with
from tests.support.portalplayer import book, play
from tests.support.scenario import Book, Case

SECONDS = 200.0  # of processor time for the whole run; more is reported as a failure
SCREENS = sorted({state.screen for state in TABLE.states.values()})
FLAGS = ("reads", "submitted", "visits", "rest")


def touched(found: Book) -> dict[Key, list[Case]]:
    """Entry of the table → cases that asked for it, those first that asked for little else: they are about
    it. Raises when a case fails."""
    cases: dict[Key, list[tuple[int, int]]] = {}
    for number, case in enumerate(found.cases):
        asked: set[Key] = set()
        rows, states = _Watched("row", TABLE.rows, asked), _Watched("state", TABLE.states, asked)
        play(found, case, Table(rows, states, TABLE.standing))
        for key in (*asked, ("standing", None)):
            cases.setdefault(key, []).append((len(asked), number))
    stories = {number for number, case in enumerate(found.cases) if case.steps[-1].line.file == "stories.txt"}
    cases["standing", None].sort(key=lambda one: (one[1] not in stories, one))
    return {
        key: [found.cases[number] for _, number in (these if key[0] == "standing" else sorted(these))]
        for key, these in cases.items()
    }


def row_mutants() -> Iterator[Mutant]:
    for key, row in TABLE.rows.items():
        lane, state, event = key
        words = f"{lane} ({state}, {event}) → {row.to} {list(row.commands)}"

        def altered(value: Row | None, key: Any = key) -> Table:
            return replace(TABLE, rows=_with(TABLE.rows, key, value))

        yield "row deleted", words, ("row", key), altered(None)
        for to in _targets(lane, state, row):
            yield "row redirected", f"{words}: to {to}", ("row", key), altered(replace(row, to=to))
        for at, command in enumerate(row.commands):
            fewer = row.commands[:at] + row.commands[at + 1 :]
            less = altered(replace(row, commands=fewer))
            yield "command dropped", f"{words}: without {command}", ("row", key), less
            for other in _other_commands(command):
                changed = altered(
                    replace(row, commands=row.commands[:at] + (other,) + row.commands[at + 1 :])
                )
                yield "command changed", f"{words}: {other}", ("row", key), changed
        more = altered(replace(row, commands=(*row.commands, "alarm duplicate-tags")))
        yield "command added", f"{words}: an alarm", ("row", key), more


def _targets(lane: str, state: str, row: Row) -> Iterator[str]:
    for name, spec in TABLE.states.items():
        if spec.only in ("", lane) and name not in (row.to, state if row.to == SAME else ""):
            yield name
    if row.to != SAME:
        yield SAME
    elif TABLE.states[state].limit:
        yield state  # the deadline starts anew


def _other_commands(command: str) -> tuple[str, ...]:
    verb, _, word = command.partition(" ")
    if verb == "alarm":
        kinds = list(ALARMS)
        return (f"alarm {kinds[(kinds.index(word) + 1) % len(kinds)]}",)
    if verb == "close":
        return (f"close {CLOSED_WHY[(CLOSED_WHY.index(word) + 1) % len(CLOSED_WHY)]}",)
    pairs = {"begin": "forget", "submit": "resubmit", "resubmit": "submit", "offer": "ask", "ask": "offer"}
    return (pairs[verb],) if verb in pairs else ()


def state_mutants() -> Iterator[Mutant]:
    for name, spec in TABLE.states.items():
        key = ("state", name)

        def altered(value: State, name: str = name) -> Table:
            return replace(TABLE, states=_with(TABLE.states, name, value))

        for lamps in ((), ("lamp_green",), ("lamp_red",), ("lamp_green", "lamp_red")):
            if lamps != spec.on:
                yield "lamp switched", f"{name}: {lamps}", key, altered(replace(spec, on=lamps))
        for limit in (*RANGES, None):
            if limit != spec.limit:
                yield "deadline changed", f"{name}: {limit}", key, altered(replace(spec, limit=limit))
        for screen in SCREENS:
            if screen != spec.screen:
                yield "screen changed", f"{name}: {screen}", key, altered(replace(spec, screen=screen))
        for flag in FLAGS:
            other = replace(spec, **{flag: not getattr(spec, flag)})
            yield "flag changed", f"{name}: {flag}", key, altered(other)


def standing_mutants() -> Iterator[Mutant]:
    order = TABLE.standing
    for at, name in enumerate(order):
        without = order[:at] + order[at + 1 :]
        yield "condition dropped", name, ("standing", None), replace(TABLE, standing=without)
        if at + 1 < len(order):  # only neighbours: any other order differs in one of these swaps
            moved = (*without[: at + 1], name, *without[at + 1 :])
            words = f"{name} after {order[at + 1]}"
            yield "condition moved", words, ("standing", None), replace(TABLE, standing=moved)


# -- what nobody could notice ------------------------------------------------------------------------

NEVER_TOGETHER = (
    {"crowd_on", "vacated"},
    {"crowd_on", "crowd_off"},
    {"occupied", "vacated"},
    {"shop_open", "shop_closed"},
    {"all_well", "no_inputs"},
    {"all_well", "no_reader"},
    *({"no_inputs", other} for other in ("crowd_on", "crowd_off", "vacated", "occupied")),
)
"""Conditions of which at most one can hold (firmware/portal/people.py, policy._holds)."""


def _free(holding: frozenset[str]) -> bool:
    return not any(pair <= holding for pair in NEVER_TOGETHER)


def _first(table: Table, lane: str, state: str, holding: frozenset[str]) -> str | None:
    for name in table.standing:
        row = table.rows.get((lane, state, name))
        if name in holding and row is not None and row.to != SAME:
            return name
    return None


def _alike(table: Table) -> bool:
    """Whatever holds, in whatever state: both orders choose the same row, or rows that are the same."""
    names = TABLE.standing
    for lane, state in product(LANES, TABLE.states):
        mine = [name for name in names if (lane, state, name) in TABLE.rows]
        for bits in product((False, True), repeat=len(mine)):
            holding = frozenset(name for name, on in zip(mine, bits, strict=True) if on)
            if not _free(holding):
                continue
            one, other = (_first(any_, lane, state, holding) for any_ in (TABLE, table))
            rows = [None if name is None else TABLE.rows[lane, state, name] for name in (one, other)]
            if rows[0] != rows[1] and not (state == "idle" and _same_ends(table, lane, state)):
                return False
    return True


def _same_ends(table: Table, lane: str, state: str) -> bool:
    return all(_ends(TABLE, lane, state, one) == _ends(table, lane, state, one) for one in _situations())


def _situations() -> Iterator[frozenset[str]]:
    """The standing conditions of every combination of inputs, reader, shop and people, with nothing open."""
    for known, reader, shop, inside, crowd in product((False, True), repeat=5):
        holding = {"shop_open" if shop else "shop_closed"}
        holding |= set() if reader else {"no_reader"}
        if known:
            holding.add("crowd_on" if crowd else "crowd_off")
            holding |= {"occupied"} if inside else set() if crowd else {"vacated"}
            holding |= {"all_well"} if reader else set()
        else:
            holding.add("no_inputs")
        yield frozenset(holding)


def _ends(table: Table, lane: str, state: str, holding: frozenset[str]) -> tuple[str, list[str]] | None:
    """Where the conditions lead from ``state``, and what is done on the way; None: they go round. Where
    nothing is open, closing does nothing, and to forget once is as good as twice."""
    done: list[str] = []
    for _ in range(16):
        name = _first(table, lane, state, holding)
        if name is None:
            return state, done
        row = table.rows[lane, state, name]
        done += [c for c in row.commands if not c.startswith("close") and c not in done]
        state = row.to
    return None


def _confluent(key: Key, table: Table) -> bool:
    """A row of a state in which nothing is open, and the conditions lead to the same in every situation."""
    lane, state, event = key[1]
    if TABLE.rows[key[1]].to == SAME or key[1] not in table.rows or table.rows[key[1]].to == SAME:
        return False
    if state != "starting":
        return False  # in all others something may be remembered
    mine, other = TABLE.rows[key[1]], table.rows[key[1]]
    if mine.commands != other.commands:
        return False
    for holding in _situations():
        if (event in TABLE.standing and event not in holding) or (
            event == "time_up" and "all_well" in holding
        ):
            continue
        one, two = _ends(TABLE, lane, mine.to, holding), _ends(table, lane, other.to, holding)
        if one is None or two is None or one[0] != two[0]:
            return False
        if [c for c in one[1] if c != "forget"] != [c for c in two[1] if c != "forget"]:
            return False
    return True


def refused(table: Table) -> bool:
    """The check at start does not let such a table run."""
    try:
        check(table)
    except ValueError:
        return True
    return False


def killed(found: Book, cases: list[Case], table: Table) -> bool:
    for case in cases:
        try:
            play(found, case, table)
        except Exception:  # a failed scenario or a crash of the policy: noticed either way
            return True
    return False


def main() -> int:
    began = time.process_time()
    found = book()
    by_key: Mapping[Key, list[Case]] = touched(found)
    dead: Counter[str] = Counter()
    spared: Counter[str] = Counter()
    alive: list[tuple[str, str]] = []
    for mutants in (row_mutants(), state_mutants(), standing_mutants()):
        for sort, words, key, table in mutants:
            if _alike(table) if key[0] == "standing" else key[0] == "row" and _confluent(key, table):
                spared[sort] += 1
            elif refused(table) or killed(found, by_key.get(key, []), table):
                dead[sort] += 1
            else:
                alive.append((sort, words))
    survived = Counter(sort for sort, _ in alive)
    print(f"{'mutation of the portal':24}{'killed':>8}{'equivalent':>12}{'survived':>10}")
    for sort in sorted({*dead, *spared, *survived}):
        print(f"{sort:24}{dead[sort]:8}{spared[sort]:12}{survived[sort]:10}")
    took = time.process_time() - began
    print(f"{'total':24}{dead.total():8}{spared.total():12}{survived.total():10}")
    rows, lanes = len(TABLE.rows), len(LANES)
    print(f"{len(found.cases)} scenarios, {rows} rows over {lanes} lanes, {took:.0f} s")
    for sort, words in alive:
        print(f"SURVIVED {sort}: {words}")
    if took > SECONDS:
        print(f"too slow: {took:.0f} s, limit {SECONDS:.0f} s")
    return 1 if alive or took > SECONDS else 0


if __name__ == "__main__":
    sys.exit(main())
