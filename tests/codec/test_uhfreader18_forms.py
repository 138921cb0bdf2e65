"""UHFReader18 and 288: the two forms of a tag in an answer, and which one holds."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.reader.events import Event, RoundEnd, Tag
from hal.reader.uhfreader18 import Codec, reply
from hal.reader.uhfreader18_frames import Record, parse_inventory, parse_records, record_bytes
from hal.reader.uhfreader18_ops import Cmd, Status

EPC = bytes.fromhex("E2801160600002048C6A1234")
OTHER = bytes.fromhex("3034B708AC397E0000000649")
INFO_18 = bytes.fromhex("011708033E000D1E")


def heard(data: bytes, codec: Codec | None = None) -> list[Event]:
    codec = codec if codec is not None else Codec()
    return codec.feed(data) + codec.idle()


EPCS = st.integers(1, 15).flatmap(lambda words: st.binary(min_size=words * 2, max_size=words * 2))
RECORDS_288 = st.builds(Record, EPCS, st.integers(0, 255), st.none() | st.just(0), st.none()).map(
    lambda one: one if one.phase is None else Record(one.epc, one.rssi, 0x01020304, 920_625)
)


@given(st.lists(RECORDS_288, max_size=6), st.sampled_from([1, 2, 4, 8]))
def test_288_records_come_back_as_they_were(records: list[Record], ant: int) -> None:
    data = bytes((ant, len(records))) + b"".join(map(record_bytes, records))
    assert parse_inventory(data) == (ant, records)


@given(st.lists(EPCS, max_size=6))
def test_18_records_come_back_as_they_were_from_a_reader_known_to_be_one(epcs: list[bytes]) -> None:
    data = bytes((len(epcs),)) + b"".join(record_bytes(Record(epc)) for epc in epcs)
    assert parse_inventory(data, "18") == (None, [Record(epc) for epc in epcs])


@given(st.lists(EPCS.filter(lambda epc: len(epc) >= 8), max_size=6))
def test_18_records_hold_for_a_reader_that_is_not_known_yet(epcs: list[bytes]) -> None:
    """Its first byte is a number of tags, not an antenna: read as the 288 form it cannot come out even."""
    data = bytes((len(epcs),)) + b"".join(record_bytes(Record(epc)) for epc in epcs)
    if parse_records(data, 2, data[1] if len(data) > 1 else 0) is None:
        assert parse_inventory(data) == (None, [Record(epc) for epc in epcs])


def _ambiguous() -> list[bytes]:
    """Found by search: 288 answers that an 18 could have sent too. There are few: the antenna byte must be
    odd and above 1, which is antenna 4 of 16, or two antennas at once."""
    rng, found = random.Random(5), []
    for _ in range(200_000):
        count = 2 * rng.randint(1, 3)
        records = [
            bytes((2,)) + rng.choice([b"\x02\x02", b"\x04\x02", b"\x02\x04"]) + b"\x02" for _ in range(count)
        ]
        data = bytes((rng.choice([3, 5, 7]), count)) + b"".join(records)
        if parse_records(data, 1, data[0], rssi=False) is not None:
            found.append(data)
            if len(found) == 5:
                break
    return found


AMBIGUOUS = _ambiguous()


def test_where_both_forms_hold_the_known_model_decides() -> None:
    assert len(AMBIGUOUS) == 5
    for data in AMBIGUOUS:
        as_288, as_18 = parse_inventory(data, "288"), parse_inventory(data, "18")
        assert as_288 is not None
        assert as_18 is not None
        assert (as_288[0], as_18[0]) == (data[0], None)
        codec = Codec()
        frame = reply(Cmd.INVENTORY, Status.MORE, data)
        assert [one.epc for one in heard(frame, codec) if isinstance(one, Tag)] == [r.epc for r in as_288[1]]
        codec.feed(reply(Cmd.INFO, 0, INFO_18))
        assert [one.epc for one in heard(frame, codec) if isinstance(one, Tag)] == [r.epc for r in as_18[1]]


@pytest.mark.parametrize(
    "data",
    [
        b"\x01\x01",
        b"\x01\x01\x0c" + EPC,
        b"\x01\x01\x03abc\x11",
        b"\x01\x02\x0c" + EPC + b"\x11",
        b"\x01\x01\x00\x11",
    ],
    ids=["no record", "no RSSI", "half a word", "too few", "empty EPC"],
)
def test_data_of_neither_form_is_dropped_and_counted(data: bytes) -> None:
    codec = Codec()
    assert heard(reply(Cmd.INVENTORY, Status.MORE, data), codec) == []
    assert codec.counters.dropped_tags == 1


def test_tid_is_cut_off_and_phase_and_frequency_are_told() -> None:
    with_tid = record_bytes(Record(EPC, 70), tid=bytes(range(12)))
    assert with_tid[0] == 0x80 | 24
    with_phase = record_bytes(Record(OTHER, 71, 0x00120034, 923_125))
    assert with_phase[0] == 0x40 | 12
    data = b"\x02\x02" + with_tid + with_phase
    assert heard(reply(Cmd.INVENTORY, Status.DONE, data)) == [
        Tag(EPC, 0x3000, 70, 2),
        Tag(OTHER, 0x3000, 71, 2, None, 923_125, 0x00120034),
        RoundEnd(Cmd.INVENTORY, None, 2),
    ]
    only_tid = record_bytes(Record(b"", 70), tid=bytes(12))
    assert heard(reply(Cmd.INVENTORY, Status.MORE, b"\x01\x01" + only_tid)) == []
