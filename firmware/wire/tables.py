"""Tables that the shop pushes to its boards: snapshot and delta as bytes, the rules for taking them. Pure.

A table is cut into buckets; each has a version of its own, one retained snapshot and, where its entries have
a fixed size, deltas that name the version they start from. Whatever was lost, repeated, reordered or damaged
on the way: a bucket is exactly what the shop published under that version, or the board asks. Must never
apply bytes whose SHA-256 does not hold.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

LAYOUT = 1
MAX_MESSAGE = 48 * 1024
"""No snapshot and no delta is longer, bytes."""
MAX_DATA = MAX_MESSAGE - 64
"""Entries of one bucket, bytes; the rest is for the fields before them."""
MAX_VERSION = (1 << 53) - 1
MAX_ENTRY = 64
HASH_BYTES = 32


class TableError(ValueError):
    """Not a snapshot or delta. The message says what is wrong, never what was in it."""


class Verdict(enum.Enum):
    """What a board does with a message that gives no new content."""

    KNOWN = "known"
    """Nothing: it has this version already."""
    ASK = "ask"
    """It cannot know the current content from this: ask the shop (``ask/table``)."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One table: ``entry_size`` in bytes (0: opaque, one document), and into how many buckets it is cut."""

    entry_size: int
    buckets: int = 1

    def bucket_of(self, entry: bytes) -> str:
        """The bucket of an entry, by its first byte: "0" to the number of buckets minus one."""
        return str(entry[0] * self.buckets // 256)

    def names(self) -> tuple[str, ...]:
        return tuple(str(number) for number in range(self.buckets))


SPECS = {"revoked": Spec(8), "keys": Spec(0), "prices": Spec(0, 64)}
"""``revoked``: visits whose passes are withdrawn. ``keys``: the key set (``firmware.wire.keys``).
``prices``: the price list, whose bucket follows from the whole key (``firmware.wire.pricelist``)."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole content of one bucket. ``data``: entries in ascending order, none twice; or one document.

    Raises TableError for values that have no encoding."""

    version: int
    entry_size: int
    data: bytes

    def __post_init__(self) -> None:
        _check_version(self.version)
        if not 0 <= self.entry_size <= MAX_ENTRY:
            raise TableError(f"entry size {self.entry_size} must be 0 to {MAX_ENTRY}")
        if len(self.data) > MAX_DATA:
            raise TableError(f"{len(self.data)} bytes of entries, a bucket has at most {MAX_DATA}")
        if self.entry_size:
            _split(self.data, self.entry_size)

    @property
    def sha256(self) -> bytes:
        """Over the version (8 bytes, big-endian), the entry size (1 byte) and the data."""
        return sha256(self.version.to_bytes(8, "big") + bytes([self.entry_size]) + self.data).digest()

    @property
    def entries(self) -> list[bytes]:
        """In order; of an opaque table the document itself."""
        return _split(self.data, self.entry_size) if self.entry_size else [self.data]

    def encode(self) -> bytes:
        """CBOR ``[1, version, sha256, entry_size, data]``, numbers in their shortest form."""
        head = b"\x85" + _uint(LAYOUT) + _uint(self.version) + _bytes(self.sha256) + _uint(self.entry_size)
        return head + _bytes(self.data)


@dataclass(frozen=True, slots=True)
class Delta:
    """From version ``start`` to ``end``; ``sha256`` is that of the snapshot ``end``. ``add`` and ``remove``:
    whole entries, joined; their size is the table's. Raises TableError for values that have no encoding."""

    start: int
    end: int
    sha256: bytes
    add: bytes
    remove: bytes

    def __post_init__(self) -> None:
        _check_version(self.start)
        _check_version(self.end)
        if self.end <= self.start:
            raise TableError(f"a delta from version {self.start} cannot lead to {self.end}")
        if len(self.sha256) != HASH_BYTES:
            raise TableError(f"a SHA-256 has {HASH_BYTES} bytes, not {len(self.sha256)}")
        if len(self.add) + len(self.remove) > MAX_DATA:
            raise TableError(f"a delta carries at most {MAX_DATA} bytes of entries")

    def encode(self) -> bytes:
        """CBOR ``[1, from, to, sha256, add, remove]``."""
        head = b"\x86" + _uint(LAYOUT) + _uint(self.start) + _uint(self.end) + _bytes(self.sha256)
        return head + _bytes(self.add) + _bytes(self.remove)


def snapshot_of(version: int, entry_size: int, entries: Iterable[bytes]) -> Snapshot:
    """A snapshot of ``entries`` in any order. Raises TableError."""
    return Snapshot(version, entry_size, b"".join(sorted(set(entries))))


def decode_snapshot(payload: bytes) -> Snapshot:
    """Strict: one spelling only, and the hash must hold. Raises TableError."""
    reader = _Reader(payload, 5)
    version, digest, size = reader.uint(), reader.string(HASH_BYTES), reader.uint()
    found = Snapshot(version, size, reader.string(MAX_DATA))
    reader.end()
    if digest != found.sha256:
        raise TableError("the SHA-256 of the snapshot does not hold")
    return found


def decode_delta(payload: bytes) -> Delta:
    """Strict: one spelling only. Whether it fits is seen when it is applied. Raises TableError."""
    reader = _Reader(payload, 6)
    start, end, digest = reader.uint(), reader.uint(), reader.string(HASH_BYTES)
    found = Delta(start, end, digest, reader.string(MAX_DATA), reader.string(MAX_DATA))
    reader.end()
    return found


def delta_between(old: Snapshot, new: Snapshot) -> Delta | None:
    """What leads from ``old`` to ``new``; None where only the snapshot can (opaque, or too much changed)."""
    if not new.entry_size or old.entry_size != new.entry_size or new.version <= old.version:
        return None
    before, after = set(old.entries), set(new.entries)
    add, remove = b"".join(sorted(after - before)), b"".join(sorted(before - after))
    if len(add) + len(remove) > MAX_DATA:
        return None
    return Delta(old.version, new.version, new.sha256, add, remove)


def take_snapshot(have: Snapshot | None, pushed: Snapshot) -> Snapshot | Verdict:
    """The bucket after a pushed snapshot. An older version is not believed: a broker that crashed shows an
    old one, and a revoked visit would be good again; only the shop's answer may go back."""
    if have is None or pushed.version > have.version:
        return pushed
    return Verdict.KNOWN if pushed == have else Verdict.ASK


def take_answer(have: Snapshot | None, answer: Snapshot) -> Snapshot | Verdict:
    """The bucket after the shop's own answer to this board, which counts whatever version it has."""
    return Verdict.KNOWN if answer == have else answer


def take_delta(have: Snapshot | None, delta: Delta) -> Snapshot | Verdict:
    """The bucket after ``delta``."""
    if have is None or not have.entry_size:
        return Verdict.ASK
    if delta.end <= have.version:
        same = delta.end < have.version or delta.sha256 == have.sha256
        return Verdict.KNOWN if same else Verdict.ASK
    if delta.start != have.version:
        return Verdict.ASK
    try:
        add, remove = _split(delta.add, have.entry_size), _split(delta.remove, have.entry_size)
        found = snapshot_of(delta.end, have.entry_size, (set(have.entries) - set(remove)) | set(add))
    except TableError:
        return Verdict.ASK
    return found if found.sha256 == delta.sha256 else Verdict.ASK


def _check_version(version: int) -> None:
    if not 1 <= version <= MAX_VERSION:
        raise TableError(f"version {version} must be 1 to {MAX_VERSION}")


def _split(data: bytes, size: int) -> list[bytes]:
    if len(data) % size:
        raise TableError(f"{len(data)} bytes are no whole number of entries of {size}")
    entries = [data[at : at + size] for at in range(0, len(data), size)]
    if any(one >= other for one, other in zip(entries, entries[1:], strict=False)):
        raise TableError("the entries are not in ascending order")
    return entries


# The few CBOR forms used (RFC 8949: unsigned integers and byte strings of known length, shortest head), so
# that a hostile length or nesting costs nothing.
_WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes([major << 5 | value])
    for short, width in _WIDTHS.items():
        if value < 1 << 8 * width:
            return bytes([major << 5 | short]) + value.to_bytes(width, "big")
    raise TableError(f"{value} does not fit 64 bits")


def _uint(value: int) -> bytes:
    return _head(0, value)


def _bytes(data: bytes) -> bytes:
    return _head(2, len(data)) + data


class _Reader:
    def __init__(self, payload: bytes, items: int) -> None:
        if len(payload) > MAX_MESSAGE:
            raise TableError(f"{len(payload)} bytes, at most {MAX_MESSAGE} are read")
        if payload[:1] != bytes([0x80 | items]):
            raise TableError(f"not an array of {items}")
        self._data, self._at = payload, 1
        if self.uint() != LAYOUT:
            raise TableError(f"this program reads layout {LAYOUT}")

    def uint(self) -> int:
        return self._take_head(0)

    def string(self, most: int) -> bytes:
        length = self._take_head(2)
        if length > most or length > len(self._data) - self._at:
            raise TableError("a byte string is too long or cut off")
        self._at += length
        return self._data[self._at - length : self._at]

    def end(self) -> None:
        if self._at != len(self._data):
            raise TableError("bytes are left over")

    def _take_head(self, major: int) -> int:
        start = self._at
        first = self._data[start : start + 1]
        if not first or first[0] >> 5 != major:
            raise TableError("a field has another type, or is missing")
        low = first[0] & 31
        width = _WIDTHS.get(low, 0)
        self._at += 1 + width
        value = int.from_bytes(self._data[start + 1 : self._at], "big") if width else low
        if self._at > len(self._data) or _head(major, value) != self._data[start : self._at]:
            raise TableError("a number is cut off or not in its shortest form")
        return value
