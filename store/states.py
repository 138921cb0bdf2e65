"""What a board says of itself on its ``state`` topic, as far as the ledger needs it. Pure.

Unknown keys are left alone (monitors read them); a wrong one is an error, never half believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from firmware.wire.strictjson import JsonError, hex_u64, integer, parse_object

MAX_BYTES = 8192
MAX_SEQ = 0xFFFF_FFFF


class StateError(ValueError):
    """A state message that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class BoardState:
    """``epoch`` (16 hex digits), ``first_seq`` and ``last_seq`` are None where the will speaks."""

    online: bool
    state: str | None = None
    fw: str | None = None
    epoch: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None

    def told(self) -> dict[str, Any]:
        """The columns of ``boards`` that this message speaks about."""
        return {"state": self.state, "fw": self.fw, "epoch": self.epoch}


def parse_state(payload: bytes) -> BoardState:
    """Raises StateError."""
    try:
        value = parse_object(payload, MAX_BYTES)
        online = value.get("online")
        if not isinstance(online, bool):
            raise JsonError("online must be true or false")
        epoch = first = last = None
        if value.get("epoch") is not None:
            epoch = f"{hex_u64(value, 'epoch'):016x}"
            first = integer(value, "first_seq", 0, MAX_SEQ) if "first_seq" in value else None
            last = integer(value, "last_seq", 0, MAX_SEQ) if "last_seq" in value else None
            if first is not None and last is not None and first > last + 1:
                raise JsonError(f"first_seq {first} is beyond last_seq {last}")
        return BoardState(online, _text(value.get("state")), _text(value.get("fw")), epoch, first, last)
    except JsonError as error:
        raise StateError(str(error)) from None


def _text(value: Any) -> str | None:
    """Short printable text; PostgreSQL takes no NUL and UTF-8 no lone surrogate."""
    if not isinstance(value, str):
        return None
    return "".join(c for c in value if c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF)[:80]
