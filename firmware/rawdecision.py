"""The portal's decision with every word of it on record: hands on to it exactly what the log has.

Stands where a ``Decision`` stands. It must never decide: with a log that is full it goes on as without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite

import msgspec

from firmware.portal.decision import Decision, DecisionRules, Verdict
from firmware.portal.presence import Level
from firmware.rawreads import STEPS, RawReads, tick
from firmware.rawstory import RawReadsError, Story
from hal.ports import TagRead

FILLER = b"\x00near"
"""Stands for tags that lay near but were not read since: only their number matters."""


class RecordedDecision(Decision):
    """``about()`` gives what to find a log by, when a shopper comes; ``done(body)`` gets the log when the
    shopper has left, or the next one has come (``RawKeeper.keep`` it)."""

    def __init__(
        self,
        rules: DecisionRules | None = None,
        *,
        done: Callable[[bytes], None],
        about: Callable[[], Mapping[str, object]] = dict,
        raw: RawReads | None = None,
    ) -> None:
        super().__init__(rules)
        self.raw = raw if raw is not None else RawReads()
        self._about, self._done = about, done

    def begin(self, now: float) -> None:
        if self.raw.running:
            self._done(self.so_far(now))
        now = self.raw.begin(now, **{**self._about(), "rules": self.rules_now})
        for level in self._near._known.values():
            # In the log's own steps: a level that faded over time is long in binary and takes 6 bytes more.
            level.best = {port: round(best * STEPS) / STEPS for port, best in level.best.items()}
            level.last = tick(level.last) if isfinite(level.last) else level.last
        super().begin(now)

    def declare(self, count: int | None) -> None:
        super().declare(count)
        if self.raw.running:
            self.raw.declared(count)

    def add(self, read: TagRead) -> None:
        super().add(self.raw.read(read) if self.raw.running else read)

    def add_item(self, epc: bytes, now: float) -> None:
        super().add_item(epc, self.raw.shown(epc, now) if self.raw.running else now)

    def gap(self, begin: float, end: float) -> None:
        if self.raw.running:
            begin, end = self.raw.gap(begin, end)
        super().gap(begin, end)

    def judge(self, now: float) -> Verdict:
        if not self.raw.running:
            return super().judge(now)
        verdict = super().judge(self.raw.at(now))
        self.raw.verdict(verdict, now)
        return verdict

    def end(self, now: float) -> None:
        body = self.so_far(now)
        super().end(tick(now))
        self.raw.end()
        if body:
            self._done(body)

    def so_far(self, now: float) -> bytes:
        """The log until now, and recording goes on: keep it when a basket's record is written, so that a
        power cut before the shopper has left does not take it. Empty while nobody is there."""
        known = self._near._known
        self.raw.background(len(known), {epc: known[epc] for epc in self.raw.epcs if epc in known})
        return self.raw.so_far(now)


def remember(decision: Decision, story: Story) -> None:
    """Before ``begin``: let the decision know what it knew then of the tags that lay near.

    Raises RawReadsError where it remembers other things today."""
    known = decision._near._known
    for number in range(max(0, story.known - len(story.levels))):
        known[FILLER + number.to_bytes(4, "big")] = Level()
    for epc, remembered in story.levels.items():
        try:
            known[epc] = msgspec.convert(remembered, Level, str_keys=True)
        except msgspec.ValidationError as error:
            raise RawReadsError(f"what it knew of tags near by is not usable here: {error}") from None
