"""The simulated UHFReader18 / 288, byte by byte: statuses, pauses, addresses, real-time mode."""

from __future__ import annotations

from typing import Any

import pytest

from hal.reader.events import Alive, Condition, ErrorReply, Response, RoundEnd, Tag
from hal.reader.events import Event as ModuleEvent
from hal.reader.uhfreader18 import Codec, encode, reply
from hal.reader.uhfreader18_frames import parse_heartbeat
from hal.reader.uhfreader18_ops import BANDS, Cmd, Status
from hal.sim.modules import make
from hal.sim.population import Population
from hal.sim.uhfreader18 import BOOT_S, GAP_S, HEARTBEAT_S, SimModule
from hal.sim.uhfreader18_kept import Kept

EPCS = [bytes.fromhex(f"E28068900000500E88C6A4{n:02X}") for n in range(40)]
Q4 = bytes((4, 0))


class Bench:
    """One module and a clock; ``told`` is what it has said, as events."""

    def __init__(self, model: str = "288", tags: int = 0, antennas: int = 1, **options: Any) -> None:
        self.module = SimModule(Population(antennas=antennas), model, **options)
        self.module.field.present(EPCS[:tags])
        self.codec = Codec()
        self.now = 1.0
        self.raw = b""

    def ask(self, cmd: int, data: bytes = b"", *, address: int = 0) -> list[ModuleEvent]:
        self.now += 1.0
        return self.hear(self.module.feed(encode(cmd, data, address=address), self.now))

    def hear(self, data: bytes) -> list[ModuleEvent]:
        self.raw = data
        return self.codec.feed(data)

    def until(self, seconds: float) -> list[ModuleEvent]:
        """Everything it says by itself in the next ``seconds``."""
        events, end = [], self.now + seconds
        while (due := self.module.due()) is not None and due <= end:
            self.now = max(due, self.now)
            events += self.hear(self.module.speak(self.now))
        self.now = end
        return events

    def inventory(self, data: bytes = Q4) -> list[ModuleEvent]:
        return self.ask(Cmd.INVENTORY, data) + self.until(5.0)


# -- frames and time ------------------------------------------------------------------------------------


def test_it_answers_byte_for_byte() -> None:
    bench = Bench()
    bench.module.set = Kept(BANDS["us"].wire, 30, 1, 0, 1)
    bench.module.type = 0x26
    bench.ask(Cmd.INFO)
    assert bench.raw.hex(" ").upper() == "11 00 21 00 03 0D 26 03 31 80 1E 00 01 00 00 01 71 9A"
    bench.ask(Cmd.POWER, b"\x14")
    assert bench.raw.hex(" ").upper() == "05 00 2F 00 8D CD"
    bench.ask(0x99)
    assert bench.raw.hex(" ").upper() == "05 00 00 FE 87 73"
    bench.inventory()
    assert bench.raw.hex(" ").upper() == "07 00 01 01 01 00 1E 4B"


def test_wrong_addresses_are_met_with_silence_and_broadcast_with_its_own() -> None:
    bench = Bench(address=7)
    assert bench.ask(Cmd.INFO) == bench.ask(Cmd.INFO, address=8) == []
    assert bench.module.heard == type(bench.module.heard)(maxlen=200)
    (answer,) = bench.ask(Cmd.INFO, address=0xFF)
    assert isinstance(answer, Response)
    assert bench.codec.heard == 7
    bench.ask(Cmd.ADDRESS, b"\x09", address=7)
    assert bench.codec.heard == 7  # the answer still comes from the old one
    assert bench.ask(Cmd.INFO, address=9)
    assert bench.ask(Cmd.ADDRESS, b"\xff", address=9) == [
        ErrorReply(Cmd.ADDRESS, 0xFF, "a parameter of the command is out of range")
    ]


def test_a_pause_inside_a_command_throws_it_away() -> None:
    bench, frame = Bench(), encode(Cmd.INFO)
    feed = bench.module.feed
    assert feed(frame[:3], 2.0) == b""
    assert feed(frame[3:], 2.0 + GAP_S * 0.9) != b""
    assert feed(frame[:3], 3.0) == b""
    assert feed(frame[3:], 3.0 + GAP_S * 1.1) == b""
    assert feed(b"\x00\x00\x07", 4.0) == b""
    assert feed(frame, 5.0) != b""  # what the rest began is forgotten too
    answer = b"".join(feed(frame[at : at + 1], 6.0 + at * 0.01) for at in range(len(frame)))
    assert len(answer) == 18


def test_errors_as_the_manual_has_them() -> None:
    bench = Bench()
    bad = encode(Cmd.INFO)[:-1] + b"\x00"
    (error,) = bench.hear(bench.module.feed(bad, 5.0))
    assert isinstance(error, ErrorReply)
    assert (error.cmd, error.code) == (None, Status.BAD_COMMAND)
    for cmd, data, code in (
        (Cmd.POWER, b"\x22", Status.PARAMETER),
        (Cmd.POWER, b"\x01\x02", Status.LENGTH),
        (Cmd.FREQUENCY, b"\x40\x13", Status.PARAMETER),
        (Cmd.WORK_MODE, b"\x07", Status.PARAMETER),
        (Cmd.WORK_MODE, b"", Status.LENGTH),
        (Cmd.ANTENNAS, b"\x00", Status.PARAMETER),
        (Cmd.ANTENNAS, b"\x00\x00\x01", Status.LENGTH),
        (Cmd.INVENTORY, b"", Status.LENGTH),
        (Cmd.INVENTORY, b"\x04\x04", Status.PARAMETER),
        (Cmd.INVENTORY, Q4 + b"\x00\x84\x03", Status.PARAMETER),
        (Cmd.INVENTORY, Q4 + b"\x02\x80\x03", Status.PARAMETER),
    ):
        (error,) = bench.ask(cmd, data)
        assert isinstance(error, ErrorReply), hex(cmd)
        assert (error.cmd, error.code) == (cmd, code)


def test_it_is_deaf_while_it_boots_and_keeps_what_it_is_said_to_keep() -> None:
    for keeps, power in ((True, 20), (False, 30)):
        bench = Bench(keeps=keeps)
        bench.ask(Cmd.ANTENNAS, b"\x83")  # bit 7: not to be saved
        bench.ask(Cmd.POWER, b"\x14")
        assert (bench.module.set.power, bench.module.set.antennas) == (20, 3)
        assert bench.module.power_cycle(bench.now) == b""
        assert bench.module.feed(encode(Cmd.INFO), bench.now + BOOT_S / 2) == b""
        assert bench.ask(Cmd.INFO)
        assert (bench.module.set.power, bench.module.set.antennas) == (power, 1)


# -- inventory by command -----------------------------------------------------------------------------------


def test_one_tag_in_a_frame_and_an_empty_one_at_the_end() -> None:
    bench = Bench(tags=5)
    events = bench.inventory()
    *tags, end = events
    assert {type(one) for one in tags} == {Tag}
    assert end == RoundEnd(Cmd.INVENTORY, None, 1)
    assert bench.raw == reply(Cmd.INVENTORY, Status.DONE, b"\x01\x00")
    assert all(isinstance(one, Tag) and 0x20 < one.rssi_raw < 0x80 for one in tags)


def test_several_tags_in_a_frame() -> None:
    bench = Bench(tags=30, per_frame=4)
    bench.inventory()  # the first round finds how many slots it needs
    bench.ask(Cmd.INVENTORY, Q4)
    said = b""
    while (due := bench.module.due()) is not None:
        said += bench.module.speak(due)
    frames, at = [], 0
    while at < len(said):
        frames.append(said[at : at + said[at] + 1])
        at += said[at] + 1
    counts = [data[5] for data in frames]
    assert len(counts) > 2
    assert set(counts[:-1]) == {4}
    assert counts[-1] < 4
    assert [data[3] for data in frames] == [Status.MORE] * (len(counts) - 1) + [Status.DONE]
    assert len(bench.codec.feed(said)) == sum(counts) + 1


def test_an_18_sends_all_at_the_end_without_antenna_and_rssi() -> None:
    bench = Bench("18", tags=40)
    codec = bench.codec
    bench.ask(Cmd.INFO)
    assert codec.model.form == "18"
    epcs: set[bytes] = set()
    for _ in range(40):
        *tags, end = bench.inventory(b"")
        assert end == RoundEnd(Cmd.INVENTORY)
        epcs |= {one.epc for one in tags if isinstance(one, Tag) and one.rssi_raw == 0}
    assert epcs == set(EPCS)
    bench.module.field.clear()
    assert bench.inventory(b"") == [RoundEnd(Cmd.INVENTORY, 0)]
    for cmd in (Cmd.WORK_MODE, Cmd.ANTENNAS, Cmd.STOP, Cmd.PORT_POWERS):
        assert isinstance(bench.ask(cmd), list)
        assert bench.raw == reply(Cmd.UNKNOWN, Status.BAD_COMMAND)


def test_statuses_02_04_and_26() -> None:
    bench = Bench(tags=40)
    slow = Q4 + b"\x00\x80\x01"
    bench.module.field.rate = 20.0
    bench.inventory(slow)
    assert bench.raw[3] == Status.TIME_OVER
    bench.module.field.rate = 150.0
    bench.inventory()
    bench.module.memory = 2
    events = bench.inventory()
    assert [one.name for one in events if isinstance(one, Condition)] == ["buffer-full"]
    *_, end, statistics = bench.inventory(bytes((0x84, 0)))
    assert isinstance(end, RoundEnd)
    assert isinstance(statistics, Response)
    assert (statistics.status, statistics.data[0], statistics.data[-1]) == (Status.STATISTICS, 1, 2)


def test_phase_and_frequency_where_they_are_asked_for() -> None:
    tags = [one for one in Bench(tags=5).inventory(bytes((0x14, 0))) if isinstance(one, Tag)]
    assert tags
    assert all(one.freq_khz in range(920_000, 925_000) and one.phase is not None for one in tags)


def test_a_command_during_an_inventory_is_lost_and_93_ends_it() -> None:
    bench = Bench(tags=20)
    assert bench.ask(Cmd.INVENTORY, Q4) == []
    bench.now += 0.01
    assert bench.module.feed(encode(Cmd.INFO), bench.now) == b""
    assert bench.module.feed(encode(Cmd.INVENTORY, Q4), bench.now) == b""
    assert bench.module.status()["inventory"]
    (*_, end) = bench.hear(bench.module.feed(encode(Cmd.STOP), bench.now))
    assert isinstance(end, RoundEnd)
    assert bench.module.due() is None
    assert bench.ask(Cmd.STOP) == []  # no answer, ever
    assert bench.ask(Cmd.INFO)


def test_a_missing_antenna_is_said_only_where_it_is_watched() -> None:
    bench = Bench(tags=3, antennas=2)
    second = Q4 + b"\x00\x81\x03"
    bench.codec.asked = 2
    assert any(isinstance(one, Tag) and one.antenna == 2 for one in bench.inventory(second))
    bench.module.unplugged = {2}
    assert bench.inventory(second) == [RoundEnd(Cmd.INVENTORY, None, 2)]
    bench.ask(Cmd.ANTENNA_CHECK, b"\x01")
    missing, end = bench.inventory(second)
    assert bench.raw == reply(Cmd.INVENTORY, Status.ANTENNA)
    assert isinstance(missing, Condition)
    assert (missing.name, missing.antenna, end) == ("antenna-missing", 2, RoundEnd(Cmd.INVENTORY, None, 2))


@pytest.mark.parametrize(("model", "byte"), [("8-port", 0x80), ("16-port", 7)])
def test_the_antenna_byte_of_many_ports(model: str, byte: int) -> None:
    bench = Bench(model, tags=1, antennas=8)
    bench.ask(Cmd.INFO)
    assert bench.ask(Cmd.ANTENNAS, b"\x00\x00\x80") == [Response(Cmd.ANTENNAS, b"")]
    tags = [one for one in bench.inventory() if isinstance(one, Tag)]
    assert {one.antenna for one in tags} == {8}
    assert bench.raw[4] == byte


# -- real-time mode ----------------------------------------------------------------------------------


def test_real_time_mode_pushes_survives_a_power_cut_and_hears_three_commands() -> None:
    bench = Bench(tags=3)
    bench.ask(Cmd.PUSH_SETTINGS, bytes((0, 0, 0, 4, 0)))
    bench.ask(Cmd.WORK_MODE, b"\x01")
    assert {type(one) for one in bench.until(1.0)} == {Tag}
    assert bench.ask(Cmd.POWER, b"\x01") == bench.ask(Cmd.INVENTORY, Q4) == []
    bench.module.power_cycle(bench.now)
    assert bench.until(BOOT_S * 0.9) == []
    assert {type(one) for one in bench.until(1.0)} == {Tag}
    (read,) = bench.ask(Cmd.PUSH_READ)
    assert isinstance(read, Response)
    assert read.data[:6] == bytes((1, 0, 0, 0, 4, 0))
    assert bench.ask(Cmd.INFO)
    assert bench.ask(Cmd.WORK_MODE, b"\x00") == [Response(Cmd.WORK_MODE, b"")]
    assert bench.until(5.0) == []
    assert bench.module.due() is None


def test_the_filter_lets_a_tag_through_once_in_its_time() -> None:
    bench = Bench(tags=1)
    bench.ask(Cmd.PUSH_SETTINGS, bytes((0, 4, 2, 4, 0)))
    bench.ask(Cmd.WORK_MODE, b"\x01")
    assert len(bench.until(6.5)) in (3, 4)


def test_heartbeats_come_when_nothing_was_read_and_name_the_antennas() -> None:
    bench = Bench("8-port", antennas=2)
    bench.module.unplugged = {2}
    bench.ask(Cmd.ANTENNAS, b"\x00\x00\x83")
    assert bench.ask(Cmd.HEARTBEAT, b"\x81") == [Response(Cmd.HEARTBEAT, b"\x01")]
    bench.ask(Cmd.WORK_MODE, b"\x01")
    assert bench.until(HEARTBEAT_S - 0.5) == []
    alive, second, eighth = bench.until(1.0)
    assert isinstance(alive, Alive)
    beat = parse_heartbeat(alive.data)
    assert beat is not None
    assert (beat.number, beat.antennas, beat.total) == (1, bytes((1, 2, 0, 0, 0, 0, 0, 2)), 0)
    assert [one.antenna for one in (second, eighth) if isinstance(one, Condition)] == [2, 8]
    bench.module.field.present(EPCS[:1])
    tags = bench.until(2 * HEARTBEAT_S)
    assert {type(one) for one in tags} == {Tag}
    bench.module.field.clear()
    bench.until(1.0)
    (alive, *_) = bench.until(HEARTBEAT_S)
    assert isinstance(alive, Alive)
    beat = parse_heartbeat(alive.data)
    assert beat is not None
    assert beat.number == 2
    assert abs(beat.total - len(tags)) < 10


def test_an_18_in_scan_mode_pushes_bare_epcs() -> None:
    bench = Bench("18", tags=2)
    bench.ask(Cmd.WORK_MODE_18, bytes((1, 0, 0, 0, 0, 0)))
    tags = bench.until(1.0)
    assert {one.epc for one in tags if isinstance(one, Tag)} == set(EPCS[:2])
    assert bench.codec.pushed_bare == len(tags)
    bench.ask(Cmd.WORK_MODE_18, bytes(6))
    assert bench.until(1.0) == []


def test_it_is_made_by_its_name() -> None:
    assert isinstance(make("uhfreader18", Population()), SimModule)
