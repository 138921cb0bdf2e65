"""A raw-read log run again: today's decision over what the portal heard, and what became of each tag.

Opens no device and writes nothing. The recorded rules are used, not those of any board file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import msgspec

from firmware.portal.decision import Decision, DecisionRules
from firmware.portal.presence_weights import VERSION
from firmware.rawdecision import remember
from firmware.rawreads import EPC_FIELDS, VALUE_FIELDS
from firmware.rawstory import Declared, Gap, Judged, Noted, RawReadsError, Shown, Story
from firmware.wire.epc import EpcError, decode
from hal.ports import TagRead


@dataclass(frozen=True, slots=True)
class Turn:
    """One judgement at which a verdict changed. Seconds since the shopper came. ``recorded`` None: none."""

    at: float
    recorded: Mapping[str, Any] | None
    now: Mapping[str, Any]

    @property
    def differs(self) -> list[str]:
        """Names of the fields that differ."""
        if self.recorded is None:
            return []
        return [name for name in (*VALUE_FIELDS, *EPC_FIELDS) if self.recorded[name] != self.now[name]]


@dataclass(slots=True)
class Levels:
    """Reads of one tag on one antenna; levels in dBm, or the module's raw number."""

    reads: int = 0
    best: float = -1e9
    total: float = 0.0

    @property
    def mean(self) -> float:
        return self.total / max(1, self.reads)


@dataclass(slots=True)
class TagStory:
    """What became of one tag. ``place``: "in", "weak" or "stray", by this version and ``recorded``.

    ``first``, ``last``: seconds since the shopper came, None: never read, only shown by its code."""

    epc: bytes
    item: str
    place: str = "stray"
    recorded: str = "stray"
    why: str = ""
    raw: bool = False
    first: float | None = None
    last: float | None = None
    antennas: dict[int, Levels] = field(default_factory=dict)
    shown: bool = False

    @property
    def reads(self) -> int:
        return sum(levels.reads for levels in self.antennas.values())


@dataclass(slots=True)
class Outcome:
    """``turns``: where a verdict changed; ``difference``: the first judgement that came out otherwise."""

    story: Story
    tags: list[TagStory] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    difference: Turn | None = None
    judged: int = 0
    remarks: list[str] = field(default_factory=list)
    veto: frozenset[int] = frozenset()


def run_again(story: Story) -> Outcome:
    """Raises RawReadsError where the recorded rules are none that this version takes."""
    outcome = Outcome(story)
    rules = _rules(story.about.get("rules"), outcome.remarks)
    outcome.veto = rules.presence.veto
    decision = Decision(rules)
    remember(decision, story)
    decision.begin(story.begun)
    comparable = len(story.entries)
    if not story.complete:
        reads, others = story.left_out
        outcome.remarks.append(
            f"incomplete: the log was full, {reads} reads and {others} other entries after "
            "it are left out; verdicts are compared up to there"
        )
        reads_at = [number for number, entry in enumerate(story.entries) if isinstance(entry, TagRead)]
        comparable = reads_at[-1] if reads_at else 0
    recorded: Mapping[str, Any] | None = None
    now: Mapping[str, Any] = {}
    for number, entry in enumerate(story.entries):
        if isinstance(entry, Judged):
            before = now
            now = as_fields(decision.judge(entry.at))
            recorded = entry.verdict
            outcome.judged += 1
            turn = Turn(entry.at - story.begun, recorded, now)
            first = outcome.difference is None and bool(turn.differs) and number <= comparable
            if first:
                outcome.difference = turn
            if entry.changed or first or _other(before, now):
                outcome.turns.append(turn)
        else:
            _tell(decision, entry, outcome)
    if not outcome.judged:
        outcome.remarks.append("the decision was never asked: there is nothing to compare")
        now = as_fields(decision.judge(story.ended))
        outcome.turns.append(Turn(story.ended - story.begun, None, now))
    outcome.tags = _tags(story, rules, recorded, now)
    return outcome


def as_fields(verdict: Any) -> dict[str, Any]:
    """A verdict as a story has it."""
    return {name: getattr(verdict, name) for name in (*VALUE_FIELDS, *EPC_FIELDS, "unseen")}


def _other(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    return any(one.get(name) != two[name] for name in (*VALUE_FIELDS, *EPC_FIELDS))


def _tell(decision: Decision, entry: object, outcome: Outcome) -> None:
    begun = outcome.story.begun
    match entry:
        case TagRead():
            decision.add(entry)
        case Declared():
            decision.declare(entry.count)
            said = "took the count back" if entry.count is None else f"declared {entry.count} items"
            outcome.remarks.append(f"{entry.at - begun:.3f} s: the shopper {said}")
        case Shown():
            decision.add_item(entry.epc, entry.at)
            outcome.remarks.append(f"{entry.at - begun:.3f} s: {entry.epc.hex().upper()} shown by its code")
        case Gap():
            decision.gap(entry.begin, entry.end)
            span = f"{entry.begin - begun:.3f} to {entry.end - begun:.3f} s"
            outcome.remarks.append(f"{span}: the reader did not read")
        case Noted():
            outcome.remarks.append(f"{entry.at - begun:.3f} s: {entry.text}")


def _rules(recorded: Any, remarks: list[str]) -> DecisionRules:
    if not isinstance(recorded, dict):
        raise RawReadsError("it holds no rules of the decision")
    here = _names(DecisionRules())
    there = _names(recorded)
    for name in sorted(there - here):
        remarks.append(f"rule {name} is recorded, this version has none")
    for name in sorted(here - there):
        remarks.append(f"rule {name} is not recorded: this version's default is used")
    try:
        rules = msgspec.convert(recorded, DecisionRules)
    except (msgspec.ValidationError, ValueError) as error:
        raise RawReadsError(f"its rules are not usable here: {error}") from None
    if rules.presence.weights != VERSION:
        remarks.append(f"it was judged by tables {rules.presence.weights}; here they are {VERSION}")
    return rules


def _names(rules: Any, prefix: str = "") -> set[str]:
    if is_dataclass(rules):
        rules = {one.name: getattr(rules, one.name) for one in fields(rules)}
    if not isinstance(rules, dict):
        return {prefix.rstrip(".")}
    return {name for key, value in rules.items() for name in _names(value, f"{prefix}{key}.")}


def _tags(
    story: Story, rules: DecisionRules, recorded: Mapping[str, Any] | None, now: Mapping[str, Any]
) -> list[TagStory]:
    tags: dict[bytes, TagStory] = {}
    for entry in story.entries:
        if isinstance(entry, TagRead | Shown) and entry.epc not in tags:
            tags[entry.epc] = TagStory(entry.epc, in_words(entry.epc))
        if isinstance(entry, Shown):
            tags[entry.epc].shown = True
        elif isinstance(entry, TagRead):
            tag = tags[entry.epc]
            levels = tag.antennas.setdefault(entry.antenna, Levels())
            value = float(entry.rssi_raw) if entry.rssi_dbm is None else entry.rssi_dbm
            levels.reads += 1
            levels.total += value
            levels.best = max(levels.best, value)
            tag.raw = entry.rssi_dbm is None
            tag.last = entry.at - story.begun
            tag.first = tag.last if tag.first is None else tag.first
    for epc, tag in tags.items():
        tag.place = _place(now, epc)
        tag.recorded = tag.place if recorded is None else _place(recorded, epc)
        tag.why = _why(tag, _levels(story.levels.get(epc)), rules.presence.veto)
    order = {"in": 0, "weak": 1, "stray": 2}
    return sorted(tags.values(), key=lambda tag: (order[tag.place], -tag.reads, tag.epc))


def _place(verdict: Mapping[str, Any], epc: bytes) -> str:
    return "in" if epc in verdict["items"] else "weak" if epc in verdict["weak"] else "stray"


def _levels(remembered: Any) -> dict[int, float]:
    """Antenna to level, of what the decision remembered of a tag near by."""
    best = remembered.get("best") if isinstance(remembered, dict) else None
    return {int(port): float(level) for port, level in best.items()} if isinstance(best, dict) else {}


def _why(tag: TagStory, near: dict[int, float], veto: frozenset[int]) -> str:
    """What the decision had to go by, in words."""
    if tag.shown:
        return "shown by its code"
    unit = "" if tag.raw else " dB"
    inside = {port: levels.best for port, levels in tag.antennas.items() if port not in veto}
    outside = [levels.best for port, levels in tag.antennas.items() if port in veto]
    if not inside:
        return "heard only facing away"
    best = max(inside.values())
    if near:
        rise = max((level - near[port] for port, level in inside.items() if port in near), default=None)
        now = "" if rise is None else f", now {rise:+.0f}{unit}"
        return f"lay near at {max(near.values()):.0f}{now}"
    if outside:
        above = best - max(outside)
        return f"{abs(above):.0f}{unit} {'above' if above >= 0 else 'below'} facing away"
    return "not heard facing away" if veto else f"{best:.0f}{unit}{'' if tag.raw else 'm'} at best"


def in_words(epc: bytes) -> str:
    """What the EPC says of the item, in a few words."""
    try:
        known = decode(epc)
    except EpcError as error:
        return f"no item: {error}"
    if known.gtin14 is not None:
        return f"{known.gtin14} {known.serial}"
    return known.pure_uri or known.digital_link or known.scheme
