"""UHFReader18 / 288 codec beside the contract of all: no sync byte, two record forms, statuses, push."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.reader.crc import mcrf4xx
from hal.reader.events import (
    Alive,
    Command,
    Condition,
    ErrorReply,
    Event,
    Response,
    RoundEnd,
    Tag,
)
from hal.reader.uhfreader18 import Codec, encode, reply
from hal.reader.uhfreader18_frames import (
    Heartbeat,
    ReaderInfo,
    Record,
    parse_heartbeat,
    parse_info,
    record_bytes,
)
from hal.reader.uhfreader18_ops import BANDS, ERRORS, Cmd, Status, model

EPC = bytes.fromhex("E2801160600002048C6A1234")
OTHER = bytes.fromhex("3034B708AC397E0000000649")
INFO_18 = bytes.fromhex("011708033E000D1E")
INFO_8_PORTS = bytes.fromhex("030D260331801E0001000001")
KEEP_ALIVE = bytes.fromhex("560000000000")


def heard(data: bytes, codec: Codec | None = None) -> list[Event]:
    codec = codec if codec is not None else Codec()
    return codec.feed(data) + codec.idle()


def answer(status: int, *records: Record, ant: int | None = 1, cmd: int = Cmd.INVENTORY) -> bytes:
    head = bytes((len(records),)) if ant is None else bytes((ant, len(records)))
    return reply(cmd, status, head + b"".join(map(record_bytes, records)))


def tag(epc: bytes, rssi: int = 0, antenna: int = 1) -> Tag:
    return Tag(epc, len(epc) // 2 << 11, rssi, antenna)


# -- frames -------------------------------------------------------------------------------------------


def test_the_frames_of_the_manual() -> None:
    assert encode(Cmd.INFO, address=0xFF).hex(" ").upper() == "04 FF 21 19 95"
    assert encode(Cmd.STOP).hex(" ").upper() == "04 00 93 40 FC"
    assert encode(Cmd.INVENTORY, bytes.fromhex("04FF")).hex(" ").upper() == "06 00 01 04 FF D4 39"
    assert (
        encode(Cmd.INVENTORY, bytes.fromhex("0400008014")).hex(" ").upper() == "09 00 01 04 00 00 80 14 DD 23"
    )
    assert reply(Cmd.POWER, 0).hex(" ").upper() == "05 00 2F 00 8D CD"
    assert reply(Cmd.UNKNOWN, Status.BAD_COMMAND).hex(" ").upper() == "05 00 00 FE 87 73"
    assert answer(Status.DONE).hex(" ").upper() == "07 00 01 01 01 00 1E 4B"


def test_bad_arguments_are_refused() -> None:
    for address in (-1, 256):
        with pytest.raises(ValueError, match="address"):
            encode(Cmd.INFO, address=address)
    with pytest.raises(ValueError, match="at most 253"):
        encode(Cmd.INVENTORY, bytes(252))
    with pytest.raises(ValueError, match="at most 63"):
        record_bytes(Record(bytes(64), 1))
    with pytest.raises(ValueError, match="TID"):
        record_bytes(Record(EPC, 1), tid=bytes(11))


@pytest.mark.parametrize("size", [249, 250])
def test_the_longest_frames(size: int) -> None:
    frame = reply(Cmd.READ, 0, bytes(size))
    assert heard(frame + frame) == [Response(Cmd.READ, bytes(size))] * 2
    command = encode(Cmd.READ, bytes(size + 1))
    assert heard(command, Codec("host")) == [Command(Cmd.READ, bytes(size + 1))]


# -- no sync byte -------------------------------------------------------------------------------------


def test_a_network_bridges_keep_alive_is_no_frame_and_delays_none() -> None:
    codec = Codec(address=0)
    stream = KEEP_ALIVE + answer(Status.MORE, Record(EPC, 70)) + KEEP_ALIVE + answer(Status.DONE)
    assert codec.feed(stream) == [tag(EPC, 70), RoundEnd(Cmd.INVENTORY, None, 1)]
    assert codec.counters.bad_checks == 0


@given(st.binary(max_size=80), st.integers(0, 2**16))
def test_a_frame_behind_any_bytes_is_found_when_the_line_is_quiet(junk: bytes, seed: int) -> None:
    frame = answer(Status.MORE, Record(EPC, random.Random(seed).randrange(256)))
    events = heard(junk + frame)
    assert [event.epc for event in events if isinstance(event, Tag)][-1:] == [EPC]


def test_only_this_readers_address_is_heard() -> None:
    codec = Codec(address=3)
    stream = reply(Cmd.POWER, 0, address=2) + reply(Cmd.POWER, 0, address=3)
    assert heard(stream, codec) == [Response(Cmd.POWER, b"")]
    assert codec.heard == 3
    assert codec.counters.junk == 6


@pytest.mark.parametrize(
    "start",
    [bytes.fromhex("0500EF"), bytes.fromhex("FF002F"), bytes.fromhex("060000"), bytes.fromhex("040021")],
    ids=["unknown command", "too long for its command", "too long for an error", "too short"],
)
def test_what_cannot_be_a_frame_is_not_waited_for(start: bytes) -> None:
    codec = Codec(address=0)
    assert codec.feed(start + answer(Status.MORE, Record(EPC, 70))) == [tag(EPC, 70)]
    assert codec.counters.junk == len(start)


def test_no_single_flipped_bit_is_accepted() -> None:
    good = answer(Status.MORE, Record(EPC, 70))
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        assert heard(bytes(bad)) == []


def chance(body: bytes) -> bytes:
    """A head and the two bytes behind it that make the CRC over all of it hold."""
    return body + mcrf4xx(body).to_bytes(2, "little")


@pytest.mark.parametrize("size", [1, 30, 300])
@pytest.mark.parametrize("before", [b"", b"\x02"], ids=["behind a frame", "behind junk"])
@pytest.mark.parametrize("head", ["5A 02 77", "5A 01 03", "00 01 03", "00 EE 28"])
def test_a_false_beginning_that_passes_by_chance_swallows_nothing(
    head: str, before: bytes, size: int
) -> None:
    real = [answer(Status.MORE, Record(bytes((n,)) + EPC[1:], 70)) for n in range(9)]
    inside = b"".join(real[1:8])
    if not before and head.startswith("00"):
        return  # of this reader and in its place: nothing tells it from a good one before its end
    false = chance(bytes((len(inside) + 5,)) + bytes.fromhex(head) + inside)
    stream = real[0] + before + false + real[8]
    codec, events = Codec(), []
    for at in range(0, len(stream), size):
        events += codec.feed(stream[at : at + size])
        assert codec.pending < 256
    assert [event.epc[0] for event in events + codec.idle() if isinstance(event, Tag)] == list(range(9))


def test_another_reader_on_the_same_line_is_heard() -> None:
    one, two = answer(Status.MORE, Record(EPC, 70)), reply(Cmd.POWER, 0, address=9)
    assert heard(one + two + one + KEEP_ALIVE + two + two) == [
        tag(EPC, 70),
        Response(Cmd.POWER, b""),
        tag(EPC, 70),
        *[Response(Cmd.POWER, b"")] * 2,
    ]


# -- statuses -------------------------------------------------------------------------------------------


def test_a_burst_of_several_frames() -> None:
    stream = (
        answer(Status.MORE, Record(EPC, 70))
        + answer(Status.MORE, Record(OTHER, 71), ant=4)
        + answer(Status.DONE, Record(EPC, 72), Record(OTHER, 73), ant=8)
    )
    assert heard(stream) == [
        tag(EPC, 70),
        tag(OTHER, 71, 3),
        tag(EPC, 72, 4),
        tag(OTHER, 73, 4),
        RoundEnd(Cmd.INVENTORY, None, 4),
    ]


def test_what_ends_an_inventory() -> None:
    end = RoundEnd(Cmd.INVENTORY, None, 1)
    assert heard(answer(Status.TIME_OVER, Record(EPC, 9))) == [tag(EPC, 9), end]
    full, ended = heard(answer(Status.MEMORY_FULL))
    assert isinstance(full, Condition)
    assert (full.name, ended) == ("buffer-full", end)
    assert heard(reply(Cmd.INVENTORY, Status.NO_TAG)) == [RoundEnd(Cmd.INVENTORY, 0, None)]
    assert heard(answer(Status.MORE, cmd=Cmd.SINGLE)) == []
    assert heard(answer(Status.DONE, cmd=Cmd.SINGLE)) == [RoundEnd(Cmd.SINGLE, None, 1)]


def test_a_missing_antenna_is_a_condition_with_the_antenna_that_was_asked() -> None:
    codec = Codec()
    codec.asked = 3
    missing = Condition("antenna-missing", ERRORS[0xF8], antenna=3)
    assert heard(reply(Cmd.INVENTORY, Status.ANTENNA), codec) == [missing, RoundEnd(Cmd.INVENTORY, None, 3)]
    assert heard(answer(Status.ANTENNA, ant=2), codec)[0] == Condition(
        "antenna-missing", ERRORS[0xF8], antenna=2
    )
    said, error = heard(reply(Cmd.READ, Status.ANTENNA), codec)
    assert said == missing
    assert error == ErrorReply(Cmd.READ, 0xF8, ERRORS[0xF8])


def test_statistics_are_a_response() -> None:
    data = bytes.fromhex("01003200000123")
    assert heard(reply(Cmd.INVENTORY, Status.STATISTICS, data)) == [Response(Cmd.INVENTORY, data, 0x26)]


@pytest.mark.parametrize("code", sorted(set(ERRORS) - {0xF8, 0xFB}))
def test_errors_are_values_with_words(code: int) -> None:
    data = b"\x04" if code == 0xFC else b""
    assert heard(reply(Cmd.READ, code, data)) == [ErrorReply(Cmd.READ, code, ERRORS[code], data)]
    assert len(ERRORS[code]) > 10


def test_an_error_without_a_command_and_one_that_is_not_listed() -> None:
    assert heard(reply(Cmd.UNKNOWN, 0xFE)) == [ErrorReply(None, 0xFE, ERRORS[0xFE])]
    assert heard(reply(Cmd.UNKNOWN, 0x77)) == [ErrorReply(None, 0x77, "error 0x77")]
    assert heard(reply(Cmd.POWER, Status.NOT_SAVED)) == [Response(Cmd.POWER, b"", 0x13)]


# -- reader info and ports --------------------------------------------------------------------------------


def antennas(data: bytes, ports: int | None = None) -> int | None:
    info = parse_info(data, ports)
    assert info is not None
    return info.antennas


def test_reader_info() -> None:
    assert parse_info(INFO_8_PORTS) == ReaderInfo("3.13", 0x26, 2, 49, 0, 30, 0, 1, True)
    assert parse_info(INFO_18) == ReaderInfo("1.23", 0x08, 0, 62, 0, 13, 30, None, False)
    assert parse_info(INFO_18[:7]) is None
    sixteen = bytearray(INFO_8_PORTS)
    sixteen[2], sixteen[8], sixteen[10] = 0x27, 0x03, 0x81
    assert antennas(bytes(sixteen)) == 0x8103
    sixteen[2] = 0x99
    assert antennas(bytes(sixteen)) == 0x03
    assert antennas(bytes(sixteen), 16) == 0x8103


def test_bands_have_the_bytes_of_the_manual() -> None:
    assert {name: band.wire.hex() for name, band in BANDS.items()} == {
        "cn900": "1340",
        "cn800": "9300",
        "us": "3180",
        "eu": "4e00",
        "kr": "1fc0",
    }


@pytest.mark.parametrize(
    ("type_byte", "ant", "antenna"),
    [(0x20, 1, 1), (0x20, 8, 4), (0x20, 5, 1), (0x26, 0x80, 8), (0x27, 0, 1), (0x27, 4, 5), (0x65, 15, 16)],
)
def test_the_antenna_byte_is_a_mask_or_with_sixteen_ports_a_number(
    type_byte: int, ant: int, antenna: int
) -> None:
    codec = Codec()
    codec.feed(reply(Cmd.INFO, 0, INFO_8_PORTS[:2] + bytes((type_byte,)) + INFO_8_PORTS[3:]))
    assert heard(answer(Status.MORE, Record(EPC, 70), ant=ant), codec) == [tag(EPC, 70, antenna)]
    assert heard(reply(Cmd.PUSH, 0, bytes((ant,)) + record_bytes(Record(EPC, 70))), codec) == [
        tag(EPC, 70, antenna)
    ]


def test_ports_of_a_type_that_is_not_listed_are_learned_from_its_powers() -> None:
    codec = Codec()
    info = reply(Cmd.INFO, 0, INFO_8_PORTS[:2] + b"\x99" + INFO_8_PORTS[3:])
    codec.feed(info)
    assert codec.model == model(0x99)
    codec.feed(reply(Cmd.PORT_POWERS, 0, bytes(16)))
    codec.feed(info)  # asked again, it says no more than before
    assert codec.model.ports == 16
    codec.feed(reply(Cmd.INFO, 0, INFO_18))
    assert (codec.model.form, codec.model.ports) == ("18", 1)


def test_lost_settings_are_a_condition_where_somebody_knows_them() -> None:
    codec = Codec()
    codec.differs = lambda info: None if info.power == 30 else f"the power is {info.power}"
    assert len(codec.feed(reply(Cmd.INFO, 0, INFO_8_PORTS))) == 1
    _, lost = codec.feed(reply(Cmd.INFO, 0, INFO_18))
    assert lost == Condition("reset", "the reader has lost its settings: the power is 13")


def test_the_readers_temperature() -> None:
    assert heard(reply(Cmd.TEMPERATURE, 0, b"\x01\x29"))[1] == Condition("temperature", "41 °C", 41.0)
    assert heard(reply(Cmd.TEMPERATURE, 0, b"\x00\x05"))[1] == Condition("temperature", "-5 °C", -5.0)


# -- real-time mode ---------------------------------------------------------------------------------------


@given(st.integers(1, 31).flatmap(lambda words: st.binary(min_size=words * 2, max_size=words * 2)))
def test_both_forms_of_a_pushed_tag(epc: bytes) -> None:
    codec = Codec()
    assert heard(reply(Cmd.PUSH, 0, b"\x02" + record_bytes(Record(epc, 70))), codec) == [tag(epc, 70, 2)]
    assert heard(reply(Cmd.PUSH, 0, epc), codec) == [tag(epc)]
    assert (codec.pushed, codec.pushed_bare) == (2, 1)


def test_pushed_data_that_is_no_tag_is_counted() -> None:
    codec = Codec()
    for data in (b"\x01\x0c" + EPC, b"\x01\x0c" + EPC + b"\x11\x11\x11", bytes(64)):
        assert [one for one in heard(reply(Cmd.PUSH, 0, data), codec) if len(one.epc) != 14] == []  # type: ignore[union-attr]
    assert heard(reply(Cmd.PUSH, 0x55, b""), codec) == []
    assert heard(reply(Cmd.PUSH, Status.HEARTBEAT, bytes(7)), codec) == []
    assert (codec.counters.dropped_tags, codec.counters.unknown) == (2, 2)


@pytest.mark.parametrize("ports", [1, 4, 8, 16])
def test_a_heartbeat_with_its_antennas(ports: int) -> None:
    states = bytes((2,)) + bytes(ports - 1) if ports < 3 else bytes((1, 2, 0)) + bytes(ports - 3)
    data = (7).to_bytes(4, "big") + states + (900).to_bytes(4, "big")
    assert parse_heartbeat(data) == Heartbeat(7, states, 900)
    codec = Codec()
    alive, missing = heard(reply(Cmd.PUSH, Status.HEARTBEAT, data), codec)
    port = states.index(2) + 1
    assert alive == Alive("heartbeat", data)
    assert missing == Condition("antenna-missing", ERRORS[0xF8], antenna=port)
    assert codec.model.ports == (16 if ports == 16 else 4)


def test_an_unplugged_antenna_is_said_between_heartbeats_until_it_is_heard() -> None:
    codec = Codec()
    codec.feed(reply(Cmd.PUSH, Status.HEARTBEAT, bytes(4) + b"\x01\x02\x00\x00" + bytes(4)))
    info = reply(Cmd.INFO, 0, INFO_8_PORTS)
    assert codec.feed(info)[1:] == [Condition("antenna-missing", ERRORS[0xF8], antenna=2)]
    codec.feed(reply(Cmd.PUSH, 0, b"\x02" + record_bytes(Record(EPC, 70))))
    assert codec.feed(info)[1:] == []


# -- streams ------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=600), max_size=8), st.sampled_from([None, 0]))
def test_bytes_made_of_headers_never_raise_and_never_grow(chunks: list[bytes], address: int | None) -> None:
    """The worst garbage here: lengths, addresses and commands that are all plausible."""
    codec, rng = Codec(address=address), random.Random(1)
    for chunk in chunks:
        for _ in range(20):
            codec.feed(bytes((rng.randrange(5, 256), 0, rng.choice([1, 0xEE, 0x21, 2]))) + chunk[:30])
            assert codec.pending < 256
    codec.idle()
    assert codec.pending == 0
