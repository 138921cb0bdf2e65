"""The store's receipts to a board: the cumulative ack and the nack of one record. Pure.

An ack says that every record up to ``through`` of that epoch is committed at the store; it is
retained and may come twice or late. Codec only: what they do to the journal is decided there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from firmware.wire.strictjson import JsonError, dump, exact_keys, hex_u64, integer, parse_object

MAX_BYTES = 512
MAX_SEQ = 0xFFFF_FFFF
_REASON = re.compile(r"[a-z0-9-]{1,32}")


class AckError(ValueError):
    """Not a valid ack or nack."""


@dataclass(frozen=True, slots=True)
class Ack:
    """``through``: the highest contiguous seq committed at the store; 0 where it holds none."""

    epoch: int
    through: int

    def encode(self) -> bytes:
        """Raises AckError where a value is out of range."""
        _check_range(self.epoch, self.through, low=0)
        return dump({"epoch": f"{self.epoch:016x}", "through": self.through})


@dataclass(frozen=True, slots=True)
class Nack:
    """Record ``seq`` arrived damaged. ``reason``: "crc" or another short word."""

    epoch: int
    seq: int
    reason: str

    def encode(self) -> bytes:
        """Raises AckError where a value is out of range."""
        _check_range(self.epoch, self.seq, low=1)
        if not _REASON.fullmatch(self.reason):
            raise AckError("nack: reason must be 1 to 32 of a-z, 0-9 and -")
        return dump({"epoch": f"{self.epoch:016x}", "seq": self.seq, "reason": self.reason})


def _check_range(epoch: int, seq: int, low: int) -> None:
    if not 0 <= epoch < 2**64:
        raise AckError(f"epoch {epoch} does not fit in 64 bits")
    if not low <= seq <= MAX_SEQ:
        raise AckError(f"seq {seq} must be {low} to {MAX_SEQ}")


def decode_ack(payload: bytes) -> Ack:
    """Raises AckError, saying what is wrong."""
    try:
        value = parse_object(payload, MAX_BYTES)
        exact_keys(value, ("epoch", "through"))
        return Ack(hex_u64(value, "epoch"), integer(value, "through", 0, MAX_SEQ))
    except JsonError as error:
        raise AckError(f"ack: {error}") from None


def decode_nack(payload: bytes) -> Nack:
    """Raises AckError, saying what is wrong."""
    try:
        value = parse_object(payload, MAX_BYTES)
        exact_keys(value, ("epoch", "seq", "reason"))
        reason = value["reason"]
        if not isinstance(reason, str) or not _REASON.fullmatch(reason):
            raise JsonError("reason must be 1 to 32 of a-z, 0-9 and -")
        return Nack(hex_u64(value, "epoch"), integer(value, "seq", 1, MAX_SEQ), reason)
    except JsonError as error:
        raise AckError(f"nack: {error}") from None
