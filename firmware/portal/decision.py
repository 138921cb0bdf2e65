"""The basket: which tags are in the portal, and whether that is all. Pure.

Fed with every read; ``judge`` gives a verdict with a reason. It never says complete while a tag is neither in
nor out, while a declared count differs, or while more tags are to be expected than ``sure`` allows. It says
uncertain, with what to do, rather than guess. Memory is bounded and does not grow with the number of reads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from firmware.portal.presence import (
    CERTAIN,
    MAX_TAGS,
    Near,
    PresenceRules,
    Track,
    evidence,
    prior,
)
from firmware.portal.unseen import Experience, Unseen
from hal.ports import TagRead

MAX_DECLARED = 500
MATCH_MORE = 0.2
"""A declared count matches when fewer further items than this are expected, unread and weak ones."""


class Reason(NamedTuple):
    """``lines``: what the shopper reads, at most three short lines. ``hint``: for the technician."""

    lines: tuple[str, ...]
    hint: str


REASONS: dict[str, Reason] = {
    "reading": Reason(("Reading your items", "Please stand still"), "reads still come in, or may"),
    "complete": Reason(("All items read",), "no more tags are expected"),
    "count-matches": Reason(("All items read",), "as many tags as the shopper said"),
    "count-differs": Reason(
        ("The count differs", "Please count again", "or ask for help"),
        "tags read and items declared differ: a tag torn off or covered, or a wrong count",
    ),
    "missing": Reason(
        ("Some items may be missing", "Please turn your bag", "and wait"),
        "the reads make unread tags likely: metal, liquid or foil; antenna, power, reader rate",
    ),
    "weak": Reason(
        ("Not sure about an item", "Please hold your items", "in the middle"),
        "tags neither clearly inside nor outside: shelves too near, power too high, veto antenna missing",
    ),
    "spread": Reason(
        ("Please spread out", "your items"),
        "many tags are hardly heard: they lie on one another, or the reader is too slow for so many",
    ),
    "empty": Reason(
        ("No items read", "Nothing with you?", "Please come closer"),
        "no tag inside: an empty hand, or the antenna, its cable, power or region",
    ),
    "too-many": Reason(
        ("Too many items", "Please ask for help"), f"more than {MAX_TAGS} tags heard: strays, power too high"
    ),
    "no-reads": Reason(
        ("One moment please",), "the reader has stopped reporting: its own condition says why"
    ),
}


@dataclass(frozen=True, slots=True)
class DecisionRules:
    """Settings of a portal. Seconds unless said otherwise; ``RANGES`` bounds them. Raises ValueError.

    ``sure``: verdict complete when fewer unread tags than this are expected (0.005: one in 200 baskets).
    ``min_s``: never complete before. ``quiet_s``: nor within this time after a new tag. ``give_up_s``: then
    uncertain. ``empty_s``: nothing read for this long. ``hard``: expected share of hard tags,
    ``strays``: expected number of tags that pass by, both until there is experience.
    ``silence_s``: a longer pause of all reads is the reader's, not the tags'."""

    presence: PresenceRules = field(default_factory=PresenceRules)
    sure: float = 0.005
    min_s: float = 0.6
    quiet_s: float = 0.3
    give_up_s: float = 12.0
    empty_s: float = 2.5
    hard: float = 0.05
    strays: float = 1.0
    silence_s: float = 1.5
    judge_s: float = 0.1

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"portal decision {name} = {value:g}: must be {low:g} to {high:g}")


RANGES: dict[str, tuple[float, float]] = {
    "sure": (0.0001, 0.5),
    "min_s": (0.1, 10.0),
    "quiet_s": (0.0, 10.0),
    "give_up_s": (2.0, 120.0),
    "empty_s": (0.5, 60.0),
    "hard": (0.001, 0.5),
    "strays": (0.01, 50.0),
    "silence_s": (0.3, 10.0),
    "judge_s": (0.02, 1.0),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """``kind``: "collecting", "complete", "uncertain"; ``reason``: a key of ``REASONS``.

    ``items``: EPCs in the portal, sorted. ``weak``: neither sure in nor sure out. ``missing``: tags that are
    probably unread, rounded up (0 in a complete verdict); ``unseen``: the expected number of them.
    ``strays``: tags heard that are not in the portal. ``duplicates``: EPCs that more than one tag seems to
    carry. ``next_at``: judge again then, or earlier."""

    kind: str
    reason: str
    items: tuple[bytes, ...]
    weak: tuple[bytes, ...]
    missing: int
    unseen: float
    strays: int
    duplicates: tuple[bytes, ...]
    next_at: float


class Decision:
    """One portal's decision, one shopper after the other: ``begin``, reads, ``judge``..., ``end``."""

    def __init__(self, rules: DecisionRules | None = None) -> None:
        self.rules = rules if rules is not None else DecisionRules()
        self._near = Near(self.rules.presence)
        self._experience = Experience(self.rules.hard, self.rules.strays)
        self._clear(0.0)
        self._open = False

    def _clear(self, now: float) -> None:
        self._tracks: dict[bytes, Track] = {}
        self._alone: dict[bytes, float] = {}
        self._changed: set[bytes] = set()
        self._counted, self._swept = 0, now
        self._antennas: set[int] = set()
        self._unseen = Unseen(self._experience.hard)
        self._declared: int | None = None
        self._overflow = False
        self._began = self._since = now
        self._heard_s = 0.0
        self._heard_at = now
        self._last_read = now
        self._items: tuple[bytes, ...] = ()
        self._complete = False
        self._strays = 0

    @property
    def rules_now(self) -> DecisionRules:
        """The rules with what the baskets so far have taught: a decision made with them, told the same of one
        shopper, comes to the same verdicts."""
        known = self._experience
        return replace(self.rules, hard=max(0.001, known.hard), strays=min(50.0, max(0.01, known.strays)))

    # -- what happens --------------------------------------------------------------------------

    def background(self, read: TagRead) -> None:
        """A read while nobody is in the portal."""
        self._near.hear(read)

    def begin(self, now: float) -> None:
        """A shopper is in the portal."""
        self._near.came(now)
        self._clear(now)
        self._open = True

    def declare(self, count: int | None) -> None:
        """The shopper says how many items there are; None takes it back. Raises ValueError."""
        if count is not None and not 0 <= count <= MAX_DECLARED:
            raise ValueError(f"declared count {count!r}: must be 0 to {MAX_DECLARED}")
        self._declared = count

    def add(self, read: TagRead) -> None:
        """A read while the shopper is in the portal (before ``begin`` it is background)."""
        if not self._open:
            self.background(read)
            return
        self._pass(read.at)
        self._last_read = max(self._last_read, read.at)
        self._antennas.add(read.antenna)
        track = self._track(read.epc, read.at)
        if track is not None:
            track.add(read, self.rules.presence.veto)
            self._changed.add(read.epc)

    def add_item(self, epc: bytes, now: float) -> None:
        """The code of this item was shown to the portal's camera: it is here for certain."""
        track = self._track(epc, now)
        if track is not None:
            track.shown = True
            self._changed.add(epc)

    def gap(self, begin: float, end: float) -> None:
        """The reader was not reading from ``begin`` to ``end``: its silence then says nothing about tags."""
        self._pass(begin)
        self._heard_at = max(self._heard_at, end)
        self._last_read = max(self._last_read, end)

    def end(self, now: float) -> None:
        """The shopper has left, or paid: the next one begins anew."""
        self._near.left(frozenset(self._items), now)
        if self._items:
            looks = [self._tracks[epc].looks for epc in self._items if self._tracks[epc].looks]
            self._experience.learn(looks, self._heard_s, self._strays)
        self._clear(now)
        self._open = False

    def _track(self, epc: bytes, at: float) -> Track | None:
        track = self._tracks.get(epc)
        if track is None:
            if len(self._tracks) >= MAX_TAGS:
                self._overflow = True
                return None
            track = self._tracks[epc] = Track(at)
        return track

    def _pass(self, now: float) -> None:
        """Count the time in which the reader was listening, but not a pause of the reader itself."""
        passed = now - self._heard_at
        if passed > 0:
            self._heard_s += min(passed, self.rules.silence_s)
            self._heard_at = now

    # -- the verdict ---------------------------------------------------------------------------

    def judge(self, now: float) -> Verdict:
        """The verdict at ``now``. Costs O(tags); raises nothing."""
        rules = self.rules
        weights = self._sort()
        items: list[bytes] = []
        weak: list[bytes] = []
        strays = 0
        newest = self._began
        looks: dict[int, float] = {}
        # In an order of their own, or the sums would hang on the order of reads.
        for epc, track in sorted(self._tracks.items()):
            if track.state == "out":
                strays += 1
                continue
            (items if track.state == "in" else weak).append(epc)
            newest = max(newest, track.first)
            if track.looks:
                looks[track.looks] = looks.get(track.looks, 0.0) + weights[epc]
        waited = self._heard_s + min(max(0.0, now - self._heard_at), max(0.0, rules.silence_s))
        unseen = self._unseen.estimate(looks, waited)
        found, unsure = tuple(sorted(items)), tuple(sorted(weak))
        more = unseen + sum(weights[epc] for epc in unsure)
        kind, reason = self._decide(now, waited, newest, unseen, found, unsure, more)
        if kind == "complete" and unsure:
            # Only a count that matches closes with weak tags about: they are not the shopper's.
            strays, unsure = strays + len(unsure), ()
        if found != self._items:
            self._items, self._since = found, now if self._complete else self._since
        self._complete = kind == "complete"
        missing = 0 if kind == "complete" else math.ceil(unseen - rules.sure)
        if self._declared is not None and kind != "complete":
            missing = max(0, self._declared - len(found))
        duplicates = self._duplicates(found)
        # The longer it lasts the less changes in a moment.
        step = rules.judge_s * min(3.0, 1.0 + 0.2 * waited)
        return Verdict(kind, reason, found, unsure, max(0, missing), unseen, strays, duplicates, now + step)

    def _sort(self) -> dict[bytes, float]:
        """Every tag's state by its evidence and by what the others are; returns how much of it is inside."""
        rules = self.rules.presence
        heard = self._last_read
        antennas = len(self._antennas | rules.veto) or 1
        alone = self._alone
        changed, self._changed = self._changed, set()
        if antennas != self._counted or heard - self._swept >= 0.5:
            # Silence is evidence too, and so is a further antenna.
            changed, self._counted, self._swept = set(self._tracks), antennas, heard
        for epc in changed:
            alone[epc] = evidence(self._tracks[epc], self._near.heard(epc), rules, antennas, heard)
        inside = strays = near_now = 0
        for epc, nats in alone.items():
            if nats >= 2.0:
                inside += 1
            elif nats <= -2.0:
                if self._near.heard(epc) is None:
                    strays += 1
                else:
                    near_now += 1
        self._strays = strays
        base = prior(inside, strays + self._experience.strays, near_now)
        weights: dict[bytes, float] = {}
        for epc, nats in alone.items():
            track = self._tracks[epc]
            total = nats if abs(nats) >= CERTAIN else nats + base
            sure_in = (rules.sure_in if rules.veto else rules.level_in) - (
                rules.hold if track.state == "in" else 0.0
            )
            sure_out = rules.sure_out + (rules.hold if track.state == "out" else 0.0)
            track.state = "in" if total >= sure_in else "out" if total <= sure_out else "weak"
            weights[epc] = 1.0 if track.state == "in" else 1.0 / (1.0 + math.exp(-max(-30.0, total)))
        return weights

    def _decide(
        self,
        now: float,
        waited: float,
        newest: float,
        unseen: float,
        found: tuple[bytes, ...],
        weak: tuple[bytes, ...],
        more: float,
    ) -> tuple[str, str]:
        rules = self.rules
        if self._overflow:
            return "uncertain", "too-many"
        settled = waited >= rules.min_s and now - newest >= rules.quiet_s
        late = now - self._since >= rules.give_up_s
        if self._declared is not None:
            # On the way to more a smaller count is passed: it must look like the end, if not surely.
            if settled and len(found) == self._declared and found and more < MATCH_MORE:
                return "complete", "count-matches"
            if settled and not weak and (late or (unseen < rules.sure and len(found) > self._declared)):
                return "uncertain", "count-differs"
        elif settled and found and not weak and unseen < rules.sure:
            return "complete", "complete"
        if not late:
            if not found and not weak and now - self._began >= rules.empty_s:
                return "uncertain", "empty"
            return "collecting", "reading"
        if now - self._last_read > max(3.0, 2 * rules.silence_s) and (found or weak):
            return "uncertain", "no-reads"
        if weak:
            return "uncertain", "weak"
        if not found:
            return "uncertain", "empty"
        if self._declared is not None:
            return "uncertain", "count-differs"
        return "uncertain", "spread" if unseen > max(2.0, 0.1 * len(found)) else "missing"

    def _duplicates(self, found: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Two PC words under one EPC are two tags; so is one that answers far more often than any other can
        (a tag answers once a round, and all those heard well answer about equally often)."""
        counts = sorted(self._tracks[epc].reads for epc in found)
        limit = math.inf
        if len(counts) >= 4:
            usual = counts[-1 - max(1, len(counts) // 8)]
            limit = 1.5 * usual + 3.0 * math.sqrt(usual)
        return tuple(
            epc for epc in found if len(self._tracks[epc].pcs) > 1 or self._tracks[epc].reads > limit
        )
