"""A burst of tags becomes a basket by a fixed quiet time: provisional, and marked so. Pure.

The portal's decision, which estimates what was not read, replaces this rule; an entry gate with a
reader only witnesses what was carried in.
"""

from __future__ import annotations

from firmware.gate.orders import Note
from firmware.wire.record_types import Basket, Flags
from firmware.wire.taglist import MAX_BLOB_BYTES, MAX_EPC_BYTES, MAX_TAGS, encode
from hal.ports import TagRead

LONGEST_S = 30.0
"""A burst to which new tags keep coming is closed after this, s."""
AWAY_S = 3.0
"""A tag that was in a basket counts again after it was not read for so long, s."""


class QuietBasket:
    """``add`` tag reports; ``due`` says when ``close`` makes the record."""

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s = quiet_s
        self._tags: dict[bytes, float] = {}
        self._counted: dict[bytes, float] = {}
        self._bytes = 0  # of the tags in the longest form that a record may have
        self._first = 0.0
        self._new = 0.0
        self.overflow = 0
        """Reports of tags that fit no record: too many, or an EPC that is empty or too long."""

    def add(self, read: TagRead) -> None:
        """One report. A tag that stays in the field after its basket was closed begins no new one."""
        last = self._counted.get(read.epc)
        if last is not None and read.at - last < AWAY_S:
            self._counted[read.epc] = read.at
            return
        if read.epc in self._tags:
            return
        size = len(read.epc)
        room = len(self._tags) < MAX_TAGS and self._bytes + 1 + size < MAX_BLOB_BYTES
        if not room or not 1 <= size <= MAX_EPC_BYTES:
            self.overflow += 1
            return
        if not self._tags:
            self._first = read.at
        self._bytes += 1 + size
        self._tags[read.epc] = read.at
        self._new = read.at

    def __len__(self) -> int:
        return len(self._tags)

    def due(self) -> float | None:
        """Monotonic seconds at which the basket closes; None while there is none."""
        if not self._tags:
            return None
        return min(self._new + self._quiet_s, self._first + LONGEST_S)

    def close(self, now: float) -> Note:
        """The record of what was read; the next tag begins a new basket."""
        epcs = sorted(self._tags)
        self._counted = {e: at for e, at in self._counted.items() if now - at < AWAY_S}
        self._counted.update(dict.fromkeys(epcs, now))
        self._tags, self._bytes = {}, 0
        reason = f"quiet for {self._quiet_s:g} s"
        return Note(
            Basket,
            {"tags": encode(epcs), "count": len(epcs), "reason": reason},
            flags=Flags.PROVISIONAL,
        )
