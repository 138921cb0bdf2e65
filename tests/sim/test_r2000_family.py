"""The R2000 family, row by row and round by round, on its simulated module in stepped time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hal.ports import DeviceBack, DeviceLost, DeviceNote, TagRead
from hal.reader.bringup import Row, Sequence
from hal.reader.events import Condition, ErrorReply, Event, Response, RoundEnd, Tag
from hal.reader.port import Meaning, Settings
from hal.reader.r2000 import encode
from hal.reader.r2000_commands import Cmd
from hal.reader.r2000_family import Family
from hal.sim.population import Population
from hal.sim.r2000 import SimModule
from tests.support.readers import EPCS, Rig


def module(antennas: int = 4, tags: int = 0, **how: Any) -> SimModule:
    population = Population(seed=5, antennas=antennas)
    population.present(EPCS[:tags])
    return SimModule(population, **how)


class Bench:
    """A family and a module with nothing between; time is stepped from one thing that is due to the next."""

    def __init__(self, sim: SimModule, **settings: Any) -> None:
        self.sim = sim
        self.family = Family(Settings("r2000", **settings))
        self.now = 1.0
        self.sent: list[bytes] = []
        self.info: dict[str, str] = {}
        self._answers = bytearray()

    def send(self, data: bytes) -> None:
        if data:
            self.sent.append(data)
        self._answers += self.sim.feed(data, self.now)

    def take(self) -> list[Event]:
        data, self._answers = bytes(self._answers), bytearray()
        return self.family.codec.feed(data)

    def run(self, rows: list[Row[Event]]) -> Sequence[Event]:
        sequence = Sequence(rows, self.send, self.now)
        for _ in range(2000):
            for event in self.take():
                sequence.traffic(self.now)
                sequence.event(event, self.now)
            if sequence.done:
                return sequence
            due = self.sim.due()
            self.now = sequence.deadline if due is None else max(self.now, min(due, sequence.deadline))
            self._answers += self.sim.speak(self.now)
            if not self._answers:
                sequence.time(self.now)
        raise AssertionError("the rows never end")

    def rounds(self, count: int) -> list[Event]:
        """Takes inventory until so many AGAINs have come."""
        heard: list[Event] = []
        for _ in range(count):
            self.send(self.family.inventory())
            over = False
            while not over:
                for event in self.take():
                    heard.append(event)
                    over |= self.family.judge(event) is Meaning.AGAIN
                if not over:
                    due = self.sim.due()
                    assert due is not None
                    self.now = max(self.now, due)
                    self._answers += self.sim.speak(self.now)
            self.now += self.family.round_pause_s + 0.001
        return heard


def test_bring_up_to_the_byte() -> None:
    bench = Bench(module(), antennas=(1, 3), power_dbm=26)
    sequence = bench.run(bench.family.setup_rows(bench.info))
    assert sequence.failed is None
    assert bench.info == {"model": "R2000 (A0)", "firmware": "8.2"}
    sent = [frame[3:-1].hex() for frame in bench.sent]
    assert " ".join(sent) == "72 79 78032c34 79 77 761a 77 63 6203 7402 7400"
    assert bench.sent[0].hex() == "a0030172ea"
    # What is right already is not written again: it is flash memory.
    bench.sent.clear()
    assert bench.run(bench.family.setup_rows(bench.info)).failed is None
    assert " ".join(frame[3:-1].hex() for frame in bench.sent) == "72 79 79 77 77 63 7402 7400"


def test_a_module_that_goes_on_is_reset_and_brought_up() -> None:
    bench = Bench(module(tags=8), antennas=(1, 2, 3, 4))
    bench.send(encode(Cmd.FAST_SWITCH, bytes.fromhex("000101010201030100FF")))
    sequence = bench.run(bench.family.setup_rows(bench.info))
    assert sequence.failed is None
    assert Cmd.RESET in [frame[3] for frame in bench.sent]


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({"antennas": (1,)}, "89 01"),
        ({"antennas": (1, 2)}, "8a 0001 0101 ff00 ff00 00 01"),
        ({"antennas": (2, 8)}, "8a 0101 0701 ff00 ff00 ff00 ff00 ff00 ff00 00 01"),
        ({"antennas": (1, 2), "session": 2}, "74 00"),
        ({"antennas": (1,), "session": 2}, "8b 02 00 01"),
        ({"antennas": (3,), "inventory": "session"}, "8b 00 00 01"),
        ({"antennas": (1,), "inventory": "fast-switch"}, "8a 0001 ff00 ff00 ff00 00 01"),
        ({"antennas": (3, 4), "inventory": "real-time"}, "74 02"),
    ],
)
def test_each_way_to_take_inventory_to_the_byte(settings: dict[str, Any], first: str) -> None:
    family = Family(Settings("r2000", **settings))
    assert family.inventory()[3:-1] == bytes.fromhex(first.replace(" ", ""))


@pytest.mark.parametrize("inventory", ["real-time", "fast-switch", "session"])
def test_every_way_hears_all_tags_on_all_antennas(inventory: str) -> None:
    bench = Bench(module(tags=6), antennas=(1, 2, 4), inventory=inventory)
    assert bench.run(bench.family.setup_rows(bench.info)).failed is None
    reads = [event for event in bench.rounds(30) if isinstance(event, Tag)]
    assert {tag.epc for tag in reads} == set(EPCS[:6])
    assert {tag.antenna for tag in reads} == {1, 2, 4}


def test_sessions_ask_for_both_flags_in_turn() -> None:
    bench = Bench(module(tags=3), antennas=(1, 2), session=2)
    bench.rounds(10)  # each antenna: select, then ask
    asked = [frame[4:7] for frame in bench.sent if frame[3] == Cmd.SESSION]
    assert asked == [bytes((2, target, 1)) for target in (0, 0, 1, 1, 0)]


@pytest.mark.parametrize("inventory", ["real-time", "fast-switch", "session"])
def test_a_missing_antenna_is_named_and_the_others_go_on(inventory: str) -> None:
    sim = module(tags=4)
    sim.missing = {2}
    bench = Bench(sim, antennas=(1, 2, 3), inventory=inventory)
    assert bench.run(bench.family.setup_rows(bench.info)).failed is None
    heard = bench.rounds(24)
    assert {event.antenna for event in heard if isinstance(event, Tag)} == {1, 3}
    assert {event.antenna for event in heard if isinstance(event, Condition)} == {2}


def test_one_antenna_that_is_missing_is_asked_again_slowly() -> None:
    sim = module(antennas=1, tags=4)
    sim.missing = {1}
    bench = Bench(sim)
    bench.run(bench.family.setup_rows(bench.info))
    (event,) = bench.rounds(1)
    assert event == Condition("antenna-missing", "no antenna on this port", antenna=1)
    assert bench.family.round_pause_s > 0


def test_rounds_that_fail_again_and_again_are_not_a_running_inventory() -> None:
    family = Family(Settings("r2000"))
    meanings = [family.judge(ErrorReply(Cmd.REAL_TIME, 0x54, "")) for _ in range(3)]
    assert meanings == [Meaning.AGAIN, Meaning.AGAIN, Meaning.WRONG]
    assert family.round_pause_s > 0
    assert family.judge(ErrorReply(Cmd.REAL_TIME, 0x36, "")) is Meaning.AGAIN
    assert family.round_pause_s == 0
    assert family.judge(RoundEnd(Cmd.REAL_TIME, 0, 1)) is Meaning.AGAIN
    assert family.judge(RoundEnd(Cmd.BUFFERED, 0, 1)) is Meaning.NOTHING
    assert family.judge(Response(Cmd.SET_ANTENNA, b"\x10")) is Meaning.NOTHING
    assert family.judge(ErrorReply(Cmd.FAST_SWITCH, 0x54, "", antenna=2)) is Meaning.ALIVE


def test_a_fast_switch_round_goes_on_past_a_named_port_only() -> None:
    family = Family(Settings("r2000", antennas=(1, 2)))
    assert family.judge(Condition("antenna-missing", "", antenna=2)) is Meaning.ALIVE
    assert family.judge(Condition("antenna-missing", "")) is Meaning.AGAIN
    assert family.judge(Condition("temperature", "", 40.0)) is Meaning.ALIVE


def test_a_port_without_antenna_does_not_stop_the_bring_up() -> None:
    (row,) = [row for row in Family(Settings("r2000")).setup_rows({}) if row.name == "select antenna 1"]
    assert row.accepts is not None
    assert row.accepts(Condition("antenna-missing", "")) is True
    assert row.accepts(RoundEnd(Cmd.REAL_TIME, 0, 1)) is None


def test_a_round_that_ends_well_forgives_the_failed_ones() -> None:
    family = Family(Settings("r2000"))
    failed = ErrorReply(Cmd.REAL_TIME, 0x54, "")
    for _ in range(3):
        assert [family.judge(failed), family.judge(failed)] == [Meaning.AGAIN] * 2
        family.judge(RoundEnd(Cmd.REAL_TIME, 0, 1))


def test_an_antenna_that_cannot_be_selected_is_passed_over() -> None:
    family = Family(Settings("r2000", antennas=(2, 3), inventory="real-time"))
    refused = ErrorReply(Cmd.SET_ANTENNA, 0x47, "")
    assert family.judge(refused) is Meaning.NOTHING
    assert family.inventory() == encode(Cmd.SET_ANTENNA, b"\x01")
    assert family.judge(refused) is Meaning.AGAIN
    assert family.inventory() == encode(Cmd.SET_ANTENNA, b"\x02")


def test_late_errors_and_short_answers_in_the_bring_up() -> None:
    family = Family(Settings("r2000", antennas=(1, 8)))
    rows = {row.name: row.accepts for row in family.setup_rows({})}
    for accepts in rows.values():
        assert accepts is None or accepts(ErrorReply(Cmd.REAL_TIME, 0x11, "late")) is None
    accepts = rows["read power back"]
    assert accepts is not None
    assert accepts(Response(Cmd.GET_POWER, bytes([20] * 8))) is True
    # Four figures say nothing about port 8.
    assert accepts(Response(Cmd.GET_POWER, bytes([20] * 4))) == "it answered 14141414, not 14"
    assert accepts(Response(Cmd.GET_POWER, b"")) == "it answered nothing, not 14"


def test_what_every_round_fails_with_is_said_and_then_the_reader_is_lost() -> None:
    rig = Rig("r2000")
    try:
        rig.start()
        rig.module.trouble = 0x54
        rig.reader.begin()
        rig.until(lambda: rig.of(DeviceLost))
        assert "the wanted power is not reached" in rig.of(DeviceNote)[0].detail
        assert "the wanted power is not reached" in rig.of(DeviceLost)[0].reason
        rig.module.trouble = 0
        rig.carrier.present(EPCS)
        rig.until(lambda: rig.of(DeviceBack) and rig.of(TagRead))
    finally:
        rig.close()


def refuse(cmd: int) -> Callable[[SimModule], None]:
    return lambda sim: sim.refuse.add(cmd)


@pytest.mark.parametrize(
    ("prepare", "settings", "reason", "check"),
    [
        (refuse(Cmd.SET_REGION), {}, "set region: the module refused: the command failed", "region"),
        (refuse(Cmd.SET_POWER), {}, "set power: the module refused", "power_dbm"),
        (lambda sim: None, {"antennas": (1, 5)}, "select antenna 5: the module refused", "antennas"),
        (lambda sim: sim.refuse.add(Cmd.GET_VERSION), {}, "ask for the firmware", "baud rate"),
    ],
)
def test_a_bring_up_that_fails_says_why_and_what_to_check(
    prepare: Callable[[SimModule], None], settings: dict[str, Any], reason: str, check: str
) -> None:
    sim = module()
    prepare(sim)
    bench = Bench(sim, **settings)
    sequence = bench.run(bench.family.setup_rows(bench.info))
    assert sequence.failed is not None
    assert reason in sequence.failed
    assert check in sequence.check


def test_firmware_without_the_antenna_detector_is_taken_all_the_same() -> None:
    sim = module()
    sim.refuse |= {Cmd.SET_DETECTOR, Cmd.GET_DETECTOR}
    bench = Bench(sim)
    sequence = bench.run(bench.family.setup_rows(bench.info))
    assert (sequence.failed, sequence.skipped) == (None, ["watch the antennas"])


@pytest.mark.parametrize("lost", ["region", "power", "antenna"])
def test_a_lost_setting_is_noticed(lost: str) -> None:
    sim = module()
    bench = Bench(sim, antennas=(2,))
    bench.run(bench.family.setup_rows(bench.info))
    forgotten: list[int] = []

    def check() -> None:
        rows = bench.family.check_rows(lambda: forgotten.append(1), polling=True, timeout_s=1.0)
        assert bench.run(rows).failed is None

    check()
    assert forgotten == []
    setattr(sim, lost, {"region": b"\x01\x07\x3b", "power": [20, 7, 20, 20], "antenna": 1}[lost])
    check()
    assert forgotten == [1]


def test_powers_of_ports_that_are_not_used_do_not_matter() -> None:
    sim = module()
    bench = Bench(sim, antennas=(1, 2))
    bench.run(bench.family.setup_rows(bench.info))
    sim.power = [20, 20, 5, 7]
    rows = bench.family.check_rows(lambda: pytest.fail("nothing was forgotten"), polling=False, timeout_s=1.0)
    assert bench.run(rows).failed is None


def test_a_module_at_another_address_is_found_by_the_public_one_unless_the_board_names_it() -> None:
    bench = Bench(module(address=9))
    failed = bench.run(bench.family.setup_rows(bench.info)).failed
    assert failed is not None
    assert "no answer" in failed
    assert bench.family.other_framing()
    assert bench.run(bench.family.setup_rows(bench.info)).failed is None
    assert not bench.family.other_framing()
    assert not Family(Settings("r2000", address=9)).other_framing()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"region": "mars"}, "cn900"),
        ({"power_dbm": 20.5}, "whole dBm"),
        ({"power_dbm": 34}, "0 to 33"),
        ({"antennas": ()}, "1 to 8"),
        ({"antennas": (0, 1)}, "1 to 8"),
        ({"antennas": (1, 9)}, "1 to 8"),
        ({"antennas": (1, 1)}, "once"),
        ({"session": 4}, "0 to 3"),
        ({"session": 1, "inventory": "fast-switch"}, "session"),
        ({"inventory": "fast"}, "real-time"),
        ({"address": 256}, "0 to 254"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Family(Settings("r2000", **settings))
