"""The simulated ThingMagic module: its answers byte for byte, its stream, its troubles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hal.reader.events import Alive, Condition, ErrorReply, Event, Response, RoundEnd, Tag
from hal.reader.thingmagic import STREAM_SEARCH, Codec, encode, encode_answer, start_search, wrapped
from hal.reader.thingmagic_ops import Op, Search
from hal.sim.population import Population
from hal.sim.thingmagic import BOOT_S, SimModule
from hal.sim.thingmagic_search import BUFFER_TAGS

VECTORS = {
    (row["direction"], row["name"]): row["hex"].replace(" ", "")
    for row in json.loads((Path(__file__).parents[1] / "vectors" / "rfid_frames.json").read_text())
    if row["protocol"] == "thingmagic"
}
EPCS = [bytes.fromhex(f"E28068900000500E88C6A4{n:02X}") for n in range(80)]
STOP = encode(Op.MULTI, b"\x00\x00\x02")
STOPPED = "FF012F00000230E6"
START = start_search(metadata=0x7F)


class Talk:
    """A host at the module's line, with a clock of its own."""

    def __init__(
        self, model: str = "nano", antennas: int = 1, bootloader: bool = False, empty_epc_every: int = 0
    ) -> None:
        self.field = Population(antennas=antennas)
        self.module = SimModule(self.field, model, bootloader, empty_epc_every)
        self.now = 100.0
        self.codec = Codec()

    def ask(self, command: str | bytes) -> str:
        data = bytes.fromhex(command) if isinstance(command, str) else command
        return self.module.feed(data, self.now).hex().upper()

    def tell(self, op: int, data: bytes = b"") -> Event:
        """The one event that the module's answer is."""
        (event,) = self.codec.feed(bytes.fromhex(self.ask(encode(op, data))))
        return event

    def code(self, op: int, data: bytes = b"") -> int:
        event = self.tell(op, data)
        return event.code if isinstance(event, ErrorReply) else 0

    def run(self, seconds: float) -> list[tuple[float, Event]]:
        """What it says by itself, with the time of each."""
        end, said = self.now + seconds, []
        while (due := self.module.due()) is not None and due <= end:
            self.now = max(self.now, due)
            said += [(self.now - 100.0, event) for event in self.codec.feed(self.module.speak(self.now))]
        self.now = end
        return said

    def ready(self, filter_off: bool = True) -> None:
        self.ask(encode(Op.SET_REGION, bytes((self.module.kind.regions[0],))))
        self.ask(encode(Op.SET_PROTOCOL, b"\x00\x05"))
        if filter_off:
            self.ask(encode(Op.SET_OPTION, b"\x01\x0c\x00"))


def events(said: list[tuple[float, Event]], kind: type) -> list[Event]:
    return [event for _, event in said if isinstance(event, kind)]


# -- answers ---------------------------------------------------------------------------------------


def test_the_start_up_sequence_byte_for_byte() -> None:
    talk = Talk()
    for command, answer in (
        ("FF032F0000025E86", STOPPED),
        ("FF000C1D03", "FF010C0000526303"),
        ("FF0197064BBB", "FF00970000779E"),
        ("FF02930005517D", "FF00930000371A"),
        ("FF039102010142C5", "FF009100001758"),
        ("FF029204B045E9", "FF00920000273B"),
        ("FF016200BEBD", "FF036200000004B0AF16"),
        ("FF039A010C00A35D", "FF009A0000A633"),
        ("FF039B050000DCE8", "FF009B0000B612"),
        ("FF102F00000122000005072210001B03E801FFDD2B", "FF042F0000012200006DC3"),
        ("FF032F0000025E86", ""),
    ):
        assert talk.ask(command) == answer, command
    assert [event for _, event in talk.run(1)] == [Response(0x2F, b"\x02")]


def test_collected_questions_get_the_collected_answers() -> None:
    talk = Talk()
    talk.ask(encode(Op.SET_READ_POWER, b"\x0a\x8c"))
    talk.ask(encode(Op.SET_REGION, b"\x0d"))
    talk.ask(encode(Op.SET_POWER_MODE, b"\x03"))
    talk.module.celsius = 30
    for asked, answered in (
        ("get read power incl. limits", "read power 27.00 max 27.00 min 0"),
        ("get temperature", "temperature 30 C"),
        ("get protocols", "protocol list"),
        ("get Gen2 session", "Gen2 session S0"),
        ("get ISO6B param (unsupported)", "status 0402 for ISO6B param"),
        ("get filter timeout", "filter timeout 0"),
        ("set GPIO 1 high", "GPIO state 1"),
        ("set baud 115200", "baud set OK"),
        ("set write power 27.00", "write power set OK"),
        ("hw serial", "hw serial blob"),
        ("get power mode", "power mode MAXSAVE(3)"),
        ("get stats", "stats reset ok"),
    ):
        assert talk.ask(VECTORS["host->reader", asked]) == VECTORS["reader->host", answered], asked
    assert talk.ask(encode(Op.GET_REGION)) == VECTORS["reader->host", "region NA2"]
    assert talk.ask(encode(Op.GET_OPTION, b"\x01\x12")) == VECTORS["reader->host", "product group 12 = 0000"]
    assert talk.ask(encode(Op.GET_GEN2, b"\x05\x16")) == VECTORS["reader->host", "Gen2 initial Q"]
    for model, answered in (("m7e", "version M7E Hecto"), ("silion", "version Silion 31")):
        assert Talk(model).ask(encode(Op.VERSION)) == VECTORS["reader->host", answered]
    regions = talk.tell(Op.REGIONS)
    assert isinstance(regions, Response)
    assert regions.data[:6].hex() == "0d0e04050608"
    assert len(regions.data) == 26
    hops = talk.tell(Op.GET_HOPS)
    assert isinstance(hops, Response)
    assert len(hops.data) == 200


@pytest.mark.parametrize(
    ("op", "data", "code"),
    [
        (Op.SET_REGION, b"", 0x0100),
        (Op.SET_REGION, b"\x06\x06", 0x0100),
        (Op.VERSION, b"\x00", 0x0100),
        (0x55, b"", 0x0101),
        (Op.BOOT, b"", 0x0101),
        (Op.SET_READ_POWER, b"\x0b\xb9", 0x0103),
        (Op.SET_READ_POWER, b"\x00\x64", 0x0106),
        (Op.SET_REGION, b"\x77", 0x010B),
        (Op.SET_BAUD, b"\x00\x00\x00\x07", 0x010A),
        (Op.SET_ANTENNA, b"\x02\x03\x03", 0x0105),
        (Op.SET_ANTENNA, b"\x02\x01", 0x0100),
        (Op.GET_ANTENNA, b"\x09", 0x0105),
        (Op.SET_GEN2, b"\x05\x00\x04", 0x0105),
        (Op.SET_GEN2, b"\x03\x00\x00", 0x0402),
        (Op.SET_OPTION, b"\x01\x77\x00", 0x0105),
        (Op.SET_PROTOCOL, b"\x00\x03", 0x0402),
        (Op.MULTI, b"\x00\x00\x01", 0x0100),
        (Op.READ_MULTIPLE, b"\x00", 0x0100),
        (Op.GET_BUFFER, b"\x00", 0x0100),
        (Op.GET_BUFFER, b"\x10\x00\x00", 0x0105),
        (Op.READ_SINGLE, b"\x03\xe8", 0x0405),
        (Op.READ_MULTIPLE, b"\x00\x00\x13\x03\xe8", 0x0405),
        (Op.MULTI, START[3:-2], 0x0405),
    ],
)
def test_what_is_wrong_is_refused_with_its_number(op: int, data: bytes, code: int) -> None:
    assert Talk("silion", antennas=2).code(op, data) == code


def test_the_bootloader_answers_little_and_starts_the_firmware_when_told() -> None:
    talk = Talk(bootloader=True)
    assert talk.module.power_cycle(talk.now) == b""
    program = talk.tell(Op.PROGRAM)
    assert isinstance(program, Response)
    assert program.data[0] & 3 == 1
    assert talk.code(Op.VERSION) == 0
    assert talk.code(Op.SET_REGION, b"\x06") == talk.code(Op.MULTI, b"\x00\x00\x02") == 0x0101
    assert talk.ask("FF00041D0B") == ""
    assert talk.run(BOOT_S - 0.01) == []
    assert talk.ask(encode(Op.VERSION)) == ""  # lost: it is starting
    (said,) = talk.run(0.1)
    assert isinstance(said[1], Condition)
    assert said[1].name == "reset"
    assert talk.code(Op.SET_REGION, b"\x06") == 0
    assert talk.tell(Op.PROGRAM) == Response(Op.PROGRAM, b"\x52")
    assert talk.code(Op.BOOTLOADER) == 0
    assert talk.code(Op.SET_REGION, b"\x06") == 0x0101


def test_a_loss_of_supply_takes_everything_and_is_said() -> None:
    talk = Talk("m7e", antennas=2)
    talk.ready()
    talk.ask(encode(Op.SET_ANTENNA, b"\x02\x02\x02"))
    talk.ask(START)
    assert talk.module.status()["inventory"]
    (event,) = talk.codec.feed(talk.module.power_cycle(talk.now))
    assert isinstance(event, Condition)
    assert event.name == "reset"
    state = talk.module.status()
    assert (state["inventory"], state["region"], state["antennas"]) == (False, "none", [1])
    assert talk.code(Op.MULTI, START[3:-2]) == 0x0405
    assert talk.module.due() is None


def test_noise_before_a_command_and_a_command_in_pieces() -> None:
    talk = Talk()
    assert talk.ask(b"\x00\xff\xfe" + STOP) == STOPPED
    assert "".join(talk.ask(bytes((byte,))) for byte in STOP) == STOPPED
    talk.ask(b"\xff\x80")
    talk.now += 1  # that one is forgotten
    assert talk.ask(STOP) == STOPPED


# -- the stream ------------------------------------------------------------------------------------


def test_an_empty_field_says_every_second_that_it_is_there() -> None:
    talk = Talk()
    talk.ready()
    assert talk.ask(START) == "FF042F0000012200006DC3"
    said = talk.run(4.5)
    assert [event for _, event in said] == [Alive("keep-alive")] * 4
    assert [round(at, 3) for at, _ in said] == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("model", ["nano", "m7e"])
def test_tags_are_reported_when_they_are_heard_again_and_again(model: str) -> None:
    talk = Talk(model)
    talk.field.present(EPCS[:10])
    talk.ready()
    talk.ask(START)
    said = talk.run(3.05)
    tags = [event for event in events(said, Tag) if isinstance(event, Tag)]
    assert {tag.epc for tag in tags} == set(EPCS[:10])
    assert len(tags) > 100
    assert all(tag.rssi_dbm is not None and -90 < tag.rssi_dbm < -10 for tag in tags)
    assert all(tag.phase in range(181) and tag.freq_khz and tag.antenna == 1 for tag in tags)
    for at, event in said:
        if isinstance(event, Tag):
            assert event.module_ms == pytest.approx(at * 1000, abs=2)
    ends = events(said, RoundEnd if model == "m7e" else Alive)
    assert len(ends) == 3
    if model == "m7e":
        in_cycles = sum(end.reads or 0 for end in ends if isinstance(end, RoundEnd))
        assert abs(in_cycles - len(tags)) < 15


def test_the_read_filter_suppresses_repeats_until_it_is_off() -> None:
    talk = Talk()
    talk.field.present(EPCS[:3])
    talk.ready(filter_off=False)
    talk.ask(START)
    assert len(events(talk.run(3), Tag)) == 3


def test_several_antennas_take_turns() -> None:
    talk = Talk("m7e", antennas=4)
    talk.field.present(EPCS[:4])
    talk.ready()
    assert talk.code(Op.SET_ANTENNA, b"\x02\x01\x01\x03\x03\x04\x04") == 0
    talk.ask(START)
    assert {tag.antenna for tag in events(talk.run(2), Tag) if isinstance(tag, Tag)} == {1, 3, 4}
    assert talk.module.status()["antennas"] == [1, 3, 4]


def test_temperature_comes_with_every_cycle_where_it_is_asked_for() -> None:
    talk = Talk()
    talk.module.celsius = -7
    talk.ready()
    talk.ask(start_search(metadata=0x7F, search=STREAM_SEARCH | Search.STATS, stats=0x0100))
    figures = [event for event in events(talk.run(3.1), Condition) if isinstance(event, Condition)]
    assert [(one.name, one.value) for one in figures] == [("temperature", -7.0)] * 3


@pytest.mark.parametrize(("trouble", "name"), [("hot", "hot"), ("return_loss", "return-loss")])
def test_hot_and_return_loss_end_the_reading_and_are_said(trouble: str, name: str) -> None:
    talk = Talk("m7e")
    talk.field.present(EPCS[:3])
    talk.ready()
    talk.ask(START)
    assert events(talk.run(0.5), Tag)
    setattr(talk.module.trouble, trouble, True)
    talk.run(1.5)
    said = talk.run(3)
    assert events(said, Tag) == []
    assert [one.name for one in events(said, Condition) if isinstance(one, Condition)] == [name] * 3
    setattr(talk.module.trouble, trouble, False)
    assert events(talk.run(2), Tag)


def test_empty_epcs_are_sent_as_a_real_module_does() -> None:
    talk = Talk(empty_epc_every=4)
    talk.field.present(EPCS[:3])
    talk.ready()
    talk.ask(START)
    tags = events(talk.run(2), Tag)
    assert len(tags) // 3 - 1 <= talk.codec.counters.dropped_tags <= len(tags) // 3 + 1
    assert talk.codec.counters.bad_checks == 0


def test_while_it_streams_only_what_is_wrapped_is_answered() -> None:
    talk = Talk()
    talk.ready()
    talk.ask(START)
    assert talk.ask(encode(Op.VERSION)) == talk.ask(START) == ""
    (event,) = talk.codec.feed(talk.module.feed(wrapped(Op.GET_REGION), talk.now))
    assert event == Response(Op.GET_REGION, b"\x0d")
    (event,) = talk.codec.feed(talk.module.feed(wrapped(Op.SET_REGION, b"\x99"), talk.now))
    assert isinstance(event, ErrorReply)
    assert (event.cmd, event.code) == (Op.SET_REGION, 0x010B)


def test_a_stop_brings_what_was_pending_and_then_its_word() -> None:
    talk = Talk("m7e")
    talk.field.present(EPCS[:40])
    talk.ready()
    talk.ask(START)
    talk.run(0.5)
    assert talk.ask(STOP) == talk.ask(STOP) == ""
    said = [event for _, event in talk.run(2)]
    assert isinstance(said[0], Tag)
    assert said[-2:] == [Response(0x2F, b"\x02")] * 2
    assert all(isinstance(event, Tag) for event in said[:-2])
    assert talk.module.due() is None
    assert talk.ask(STOP) == STOPPED


def test_metadata_is_what_was_asked_for() -> None:
    talk = Talk()
    talk.field.present(EPCS[:1])
    talk.ready()
    for metadata, length in ((0, 31), (0x7F, 44), (0x01FF, 47), (0x0FFF, 50)):
        talk.ask(start_search(metadata=metadata))
        raw = b""
        while not raw:
            talk.now = talk.module.due() or talk.now
            raw = talk.module.speak(talk.now)
        assert raw[1] + 7 == length
        talk.ask(STOP)
        talk.run(1)
    body = start_search(metadata=0x1000)[3:-2]
    assert talk.code(Op.MULTI, body) == 0x0105


def test_a_board_that_slept_gets_no_flood() -> None:
    talk = Talk()
    talk.ready()
    talk.ask(START)
    talk.now += 60
    assert len(talk.codec.feed(talk.module.speak(talk.now))) <= 1
    assert len(talk.run(1.5)) in (1, 2)


# -- searches with an end --------------------------------------------------------------------------


def test_the_tag_buffer_gives_each_tag_once_with_its_count() -> None:
    talk = Talk()
    talk.field.present(EPCS[:12])
    talk.ready()
    assert talk.ask(encode(Op.READ_MULTIPLE, b"\x00\x00\x13\x03\xe8")) == ""
    ((at, event),) = talk.run(1.1)
    assert (round(at, 3), event) == (1.0, RoundEnd(Op.READ_MULTIPLE, 12))
    tags: list[Tag] = []
    while True:
        answer = talk.codec.feed(talk.module.feed(encode(Op.GET_BUFFER, b"\x0f\xff\x00"), talk.now))
        tags += [event for event in answer if isinstance(event, Tag)]
        if isinstance(answer[-1], ErrorReply):
            break
    assert sorted(tag.epc for tag in tags) == sorted(EPCS[:12])
    assert all(tag.read_count > 1 for tag in tags)
    assert talk.code(Op.CLEAR_BUFFER) == 0
    assert talk.code(Op.GET_BUFFER, b"\x00\x01\x00") == 0x0400


def test_more_tags_than_the_buffer_holds() -> None:
    talk = Talk()
    talk.field.present(EPCS)
    talk.ready()
    talk.ask(encode(Op.READ_MULTIPLE, b"\x00\x00\x13\x0b\xb8"))
    said = [event for _, event in talk.run(3.1)]
    assert [type(event) for event in said] == [Condition, RoundEnd]
    assert isinstance(said[0], Condition)
    assert said[0].name == "buffer-full"
    assert said[1] == RoundEnd(Op.READ_MULTIPLE, BUFFER_TAGS)


def test_no_tag_and_one_tag() -> None:
    talk = Talk()
    talk.ready()
    assert (
        talk.ask(encode(Op.READ_SINGLE, b"\x03\xe8")) == VECTORS["reader->host", "no tag (single read, M5e)"]
    )
    talk.ask(encode(Op.READ_MULTIPLE, b"\x00\x00\x13\x00\x64"))
    assert [event for _, event in talk.run(0.2)] == [Alive("keep-alive")]
    talk.field.present(EPCS[:1])
    found = ""
    for _ in range(20):
        found = talk.ask(encode(Op.READ_SINGLE, b"\x03\xe8"))
        if EPCS[0].hex().upper() in found:
            break
    assert encode_answer(Op.READ_SINGLE, EPCS[0] + bytes.fromhex(found)[-4:-2]).hex().upper() == found
