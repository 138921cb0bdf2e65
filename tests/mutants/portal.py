"""Mutation run of the portal: ``python -m tests.mutants.portal``; exit 1 when a mutant survives.

Every row of the table is deleted, sent to every other state, loses, doubles or exchanges each command; every
state's lamps, deadline, screen and flags are altered, the standing conditions dropped and moved. The
scenarios must notice, or a proof must say that nobody could: a state that is never left by time alone may
have any order of conditions that never hold together (``_alike``); there is no list of excuses.

A mutant runs only against scenarios that touched the altered entry in the unaltered run: the policy is
deterministic, so the others cannot differ.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import chain, islice, product
from typing import NamedTuple

from firmware.portal.alarms import ALARMS, EVERY_S
from firmware.portal.table import LANES, SAME, TABLE, Row, State, Table, check
from firmware.portal.timing import RANGES
from firmware.wire.record_types import CLOSED_WHY
from tests.mutants.rows import Key, Mutant, Watched, row_mutants, with_entry
from tests.support.portalplayer import book, play
from tests.support.scenario import Book, Case

EXTRAS = ("alarm duplicate-tags",)
PROCESSES = 2
SECONDS = 200.0  # of processor time for the whole run; more is reported as a failure
SCREENS = sorted({state.screen for state in TABLE.states.values()})
FLAGS = ("reads", "submitted", "visits", "rest")


def touched(found: Book) -> dict[Key, list[Case]]:
    """Entry of the table → cases that asked for it, those first that asked for little else: they are about
    it. Raises when a case fails."""
    cases: dict[Key, list[tuple[int, int]]] = {}
    for number, case in enumerate(found.cases):
        asked: set[Key] = set()
        rows, states = Watched("row", TABLE.rows, asked), Watched("state", TABLE.states, asked)
        play(found, case, Table(rows, states, TABLE.standing))
        for key in (*asked, ("standing", None)):
            cases.setdefault(key, []).append((len(asked), number))
    stories = {number for number, case in enumerate(found.cases) if case.steps[-1].line.file == "stories.txt"}
    cases["standing", None].sort(key=lambda one: (one[1] not in stories, one))
    return {
        key: [found.cases[number] for _, number in (these if key[0] == "standing" else sorted(these))]
        for key, these in cases.items()
    }


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
            return replace(TABLE, states=with_entry(TABLE.states, name, value))

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

EMPTY = ("starting", "blind", "no-reader", "closed", "crowded", "packed")
"""States in which nothing is open, and nothing remembered of a shopper."""
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
    return all(_ends(TABLE, lane, state, one) == _ends(table, lane, state, one) for one in SITUATIONS)


def _situations() -> Iterator[frozenset[str]]:
    """The standing conditions of every combination of inputs, reader, shop and people, with nothing open."""
    for known, reader, shop, inside, near, crowd in product((False, True), repeat=6):
        holding = {"shop_open" if shop else "shop_closed"}
        holding |= set() if reader else {"no_reader"}
        if known:
            holding.add("crowd_on" if crowd else "crowd_off")
            holding |= {"occupied"} if inside else set() if crowd or near else {"vacated"}
            holding |= {"all_well"} if reader else set()
        else:
            holding.add("no_inputs")
        yield frozenset(holding)


SITUATIONS = tuple(set(_situations()))


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
    """A row that leaves nothing behind leads elsewhere, and the conditions lead on from there to the same, at
    once and with the same done, in every situation in which the row can be taken."""
    lane, state, event = key[1]
    mine, other = TABLE.rows[key[1]], table.rows.get(key[1])
    if other is None or SAME in (mine.to, other.to) or mine.commands != other.commands:
        return False
    if state not in EMPTY and "forget" not in mine.commands:
        return False
    for holding in SITUATIONS:
        if event in TABLE.standing:
            if _first(TABLE, lane, state, holding) != event:
                continue
        elif state == "starting" and event == "time_up" and "all_well" in holding:
            continue
        one, two = _ends(TABLE, lane, mine.to, holding), _ends(table, lane, other.to, holding)
        if one is None or two is None or one[0] != two[0]:
            return False
        if _new(one[1], mine) != _new(two[1], mine):
            return False
    return True


def _new(commands: list[str], row: Row) -> list[str]:
    """What they do behind ``row``: an alarm that it has just rung is not written again."""
    rung = {f"alarm {kind}" for kind in EVERY_S} & set(row.commands)
    return [command for command in commands if command != "forget" and command not in rung]


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


class _Result(NamedTuple):
    dead: Counter[str]
    spared: Counter[str]
    alive: list[tuple[str, str]]
    seconds: float


def _part(part: int) -> _Result:
    """Every mutant whose number leaves ``part`` when it is divided by ``PROCESSES``."""
    began = time.process_time()
    result = _Result(Counter(), Counter(), [], 0.0)
    found = book()
    by_key: Mapping[Key, list[Case]] = touched(found)
    mutants = chain(row_mutants(TABLE, _other_commands, EXTRAS), state_mutants(), standing_mutants())
    for sort, words, key, table in islice(mutants, part, None, PROCESSES):
        if _alike(table) if key[0] == "standing" else key[0] == "row" and _confluent(key, table):
            result.spared[sort] += 1
        elif refused(table) or killed(found, by_key.get(key, []), table):
            result.dead[sort] += 1
        else:
            result.alive.append((sort, words))
    return result._replace(seconds=time.process_time() - began)


def main() -> int:
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(_part, range(PROCESSES)))
    dead = sum((one.dead for one in parts), Counter[str]())
    spared = sum((one.spared for one in parts), Counter[str]())
    alive = [named for one in parts for named in one.alive]
    took = sum(one.seconds for one in parts)
    survived = Counter(sort for sort, _ in alive)
    print(f"{'mutation of the portal':24}{'killed':>8}{'equivalent':>12}{'survived':>10}")
    for sort in sorted({*dead, *spared, *survived}):
        print(f"{sort:24}{dead[sort]:8}{spared[sort]:12}{survived[sort]:10}")
    print(f"{'total':24}{dead.total():8}{spared.total():12}{survived.total():10}")
    print(f"{len(book().cases)} scenarios, {len(TABLE.rows)} rows over {len(LANES)} lanes, {took:.0f} s")
    for sort, words in alive:
        print(f"SURVIVED {sort}: {words}")
    if took > SECONDS:
        print(f"too slow: {took:.0f} s, limit {SECONDS:.0f} s")
    return 1 if alive or took > SECONDS else 0


if __name__ == "__main__":
    sys.exit(main())
