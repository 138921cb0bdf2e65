"""The contract of ``hal.ports.TagReader``, held by every reader protocol on its simulated module.

Mostly in stepped time; on a pseudo-terminal opened by pyserial where the kernel matters. A protocol joins
by a row in ``tests/support/reader_specs.py``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware.loop import SteppedLoop
from hal.ports import DeviceBack, DeviceCondition, DeviceLost, DeviceNote, Progress, TagRead
from hal.reader.conditions import RUNNING_S
from hal.reader.serial_reader import SerialReader
from hal.sim.wire import Wire
from tests.support.readers import EPCS, FAMILIES, Rig, spec, vectors

Make = Callable[..., Rig]
SPECS = {protocol: spec(protocol) for protocol in FAMILIES}
each_family = pytest.mark.parametrize("protocol", FAMILIES)


def every(what: Callable[[Any], Any]) -> Any:
    """(protocol, value) for each of what a protocol's row lists."""
    pairs = [(protocol, value) for protocol in FAMILIES for value in what(SPECS[protocol])]
    return pytest.mark.parametrize(("protocol", "value"), pairs, ids=lambda value: str(value)[:40])


@pytest.fixture
def make(tmp_path: Path, mocker: Any) -> Iterator[Make]:
    rigs: list[Rig] = []

    def one(protocol: str, *, pty: bool = False, **options: Any) -> Rig:
        if pty:  # in real time: open it again at once
            mocker.patch("hal.reader.serial_reader.BACKOFF_S", (0.02,))
        rigs.append(Rig(protocol, tmp_path if pty else None, **options))
        return rigs[-1]

    yield one
    for rig in rigs:
        rig.close()


def reading(rig: Rig, count: int = 3) -> Rig:
    """Brought up, with tags in its field, and reading them."""
    rig.start()
    rig.carrier.present(EPCS[:count])
    rig.reader.begin()
    rig.until(lambda: rig.epcs() == set(EPCS[:count]))
    return rig


def reads_on(rig: Rig) -> None:
    """It reads, from now on, with its settings in the module."""
    rig.events.clear()
    rig.until(lambda: rig.of(TagRead))
    assert rig.stored


# -- the ordinary day ------------------------------------------------------------------------------


@each_family
@pytest.mark.parametrize("pty", [True, False], ids=["pty", "inline"])
def test_a_burst_is_reported_whole_and_only_between_begin_and_end(
    make: Make, protocol: str, pty: bool
) -> None:
    rig = make(protocol, pty=pty)
    rig.carrier.present(EPCS)
    rig.start()
    assert rig.stored
    assert rig.reader.info.get("model")
    rig.run(0.1)
    assert rig.of(TagRead) == []
    rig.reader.begin()
    ports = set(rig.settings.antennas)
    rig.until(lambda: rig.epcs() == set(EPCS) and {one.antenna for one in rig.of(TagRead)} == ports)
    for read in rig.of(TagRead):
        assert read.pc >> 11 == 6
        assert 0 <= read.rssi_raw <= 255
        assert (read.rssi_dbm is not None) == rig.spec.dbm
        assert read.rssi_dbm is None or -90 < read.rssi_dbm < -10
    rig.reader.end()
    count = len(rig.of(TagRead))
    rig.until(lambda: not rig.inventory)
    rig.run(0.1)
    assert len(rig.of(TagRead)) == count
    assert rig.of(DeviceLost) == []
    if pty:  # a port that goes and comes again is the kernel's matter too
        rig.reader.begin()
        unplug_and_plug_in(rig)


@every(lambda one: one.inventories)
def test_every_way_to_take_inventory(make: Make, protocol: str, value: str) -> None:
    rig = reading(make(protocol, inventory=value), 24)
    rig.run(5)
    reads_on(rig)
    assert rig.of(DeviceLost) == []
    assert rig.reader.stats()["reader_resumed"] == 0


@every(lambda one: one.variants)
def test_every_kind_of_module(make: Make, protocol: str, value: str) -> None:
    rig = reading(make(protocol, variant=value))
    assert rig.of(DeviceLost) == []
    assert rig.stored


@each_family
def test_begin_before_the_module_is_up_is_kept(make: Make, protocol: str) -> None:
    rig = make(protocol)
    rig.carrier.present(EPCS[:1])
    rig.reader.begin()
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.of(TagRead))


@each_family
def test_end_and_begin_at_once_still_reads(make: Make, protocol: str) -> None:
    rig = reading(make(protocol))
    rig.reader.end()
    rig.reader.begin()
    reads_on(rig)


@each_family
def test_an_inventory_ends_at_once(make: Make, protocol: str) -> None:
    rig = reading(make(protocol))
    for _ in range(2):  # the second time so soon that being stopped as a stray would come too late
        rig.reader.end()
        rig.until(lambda: not rig.inventory, 0.5)
        rig.reader.begin()
        rig.until(lambda: rig.inventory, 0.4)
    rig.reader.end()
    rig.until(lambda: not rig.inventory, 0.2)


@each_family
def test_half_a_frame_from_before_the_port_was_lost_is_forgotten(make: Make, protocol: str) -> None:
    rig = make(protocol)
    rig.start()
    rig.run(1)
    rig.carrier.send(rig.spec.tag(EPCS[0])[:9])
    rig.run(0.002)
    assert rig.reader._codec.pending == 9
    unplug_and_return(rig)
    assert rig.reader.stats()["reader_junk_bytes"] == 0


@each_family
def test_an_empty_field_is_a_living_reader(make: Make, protocol: str) -> None:
    rig = make(protocol)
    rig.start()
    rig.reader.begin()
    rig.run(10)
    assert rig.of(DeviceLost) == rig.of(TagRead) == rig.of(DeviceNote) == []
    assert len(rig.of(Progress)) >= 3
    assert rig.reader.stats()["reader_resumed"] == 0


@each_family
def test_a_resting_module_is_asked_from_time_to_time_and_stays_silent(make: Make, protocol: str) -> None:
    rig = make(protocol)
    rig.carrier.present(EPCS)
    rig.start()
    rig.events.clear()
    rig.run(20)
    assert len(rig.of(Progress)) >= 5
    assert {type(event) for event in rig.events} == {Progress}


@each_family
def test_closing_stops_the_inventory_and_is_final(make: Make, protocol: str) -> None:
    rig = reading(make(protocol))
    rig.reader.close()
    rig.reader.close()
    rig.events.clear()
    rig.until(lambda: not rig.inventory)
    rig.run(1)
    assert rig.events == []


@every(lambda one: one.bad)
def test_bad_settings_are_refused_before_anything_is_opened(protocol: str, value: Any) -> None:
    changes, text = value
    with pytest.raises(ValueError, match=text):
        Rig(protocol, **changes)


@each_family
def test_a_protocol_that_nobody_speaks_is_refused(protocol: str) -> None:
    from dataclasses import replace

    loop = SteppedLoop()
    with pytest.raises(ValueError, match=protocol):
        SerialReader("x", replace(SPECS[protocol].settings, protocol="llrp"), loop)
    loop.close()


# -- the module -----------------------------------------------------------------------------------


@every(lambda one: ("", *one.variants))
def test_a_module_that_streams_from_before_a_reboot_is_taken_over(
    make: Make, protocol: str, value: str
) -> None:
    rig = reading(make(protocol, variant=value), 24)
    rig.crash()
    rig.run(1)  # nobody listens, and it goes on
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.reader.ready)
    rig.run(0.5)
    assert not rig.inventory
    assert rig.of(TagRead) == []  # nobody has asked yet
    assert rig.of(DeviceLost) == []
    rig.reader.begin()
    reads_on(rig)


@each_family
def test_a_module_that_streams_though_nobody_asked_is_stopped(make: Make, protocol: str) -> None:
    rig = make(protocol)
    rig.carrier.present(EPCS[:2])
    rig.start()
    rig.run(2)
    rig.carrier._carriage.hear(rig.reader._family.inventory())
    rig.until(lambda: not rig.inventory)
    assert rig.of(TagRead) == rig.of(DeviceLost) == []
    rig.reader.begin()
    reads_on(rig)


@each_family
def test_it_waits_for_a_quiet_line_before_it_says_anything(make: Make, protocol: str) -> None:
    rig = make(protocol)
    rig.reader.start(rig.events.append)
    for _ in range(20):
        rig.carrier.send(b"\x00")
        rig.run(0.02)
        assert not rig.reader.info
    rig.until(lambda: rig.reader.ready)


@each_family
@pytest.mark.parametrize("in_frame", [False, True])
def test_a_reset_while_it_reads_is_set_up_again(make: Make, protocol: str, in_frame: bool) -> None:
    rig = reading(make(protocol))
    rig.events.clear()
    rig.carrier.brown_out(in_frame=in_frame)
    rig.until(lambda: not rig.stored)
    rig.until(lambda: rig.stored)
    assert rig.of(DeviceNote) or rig.of(DeviceLost)  # said, either way
    reads_on(rig)


@each_family
def test_a_reset_while_it_rests_is_found_before_it_radiates(make: Make, protocol: str) -> None:
    rig = make(protocol)
    rig.carrier.present(EPCS[:1])
    rig.start()
    rig.run(0.4)
    rig.carrier.brown_out()
    rig.reader.begin()
    while not rig.of(TagRead):
        rig.run(0.001)
        assert rig.stored or not rig.inventory
    rig.reader.end()
    rig.until(lambda: not rig.inventory)
    rig.carrier.brown_out()
    rig.until(lambda: rig.stored)


@each_family
def test_a_supply_that_keeps_failing_is_a_lost_reader(make: Make, protocol: str) -> None:
    rig = make(protocol)
    rig.start()
    rig.reader.begin()
    for _ in range(40):
        rig.run(1)
        rig.carrier.brown_out()
    assert rig.of(DeviceLost)
    rig.carrier.present(EPCS[:1])
    reads_on(rig)


@each_family
def test_refused_settings_say_what_to_check(make: Make, protocol: str) -> None:
    for word, refuse in (("region", SPECS[protocol].refuse_region), ("power", SPECS[protocol].refuse_power)):
        rig = make(protocol)
        refuse(rig.module)
        rig.reader.start(rig.events.append)
        rig.until(lambda rig=rig: rig.of(DeviceLost))
        (lost,) = rig.of(DeviceLost)
        assert word in lost.reason
        assert word in lost.check
        assert not rig.reader.ready


@every(lambda one: one.conditions)
def test_a_condition_is_told_while_it_lasts(make: Make, protocol: str, value: str) -> None:
    rig = reading(make(protocol))
    switch = rig.spec.conditions[value]
    rig.events.clear()
    switch(rig.module, True)
    rig.until(lambda: rig.of(DeviceCondition))
    rig.run(20)
    (begun,) = rig.of(DeviceCondition)
    assert (begun.name, begun.active) == (value, True)
    assert begun.reason
    assert begun.check
    assert rig.of(DeviceLost) == []
    switch(rig.module, False)
    # The next tag that is read shows that it is over: sooner than by its not being repeated.
    rig.until(lambda: len(rig.of(DeviceCondition)) == 2, RUNNING_S - 1)
    over = rig.of(DeviceCondition)[1]
    assert (over.name, over.active) == (value, False)
    reads_on(rig)


@every(lambda one: one.conditions)
def test_a_condition_ends_without_tags_and_with_the_module(make: Make, protocol: str, value: str) -> None:
    rig = make(protocol)
    rig.start()
    rig.reader.begin()
    switch = rig.spec.conditions[value]
    for turn in (1, 2):
        switch(rig.module, True)
        rig.until(lambda turn=turn: len(rig.of(DeviceCondition)) == 2 * turn - 1)
        if turn == 1:
            switch(rig.module, False)
        else:
            rig.carrier.plug(False)
        rig.until(lambda turn=turn: len(rig.of(DeviceCondition)) == 2 * turn)
        assert not rig.of(DeviceCondition)[-1].active
    assert rig.of(DeviceLost)


@each_family
def test_temperature_is_a_figure_where_the_module_has_one(make: Make, protocol: str) -> None:
    rig = reading(make(protocol))
    rig.run(15)
    assert ("reader_temperature_c" in rig.reader.stats()) == rig.spec.temperature


@pytest.mark.parametrize("protocol", [name for name in FAMILIES if SPECS[name].wrong_address is not None])
def test_a_wrong_address_is_a_lost_reader_that_says_so(make: Make, protocol: str) -> None:
    rig = make(protocol, address=SPECS[protocol].wrong_address)
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.of(DeviceLost))
    assert "address" in rig.of(DeviceLost)[0].check


# -- the line ---------------------------------------------------------------------------------------


@each_family
def test_unplugged_and_plugged_in_again(make: Make, protocol: str) -> None:
    unplug_and_plug_in(reading(make(protocol)))


def unplug_and_return(rig: Rig) -> None:
    rig.carrier.plug(False)
    rig.until(lambda: rig.of(DeviceLost))
    rig.carrier.plug(True)
    rig.until(lambda: rig.of(DeviceBack))


def unplug_and_plug_in(rig: Rig) -> None:
    unplug_and_return(rig)
    assert len(rig.of(DeviceLost)) == len(rig.of(DeviceBack)) == 1
    reads_on(rig)


@each_family
def test_a_reader_that_is_not_there_at_the_start(make: Make, protocol: str) -> None:
    rig = make(protocol)
    rig.carrier.plug(False)
    rig.reader.start(rig.events.append)
    rig.run(30)
    rig.carrier.plug(True)
    rig.until(lambda: rig.of(DeviceBack))
    assert len(rig.of(DeviceLost)) == 1


@each_family
@pytest.mark.parametrize("reading_when", [True, False], ids=["reading", "resting"])
@pytest.mark.parametrize("wire", [Wire(mute=True), Wire(mute=True, deaf=True)], ids=["mute", "cut"])
def test_a_silent_module_is_lost_once_and_back_once(
    make: Make, protocol: str, wire: Wire, reading_when: bool
) -> None:
    rig = reading(make(protocol))
    if not reading_when:
        rig.reader.end()
    rig.carrier.wire = wire
    rig.until(lambda: rig.of(DeviceLost))
    rig.run(20)
    rig.carrier.wire = Wire()
    rig.until(lambda: rig.of(DeviceBack))
    (lost,) = rig.of(DeviceLost)
    assert "no answer" in lost.reason
    assert "baud" in lost.check
    rig.reader.begin()
    reads_on(rig)


@each_family
def test_a_module_that_does_not_hear_is_lost_too(make: Make, protocol: str) -> None:
    rig = reading(make(protocol))
    rig.carrier.wire = Wire(deaf=True)
    rig.reader.end()
    rig.events.clear()
    rig.until(lambda: rig.of(DeviceLost))
    assert rig.of(TagRead) == []
    rig.carrier.wire = Wire()
    rig.until(lambda: rig.of(DeviceBack) and not rig.inventory)


NOISE = {
    "drop": Wire(drop=0.002),
    "flip": Wire(flip=0.002),
    "junk": Wire(junk=0.005),
    "all": Wire(drop=0.001, flip=0.001, junk=0.002, split=True),
    "split": Wire(split=True),
    "burst": Wire(burst=True),
}


@each_family
@pytest.mark.parametrize("kind", NOISE)
def test_noise_loses_no_more_than_it_hits(make: Make, protocol: str, kind: str) -> None:
    rig = make(protocol)
    rig.start()
    rig.carrier.wire = Wire(**{name: value for name, value in vars(NOISE[kind]).items() if name[0] != "_"})
    rig.carrier.present(EPCS)
    rig.reader.begin()
    rig.until(lambda: len(rig.of(TagRead)) > 150 and rig.epcs() >= set(EPCS))
    assert len(rig.epcs() - set(EPCS)) <= rig.spec.invents
    assert len(rig.of(DeviceLost)) <= 1
    stats = rig.reader.stats()
    spoiled = kind not in ("split", "burst")
    assert bool(stats["reader_bad_checks"] + stats["reader_junk_bytes"]) == spoiled
    rig.carrier.wire = Wire()
    reads_on(rig)


@each_family
def test_split_and_burst_from_the_first_byte(make: Make, protocol: str) -> None:
    for wire in (Wire(split=True), Wire(burst=True)):
        rig = make(protocol)
        rig.carrier.wire = wire
        reading(rig, 24)
        assert rig.of(DeviceLost) == []


@each_family
def test_a_wrong_baud_rate_is_said(make: Make, protocol: str) -> None:
    rig = make(protocol)
    rig.carrier.wire = Wire(wrong_baud=True)
    rig.carrier.present(EPCS[:1])
    rig.reader.begin()
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.of(DeviceLost))
    assert "baud" in rig.of(DeviceLost)[0].check
    rig.carrier.wire = Wire()
    rig.until(lambda: rig.of(DeviceBack))
    reads_on(rig)
    if not rig.inventory:
        return  # a module that speaks only when it is asked
    rig.crash()
    rig.carrier.wire = Wire(wrong_baud=True)
    rig.reader.start(rig.events.append)
    rig.until(lambda: rig.of(DeviceLost))
    assert f"{rig.settings.baud} baud" in rig.of(DeviceLost)[0].reason
    assert "baud" in rig.of(DeviceLost)[0].check


@each_family
@pytest.mark.parametrize("seed", range(3))
def test_garbage_and_answers_to_other_commands_never_stop_it(make: Make, protocol: str, seed: int) -> None:
    """Random bytes and whole good frames of the same protocol, at every stage."""
    rng = random.Random(seed)
    rig = make(protocol)
    frames = [bytes.fromhex(row["hex"]) for row in vectors(protocol, "reader->host")]
    rig.carrier.present(EPCS[:2])
    rig.reader.start(rig.events.append)
    for turn in range(60):
        rig.carrier.send(rng.randbytes(rng.randrange(300)) if turn % 2 else rng.choice(frames))
        rig.run(rng.choice([0.0, 0.01, 0.1, 1.0]))
        if turn % 10 == 0:
            rig.reader.begin()
        elif turn % 10 == 5:
            rig.reader.end()
    rig.reader.begin()
    reads_on(rig)
    rig.run(12)
    rig.events.clear()
    rig.run(2)
    assert set(rig.epcs()) == set(EPCS[:2])


@each_family
def test_a_cut_frame_does_not_hold_back_a_tag(make: Make, protocol: str) -> None:
    """A frame that lost its end looks unfinished; the tag behind it must not wait for the next one."""
    rig = make(protocol)
    rig.start()
    rig.reader.begin()
    rig.run(0.5)
    tag = rig.spec.tag(EPCS[5])
    rig.carrier.wire = Wire(mute=True)
    rig.carrier.send(tag[:-3] + tag)
    rig.run(0.2)
    assert rig.epcs() == {EPCS[5]}
