"""Questions of a board to the shop and their answers: ``ask/table`` and ``ask/time``. Pure.

A question goes with a response topic, correlation data and an expiry of at most 10 s; the answer repeats the
correlation data. Strict JSON, but for the answer to ``ask/table``: that is a snapshot (``wire.tables``), or
empty where the shop has no such table.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware.wire.strictjson import JsonError, dump, exact_keys, integer, parse_object
from firmware.wire.tables import MAX_VERSION
from firmware.wire.topics import check_id

MAX_BYTES = 256
EXPIRY_S = 10
"""A question or answer that could not be delivered for so long is worth nothing, s."""
TIME_QUESTION = b"{}"


class AskError(ValueError):
    """Not a question or answer of this kind."""


@dataclass(frozen=True, slots=True)
class TableQuestion:
    """Which bucket of which table. Raises AskError for names that are none."""

    table: str
    bucket: str

    def __post_init__(self) -> None:
        try:
            check_id(self.table, "table")
            check_id(self.bucket, "bucket")
        except ValueError as error:
            raise AskError(str(error)) from None

    def encode(self) -> bytes:
        return dump({"table": self.table, "bucket": self.bucket})


def decode_table_question(payload: bytes) -> TableQuestion:
    """Raises AskError."""
    try:
        value = parse_object(payload, MAX_BYTES)
        exact_keys(value, ("table", "bucket"))
    except JsonError as error:
        raise AskError(f"ask/table: {error}") from None
    if not isinstance(value["table"], str) or not isinstance(value["bucket"], str):
        raise AskError("ask/table: table and bucket are texts")
    return TableQuestion(value["table"], value["bucket"])


def time_answer(wall_ms: int) -> bytes:
    """The shop's wall clock, milliseconds since 1970 UTC."""
    return dump({"wall_ms": wall_ms})


def decode_time_answer(payload: bytes) -> int:
    """Milliseconds since 1970 UTC. Raises AskError."""
    try:
        value = parse_object(payload, MAX_BYTES)
        exact_keys(value, ("wall_ms",))
        return integer(value, "wall_ms", 0, MAX_VERSION)
    except JsonError as error:
        raise AskError(f"the answer to ask/time: {error}") from None
