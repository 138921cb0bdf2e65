"""The raw-read log of one shopper: every tag read in the portal and all that the decision was told and said.

To settle a dispute (these 14 tags, this strong, this often) and to run the decision again. The recorder costs
a few microseconds a read on the loop; compressing is a worker's (``rawstory.pack``). Times are kept in ticks
of 1/1024 s and levels in quarter dB, both exact as floats: what the recorder hands back is what a replay will
see, so the decision must be given that. No file, clock or thread in here. Bounded: what no longer fits is
counted, and the log says that it is incomplete.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from enum import Enum
from math import ceil
from typing import Any

import cbor2

from hal.ports import TagRead

VERSION = 1
TICKS = 1024
"""Ticks in a second: a power of two, so that a tick is an exact float."""
STEPS = 4
"""Steps in a decibel."""
FIRST_LEVEL = -60 * STEPS
MAX_READS = 100_000
"""About 7 minutes at 240 reads/s, and 0.6 MB of memory."""
MAX_TAGS = 2_000
MAX_EVENTS = 20_000
EPC_FIELDS = ("items", "weak", "duplicates")
VALUE_FIELDS = ("kind", "reason", "missing", "strays")
"""What makes a verdict another one. ``unseen`` is kept beside it; when to look again is not."""

SAME, VERDICT, DECLARED, SHOWN, NOTE, GAP = range(6)
"""Event codes. ``SAME``: judged again, the verdict has not changed."""

Plain = None | bool | int | float | str | bytes | list["Plain"] | dict[str, "Plain"]


def tick(now: float) -> float:
    """``now`` as the log keeps it: never earlier, at most 1/1024 s later. Give this to the decision."""
    return ceil(now * TICKS) / TICKS


def plain(value: Any) -> Plain:
    """A rule or a fact about the board as plain data, the same for equal values.

    Raises TypeError for what has no plain form."""
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, set | frozenset):
        return [plain(part) for part in sorted(value)]
    if isinstance(value, Iterable):
        return [plain(part) for part in value]
    raise TypeError(f"a {type(value).__name__} has no plain form")


class RawReads:
    """Records one shopper at a time, on the loop's thread: ``begin`` ... ``end``. What comes after the log
    was full is only counted."""

    def __init__(
        self,
        *,
        phase: bool = False,
        max_reads: int = MAX_READS,
        max_tags: int = MAX_TAGS,
        max_events: int = MAX_EVENTS,
    ) -> None:
        """``phase``: keep it too, where the module reports it (one byte a read; no decision uses it)."""
        self._keep_phase = phase
        self._max_reads, self._max_tags, self._max_events = max_reads, max_tags, max_events
        self.running = False
        self._clear()

    def _clear(self) -> None:
        self._about: dict[str, Any] = {}
        self._begun = self._last = 0
        self._tags: list[tuple[bytes, int]] = []
        self._numbers: dict[bytes, int] = {}  # EPC to its place in _tags, from 1
        self._twins: dict[tuple[bytes, int], int] = {}
        self._contexts: dict[tuple[int, int | None, int | None, int, bool], int] = {}
        self._levels_before: dict[int, int] = {}
        self._events: list[Any] = []
        self._verdict: tuple[list[Any], list[tuple[bytes, ...]]] | None = None
        self.reads = 0
        self.left_out = [0, 0]
        """Reads, and other entries, that came after the log was full."""
        self._ops, self._gaps, self._where = bytearray(), bytearray(), bytearray()
        self._levels, self._phase, self._phase_high = bytearray(), bytearray(), bytearray()

    def begin(self, now: float, *, rules: object, **about: object) -> float:
        """A shopper has come: what the decision works with. Returns ``now`` as kept.

        ``rules``: the decision's rules (a dataclass or a mapping); ``about``: plain values to find the log by
        (board, version, wall_ms ...)."""
        self._clear()
        self.running = True
        self._begun = self._last = ceil(now * TICKS)
        self._about = {
            **{name: plain(value) for name, value in about.items()},
            "rules": plain(rules),
            "background": [0],
        }
        return self._begun / TICKS

    def read(self, read: TagRead) -> TagRead:
        """One tag report. Returns it as kept: give that one to the decision."""
        number = self._numbers.get(read.epc, 0)
        if not number or self._tags[number - 1][1] != read.pc:
            number = self._number(read.epc, read.pc)
        if self.reads >= self._max_reads or not number or not self.running:
            self.left_out[0] += 1
            return read
        self.reads += 1
        at = ceil(read.at * TICKS)
        gap = at - self._last
        if gap < 0:  # stamped before what was told since
            at, gap = self._last, 0
        self._last = at
        dbm, raw, antenna = read.rssi_dbm, read.rssi_raw, read.antenna
        phase = read.phase if self._keep_phase else None
        if dbm is None:
            level, offset = raw, None
        else:
            level = round(dbm * STEPS)
            offset = raw - level // STEPS
        where = (antenna, read.freq_khz, offset, read.read_count, phase is None)
        context = self._contexts.get(where)
        if context is None:
            context = self._contexts[where] = len(self._contexts)
        key = number << 8 | antenna
        change = level - self._levels_before.get(key, FIRST_LEVEL)
        self._levels_before[key] = level
        change = change << 1 if change >= 0 else ~(change << 1)
        # Nearly always one byte each; the general form costs a call.
        if number < 128:
            self._ops.append(number)
        else:
            _varint(self._ops, number)
        if gap < 128:
            self._gaps.append(gap)
        else:
            _varint(self._gaps, gap)
        if context < 128:
            self._where.append(context)
        else:
            _varint(self._where, context)
        if change < 128:
            self._levels.append(change)
        else:
            _varint(self._levels, change)
        if phase is not None:
            self._phase.append(phase & 0xFF)
            self._phase_high.append(phase >> 8 & 0xFF)
        if at == read.at * TICKS and phase == read.phase and (dbm is None or level == dbm * STEPS):
            return read
        return TagRead(
            read.epc,
            read.pc,
            antenna,
            None if dbm is None else level / STEPS,
            raw,
            at / TICKS,
            phase,
            read.freq_khz,
            read.read_count,
        )

    def declared(self, count: int | None, now: float | None = None) -> float:
        """The shopper said how many items, or took it back. ``now`` None: with what was told last.

        Returns ``now`` as kept; so do the others."""
        return self._event(now, [DECLARED, count])

    def shown(self, epc: bytes, now: float) -> float:
        """An item was shown by its code."""
        return self._event(now, [SHOWN, epc])

    def note(self, text: str, now: float) -> float:
        """Something else that explains the basket: the reader was lost, a second person came."""
        return self._event(now, [NOTE, text[:200]])

    def gap(self, begin: float, end: float) -> tuple[float, float]:
        """The reader was not reading between the two. Returns both as kept."""
        span = ceil(begin * TICKS), ceil(end * TICKS)
        self._event(None, [GAP, *(at - self._begun for at in span)])
        return span[0] / TICKS, span[1] / TICKS

    def verdict(self, verdict: Any, now: float) -> float:
        """The decision has judged at ``tick(now)``. Call it each time, changed or not. ``verdict`` has the
        attributes ``EPC_FIELDS`` (tuples of EPCs), ``VALUE_FIELDS`` and ``unseen``."""
        values = [getattr(verdict, name) for name in VALUE_FIELDS]
        epcs = [getattr(verdict, name) for name in EPC_FIELDS]
        if self._verdict == (values, epcs):
            return self._event(now, SAME)
        old_values, old_epcs = self._verdict or ([None] * len(values), [()] * len(epcs))
        self._verdict = (values, epcs)
        words = [new if new != old else None for new, old in zip(values, old_values, strict=True)]
        old, new = _places(old_epcs), _places(epcs)
        changes = [bytearray() for _ in range(2 ** len(EPC_FIELDS))]
        for epc in sorted(old.keys() | new.keys()):
            place = new.get(epc, 0)
            if place != old.get(epc, 0):
                _varint(changes[place], self._numbers.get(epc) or self._number(epc, 0, forced=True))
        while changes and not changes[-1]:
            changes.pop()
        return self._event(now, [VERDICT, *words, round(verdict.unseen * 100), *map(bytes, changes)])

    def background(self, known: int, levels: Mapping[bytes, object]) -> None:
        """What was known when the shopper came: how many tags lie near, and what the decision remembers of
        those that were read since (anything that ``plain`` takes)."""
        heard = [[self._numbers[epc], plain(one)] for epc, one in levels.items() if epc in self._numbers]
        self._about["background"] = [known, *heard]

    def at(self, now: float) -> float:
        """``now`` as an entry made now would be kept: never before what was told last."""
        return max(self._last, ceil(now * TICKS)) / TICKS

    @property
    def epcs(self) -> list[bytes]:
        """Every EPC in the log so far."""
        return list(self._numbers)

    def end(self, now: float | None = None) -> bytes:
        """The shopper has gone: the log, not compressed yet (``pack``). Empty where none was begun."""
        body = self.so_far(now)
        self.running = False
        self._clear()
        return body

    def so_far(self, now: float | None = None) -> bytes:
        """The same, and recording goes on: what a power cut must not take."""
        if not self.running:
            return b""
        ended = self._last if now is None else max(self._last, ceil(now * TICKS))
        head = {
            **self._about,
            "begun": self._begun,
            "ended": ended,
            "reads": self.reads,
            "left_out": self.left_out,
            "pcs": [pc for _, pc in self._tags],
            "contexts": [list(where) for where in self._contexts],
            "events": self._events,
        }
        epcs = bytearray()
        for epc, _ in self._tags:
            epcs.append(len(epc))
            epcs += epc
        parts = (cbor2.dumps(head, canonical=True), epcs, self._ops, self._gaps, self._where)
        return join((*parts, self._levels, self._phase, self._phase_high))

    def _event(self, now: float | None, event: object) -> float:
        at = self._last if now is None else max(self._last, ceil(now * TICKS))
        if len(self._events) >= self._max_events or not self.running:
            self.left_out[1] += 1
            return at / TICKS
        self._ops.append(0)
        _varint(self._gaps, at - self._last)
        self._last = at
        self._events.append(event)
        return at / TICKS

    def _number(self, epc: bytes, pc: int, *, forced: bool = False) -> int:
        """The number of a tag with this PC word, 0 where no more fit. Two tags may carry one EPC.

        ``forced``: a verdict names it; the decision bounds how many there are."""
        number = self._twins.get((epc, pc))
        if number is None:
            if (len(self._tags) >= self._max_tags and not forced) or len(epc) > 255:
                return 0
            self._tags.append((epc, pc))
            number = self._twins[epc, pc] = len(self._tags)
        self._numbers[epc] = number
        return number


def _places(epcs: list[tuple[bytes, ...]]) -> dict[bytes, int]:
    """EPC to the fields it is in: a bit each, the first one lowest."""
    found: dict[bytes, int] = {}
    for bit, field in enumerate(epcs):
        for epc in field:
            found[epc] = found.get(epc, 0) | 1 << bit
    return found


def join(parts: Iterable[bytes | bytearray]) -> bytes:
    """Sections with their lengths, one behind the other."""
    out = bytearray()
    for part in parts:
        out += len(part).to_bytes(4, "big")
        out += part
    return bytes(out)


def _varint(out: bytearray, value: int) -> None:
    """Seven bits a byte, lowest first."""
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
