"""Records as bytes: the fixed frame header, and the CBOR body of every record type. Pure.

Frame (big-endian): version u8 = 1 | epoch u64 | seq u32 | body length u16 | crc32 u32 over the fifteen
bytes before it and the body | body. The body is a CBOR map with integer keys, at most 32 KiB, in one
canonical form only: a body that decodes but would encode to other bytes is refused, so two boards can
never write the same fact in two ways. Must never accept an unknown type, key or version.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import cbor2

from firmware.wire.record_shapes import MAX_BODY, RecordError
from firmware.wire.record_types import (
    FLAGS_FIELD,
    STAMP_FIELDS,
    TYPES,
    Admitted,
    Alarm,
    Annulled,
    Basket,
    BasketClosed,
    Damaged,
    Exit,
    Flags,
    Kind,
    Missing,
    PaidAtPortal,
    Passed,
    Photo,
    PriceLook,
    Record,
    Refused,
    Skipped,
    Stamp,
    Started,
)

__all__ = [
    "HEADER_BYTES",
    "MAX_BODY",
    "VERSION",
    "Admitted",
    "Alarm",
    "Annulled",
    "Basket",
    "BasketClosed",
    "Damaged",
    "Exit",
    "Flags",
    "Frame",
    "FrameError",
    "Kind",
    "Missing",
    "PaidAtPortal",
    "Passed",
    "Photo",
    "PriceLook",
    "Record",
    "RecordError",
    "Refused",
    "Skipped",
    "Stamp",
    "Started",
    "decode_body",
    "frame",
    "parse_frame",
]

VERSION = 1
_HEADER = struct.Struct(">BQIH")
_CRC = struct.Struct(">I")
HEADER_BYTES = _HEADER.size + _CRC.size
"""19 bytes before the body."""


class FrameError(ValueError):
    """Bytes are not a frame. ``kind``: "short", "version", "length" or "crc".

    ``epoch`` and ``seq`` are what the header says, where it could be read at all: enough for a nack, never
    to be trusted when ``kind`` is "crc"."""

    def __init__(self, kind: str, message: str, epoch: int | None = None, seq: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.epoch = epoch
        self.seq = seq


@dataclass(frozen=True, slots=True)
class Frame:
    """One parsed frame; ``body`` is not decoded yet."""

    version: int
    epoch: int
    seq: int
    body: bytes


def frame(epoch: int, seq: int, body: bytes) -> bytes:
    """Header plus ``body``. Raises ValueError: epoch not u64, seq not 1..2^32-1, body over 32 KiB."""
    if not 0 <= epoch < 1 << 64 or not 1 <= seq < 1 << 32:
        raise ValueError(f"epoch {epoch} must fit 64 bits and seq {seq} be 1..4294967295")
    if len(body) > MAX_BODY:
        raise ValueError(f"record body of {len(body)} bytes is over {MAX_BODY}")
    head = _HEADER.pack(VERSION, epoch, seq, len(body))
    return head + _CRC.pack(zlib.crc32(body, zlib.crc32(head))) + body


def parse_frame(data: bytes) -> Frame:
    """The frame in ``data``, which must hold exactly one. Raises FrameError."""
    if len(data) < HEADER_BYTES:
        raise FrameError("short", f"{len(data)} bytes, a frame has at least {HEADER_BYTES}")
    version, epoch, seq, length = _HEADER.unpack_from(data)
    if version != VERSION:
        raise FrameError("version", f"frame version {version}, this program reads {VERSION}", epoch, seq)
    if length > MAX_BODY or length != len(data) - HEADER_BYTES:
        raise FrameError(
            "length",
            f"header says {length} body bytes, {len(data) - HEADER_BYTES} are there, at most {MAX_BODY}",
            epoch,
            seq,
        )
    (crc,) = _CRC.unpack_from(data, _HEADER.size)
    body = data[HEADER_BYTES:]
    if crc != zlib.crc32(body, zlib.crc32(data[: _HEADER.size])):
        raise FrameError("crc", f"crc does not match (seq {seq} if the header is right)", epoch, seq)
    if seq == 0:
        raise FrameError("length", "seq 0: records count from 1", epoch, seq)
    return Frame(version, epoch, seq, body)


def decode_body(body: bytes) -> Record:
    """The record in a body. Raises RecordError for anything that ``Record.body`` would not have written."""
    if len(body) > MAX_BODY:
        raise RecordError(f"record body of {len(body)} bytes is over {MAX_BODY}")
    try:
        wire = cbor2.loads(body)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, ArithmeticError, RecursionError) as error:
        raise RecordError(f"body is not CBOR: {type(error).__name__}") from None
    if type(wire) is not dict or any(type(key) is not int for key in wire):
        raise RecordError("body is not a map with integer keys")
    kind = wire.pop(0, None)
    if type(kind) is not int or kind not in TYPES:
        raise RecordError(f"unknown record type {str(kind)[:20]}")
    cls = TYPES[kind]
    stamp = Stamp(**{field.name: field.take(wire) for field in STAMP_FIELDS})
    flags = Flags(FLAGS_FIELD.take(wire))
    values = {field.name: field.take(wire) for field in cls.FIELDS}
    if wire:
        raise RecordError(f"unknown key {min(wire)} in a record of type {Kind(kind).name.lower()}")
    record = cls(stamp, flags=flags, **values)
    if record.body() != body:
        raise RecordError("body is not in its canonical form")
    return record
