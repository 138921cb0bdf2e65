"""The shop's price list as the table ``prices``: entries of one bucket to bytes and back. Pure.

A bucket is one opaque document of ``firmware.wire.tables``; which bucket an entry is in follows from its key,
so that a board finds a price by looking into one of them. Money is integer fen. The decoder must never accept
bytes that the encoder would not write, nor cost more than its input is long.

Document: layout (1 byte, 1), then entries in ascending order of kind and key, none twice:
  length of what follows u16 | kind u8 (0: full EPC, 1: GTIN-14) | key: length u8 and the EPC's bytes, or the
  GTIN-14 as u48 | price u32, fen | name: length u8, UTF-8 | unit: length u8, UTF-8; where it is not empty
  the price of one such unit u32, fen | brand: length u8, ASCII | zone: length u8, ASCII
All numbers are big-endian.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

from firmware.wire.tables import MAX_DATA, SPECS

TABLE = "prices"
LAYOUT = 1
MAX_GTIN = 99_999_999_999_999
MAX_EPC_BYTES = 62
MAX_FEN = (1 << 32) - 1
"""As in a record's ``shown_fen``."""
MAX_NAME = 60
MAX_UNIT = 12
MAX_TAG = 16
MAX_ENTRY_BYTES = 2 + 1 + 1 + MAX_EPC_BYTES + 4 + 1 + 4 * MAX_NAME + 1 + 4 * MAX_UNIT + 4 + 2 * (1 + MAX_TAG)
"""398: an EPC for a key, 60 signs of four bytes, every field filled."""
CAPACITY = 40_000
"""Goods of ordinary shape (about 60 bytes each) that a list holds with room to spare in its fullest bucket;
with the longest entries there are it is still over 6,000. A test fills both."""

_EPC, _GTIN = 0, 1
_TAG = re.compile(r"[a-z0-9-]{0,16}")

Key = int | bytes
"""A GTIN-14 as a number, or a full EPC for goods without a GS1 code (and for a single item's own price)."""


class PriceListError(ValueError):
    """Not a price list, or one that has no encoding. The message says what is wrong."""


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """One line of the list. ``name``: 1 to 60 printable characters; ``price_fen``: 0 and more.

    ``unit`` ("100 g", "1 l", "piece"; at most 12 characters) and ``unit_fen`` go together: the price of one
    such unit. ``brand`` and ``zone``: ids of at most 16 of ``a-z 0-9 -``, or "".
    Any value can be held; ``check`` and ``encode_bucket`` refuse one that has no encoding.
    """

    key: Key
    name: str
    price_fen: int
    unit: str = ""
    unit_fen: int | None = None
    brand: str = ""
    zone: str = ""

    @property
    def gtin14(self) -> str | None:
        """14 digits; None for an entry with an EPC for a key."""
        return f"{self.key:014d}" if isinstance(self.key, int) else None


def key_bytes(key: Key) -> bytes:
    """The key's own bytes; entries are in this order. Raises PriceListError for one that is none."""
    if isinstance(key, bytes):
        if not 1 <= len(key) <= MAX_EPC_BYTES:
            raise PriceListError(f"an EPC of {len(key)} bytes, 1 to {MAX_EPC_BYTES} are possible")
        return bytes((_EPC, len(key))) + key
    if not 1 <= key <= MAX_GTIN:
        raise PriceListError(f"GTIN-14 {key} must be 1 to {MAX_GTIN}")
    return bytes((_GTIN,)) + key.to_bytes(6, "big")


def bucket_of(key: Key) -> str:
    """The bucket of a key: the CRC-32 of its bytes modulo the number of buckets."""
    return str(crc32(key_bytes(key)) % SPECS[TABLE].buckets)


def check(entry: PriceEntry) -> None:
    """Raises PriceListError, naming the field, for an entry that has no encoding."""
    key_bytes(entry.key)
    _check_text("name", entry.name, MAX_NAME)
    if not entry.name:
        raise PriceListError("name is empty")
    _check_fen("price", entry.price_fen)
    _check_text("unit", entry.unit, MAX_UNIT)
    if bool(entry.unit) != (entry.unit_fen is not None):
        raise PriceListError("unit and unit price go together: give both or none")
    if entry.unit_fen is not None:
        _check_fen("unit price", entry.unit_fen)
    _check_tag("brand", entry.brand)
    _check_tag("zone", entry.zone)


def encode_bucket(entries: Iterable[PriceEntry]) -> bytes:
    """The document of one bucket; ``entries`` in any order.

    Raises PriceListError: a value out of its range, a key twice, a key of another bucket than the first's,
    or more than 49,088 bytes."""
    found: dict[bytes, PriceEntry] = {}
    buckets = set()
    for entry in entries:
        key = key_bytes(entry.key)
        if key in found:
            raise PriceListError(f"{_shown(entry.key)} is in the list twice")
        found[key] = entry
        buckets.add(bucket_of(entry.key))
    if len(buckets) > 1:
        raise PriceListError(f"entries of {len(buckets)} buckets cannot be in one")
    data = bytes((LAYOUT,)) + b"".join(_encode(key, found[key]) for key in sorted(found))
    if len(data) > MAX_DATA:
        raise PriceListError(
            f"bucket {buckets.pop()} of the price list would hold {len(found)} entries in {len(data)} bytes, "
            f"at most {MAX_DATA} go into one: remove goods that are no longer sold, or shorten names"
        )
    return data


def decode_bucket(data: bytes, bucket: str | None = None) -> tuple[PriceEntry, ...]:
    """The entries, in the order of their keys. Strict: one spelling only, and every key one of ``bucket``, or
    of the first key's where none is given. Raises PriceListError."""
    found = []
    before = b""
    number, buckets = None if bucket is None else int(bucket), SPECS[TABLE].buckets
    for at, end in _spans(data):
        entry, key = _decode(data, at, end)
        if key <= before:
            raise PriceListError("the entries are not in ascending order, each once")
        found_in = crc32(key) % buckets
        if number is None:
            number = found_in
        if found_in != number:
            raise PriceListError(f"{_shown(entry.key)} does not belong into bucket {number}")
        before = key
        found.append(entry)
    return tuple(found)


def find(data: bytes, key: Key) -> PriceEntry | None:
    """The entry of one key in a document that ``decode_bucket`` took before; the others are passed over."""
    wanted = key_bytes(key)
    size = len(wanted)
    at, length = 1, len(data)
    while at < length:
        end = at + 2 + (data[at] << 8 | data[at + 1])
        found = data[at + 2 : at + 2 + size]
        if found == wanted:
            return _decode(data, at + 2, end)[0]
        if found > wanted:
            return None
        at = end
    return None


def count(data: bytes) -> int:
    """How many entries a document has that ``decode_bucket`` took before. Fast: a loop waits for it."""
    at, found, size = 1, 0, len(data)
    while at < size:
        at += 2 + (data[at] << 8 | data[at + 1])
        found += 1
    return found


# -- one entry ---------------------------------------------------------------------------------------


def _encode(key: bytes, entry: PriceEntry) -> bytes:
    check(entry)
    unit = b"" if entry.unit_fen is None else entry.unit_fen.to_bytes(4, "big")
    body = key + entry.price_fen.to_bytes(4, "big") + _text(entry.name) + _text(entry.unit) + unit
    body += _text(entry.brand) + _text(entry.zone)
    return len(body).to_bytes(2, "big") + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return bytes((len(encoded),)) + encoded


def _spans(data: bytes) -> Iterator[tuple[int, int]]:
    """(begin, end) of every entry's body."""
    if len(data) > MAX_DATA:
        raise PriceListError(f"{len(data)} bytes, at most {MAX_DATA} are read")
    if data[:1] != bytes((LAYOUT,)):
        raise PriceListError(f"this program reads price lists of layout {LAYOUT}")
    at = 1
    while at < len(data):
        begin = at + 2
        at = begin + int.from_bytes(data[at:begin], "big")
        if begin > len(data) or at > len(data):
            raise PriceListError("an entry is cut off")
        yield begin, at


def _decode(data: bytes, at: int, end: int) -> tuple[PriceEntry, bytes]:
    """The entry in ``data[at:end]`` and its key's bytes. A board does this 40,000 times for a list: what the
    bytes cannot be anyway is not checked again."""
    begin = at
    kind = data[at] if at < end else -1
    key: Key
    if kind == _GTIN:
        at += 7
        key = int.from_bytes(data[begin + 1 : at], "big")
        if not 1 <= key <= MAX_GTIN:
            raise PriceListError(f"GTIN-14 {key} must be 1 to {MAX_GTIN}")
    elif kind == _EPC and at + 1 < end:
        at += 2 + data[at + 1]
        key = data[begin + 2 : at]
        key_bytes(key)
    else:
        raise PriceListError("an entry has no key that is known")
    own_key = data[begin:at]
    if at + 4 > end:
        raise PriceListError("an entry is cut off")
    price, at = int.from_bytes(data[at : at + 4], "big"), at + 4
    name, at = _take(data, at, end)
    if not name:
        raise PriceListError("name is empty")
    _check_text("name", name, MAX_NAME)
    unit, at = _take(data, at, end)
    unit_fen = None
    if unit:
        _check_text("unit", unit, MAX_UNIT)
        unit_fen, at = int.from_bytes(data[at : at + 4], "big"), at + 4
    brand, at = _take(data, at, end)
    zone, at = _take(data, at, end)
    if at != end:
        raise PriceListError("an entry's length is not that of its fields")
    _check_tag("brand", brand)
    _check_tag("zone", zone)
    return PriceEntry(key, name, price, unit, unit_fen, brand, zone), own_key


def _take(data: bytes, at: int, end: int) -> tuple[str, int]:
    if at >= end or at + 1 + data[at] > end:
        raise PriceListError("an entry is cut off")
    behind = at + 1 + data[at]
    try:
        return data[at + 1 : behind].decode(), behind
    except UnicodeDecodeError:
        raise PriceListError("a text is no UTF-8") from None


@lru_cache(maxsize=256)
def _check_tag(field: str, tag: str) -> None:
    """A shop has few brands and zones."""
    if not _TAG.fullmatch(tag):
        raise PriceListError(f"{field} {tag[:20]!r} must be at most {MAX_TAG} of a-z 0-9 -")


def _check_fen(field: str, fen: int) -> None:
    if not 0 <= fen <= MAX_FEN:
        raise PriceListError(f"{field} of {fen} fen must be 0 to {MAX_FEN}")


def _check_text(field: str, text: str, most: int) -> None:
    if len(text) > most:
        raise PriceListError(f"{field} has {len(text)} characters, at most {most} are possible")
    if not text.isprintable() or text != text.strip():
        raise PriceListError(f"{field} has a sign that cannot be shown, or a space at an end")


def _shown(key: Key) -> str:
    return f"GTIN {key:014d}" if isinstance(key, int) else f"EPC {key.hex().upper()}"
