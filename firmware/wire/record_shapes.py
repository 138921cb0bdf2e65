"""The value shapes a record field can have: what is legal in Python, and how it looks as CBOR.

One small class per shape; each refuses anything outside its bounds, in both directions, so that a
record that can be encoded can always be decoded and nothing unbounded enters a ledger.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

MAX_BODY = 32 * 1024
"""Bytes of a record body."""
MAX_TEXT = 200
"""Characters in a free text field."""


class RecordError(ValueError):
    """A record body is not one: says which field, what was found and the limit."""


class Shape(Protocol):
    """Converts one field between its Python value and its CBOR value; raises RecordError."""

    def to_wire(self, value: Any) -> Any: ...
    def from_wire(self, value: Any) -> Any: ...


@dataclass(frozen=True)
class UInt:
    """An integer in low..high, both included. ``True`` is not an integer here."""

    low: int
    high: int

    def to_wire(self, value: Any) -> int:
        if type(value) is not int:
            raise RecordError(f"expected an integer, found {type(value).__name__}")
        if not self.low <= value <= self.high:
            raise RecordError(f"{value} is outside {self.low}..{self.high}")
        return value

    from_wire = to_wire


@dataclass(frozen=True)
class Raw:
    """A byte string of low..high bytes."""

    low: int
    high: int

    def to_wire(self, value: Any) -> bytes:
        if type(value) is not bytes:
            raise RecordError(f"expected a byte string, found {type(value).__name__}")
        if not self.low <= len(value) <= self.high:
            raise RecordError(f"{len(value)} bytes is outside {self.low}..{self.high}")
        return value

    from_wire = to_wire


@dataclass(frozen=True)
class Text:
    """UTF-8 text of at most ``limit`` characters, or exactly what ``pattern`` matches."""

    limit: int = MAX_TEXT
    pattern: str | None = None

    def to_wire(self, value: Any) -> str:
        if type(value) is not str:
            raise RecordError(f"expected text, found {type(value).__name__}")
        if len(value) > self.limit:
            raise RecordError(f"text of {len(value)} characters is over {self.limit}")
        if any(0xD800 <= ord(c) <= 0xDFFF for c in value):
            raise RecordError("text holds half of a surrogate pair, which has no UTF-8 form")
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            raise RecordError(f"text does not match {self.pattern}")
        return value

    from_wire = to_wire


@dataclass(frozen=True)
class Choice:
    """One of a few names, a small integer on the wire: its index plus ``base``."""

    names: tuple[str, ...]
    base: int = 0

    def to_wire(self, value: Any) -> int:
        if type(value) is not str or value not in self.names:
            raise RecordError(f"expected one of {', '.join(self.names)}")
        return self.names.index(value) + self.base

    def from_wire(self, value: Any) -> str:
        if type(value) is not int or not self.base <= value < self.base + len(self.names):
            raise RecordError(f"expected {self.base}..{self.base + len(self.names) - 1}")
        return self.names[value - self.base]


@dataclass(frozen=True)
class Counts:
    """Record type number → how many (u32), at most one entry a type, ascending."""

    highest: int

    def to_wire(self, value: Any) -> dict[int, int]:
        if not isinstance(value, Mapping):
            raise RecordError(f"expected a map of counts, found {type(value).__name__}")
        key, count = UInt(1, self.highest), UInt(1, 0xFFFFFFFF)
        pairs = {key.to_wire(k): count.to_wire(v) for k, v in value.items()}
        return dict(sorted(pairs.items()))

    from_wire = to_wire


@dataclass(frozen=True)
class Field:
    """One field of a record type: attribute name, CBOR map key and shape.

    ``default`` is left out on the wire, so it costs no byte; ``required`` fields are always there.
    """

    name: str
    key: int
    shape: Shape
    required: bool = True
    default: Any = None

    def pack(self, value: Any) -> Any:
        """The CBOR value; RecordError names the field."""
        try:
            return self.shape.to_wire(value)
        except RecordError as error:
            raise RecordError(f"{self.name} (key {self.key}): {error}") from None

    def take(self, wire: dict[int, Any]) -> Any:
        """Removes the field from a decoded map and returns its Python value, or its default."""
        if self.key not in wire:
            if self.required:
                raise RecordError(f"{self.name} (key {self.key}) is missing")
            return dict(self.default) if isinstance(self.default, dict) else self.default
        try:
            return self.shape.from_wire(wire.pop(self.key))
        except RecordError as error:
            raise RecordError(f"{self.name} (key {self.key}): {error}") from None
