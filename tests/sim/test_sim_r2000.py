"""The simulated R2000 module: what it says to the byte, and when."""

from __future__ import annotations

from typing import Any

import pytest

from hal.reader.events import Condition, Event, RoundEnd, Tag
from hal.reader.r2000 import Codec, encode
from hal.reader.r2000_commands import Cmd
from hal.sim.population import Population
from hal.sim.r2000 import SimModule

EPCS = [bytes.fromhex(f"E2806890000050{n:02X}88C6A4{n:02X}") for n in range(12)]


def module(antennas: int = 4, tags: int = 0, **how: Any) -> SimModule:
    population = Population(seed=5, antennas=antennas)
    population.present(EPCS[:tags])
    return SimModule(population, **how)


def said(sim: SimModule, cmd: int, data: str = "", now: float = 1.0, address: int = 1) -> str:
    return sim.feed(encode(cmd, bytes.fromhex(data), address=address), now).hex(" ").upper()


def speech(sim: SimModule, until: float = 60.0) -> list[tuple[float, Event]]:
    """What it says by itself until it is done."""
    codec, events = Codec(), []
    while (due := sim.due()) is not None and due < until:
        events += [(due, event) for event in codec.feed(sim.speak(due))]
    assert codec.pending == 0
    assert codec.counters.junk == 0
    return events


def events(sim: SimModule) -> list[Event]:
    return [event for _, event in speech(sim)]


# -- the module ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cmd", "data", "answer"),
    [
        (Cmd.GET_VERSION, "", "A0 05 01 72 08 02 DE"),
        (Cmd.GET_TEMPERATURE, "", "A0 05 01 7B 01 26 B8"),
        (Cmd.SET_ANTENNA, "03", "A0 04 01 74 10 D7"),
        (Cmd.SET_ANTENNA, "04", "A0 04 01 74 47 A0"),
        (Cmd.SET_POWER, "1E", "A0 04 01 76 10 D5"),
        (Cmd.SET_POWER, "22", "A0 04 01 76 48 9D"),
        (Cmd.SET_POWER, "1E1E", "A0 04 01 76 41 A4"),
        (Cmd.GET_POWER, "", "A0 04 01 77 1E C6"),
        (Cmd.SET_REGION, "032C34", "A0 04 01 78 10 D3"),
        (Cmd.SET_REGION, "052C34", "A0 04 01 78 49 9A"),
        (Cmd.SET_REGION, "02072C", "A0 04 01 78 4F 94"),
        (Cmd.GET_REGION, "", "A0 06 01 79 01 07 3B 9D"),
        (Cmd.SET_BAUD, "09", "A0 04 01 71 4A A0"),
        (Cmd.FAST_SWITCH, "0001", "A0 04 01 8A 41 90"),
        (Cmd.FAST_SWITCH, "04" * 9 + "00", "A0 04 01 8A 41 90"),
        (Cmd.SESSION, "040001", "A0 04 01 8B 41 8F"),
        (Cmd.READ, "", "A0 04 01 81 11 C9"),
    ],
)
def test_answers_to_the_byte(cmd: int, data: str, answer: str) -> None:
    sim = module()
    assert said(sim, cmd, data) == answer
    assert sim.due() is None


def test_each_port_can_have_its_own_power() -> None:
    sim = module()
    said(sim, Cmd.SET_POWER, "1E1D1C1B")
    assert said(sim, Cmd.GET_POWER) == "A0 07 01 77 1E 1D 1C 1B 6F"


def test_another_address_is_answered_by_silence_and_the_public_one_as_its_own() -> None:
    sim = module(address=5)
    assert said(sim, Cmd.GET_VERSION, address=1) == ""
    assert said(sim, Cmd.GET_VERSION, address=0) == ""
    assert said(sim, Cmd.GET_VERSION, address=5) == said(sim, Cmd.GET_VERSION, address=0xFF)
    assert said(sim, Cmd.GET_VERSION, address=5)[6:8] == "05"


@pytest.mark.parametrize(
    ("cmd", "data"), [(Cmd.REAL_TIME, "01"), (Cmd.SESSION, "010001"), (Cmd.SESSION, "01000001")]
)
def test_a_round_on_one_antenna_ends_with_antenna_rate_and_total(cmd: int, data: str) -> None:
    sim = module(tags=8)
    said(sim, Cmd.SET_ANTENNA, "02")
    assert said(sim, cmd, data) == ""
    assert said(sim, Cmd.GET_VERSION, now=1.001) == ""  # deaf while it runs
    *tags, end = events(sim)
    assert len(tags) > 3
    assert {type(tag) for tag in tags} == {Tag}
    assert {tag.antenna for tag in tags if isinstance(tag, Tag)} == {3}
    assert {tag.epc for tag in tags if isinstance(tag, Tag)} <= set(EPCS)
    assert {tag.phase for tag in tags if isinstance(tag, Tag)} == {None}
    assert end == RoundEnd(cmd, len(tags), 3)
    assert sim.due() is None
    assert said(sim, Cmd.GET_VERSION, now=9.0) != ""


def test_a_fast_switch_round_goes_round_and_counts() -> None:
    sim = module(tags=6)
    sim.missing = {2}
    said(sim, Cmd.SET_DETECTOR, "03")
    said(sim, Cmd.FAST_SWITCH, "00 01 01 01 02 02 FF 00 00 01".replace(" ", ""))
    spoken = speech(sim)
    heard = [event for _, event in spoken]
    assert Condition("antenna-missing", "no antenna on this port", antenna=2) in heard
    reads = [event for event in heard if isinstance(event, Tag)]
    assert {tag.antenna for tag in reads} == {1, 3}
    assert heard[-1] == RoundEnd(Cmd.FAST_SWITCH, len(reads))
    assert [at for at, _ in spoken] == sorted(at for at, _ in spoken)


def test_without_its_detector_a_missing_antenna_is_only_deaf() -> None:
    sim = module(tags=6)
    sim.missing = {1}
    said(sim, Cmd.REAL_TIME, "01")
    assert events(sim) == [RoundEnd(Cmd.REAL_TIME, 0, 1)]
    said(sim, Cmd.SET_DETECTOR, "03", now=5.0)
    said(sim, Cmd.REAL_TIME, "01", now=5.0)
    assert [type(event) for event in events(sim)] == [Condition]


def test_eight_antennas_and_the_phase() -> None:
    sim = module(antennas=8, tags=4)
    pairs = "".join(f"{port:02X}01" for port in range(8))
    said(sim, Cmd.FAST_SWITCH, pairs + "00" + "01")
    reads = [event for event in events(sim) if isinstance(event, Tag)]
    assert {tag.antenna for tag in reads} == set(range(1, 9))
    said(sim, Cmd.FAST_SWITCH, pairs + "00" + "0000000000" + "0100" + "000000" + "01" + "01", now=20.0)
    reads = [event for event in events(sim) if isinstance(event, Tag)]
    assert reads
    assert all(tag.phase is not None and 0 <= tag.phase < 2048 for tag in reads)


def test_the_frequencies_are_the_regions() -> None:
    sim = module(tags=8)
    said(sim, Cmd.SET_REGION, "022C34".replace("2C34", "0205"))
    now, seen = 1.0, set()
    for _ in range(40):
        said(sim, Cmd.REAL_TIME, "01", now=now)
        seen |= {event.freq_khz for event in events(sim) if isinstance(event, Tag)}
        now += 1.0
    assert len(seen) > 2
    assert seen <= {866_000, 866_500, 867_000, 867_500}


def test_a_reset_ends_a_round_and_takes_half_a_second_but_no_settings() -> None:
    sim = module(tags=4)
    said(sim, Cmd.SET_POWER, "14")
    said(sim, Cmd.FAST_SWITCH, "0001010102010301" + "00" + "FF")
    assert sim.status()["inventory"] == "8A"
    assert said(sim, Cmd.RESET, now=1.01) == ""
    assert (sim.due(), sim.status()["inventory"]) == (None, "")
    assert said(sim, Cmd.GET_POWER, now=1.4) == ""
    assert said(sim, Cmd.GET_POWER, now=1.6) == "A0 04 01 77 14 D0"
    assert sim.power_cycle(2.0) == b""
    assert said(sim, Cmd.GET_POWER, now=2.4) == ""
    assert said(sim, Cmd.GET_POWER, now=2.6) == "A0 04 01 77 1E C6"
