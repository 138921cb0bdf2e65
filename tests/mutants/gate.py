"""Mutation run of the gate: ``python -m tests.mutants.gate``; exit 1 when a mutant survives.

Every row of the table is deleted, sent to every other state, made to keep or restart the deadline, loses
or exchanges each command; every state's outputs, deadline, screen and refusal are altered, the standing
conditions, the ends of alarms and the rows of the beams too.  The scenarios must notice.

A mutant that acts alike in every situation the gate can get into (exhaustive search,
``tests.support.gatemodel``) is equivalent: nobody could notice it; there is no list of excuses.
A mutant runs only against scenarios that touched the altered entry in the unaltered run: the gate is
deterministic, so the others cannot differ.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from firmware.gate.facts import ALARMS, SCREENS
from firmware.gate.table import LANES, TABLE, State, Table
from firmware.gate.timing import RANGES
from hal.ports import OUTPUTS
from tests.mutants.rows import Key, Mutant, Watched, row_mutants, with_entry
from tests.support.gatemodel import Model, same_steps
from tests.support.player import play
from tests.support.scenario import Book, Case, load

EXTRAS = ("alarm tailgate", "annul not-used")
SECONDS = 110.0  # of processor time for the whole run; more is reported as a failure


def touched(book: Book) -> dict[Key, list[Case]]:
    """Entry of the table → cases that asked for it, quickest first. Raises when a case fails."""
    cases: dict[Key, list[tuple[float, int]]] = {}
    for number, case in enumerate(book.cases):
        asked: set[Key] = set()
        table = Table(
            rows=Watched("row", TABLE.rows, asked),
            states=Watched("state", TABLE.states, asked),
            standing=TABLE.standing,
            ends=Watched("ends", TABLE.ends, asked),
            steps=Watched("step", TABLE.steps, asked),
        )
        began = time.perf_counter()
        play(book, case, table)
        took = time.perf_counter() - began
        for key in asked:
            cases.setdefault(key, []).append((took, number))
        cases.setdefault(("standing", None), []).append((took, number))
    return {key: [book.cases[number] for _, number in sorted(found)] for key, found in cases.items()}


def _other_commands(command: str) -> tuple[str, ...]:
    verb, _, word = command.partition(" ")
    if verb == "alarm":
        kinds = list(ALARMS)
        return (f"alarm {kinds[(kinds.index(word) + 1) % len(kinds)]}",)
    if verb == "annul":
        return ("annul wrong", f"annul-in {word}") if word != "operator" else ("annul wrong",)
    if verb == "annul-in":
        return (f"annul {word}", "annul-in wrong")
    return ("count-free",) if verb == "count" else ()


def state_mutants() -> Iterator[Mutant]:
    for name, spec in TABLE.states.items():

        def altered(value: State, name: str = name) -> Table:
            return replace(TABLE, states=with_entry(TABLE.states, name, value))

        key = ("state", name)
        for output in OUTPUTS:
            on = tuple(o for o in spec.on if o != output) if output in spec.on else (*spec.on, output)
            if spec.only == "hand" and output.startswith("motor_"):
                continue  # a lane without a motor has no such output
            if output in spec.keeps:
                yield "output switched", f"{name}: not kept {output}", key, altered(replace(spec, keeps=()))
                continue
            yield "output switched", f"{name}: {output}", key, altered(replace(spec, on=on))
        for limit in (*RANGES, None):
            if limit != spec.limit:
                yield "deadline changed", f"{name}: {limit}", key, altered(replace(spec, limit=limit))
        for screen in SCREENS:
            if screen != spec.screen:
                yield "screen changed", f"{name}: {screen}", key, altered(replace(spec, screen=screen))
        for refuses in ("gate-fault", "fire", None):
            if refuses != spec.refuses:
                yield "refusal changed", f"{name}: {refuses}", key, altered(replace(spec, refuses=refuses))
        if spec.refuses:
            yield "refusal changed", f"{name}: out_ok", key, altered(replace(spec, out_ok=not spec.out_ok))
        for goal in ("away", "shut", None):
            if spec.limit and goal != spec.goal:
                yield "goal changed", f"{name}: {goal}", key, altered(replace(spec, goal=goal))


def other_mutants() -> Iterator[Mutant]:
    order = TABLE.standing
    for at, name in enumerate(order):
        without = order[:at] + order[at + 1 :]
        yield "condition dropped", name, ("standing", None), replace(TABLE, standing=without)
        for to in range(at + 1, len(order)):
            moved = (*without[:to], name, *without[to:])
            yield (
                "condition moved",
                f"{name} after {order[to]}",
                ("standing", None),
                replace(TABLE, standing=moved),
            )
    for fact, kinds in TABLE.ends.items():
        for kind in kinds:
            rest = tuple(k for k in kinds if k != kind)
            table = replace(TABLE, ends=with_entry(TABLE.ends, fact, rest))
            yield "alarm never over", f"{kind} at {fact}", ("ends", fact), table
    places = sorted({place for place, _ in TABLE.steps})
    for key, (to, facts) in TABLE.steps.items():
        words = f"{key} → {to} {list(facts)}"
        for place in places:
            if place != to:
                table = replace(TABLE, steps=with_entry(TABLE.steps, key, (place, facts)))
                yield "beam step redirected", f"{words}: to {place}", ("step", key), table
        table = replace(TABLE, steps=with_entry(TABLE.steps, key, None))
        yield "beam step deleted", words, ("step", key), table
        for changed in _other_facts(facts):
            table = replace(TABLE, steps=with_entry(TABLE.steps, key, (to, changed)))
            yield "beam fact changed", f"{words}: {list(changed)}", ("step", key), table


def _other_facts(facts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for fact in ("in", "out"):
        yield (*facts, fact)
        if facts and facts != (fact,):
            yield (fact,)
    if facts and facts != ("back",):
        yield facts[1:]


def equivalent(models: Mapping[str, Model], key: Key, table: Table) -> bool:
    """Proved by exhaustive search: no sequence of events can tell ``table`` from the real one."""
    part, entry = key
    if part == "row":
        lane, state, event = entry
        return models[lane].same(state, event, table)
    if part == "step":
        return same_steps(TABLE.steps, table.steps)
    if part == "standing":
        return all(model.same_standing(table) for model in models.values())
    if part == "state":
        goal = table.states[entry].goal
        changed = replace(TABLE.states[entry], goal=goal)
        lanes = (changed.only,) if changed.only else LANES
        return table.states[entry] == changed and all(
            models[lane].met_goal(entry, goal) and models[lane].met_goal(entry, TABLE.states[entry].goal)
            for lane in lanes
        )
    return False


def killed(book: Book, cases: list[Case], table: Table) -> bool:
    for case in cases:
        try:
            play(book, case, table)
        except Exception:  # a failed scenario or a crash of the gate: noticed either way
            return True
    return False


def main() -> int:
    began = time.process_time()
    book = load()
    by_key = touched(book)
    models = {lane: Model(TABLE, lane) for lane in LANES}
    dead: Counter[str] = Counter()
    spared: Counter[str] = Counter()
    alive: list[tuple[str, str]] = []
    for mutants in (row_mutants(TABLE, _other_commands, EXTRAS), state_mutants(), other_mutants()):
        for sort, words, key, table in mutants:
            if killed(book, by_key.get(key, []), table):
                dead[sort] += 1
                continue
            if equivalent(models, key, table):
                spared[sort] += 1
            else:
                alive.append((sort, words))
    survived = Counter(sort for sort, _ in alive)
    print(f"{'mutation of the gate':24}{'killed':>8}{'equivalent':>12}{'survived':>10}")
    for sort in sorted({*dead, *spared, *survived}):
        print(f"{sort:24}{dead[sort]:8}{spared[sort]:12}{survived[sort]:10}")
    took = time.process_time() - began
    print(f"{'total':24}{dead.total():8}{spared.total():12}{survived.total():10}")
    print(
        f"{len(book.cases)} scenarios, {len(TABLE.rows)} rows over {len(LANES)} kinds of lane, {took:.0f} s"
    )
    for sort, words in alive:
        print(f"SURVIVED {sort}: {words}")
    if took > SECONDS:
        print(f"too slow: {took:.0f} s, limit {SECONDS:.0f} s")
    return 1 if alive or took > SECONDS else 0


if __name__ == "__main__":
    sys.exit(main())
