"""Hypothesis strategies for records: every type, every field over its whole range, from the field tables."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from firmware.wire.record_shapes import Choice, Counts, Field, Raw, Shape, Text, UInt
from firmware.wire.record_types import STAMP_FIELDS, TYPES, Flags, Record, Stamp


def of_shape(shape: Shape) -> st.SearchStrategy[Any]:
    match shape:
        case UInt():
            return st.integers(shape.low, shape.high) | st.sampled_from([shape.low, shape.high])
        case Raw():
            return st.binary(min_size=shape.low, max_size=min(shape.high, shape.low + 70))
        case Text(pattern=str(pattern)):
            return st.from_regex(pattern, fullmatch=True)
        case Text():
            return st.text(max_size=shape.limit)
        case Choice():
            return st.sampled_from(shape.names)
        case Counts():
            return st.dictionaries(st.integers(1, shape.highest), st.integers(1, 0xFFFFFFFF), max_size=5)
    raise AssertionError(shape)


def of_field(field: Field) -> st.SearchStrategy[Any]:
    values = of_shape(field.shape)
    return values if field.required else st.just(field.default) | values


stamps = st.builds(Stamp, **{field.name: of_shape(field.shape) for field in STAMP_FIELDS})


def of_type(cls: type[Record]) -> st.SearchStrategy[Record]:
    fields = {field.name: of_field(field) for field in cls.FIELDS}
    return st.builds(cls, stamps, flags=st.builds(Flags, st.integers(0, 7)), **fields)


records: st.SearchStrategy[Record] = st.one_of([of_type(cls) for cls in TYPES.values()])
