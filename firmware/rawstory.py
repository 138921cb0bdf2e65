"""Raw-read logs as files hold them: packed, checked, and told again as a story. Pure.

A file is ``TGRR``, version u8, CRC-32 of what follows u32, its length u32, then sections: how it is kept u8
(0 as it is, 1 raw deflate, 2 the same with ``DICTIONARY``), length u24, bytes. Sections: CBOR head, EPCs, and
columns (who, ticks since before, context, level change, phase). Numbers are big-endian. Damage is an error in
words, never a shorter story.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cbor2

from firmware.rawreads import (
    DECLARED,
    EPC_FIELDS,
    FIRST_LEVEL,
    GAP,
    NOTE,
    SAME,
    SHOWN,
    STEPS,
    TICKS,
    VALUE_FIELDS,
    VERDICT,
    VERSION,
)
from hal.ports import TagRead

MAGIC = b"TGRR"
HEADER = len(MAGIC) + 9
SECTIONS = 8
OWN = frozenset(["begun", "ended", "reads", "left_out", "pcs", "contexts", "events", "background"])
"""Keys of the head that are the format's; the others tell about the board."""
NAMES = (
    *("begun", "ended", "reads", "left_out", "pcs", "contexts", "events", "background", "board", "version"),
    *(
        "wall_ms",
        "clock",
        "collecting",
        "reading",
        "complete",
        "uncertain",
        "count-matches",
        "missing",
        "weak",
    ),
    *(
        "rules",
        "hard",
        "sure",
        "min_s",
        "empty_s",
        "judge_s",
        "quiet_s",
        "give_up_s",
        "silence_s",
        "presence",
    ),
    *("hold", "veto", "rise_db", "sure_in", "deaf_dbm", "even_dbm", "settle_s", "sure_out", "approach_s"),
    *("veto_in_db", "veto_out_db"),
)
DICTIONARY = b"".join(bytes((0x60 + len(name),)) + name.encode() for name in NAMES)
"""What heads are full of, so that a short log is not mostly names. Part of the format: never change it."""
STORED, DEFLATED, NAMED = 0, 1, 2
STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY)
"""Columns of noise pack best without a search for repeats, the others with one."""
MAX_BODY = 16 * 1024 * 1024
"""More than the recorder's bounds can fill: a file that unpacks to more is none of ours."""


class RawReadsError(ValueError):
    """Not a raw-read log, or a damaged one; says which and how."""


@dataclass(frozen=True, slots=True)
class Declared:
    count: int | None
    at: float


@dataclass(frozen=True, slots=True)
class Shown:
    epc: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict's fields, EPCs sorted; ``unseen`` as it was at the last change. ``changed``: it differs
    from the one before."""

    verdict: Mapping[str, Any]
    changed: bool
    at: float


@dataclass(frozen=True, slots=True)
class Gap:
    begin: float
    end: float
    at: float


@dataclass(frozen=True, slots=True)
class Noted:
    text: str
    at: float


Entry = TagRead | Declared | Shown | Judged | Noted | Gap


@dataclass(frozen=True, slots=True)
class Story:
    """One shopper. ``about`` holds ``rules`` and what else the board wrote; times are the board's monotonic
    seconds. ``known``: how many tags lay near before, ``levels``: what the decision remembered of those that
    were read since. ``left_out``: reads and other entries after the log was full."""

    about: dict[str, Any]
    known: int
    levels: dict[bytes, Any]
    begun: float
    ended: float
    entries: tuple[Entry, ...]
    left_out: tuple[int, int]

    @property
    def complete(self) -> bool:
        return not any(self.left_out)

    @property
    def reads(self) -> list[TagRead]:
        return [entry for entry in self.entries if isinstance(entry, TagRead)]


def pack(body: bytes) -> bytes:
    """What ``RawReads.end`` gave, compressed and checked: the content of a file. 10 ms for long ones."""
    out = bytearray()
    for number, part in enumerate(_sections(body)):
        method, names = (DEFLATED, b"") if number else (NAMED, DICTIONARY)
        kept = min((part, *(_deflated(part, strategy, names) for strategy in STRATEGIES)), key=len)
        out.append(STORED if kept is part else method)
        out += len(kept).to_bytes(3, "big") + kept
    head = bytes((VERSION,)) + zlib.crc32(out).to_bytes(4, "big") + len(out).to_bytes(4, "big")
    return MAGIC + head + bytes(out)


def _deflated(part: bytes, strategy: int, names: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy, names)
    return deflate.compress(part) + deflate.flush()


def unpack(data: bytes) -> list[bytes]:
    """The sections of a file's content. Raises RawReadsError."""
    if not data or not data.startswith(MAGIC[: len(data)]):
        raise RawReadsError("it is no raw-read log")
    if len(data) < HEADER:
        raise RawReadsError(f"it is cut off: {len(data)} bytes, the header alone has {HEADER}")
    if data[4] != VERSION:
        raise RawReadsError(f"it has format version {data[4]}, this program reads {VERSION}")
    packed, length = data[HEADER:], int.from_bytes(data[9:13], "big")
    if len(packed) != length:
        how = "cut off" if len(packed) < length else "too long"
        raise RawReadsError(f"it is {how}: {len(packed)} bytes behind the header, {length} were written")
    if zlib.crc32(packed) != int.from_bytes(data[5:9], "big"):
        raise RawReadsError("it is damaged: its checksum does not hold; is the card failing?")
    parts: list[bytes] = []
    at = 0
    while at < length:
        method, size = packed[at], int.from_bytes(packed[at + 1 : at + 4], "big")
        kept = packed[at + 4 : at + 4 + size]
        if len(kept) != size or method not in (STORED, DEFLATED, NAMED):
            raise RawReadsError(f"section {len(parts) + 1} is not whole")
        if method != STORED:
            names = DICTIONARY if method == NAMED else b""
            kept = _inflated(kept, MAX_BODY - sum(map(len, parts)), names)
        parts.append(kept)
        at += 4 + size
    return parts


def _inflated(kept: bytes, limit: int, names: bytes) -> bytes:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS, names)
    try:
        part = inflate.decompress(kept, max(1, limit))
    except zlib.error as error:
        raise RawReadsError(f"it cannot be unpacked: {error}") from None
    if not inflate.eof:
        raise RawReadsError(f"it unpacks to more than {MAX_BODY} bytes, or is not whole")
    return part


def decode(data: bytes) -> Story:
    """The story in a file's content. Raises RawReadsError."""
    parts = unpack(data)
    if len(parts) != SECTIONS:
        raise RawReadsError(f"it has {len(parts)} sections, not {SECTIONS}")
    try:
        head = cbor2.loads(parts[0])
        epcs = list(_epcs(parts[1]))
        story = _Teller(head, epcs, parts[2:])
        entries = tuple(story.entries())
        left_out = head["left_out"]
        known, *heard = head["background"]
        levels = {epcs[number - 1]: remembered for number, remembered in heard}
        about = {name: value for name, value in head.items() if name not in OWN}
        begun, ended = head["begun"] / TICKS, head["ended"] / TICKS
        return Story(about, int(known), levels, begun, ended, entries, (int(left_out[0]), int(left_out[1])))
    except (cbor2.CBORError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise RawReadsError(f"its content does not fit together: {error!r}") from None


class _Teller:
    """The columns, walked once."""

    def __init__(self, head: dict[str, Any], epcs: list[bytes], columns: list[bytes]) -> None:
        self._head, self._epcs = head, epcs
        ops, gaps, where, levels, phase, phase_high = columns
        self._ops = _varints(ops)
        self._gaps = _varints(gaps)
        self._where = _varints(where)
        self._levels = _varints(levels)
        self._phases = zip(phase, phase_high, strict=True)
        self._before: dict[int, int] = {}
        self._verdict: dict[str, Any] = {}
        self._places: dict[bytes, int] = {}

    def entries(self) -> Iterator[Entry]:
        at = self._head["begun"]
        events = iter(self._head["events"])
        reads = 0
        for op in self._ops:
            at += _next(self._gaps)
            if op:
                reads += 1
                yield self._read(op, at / TICKS)
            else:
                yield self._event(_next(events), at / TICKS)
        left = [*self._gaps, *self._where, *self._levels, *self._phases, *events]
        if left or reads != self._head["reads"]:
            raise ValueError(f"{len(left)} values too many, {reads} of {self._head['reads']} reads")

    def _read(self, number: int, at: float) -> TagRead:
        antenna, freq_khz, offset, count, no_phase = self._head["contexts"][_next(self._where)]
        change = _next(self._levels)
        change = ~change >> 1 if change & 1 else change >> 1
        key = number << 8 | antenna
        level = self._before[key] = self._before.get(key, FIRST_LEVEL) + change
        phase = None
        if not no_phase:
            low, high = _next(self._phases)
            phase = high << 8 | low
        dbm, raw = (None, level) if offset is None else (level / STEPS, level // STEPS + offset)
        epc, pc = self._epcs[number - 1], self._head["pcs"][number - 1]
        return TagRead(epc, pc, antenna, dbm, raw, at, phase, freq_khz, count)

    def _event(self, event: Any, at: float) -> Entry:
        if event == SAME:
            return Judged(self._verdict, False, at)
        code, *rest = event
        if code == VERDICT:
            count = len(VALUE_FIELDS)
            verdict = dict(self._verdict)
            verdict |= {n: v for n, v in zip(VALUE_FIELDS, rest, strict=False) if v is not None}
            verdict["unseen"] = rest[count] / 100
            for place, numbers in enumerate(rest[count + 1 :]):
                for number in _varints(numbers):
                    self._places[self._epcs[number - 1]] = place
            for bit, name in enumerate(EPC_FIELDS):
                verdict[name] = tuple(sorted(e for e, place in self._places.items() if place >> bit & 1))
            self._verdict = verdict
            return Judged(verdict, True, at)
        if code == GAP:
            begin, end = (self._head["begun"] + int(value) for value in rest)
            return Gap(begin / TICKS, end / TICKS, at)
        (value,) = rest
        if code == DECLARED:
            return Declared(None if value is None else int(value), at)
        if code == SHOWN:
            return Shown(bytes(value), at)
        if code == NOTE:
            return Noted(str(value), at)
        raise ValueError(f"unknown entry {code}")


def _sections(body: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(body):
        length = int.from_bytes(body[at : at + 4], "big")
        part = body[at + 4 : at + 4 + length]
        if len(part) != length:
            raise RawReadsError("a section is cut off")
        parts.append(part)
        at += 4 + length
    return parts


def _epcs(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        yield data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]


def _varints(data: bytes) -> Iterator[int]:
    value, shift = 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        if byte & 128:
            shift += 7
        else:
            yield value
            value, shift = 0, 0
    if shift:
        raise ValueError("a number is cut off")


def _next(values: Iterator[Any]) -> Any:
    try:
        return next(values)
    except StopIteration:
        raise ValueError("a column is too short") from None
