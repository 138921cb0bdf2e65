"""The RFID reader: brought up as the board does it, and what it reads while it listens for a few seconds.

It radiates with the board file's power for as long as it listens. On a simulated board one tag is held
before the antennas; on a real one the technician may hold one, and the rest is background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from firmware.boardschema import ReaderSection
from firmware.hardware import open_reader
from firmware.selftest.bench import Bench, Result
from hal.ports import DeviceCondition, DeviceLost, DeviceNote, Event, TagRead

SET_UP_S = 12.0
LISTEN_S = 3.0
MOST_LINES = 20
SIMULATED_TAG = bytes.fromhex("3034257BF7194E4000001A85")
NOT_DONE = Result(False, "not done: the reader was not brought up", "the step before")


@dataclass(frozen=True)
class Heard:
    """``conditions``: those that stand at the end. ``stats``: the driver's figures."""

    info: Mapping[str, str]
    reads: Sequence[TagRead]
    conditions: Sequence[DeviceCondition]
    notes: Sequence[DeviceNote]
    stats: Mapping[str, int]
    seconds: float
    simulated: bool = False


@dataclass
class _Tag:
    count: int = 0
    best: TagRead | None = None
    antennas: set[int] = field(default_factory=set)


def reader(bench: Bench) -> Result:
    """Bring it up and listen; the other steps judge what was heard."""
    section = _section(bench)
    events: list[Event] = []
    module, driver = open_reader(bench.board, bench.loop, stepped=True)
    assert driver is not None
    began = bench.loop.time()
    bench.loop.call_soon(driver.start, events.append)

    def lost() -> DeviceLost | None:
        return next((event for event in events if isinstance(event, DeviceLost)), None)

    try:
        bench.until(lambda: driver.ready or lost() is not None, SET_UP_S)
        gone = lost()
        if gone is not None:
            return Result(False, gone.reason, gone.check)
        if not driver.ready:
            return Result(False, f"{section.port}: not ready after {SET_UP_S:g} s", "its cable and supply")
        took = bench.loop.time() - began
        if module is not None:
            module.present([SIMULATED_TAG])
        driver.begin()
        bench.wait(LISTEN_S)
        driver.end()
        bench.wait(0.2)
        standing = {event.name: event for event in events if isinstance(event, DeviceCondition)}
        bench.heard = Heard(
            dict(driver.info),
            [event for event in events if isinstance(event, TagRead)],
            [event for event in standing.values() if event.active],
            [event for event in events if isinstance(event, DeviceNote)],
            driver.stats(),
            LISTEN_S,
            module is not None,
        )
        gone = lost()
        if gone is not None:
            return Result(False, f"lost while it listened: {gone.reason}", gone.check)
    finally:
        driver.close()
        bench.wait(0.1)
        if module is not None:
            module.close()
    model = driver.info.get("model", section.protocol)
    firmware = driver.info.get("firmware", "not told")
    rest = tuple(f"{name}: {said}" for name, said in driver.info.items() if name not in ("model", "firmware"))
    return Result(
        True, f"{model}, firmware {firmware}, on {section.port}; set up in {took:.1f} s", lines=rest
    )


def radio(bench: Bench) -> Result:
    """Region and power as the module gave them back, its temperature, its antennas' match."""
    heard, section = bench.heard, _section(bench)
    if heard is None:
        return NOT_DONE
    found = f"{section.region}, {section.power_dbm:g} dBm set and confirmed by the module"
    celsius = heard.stats.get("reader_temperature_c")
    found += f"; {celsius} °C" if celsius is not None else "; it tells no temperature"
    if heard.conditions:
        first = heard.conditions[0]
        return Result(False, f"{found}; {first.reason}", first.check, _others(heard))
    said = tuple(f"{note.name}: {note.detail}" for note in heard.notes)
    spoilt = heard.stats["reader_bad_checks"] + heard.stats["reader_junk_bytes"]
    if heard.notes or spoilt:
        damaged = f"{heard.stats['reader_bad_checks']} damaged frames, "
        damaged += f"{heard.stats['reader_junk_bytes']} bytes of noise"
        check = "supply, ground and length of the reader's cable"
        return Result(None, f"{found}; {damaged}", check, said)
    return Result(True, f"{found}; no fault of antenna or line", lines=said)


def _others(heard: Heard) -> tuple[str, ...]:
    return tuple(f"{one.name}: {one.reason}" for one in heard.conditions[1:])


def antennas(bench: Bench) -> Result:
    """Every port of the board file: does it read?"""
    heard, section = bench.heard, _section(bench)
    if heard is None:
        return NOT_DONE
    counts = Counter(read.antenna for read in heard.reads)
    veto = bench.board.portal.veto_antennas
    words, deaf = [], []
    for port in sorted(section.antennas):
        name = f"{port} (away)" if port in veto else f"{port}"
        words.append(f"{name}: {counts[port]} reads" if counts[port] else f"{name}: none")
        if not counts[port]:
            deaf.append(str(port))
    strangers = sorted(counts.keys() - set(section.antennas))
    if strangers:
        other = ", ".join(str(port) for port in strangers)
        return Result(False, f"it reads on antenna {other}", "reader.antennas in the board file")
    if not deaf:
        return Result(True, ", ".join(words))
    check = (
        f"hold a tag before antenna {', '.join(deaf)} and run this again; then its cable (reader off first)"
    )
    return Result(None, ", ".join(words), check)


def tags(bench: Bench) -> Result:
    """How fast it reads, and which tags are there while nobody brings any."""
    heard = bench.heard
    if heard is None:
        return NOT_DONE
    seen: dict[bytes, _Tag] = {}
    for read in heard.reads:
        tag = seen.setdefault(read.epc, _Tag())
        tag.count += read.read_count
        tag.antennas.add(read.antenna)
        if tag.best is None or _level(read) > _level(tag.best):
            tag.best = read
    reads = sum(tag.count for tag in seen.values())
    found = f"{reads} reads in {heard.seconds:g} s ({reads / heard.seconds:.0f}/s), tags: {len(seen)}"
    if not reads:
        return Result(None, found, "hold a tag before an antenna and run this again; region and power_dbm")
    order = sorted(seen.items(), key=lambda item: -item[1].count)
    lines = [_line(epc, tag, heard.simulated) for epc, tag in order[:MOST_LINES]]
    if len(order) > MOST_LINES:
        lines.append(f"and {len(order) - MOST_LINES} more")
    if not heard.simulated:
        lines.append("what you did not hold there yourself is background: move it, or turn power_dbm down")
    return Result(True, found, lines=tuple(lines))


def _level(read: TagRead) -> float:
    return read.rssi_dbm if read.rssi_dbm is not None else read.rssi_raw


def _line(epc: bytes, tag: _Tag, simulated: bool) -> str:
    best = tag.best
    assert best is not None
    level = f"{best.rssi_dbm:.0f} dBm" if best.rssi_dbm is not None else f"level {best.rssi_raw}"
    ports = ", ".join(str(port) for port in sorted(tag.antennas))
    what = " (the simulated tag)" if simulated and epc == SIMULATED_TAG else ""
    return f"{epc.hex().upper()}{what}: {tag.count} reads, best {level}, antenna {ports}"


def _section(bench: Bench) -> ReaderSection:
    assert bench.board.reader is not None
    return bench.board.reader
