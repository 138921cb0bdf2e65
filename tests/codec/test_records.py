"""Records: every type round-trips, agrees with the published CDDL, and nothing else gets in."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cbor2
import pycddl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.wire.record_shapes import Text
from firmware.wire.record_types import TYPES, Record
from firmware.wire.records import (
    HEADER_BYTES,
    MAX_BODY,
    Admitted,
    Alarm,
    Basket,
    Flags,
    FrameError,
    Kind,
    RecordError,
    Stamp,
    Started,
    decode_body,
    frame,
    parse_frame,
)
from tests.support.records_strategy import of_type, records

SCHEMA = pycddl.Schema((Path(__file__).parents[2] / "docs" / "records.cddl").read_text())
STAMP = Stamp(1_795_000_000_000, 123_456, b"boot", "synced")
ADMITTED = Admitted(STAMP, b"\x00visit\xff\x01", "in", 2, "entry")


@pytest.mark.parametrize("cls", TYPES.values(), ids=lambda cls: cls.__name__)
def test_every_type_round_trips_and_obeys_the_cddl(cls: type[Record]) -> None:
    @settings(max_examples=40)
    @given(of_type(cls))
    def check(record: Record) -> None:
        body = record.body()
        assert decode_body(body) == record
        SCHEMA.validate_cbor(body)

    check()


def test_every_kind_has_its_type() -> None:
    assert set(TYPES) == set(Kind)


def test_the_bytes_are_these() -> None:
    """A frozen example: a change here breaks every board in the field."""
    body = "a90001011b000001a1ee565e00021a0001e2400344626f6f7404010648007669736974ff01070008020901"
    assert ADMITTED.body().hex() == body
    assert frame(0x0102030405060708, 9, ADMITTED.body()).hex() == (
        "01" + "0102030405060708" + "00000009" + "002b" + "72cc63a0" + body
    )


def test_offline_is_a_flag() -> None:
    assert dataclasses.replace(ADMITTED, flags=Flags.OFFLINE | Flags.IN_MEMORY).offline
    assert not ADMITTED.offline


def _wire(record: Record) -> dict[int, Any]:
    wire = cbor2.loads(record.body())
    assert isinstance(wire, dict)
    return wire


def _wrong_values(record: Record) -> list[tuple[int, Any]]:
    """For each field of ``record`` a value just outside what it may hold."""
    wrong: list[tuple[int, Any]] = [
        (0, max(TYPES) + 1),
        (1, -1),
        (2, 1 << 53),
        (3, b"abc"),
        (4, 3),
        (5, 8),
        (99, 0),
    ]
    wrong += [(field.key, None) for field in record.FIELDS]
    wrong += [(field.key, 1.5) for field in record.FIELDS]
    return wrong


@settings(max_examples=60)
@given(records, st.data())
def test_a_field_out_of_bounds_is_refused_by_decoder_and_cddl(record: Record, data: st.DataObject) -> None:
    wire = _wire(record)
    key, value = data.draw(st.sampled_from(_wrong_values(record)))
    wire[key] = value
    body = cbor2.dumps(dict(sorted(wire.items())))
    with pytest.raises(RecordError):
        decode_body(body)
    with pytest.raises(pycddl.ValidationError):
        SCHEMA.validate_cbor(body)


@settings(max_examples=60)
@given(records, st.data())
def test_a_missing_field_is_refused_by_decoder_and_cddl(record: Record, data: st.DataObject) -> None:
    wire = _wire(record)
    required = [0, 1, 2, 3, 4] + [field.key for field in record.FIELDS if field.required]
    del wire[data.draw(st.sampled_from(required))]
    body = cbor2.dumps(wire)
    with pytest.raises(RecordError):
        decode_body(body)
    with pytest.raises(pycddl.ValidationError):
        SCHEMA.validate_cbor(body)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (dataclasses.replace(ADMITTED, visit=b"short"), "visit"),
        (dataclasses.replace(ADMITTED, uses=0), "uses"),
        (dataclasses.replace(ADMITTED, uses=16), "uses"),
        (dataclasses.replace(ADMITTED, uses=True), "uses"),
        (dataclasses.replace(ADMITTED, direction="sideways"), "direction"),
        (dataclasses.replace(ADMITTED, stamp=dataclasses.replace(STAMP, boot=b"long!")), "boot"),
        (Alarm(STAMP, "Not An Id", ""), "kind"),
        (Alarm(STAMP, "tailgate", "x" * 201), "detail"),
        (Alarm(STAMP, "tailgate", "\ud800"), "surrogate"),
        (Basket(STAMP, b"", 0, "quiet"), "tags"),
        (Basket(STAMP, bytes(30721), 0, "quiet"), "tags"),
        (Basket(STAMP, b"\x00", 1001, "quiet"), "count"),
    ],
)
def test_encoding_refuses_what_decoding_would(wrong: Record, says: str) -> None:
    with pytest.raises(RecordError, match=says):
        wrong.body()


def test_text_of_200_wide_characters_fits() -> None:
    record = Alarm(STAMP, "tailgate", "\U0001f6d2" * 200)
    assert decode_body(record.body()) == record
    SCHEMA.validate_cbor(record.body())


def test_the_largest_basket_fits_a_body() -> None:
    record = Basket(STAMP, bytes(30720), 1000, "\U0001f6d2" * 200, b"v" * 8)
    assert len(record.body()) <= MAX_BODY
    assert decode_body(record.body()) == record


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xa0",
        b"\x80",
        b"\xff",
        b"\x81" * 30_000,
        b"\xa1\x00\x01",
        b"\xa1\x61a\x01",
        bytes.fromhex("c249010000000000000000"),
        ADMITTED.body() + b"\x00",
        ADMITTED.body()[:-1],
        bytes(MAX_BODY + 1),
        # the same fact, but: an integer longer than needed, an indefinite map, keys out of order
        ADMITTED.body().replace(b"\x08\x02\x09\x01", b"\x08\x18\x02\x09\x01"),
        b"\xbf" + ADMITTED.body()[1:] + b"\xff",
        ADMITTED.body().replace(b"\x08\x02\x09\x01", b"\x09\x01\x08\x02"),
        # a key twice, and a default that should have been left out
        b"\xaa" + ADMITTED.body()[1:] + b"\x09\x01",
        b"\xaa" + ADMITTED.body()[1:] + b"\x0a\x00",
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(RecordError):
        decode_body(body)


@given(st.binary(max_size=80))
def test_random_bytes_are_refused_with_record_error_only(body: bytes) -> None:
    with pytest.raises(RecordError):
        decode_body(body)


@settings(max_examples=150)
@given(records, st.data())
def test_flipped_bytes_never_raise_anything_else(record: Record, data: st.DataObject) -> None:
    body = bytearray(record.body())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        again = decode_body(bytes(body))
    except RecordError:
        return
    assert again.body() == bytes(body)
    SCHEMA.validate_cbor(bytes(body))


# -- frames ------------------------------------------------------------------------------------

EPOCHS = st.integers(0, (1 << 64) - 1)
SEQS = st.integers(1, (1 << 32) - 1)


@given(EPOCHS, SEQS, st.binary(max_size=600))
def test_frames_round_trip(epoch: int, seq: int, body: bytes) -> None:
    data = frame(epoch, seq, body)
    assert len(data) == HEADER_BYTES + len(body)
    parsed = parse_frame(data)
    assert (parsed.version, parsed.epoch, parsed.seq, parsed.body) == (1, epoch, seq, body)


@pytest.mark.parametrize("size", [0, 1, 255, 256, MAX_BODY])
def test_frames_at_the_edges_of_length(size: int) -> None:
    assert parse_frame(frame(1, 1, bytes(size))).body == bytes(size)


def test_a_frame_cut_or_flipped_anywhere_is_refused() -> None:
    data = frame(0xABCDEF, 7, ADMITTED.body())
    for size in range(len(data)):
        with pytest.raises(FrameError):
            parse_frame(data[:size])
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FrameError):
            parse_frame(bytes(flipped))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x01" * 18, "short"),
        (b"\x02" + frame(1, 1, b"x")[1:], "version"),
        (frame(1, 1, b"x") + b"y", "length"),
        (frame(1, 1, b"x")[:-1], "length"),
        (frame(1, 1, b"x")[:-1] + b"y", "crc"),
    ],
)
def test_frame_errors_say_which_kind(data: bytes, kind: str) -> None:
    with pytest.raises(FrameError) as caught:
        parse_frame(data)
    assert caught.value.kind == kind
    if kind != "short":
        assert (caught.value.epoch, caught.value.seq) == (1, 1)


@pytest.mark.parametrize(
    ("epoch", "seq", "size"), [(-1, 1, 0), (1 << 64, 1, 0), (1, 0, 0), (1, 1, MAX_BODY + 1)]
)
def test_frames_outside_the_bounds_are_not_made(epoch: int, seq: int, size: int) -> None:
    with pytest.raises(ValueError):
        frame(epoch, seq, bytes(size))


def test_text_shape_counts_characters_not_bytes() -> None:
    assert Text(3).to_wire("äöü") == "äöü"
    assert decode_body(Started(STAMP, "1.0", "power").body()) == Started(STAMP, "1.0", "power")
