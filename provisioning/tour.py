"""Performs the tour before the simulated gate and compares three witnesses: script, gate and ledger.

The gate's answers are its records as any monitor sees them pass; the ledger is read by plain SQL; the lane's
own tally counts who really went through. A difference is said loudly and makes the exit code 1.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hal.sim import scene
from provisioning.ledger_view import LedgerView
from provisioning.listener import Listener, Seen
from provisioning.outcomes import answer, in_words, ledger_row, outcome, sentence
from provisioning.rundir import BOARD
from provisioning.tour_script import Step
from provisioning.world_client import WorldClient

SETTLE_S = 20.0
"""The lane must be empty and the leaf closed so long after a step's records."""
REARM_S = 1.1
"""Nothing is shown for so long between codes, so that the next one counts as newly shown."""
LEDGER_S = 15.0
"""The last record must be in the ledger after so long."""


@dataclass
class Result:
    """What one step brought. ``rows``: the ledger's rows for its records, ``wrong``: why they differ."""

    step: Step
    records: list[Seen] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def seen(self) -> Counter[str]:
        return Counter(outcome(one.record) for one in self.records)


class Tour:
    """``perform`` each step, then ``compare`` and ``table``."""

    def __init__(
        self,
        console: Console,
        world: WorldClient,
        listener: Listener,
        scene_file: Path,
        pause_s: float,
    ) -> None:
        self._console = console
        self._world = world
        self._listener = listener
        self._scene = scene_file
        self._pause_s = pause_s
        self._began = time.monotonic()
        self.results: list[Result] = []

    def perform(self, step: Step) -> None:
        result = Result(step)
        self.results.append(result)
        before = self._lane()
        self.say("you", step.title)
        if step.code is not None:
            self._show(scene.render(step.code(time.time())))
            self.collect(result, lambda: bool(result.records), step.limit_s)
            self._world.ask(show=None)
        cleared = time.monotonic()
        if step.walk is not None and result.seen["admitted"]:
            self._world.ask(walk=dict(step.walk))
        if step.tags:
            self._world.ask(tags=list(step.tags))
        if step.fire:
            self._world.ask(fire=True)
        expected = Counter(step.expect)
        self.collect(result, lambda: result.seen >= expected, step.limit_s)
        if step.tags:
            self._world.ask(tags=[])
        if step.fire:
            self._end_fire(result)
        else:
            self.collect(result, self._at_rest, SETTLE_S)
            self._count_people(result, before)
        self.collect(result, lambda: False, max(self._pause_s, cleared + REARM_S - time.monotonic()))

    def rest(self) -> None:
        """A pause for reading."""
        time.sleep(self._pause_s)

    def compare(self, ledger: LedgerView) -> bool:
        """Hold the results against the ledger; True when everything is equal."""
        sent = {(one.epoch, one.seq): one for result in self.results for one in result.records}
        deadline = time.monotonic() + LEDGER_S
        while time.monotonic() < deadline and any(ledger.body(*key) is None for key in sent):
            time.sleep(0.05)
        for result in self.results:
            self._compare_one(result, ledger)
        return not any(result.wrong for result in self.results)

    def table(self) -> Table:
        """shown / gate / why / in the ledger."""
        table = Table(title="What was done, what the boards did, what the shop has", title_justify="left")
        for name in ("", "done", "the board", "why", "in the ledger", ""):
            table.add_column(name)
        for number, result in enumerate(self.results, 1):
            did, why = answer(result.seen)
            mark = "[green]=[/green]" if not result.wrong else "[bold red]NOT EQUAL[/bold red]"
            table.add_row(str(number), result.step.title, did, why, in_words(result.rows), mark)
        return table

    def summary(self) -> str:
        """The closing sentence."""
        shown = sum(result.step.code is not None for result in self.results)
        opened = sum(bool(result.seen["admitted"]) for result in self.results)
        records = sum(len(result.records) for result in self.results)
        wrong = [f"{result.step.title}: {reason}" for result in self.results for reason in result.wrong]
        counts = f"{shown} codes shown, {opened} opened, {shown - opened} refused; {records} records"
        if wrong:
            return f"[bold red]NOT EQUAL[/bold red]: {counts}. " + "; ".join(wrong)
        return f"[green]Equal[/green]: {counts}, each in the ledger once, byte for byte."

    def _compare_one(self, result: Result, ledger: LedgerView) -> None:
        expected = Counter(result.step.expect)
        if result.seen != expected:
            result.wrong.append(f"expected {_counts(expected)}, the board made {_counts(result.seen)}")
        if (fault := result.step.fault([one.record for one in result.records])) is not None:
            result.wrong.append(fault)
        for one in result.records:
            name = outcome(one.record)
            body = ledger.body(one.epoch, one.seq)
            rows = ledger.rows(one.epoch, one.seq)
            result.rows += rows
            if body is None:
                result.wrong.append(f"record {one.seq} ({name}) is not in the ledger")
            elif body != one.body:
                result.wrong.append(f"record {one.seq} ({name}) has other bytes in the ledger")
            elif rows != [ledger_row(name)]:
                result.wrong.append(f"record {one.seq} ({name}) became {in_words(rows)}")

    # -- the gate and the lane ---------------------------------------------------------------------

    def _show(self, picture: Any) -> None:
        scene.write_scene(self._scene, picture)
        self._world.ask(show=str(self._scene))

    def _end_fire(self, result: Result) -> None:
        self.collect(result, lambda: self._lane()["outputs"].get("release", False), 5.0)
        released = self._lane()["outputs"].get("release", False)
        if not released:
            result.wrong.append("the lock was not released")
        self.collect(result, lambda: False, self._pause_s)
        self._world.ask(fire=False)

    def _count_people(self, result: Result, before: dict[str, Any]) -> None:
        """The lane's own tally of who went in, against the gate's records."""
        lane, seen = self._lane(), result.seen
        went_in = lane["entered"] - before["entered"]
        told = seen["passed"] + seen["alarm tailgate"]
        if went_in != told:
            result.wrong.append(f"{went_in} people went in, the gate recorded {told}")
        if lane["struck"] != before["struck"]:
            result.wrong.append("the leaf was driven into somebody")

    def _at_rest(self) -> bool:
        lane = self._lane()
        return not lane["people"] and not lane["moving"] and bool(lane["inputs"]["leaf"])

    def _lane(self) -> dict[str, Any]:
        lane: dict[str, Any] = self._world.ask(status=True)["lane"]
        return lane

    def collect(self, result: Result, enough: Callable[[], bool], limit_s: float, board: str = BOARD) -> None:
        """Take ``board``'s records until ``enough`` or for ``limit_s``; each is told as it comes."""
        deadline = time.monotonic() + limit_s
        while not enough() and time.monotonic() < deadline:
            seen = self._listener.next(min(0.05, max(0.0, deadline - time.monotonic())))
            if seen is not None and seen.board == board:
                result.records.append(seen)
                self.say(board, sentence(seen.record))

    def say(self, who: str, text: str) -> None:
        at = f"{time.monotonic() - self._began:5.1f} s"
        style = "bold" if who == "you" else ""
        arrow = "→" if who == "you" else " ←"
        self._console.print(
            f"{at} {arrow} {text}", style=style, markup=False, highlight=False, soft_wrap=True
        )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{n} × {name}" for name, n in sorted(counter.items())) or "nothing"
