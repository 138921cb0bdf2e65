"""The UHFReader18 / 288 family on its simulated readers, where the contract of all readers ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from firmware.loop import SteppedLoop
from hal.ports import DeviceCondition, DeviceLost, DeviceNote, Event, TagRead
from hal.reader.events import Condition, ErrorReply, Response, RoundEnd, Tag
from hal.reader.port import Meaning, Settings
from hal.reader.serial_reader import SerialReader
from hal.reader.uhfreader18 import encode, reply
from hal.reader.uhfreader18_family import Family
from hal.reader.uhfreader18_ops import Cmd, Status
from hal.sim.module import InlineModule
from hal.sim.population import Population
from hal.sim.uhfreader18 import SimModule
from hal.sim.uhfreader18_kept import Kept
from hal.sim.wire import Wire

EPCS = [bytes.fromhex(f"E28068900000500E88C6A4{n:02X}") for n in range(40)]
Q4 = bytes((4, 0))


class Rig:
    """A driver on a module, in stepped time."""

    def __init__(self, module: SimModule, **changes: Any) -> None:
        self.loop = SteppedLoop()
        self.module = module
        self.line = InlineModule(module, self.loop)
        self.events: list[Event] = []
        wanted: dict[str, Any] = {"baud": 57600, "power_dbm": 26, **changes}
        self.reader = SerialReader("x", Settings("uhfreader18", **wanted), self.loop, line=self.line)

    def until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        end = self.loop.time() + seconds
        while not condition():
            assert self.loop.time() < end, self.events[-5:]
            self.loop.advance(0.02)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def reading(self, tags: int = 3) -> Rig:
        self.reader.start(self.events.append)
        self.until(lambda: self.reader.ready)
        self.line.present(EPCS[:tags])
        self.reader.begin()
        self.until(lambda: len({event.epc for event in self.of(TagRead)}) == tags)
        return self


Build = Callable[..., Rig]


@pytest.fixture
def build() -> Iterator[Build]:
    rigs: list[Rig] = []

    def one(model: str = "288", ports: int = 1, module: dict[str, Any] | None = None, **changes: Any) -> Rig:
        population = Population(antennas=ports)
        rigs.append(Rig(SimModule(population, model, **(module or {})), **changes))
        return rigs[-1]

    yield one
    for rig in rigs:
        rig.reader.close()
        rig.loop.close()


@pytest.mark.parametrize("inventory", ["answer", "push"])
@pytest.mark.parametrize(("model", "antennas"), [("288", (1, 3)), ("8-port", (2, 8)), ("16-port", (1, 16))])
def test_several_antennas_are_all_read_and_named(
    build: Build, model: str, antennas: tuple[int, ...], inventory: str
) -> None:
    rig = build(model, 16, antennas=antennas, inventory=inventory).reading()
    rig.until(lambda: {event.antenna for event in rig.of(TagRead)} == set(antennas))
    assert rig.module.set.antennas == sum(1 << one - 1 for one in antennas)
    assert rig.of(DeviceLost) == []


def test_every_antenna_is_asked_in_turn_and_for_both_targets(build: Build) -> None:
    rig = build(ports=4, antennas=(4, 2), session=2).reading()
    rig.loop.advance(1.0)
    asked = [one.data for one in rig.module.heard if one.cmd == Cmd.INVENTORY]
    assert [data.hex() for data in asked[:5]] == [
        "0402008303",
        "0402008103",
        "0402018303",
        "0402018103",
        "0402008303",
    ]


def test_a_missing_antenna_does_not_hold_up_the_others(build: Build) -> None:
    rig = build(ports=4, antennas=(1, 2)).reading()
    rig.module.unplugged = {2}
    rig.events.clear()
    rig.until(lambda: rig.of(DeviceCondition))
    (said,) = rig.of(DeviceCondition)
    assert said.active
    assert "antenna 2" in said.reason
    before = len(rig.module.heard)
    rig.events.clear()
    rig.loop.advance(2.0)
    assert {event.antenna for event in rig.of(TagRead)} == {1}
    assert len(rig.module.heard) - before < 60


def test_a_reader_that_begins_to_push_is_told_to_stop_it(build: Build) -> None:
    rig = build().reading()
    rig.module.mode = 1
    rig.module._next_at = rig.loop.time()
    rig.until(lambda: rig.of(DeviceNote))
    assert rig.of(DeviceNote)[0].name == "reader_confused"
    rig.until(lambda: rig.module.mode == 0)
    rig.events.clear()
    rig.until(lambda: rig.of(TagRead))
    assert rig.of(DeviceLost) == []


def test_an_18_in_scan_mode_is_brought_back_to_answers(build: Build) -> None:
    rig = build("18")
    rig.module.mode = 1
    rig.line.present(EPCS)
    rig.reader.begin()
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.reader.ready and rig.module.mode == 0)
    rig.until(lambda: rig.of(TagRead))


@pytest.mark.parametrize("inventory", ["answer", "push"])
@pytest.mark.parametrize(("given", "real"), [(-1, 0), (-1, 7), (7, 7), (255, 200)])
def test_the_address_is_found(build: Build, given: int, real: int, inventory: str) -> None:
    rig = build(module={"address": real}, address=given, inventory=inventory).reading()
    assert rig.of(DeviceLost) == []


@pytest.mark.parametrize(
    ("model", "changes", "text"),
    [
        ("288", {"antennas": (5,)}, "a UHFReader288MP has 4"),
        ("18", {"antennas": (2,)}, "a UHFReader18 has 1"),
        ("8-port", {"antennas": (1, 9)}, "a 8-port reader has 8"),
        ("18", {"inventory": "push"}, "has no real-time mode"),
    ],
)
def test_what_the_model_cannot_do_is_said(
    build: Build, model: str, changes: dict[str, Any], text: str
) -> None:
    rig = build(model, **changes)
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.of(DeviceLost))
    (lost,) = rig.of(DeviceLost)
    assert text in lost.reason
    assert "antennas and inventory in the board file" in lost.check


def test_older_firmware_gets_the_short_request(build: Build) -> None:
    rig = build()
    real = rig.module._inventory
    rig.module._inventory = lambda data, now: (  # type: ignore[method-assign]
        real(data, now) if len(data) == 2 else reply(Cmd.INVENTORY, Status.LENGTH)
    )
    rig.reading()
    assert rig.of(DeviceNote) == []


def test_a_push_reader_that_lost_its_settings_is_set_up_again_while_tags_stream(build: Build) -> None:
    rig = build(inventory="push").reading()
    rig.module.set = Kept()
    rig.until(lambda: rig.of(DeviceNote))
    assert rig.of(DeviceNote)[0].name == "reader_resets"
    rig.until(lambda: rig.module.set.power == 26)
    rig.module.push_settings = bytes((0, 0, 9, 4, 0))
    rig.until(lambda: rig.module.push_settings[2] == 0)


def test_a_push_reader_is_asked_but_its_flash_is_spared(build: Build) -> None:
    rig = build(inventory="push").reading()
    rig.module.heard.clear()
    rig.line.present([])
    rig.events.clear()
    rig.loop.advance(60.0)
    assert {one.cmd for one in rig.module.heard} == {Cmd.INFO, Cmd.PUSH_READ}
    assert rig.of(DeviceLost) == []


def test_a_missing_antenna_of_a_push_reader_lasts_between_heartbeats(build: Build) -> None:
    rig = build(ports=1, inventory="push").reading()
    rig.module.unplugged = {1}
    rig.events.clear()
    rig.until(lambda: rig.of(DeviceCondition))
    for _ in range(50):
        rig.loop.advance(1.0)
    assert [event.active for event in rig.of(DeviceCondition)] == [True]
    rig.module.unplugged = set()
    rig.until(lambda: len(rig.of(DeviceCondition)) == 2)
    assert not rig.of(DeviceCondition)[1].active


def test_what_the_words_mean() -> None:
    family = Family(Settings("uhfreader18", baud=57600))
    family.inventory()
    end, tag = RoundEnd(Cmd.INVENTORY), Tag(EPCS[0], 0x3000, 70)
    assert family.judge(tag) is Meaning.ALIVE
    assert (family.judge(end), family.round_pause_s) == (Meaning.AGAIN, 0.0)
    assert family.judge(Response(Cmd.INFO, b"")) is Meaning.NOTHING
    assert family.judge(Condition("antenna-missing", "", antenna=1)) is Meaning.NOTHING
    assert (family.judge(end), family.round_pause_s) == (Meaning.AGAIN, 0.1)
    assert family.judge(ErrorReply(None, 0xFE, "")) is Meaning.AGAIN
    assert family.judge(ErrorReply(Cmd.READ, 0xFB, "")) is Meaning.NOTHING
    assert family.judge(ErrorReply(Cmd.INVENTORY, 0xFF, "")) is Meaning.AGAIN
    assert family.inventory() == encode(Cmd.INVENTORY, Q4)
    assert family.judge(ErrorReply(Cmd.INVENTORY, 0xFF, "")) is Meaning.WRONG
    family.codec.feed(reply(Cmd.PUSH, 0, EPCS[0]))
    assert family.judge(tag) is Meaning.WRONG
    assert family.judge(tag) is Meaning.ALIVE


@pytest.mark.parametrize(
    ("cmd", "text"),
    [
        (Cmd.FREQUENCY, "the region is band 2, channels 0 to 49"),
        (Cmd.POWER, "the power is 30 dBm, not 26"),
        (Cmd.SCAN_TIME, "the scan time is 20, not 3"),
        (Cmd.ANTENNAS, "the antennas are 0x1, not 0x2"),
    ],
)
def test_a_setting_that_was_taken_but_is_not_kept_is_found(build: Build, cmd: Cmd, text: str) -> None:
    rig = build(ports=2, antennas=(2,))
    real = rig.module._set
    rig.module._set = lambda one, data: 0 if one == cmd else real(one, data)  # type: ignore[method-assign]
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.of(DeviceLost))
    assert f"read settings back: {text}" in rig.of(DeviceLost)[0].reason


def test_a_push_reader_that_does_not_hear_is_lost_however_it_pauses(build: Build) -> None:
    rig = build("8-port", 8, antennas=(1, 8), session=1, inventory="push").reading()
    rig.line.wire = Wire(deaf=True)
    rig.reader.end()
    rig.until(lambda: rig.of(DeviceLost))
    assert "leave real-time mode: no answer" in rig.of(DeviceLost)[0].reason


def test_a_push_reader_that_begins_by_itself_is_stopped_again(build: Build) -> None:
    rig = build(inventory="push").reading()
    rig.reader.end()
    rig.until(lambda: rig.module.mode == 0)
    rig.loop.advance(1.0)
    rig.module._begin_push(1, rig.loop.time())
    rig.line.module.speak(rig.loop.time())
    rig.line._carriage.arm()
    rig.until(lambda: rig.module.mode == 0, 10)
    rig.loop.advance(6.0)
    assert rig.of(DeviceLost) == rig.of(DeviceNote) == []


def test_a_lost_answer_to_the_beginning_of_real_time_mode_is_no_reset(build: Build) -> None:
    rig = build(inventory="push")
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.reader.ready)
    rig.loop.advance(0.1)
    rig.line.wire = Wire(mute=True)
    rig.reader.begin()
    rig.until(lambda: rig.module.mode == 1)
    rig.line.wire = Wire()
    rig.loop.advance(8.0)
    assert rig.of(DeviceNote) == rig.of(DeviceLost) == []
    rig.line.present(EPCS[:1])
    rig.until(lambda: rig.of(TagRead))


def test_what_it_pushed_before_it_was_set_up_is_held_against_nobody(build: Build) -> None:
    rig = build()
    rig.module.mode = 1
    rig.line.present(EPCS[:3])
    rig.line.brown_out()
    rig.loop.advance(0.5)  # it is there and pushes
    rig.reader.start(rig.events.append)
    rig.loop.advance(0.01)
    rig.line.send(reply(Cmd.PUSH, 0, EPCS[5]))
    rig.until(lambda: rig.reader.ready)
    assert rig.module.mode == 0
    assert rig.reader._family.codec.pushed > 0  # type: ignore[attr-defined]
    rig.line.send(reply(Cmd.INVENTORY, Status.DONE, b"\x01\x00"))
    rig.loop.advance(1.0)
    assert rig.of(DeviceNote) == []


def test_sixteen_ports_of_a_type_that_is_not_listed(build: Build) -> None:
    rig = build("16-port", 16, antennas=(2, 12))
    rig.module.type = 0x99
    rig.module.refuse = {Cmd.PORT_POWERS}
    rig.reading()
    rig.until(lambda: {event.antenna for event in rig.of(TagRead)} == {2, 12})


def test_an_antennas_state_is_forgotten_when_it_is_told_to_stop() -> None:
    family = Family(Settings("uhfreader18", baud=57600, inventory="push"))
    family.codec.unplugged = {1}
    family.stop_rows()
    assert family.codec.unplugged == set()


def test_a_power_cut_of_a_reader_that_keeps_its_settings_costs_only_its_boot(build: Build) -> None:
    rig = build(module={"keeps": True}, inventory="push").reading()
    rig.events.clear()
    rig.line.brown_out(in_frame=True)
    rig.loop.advance(5.0)
    assert rig.of(TagRead)
    assert rig.of(DeviceNote) == rig.of(DeviceLost) == []
    assert rig.module.set.power == 26


def test_a_push_reader_with_a_cut_cable_is_lost_long_before_its_next_heartbeat(build: Build) -> None:
    rig = build(inventory="push").reading()
    rig.line.present([])
    rig.loop.advance(1.0)
    rig.line.wire = Wire(mute=True)
    rig.until(lambda: rig.of(DeviceLost), 10)
    rig.line.wire = Wire()
    rig.line.present(EPCS[:1])
    rig.events.clear()
    rig.until(lambda: rig.of(TagRead))
    assert rig.module.set.power == 26


@pytest.mark.parametrize("keeps", [True, False], ids=["keeps its settings", "loses its settings"])
@pytest.mark.parametrize("pushes", [True, False], ids=["still pushes", "forgets that it pushes"])
def test_a_push_reader_whose_supply_keeps_failing(build: Build, keeps: bool, pushes: bool) -> None:
    rig = build(module={"keeps": keeps}, inventory="push").reading()
    for _ in range(40):
        rig.loop.advance(1.0)
        rig.line.brown_out()
        rig.module.mode &= pushes
    assert bool(rig.of(DeviceLost)) == (not keeps or not pushes)  # one that kept everything only boots
    rig.loop.advance(20.0)
    assert rig.module.set.power == 26
    rig.events.clear()
    rig.until(lambda: rig.of(TagRead), 5)
    assert rig.of(DeviceLost) == rig.of(DeviceNote) == []
