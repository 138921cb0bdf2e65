"""What a simulated ThingMagic module does with its transmitter: the continuous read and the tag buffer.

Tags come from a Gen2 population, each reported when it was heard; a cycle that heard none says so. What a
stopped stream still has to say comes before the word that it has stopped. Never loaded on a real board.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from hal.reader.events import Tag
from hal.reader.thingmagic import (
    MAX_ANSWER,
    encode_answer,
    encode_cycle_end,
    encode_tag,
    encode_temperature,
)
from hal.reader.thingmagic_ops import (
    BUFFER_FULL,
    HOT,
    MULTI_STOP,
    NO_TAG,
    RETURN_LOSS,
    STATS_TEMPERATURE,
    Op,
    Search,
)
from hal.reader.thingmagic_tags import write_record
from hal.sim.population import Population, Seen
from hal.sim.thingmagic_settings import Settings

EMPTY_ROUND_S = 0.05
"""How often it looks whether somebody brought tags to an empty field."""
FLUSH_S = 0.15
"""What was heard up to so long after a stop is still reported."""
LATE_S = 1.0
BUFFER_TAGS = 52


@dataclass
class Trouble:
    """What is wrong with the module or its antenna. ``empty_epc_every``: one tag in so many is reported
    with nothing but PC and CRC, as a real Nano does."""

    hot: bool = False
    return_loss: bool = False
    empty_epc_every: int = 0


def tag_of(seen: Seen, antenna: int, module_ms: int = 0) -> Tag:
    """As the module reports it."""
    dbm = max(-128, min(127, round(seen.rssi_dbm)))
    return Tag(seen.epc, seen.pc, dbm & 0xFF, antenna, float(dbm), seen.freq_khz, seen.phase, 1, module_ms)


class Stream:
    """A running continuous read. ``done``: it was stopped and has said everything."""

    def __init__(
        self, now: float, search: int, metadata: int, on_s: float, stats: int, settings: Settings
    ) -> None:
        self.done = False
        self._search, self._metadata, self._on_s, self._stats = search, metadata, on_s, stats
        self._settings = settings
        self._began = now
        self._cycle_end = now + on_s
        self._next = now
        self._turn = 0
        self._heard = 0
        self._reports = 0
        self._stops = 0
        self._known: set[bytes] = set()
        self._pending: deque[tuple[float, bytes]] = deque()

    def due(self) -> float:
        return min(self._next, self._pending[0][0]) if self._pending else self._next

    def stop(self, now: float) -> None:
        if not self._stops:
            self._next = min(self._next, now + FLUSH_S) if self._pending else now
        self._stops += 1

    def speak(self, now: float, field: Population, trouble: Trouble) -> bytes:
        """Everything that is due at ``now``."""
        if now - self._next > LATE_S:
            self._next = now  # its host slept: what was not heard is not made up for
            self._cycle_end = max(self._cycle_end, now)
        said = bytearray()
        while not self.done and self.due() <= now:
            if self._pending and self._pending[0][0] <= self._next:
                said += self._pending.popleft()[1]
            elif self._stops:
                said += encode_answer(Op.MULTI, bytes((MULTI_STOP,))) * self._stops
                self.done = True
            elif self._next >= self._cycle_end:
                said += self._end_cycle(trouble)
            else:
                self._round(field, trouble)
        return bytes(said)

    def _round(self, field: Population, trouble: Trouble) -> None:
        at = self._next
        if trouble.hot or trouble.return_loss:
            self._next = self._cycle_end  # nothing is radiated
            return
        if not field.epcs:
            self._next = min(at + EMPTY_ROUND_S, self._cycle_end)
            return
        antenna = self._settings.antennas[self._turn % len(self._settings.antennas)]
        self._turn += 1
        heard = field.inventory(at, antenna, self._settings.session, self._cycle_end - at)
        for seen in heard.reads:
            if self._settings.filters_repeats:
                if seen.epc in self._known:
                    continue
                self._known.add(seen.epc)
            self._heard += 1
            self._pending.append((seen.at, self._report(seen, antenna, trouble)))
        self._next = at + max(heard.duration_s, 0.001)

    def _report(self, seen: Seen, antenna: int, trouble: Trouble) -> bytes:
        tag = tag_of(seen, antenna, int((seen.at - self._began) * 1000))
        self._reports += 1
        if trouble.empty_epc_every and self._reports % trouble.empty_epc_every == 0:
            tag = Tag(b"", 0x0218, tag.rssi_raw, antenna, tag.rssi_dbm, tag.freq_khz, tag.phase, 1, 0)
        return encode_tag(tag, self._metadata, self._search)

    def _end_cycle(self, trouble: Trouble) -> bytes:
        said = b""
        if self._search & Search.STATS and self._stats & STATS_TEMPERATURE:
            said = encode_temperature(self._settings.celsius, self._search)
        if trouble.hot:
            said += encode_answer(Op.READ_MULTIPLE, status=HOT)
        elif trouble.return_loss:
            said += encode_answer(Op.READ_MULTIPLE, status=RETURN_LOSS)
        elif self._heard and self._settings.kind.counts_cycles:
            said += encode_cycle_end(self._heard, self._search)
        else:
            said += encode_answer(Op.READ_MULTIPLE, status=NO_TAG)
        self._heard = 0
        self._cycle_end += self._on_s
        return said


class Buffer:
    """The synchronous search: tags collected for a time, each once with a count, then asked for."""

    def __init__(self) -> None:
        self._tags: dict[bytes, Tag] = {}
        self._given = 0
        self.ends = math.inf
        self._began = 0.0
        self._search = 0

    def begin(self, now: float, timeout_s: float, search: int) -> None:
        self._began, self.ends, self._search = now, now + timeout_s, search

    def clear(self) -> None:
        self._tags.clear()
        self._given = 0

    def finish(self, field: Population, settings: Settings, trouble: Trouble) -> bytes:
        """The answer to the search: how many, none, or that no more fit."""
        at, turn, full, found = self._began, 0, False, 0
        while at < self.ends and not (trouble.hot or trouble.return_loss) and field.epcs:
            antenna = settings.antennas[turn % len(settings.antennas)]
            heard = field.inventory(at, antenna, settings.session, self.ends - at)
            for seen in heard.reads:
                known = self._tags.get(seen.epc)
                if known is None and len(self._tags) >= BUFFER_TAGS:
                    full = True
                    continue
                found += known is None
                count = known.read_count + 1 if known is not None else 1
                tag = tag_of(seen, antenna, int((seen.at - self._began) * 1000))
                self._tags[seen.epc] = Tag(
                    tag.epc,
                    tag.pc,
                    tag.rssi_raw,
                    antenna,
                    tag.rssi_dbm,
                    tag.freq_khz,
                    tag.phase,
                    min(count, 255),
                )
            at += max(heard.duration_s, 0.001)
            turn += 1
        self.ends = math.inf
        if trouble.hot:
            return encode_answer(Op.READ_MULTIPLE, status=HOT)
        if trouble.return_loss:
            return encode_answer(Op.READ_MULTIPLE, status=RETURN_LOSS)
        if not found and not full:
            return encode_answer(Op.READ_MULTIPLE, status=NO_TAG)
        count_data = encode_cycle_end(found, self._search)[5:-2]
        return encode_answer(Op.READ_MULTIPLE, count_data, BUFFER_FULL if full else 0)

    def read(self, metadata: int) -> bytes:
        """As many tags not given yet as fit one answer."""
        records, count = b"", 0
        for tag in list(self._tags.values())[self._given :]:
            record = write_record(tag, metadata)
            if 4 + len(records) + len(record) > MAX_ANSWER:
                break
            records += record
            count += 1
        self._given += count
        if not count:
            return encode_answer(Op.GET_BUFFER, status=NO_TAG)
        head = metadata.to_bytes(2, "big") + bytes((0, count))
        return encode_answer(Op.GET_BUFFER, head + records)
