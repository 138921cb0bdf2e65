"""A ThingMagic module (M6E Nano, M7E, Silion) in a portal: bring-up as rows, inventory, what it means. Pure.

Stop and drain first: a module that still streams answers every request with the stream's frames. Then
everything is set, because it keeps nothing for sure, and region, power, session and filter are read back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hal.reader.bringup import Row
from hal.reader.events import Alive, Condition, ErrorReply, Event, Response, RoundEnd, Tag
from hal.reader.port import Meaning, ReaderSettings
from hal.reader.thingmagic import STREAM_SEARCH, Codec, encode, start_search
from hal.reader.thingmagic_ops import (
    ASSERTION,
    BAD_OPCODE,
    BAD_PARAMETER,
    BAD_PROTOCOL,
    BAD_REGION,
    GEN2,
    MULTI_START,
    MULTI_STOP,
    OPTION_READ_FILTER,
    RADIO_OFF,
    REGION_NAMES,
    STATS_TEMPERATURE,
    WRONG_COUNT,
    Meta,
    Op,
    Search,
    in_bootloader,
)
from hal.reader.thingmagic_rows import (
    CHECK_ANTENNAS,
    CHECK_LINK,
    CHECK_POWER,
    CHECK_REGION,
    CHECK_SUPPLY,
    Accepts,
    booted,
    detected,
    done,
    insert_after,
    refused,
    row,
    same,
    serial,
    stopped,
    version,
)
from hal.reader.thingmagic_wanted import Wanted

STOP_S = 1.0
"""A stopped stream may first say what it still has."""
QUIET_S = 0.12
BOOT_S = 0.75
"""Its application needs about 0.65 s from "boot" to its first answer."""
ON_MS = 1000
"""Length of a cycle: a module says something at the end of each, tags or not."""
METADATA = Meta.COUNT | Meta.RSSI | Meta.ANTENNA | Meta.FREQUENCY | Meta.TIME | Meta.PHASE | Meta.PROTOCOL
FILTER_OFF = bytes((1, OPTION_READ_FILTER, 0))
"""Else the module itself keeps repeated reads back, on which a portal's decision stands."""
POWER_STEP = 50
"""Modules round to half a dB, in centi-dBm."""
_SETTINGS_LOST = (BAD_OPCODE, BAD_REGION, BAD_PROTOCOL, RADIO_OFF, 0x0401, 0x0500, ASSERTION)
"""Errors of a search after which the module must be set up again."""
_NOT_UNDERSTOOD = (WRONG_COUNT, BAD_PARAMETER, 0x0109)


class Family:
    """Continuous reading ("stream", the only inventory), up to 16 antenna ports, no bus address. Raises
    ValueError naming the key, its value and what is allowed."""

    gap_s = 0.05
    silence_s = 1.25
    round_pause_s = 0.05

    def __init__(self, settings: ReaderSettings) -> None:
        self._wanted = Wanted.of(settings)
        self.codec = Codec()
        self._region = self._wanted.regions[0]
        self._kept_power = self._wanted.power
        self._with_stats = True
        self._restarted = False

    # -- rows --------------------------------------------------------------------------------------

    def stop_rows(self) -> list[Row[Event]]:
        """It must say that it has stopped (or that it knows no such command: then nothing runs). What it
        had still to report comes before that."""
        stop = encode(Op.MULTI, bytes((0, 0, MULTI_STOP)))
        return [
            Row("stop", stop, stopped, STOP_S, 2, CHECK_LINK),
            Row("drain", b"", None, STOP_S, 0, CHECK_LINK, quiet_s=QUIET_S),
        ]

    def setup_rows(self, info: dict[str, str]) -> list[Row[Event]]:
        """``info`` receives model, firmware, hardware, serial, regions, power and antennas in words.

        The list grows while it is gone through: which region number to set, and whether the firmware must
        be started first, the module says itself. Once settings are going in, a boot message spoils it all.
        """
        self._restarted = False
        rows: list[Row[Event]] = []
        wanted = self._wanted
        power, session = wanted.power.to_bytes(2, "big"), wanted.session_data
        rows += [
            *self.stop_rows(),
            row("ask for the version", Op.VERSION, b"", version(info)),
            row("ask which program runs", Op.PROGRAM, b"", self._program(rows, info)),
            row("stay awake", Op.SET_POWER_MODE, b"\x00", done(Op.SET_POWER_MODE), optional=True),
            row("ask for the serial number", Op.HARDWARE, b"\x00\x40", serial(info), optional=True),
            row("ask for the regions", Op.REGIONS, b"", self._regions(rows, info), CHECK_REGION),
            row("set protocol", Op.SET_PROTOCOL, bytes((0, GEN2)), done(Op.SET_PROTOCOL)),
            row("look for antennas", Op.GET_ANTENNA, b"\x05", detected(info), optional=True),
            row("set antennas", Op.SET_ANTENNA, wanted.antenna_data, done(Op.SET_ANTENNA), CHECK_ANTENNAS),
            row("ask for power limits", Op.GET_READ_POWER, b"\x01", self._limits(info), CHECK_POWER),
            row("set power", Op.SET_READ_POWER, power, done(Op.SET_READ_POWER), CHECK_POWER),
            row("read power back", Op.GET_READ_POWER, b"\x00", self._power_back, CHECK_POWER),
            row("set session", Op.SET_GEN2, session, done(Op.SET_GEN2)),
            row("read session back", Op.GET_GEN2, session[:2], same(Op.GET_GEN2, session, True)),
            row("set target", Op.SET_GEN2, wanted.target_data, done(Op.SET_GEN2), optional=True),
            row("report repeated reads", Op.SET_OPTION, FILTER_OFF, done(Op.SET_OPTION)),
            row("read the filter back", Op.GET_OPTION, FILTER_OFF[:2], same(Op.GET_OPTION, FILTER_OFF, True)),
        ]
        first = next(index for index, one in enumerate(rows) if one.name == "set protocol")
        rows[first:] = [self._unbroken(one) for one in rows[first:]]
        return rows

    def check_rows(
        self, forgotten: Callable[[], None], *, polling: bool, timeout_s: float
    ) -> list[Row[Event]]:
        """Region, power and filter: one module stores some of them, another none, and any of them may be
        the module's default. A clone may not know the question about the filter."""

        def kept(name: str, cmd: Op, ask: bytes, wanted: bytes) -> Row[Event]:
            def accepts(event: Event) -> bool | None:
                reset = isinstance(event, Condition) and event.name == "reset"
                no = isinstance(event, ErrorReply) and event.cmd == cmd
                answered = isinstance(event, Response) and event.cmd == cmd
                if not (reset or no or answered):
                    return None
                unknown = no and cmd == Op.GET_OPTION
                if not unknown and not (isinstance(event, Response) and event.data == wanted):
                    forgotten()
                return True

            return Row(name, encode(cmd, ask), accepts, timeout_s, 1, CHECK_LINK)

        power = b"\x00" + self._kept_power.to_bytes(2, "big")
        return [
            *(self.stop_rows() if polling else []),
            kept("are you there", Op.GET_REGION, b"", bytes((self._region,))),
            kept("is the power kept", Op.GET_READ_POWER, b"\x00", power),
            kept("is the filter off", Op.GET_OPTION, FILTER_OFF[:2], FILTER_OFF),
        ]

    # -- inventory ---------------------------------------------------------------------------------

    def inventory(self) -> bytes:
        if self._with_stats:
            search = STREAM_SEARCH | Search.STATS
            return start_search(on_ms=ON_MS, metadata=METADATA, search=search, stats=STATS_TEMPERATURE)
        return start_search(on_ms=ON_MS, metadata=METADATA)

    def judge(self, event: Event) -> Meaning:
        match event:
            case Tag() | Alive() | RoundEnd():
                return Meaning.ALIVE
            case Condition(name="reset"):
                return Meaning.WRONG
            case Condition():
                return Meaning.ALIVE
            case Response(cmd=Op.MULTI, data=data) if data[:1] == bytes((MULTI_STOP,)):
                return Meaning.AGAIN
            case Response(cmd=Op.MULTI, data=data) if data[:1] == bytes((MULTI_START,)):
                return Meaning.ALIVE
            case ErrorReply(cmd=Op.MULTI | Op.READ_MULTIPLE, code=code):
                return self._judge_error(code)
        return Meaning.NOTHING

    def other_framing(self) -> bool:
        return False

    def _judge_error(self, code: int) -> Meaning:
        if code in _NOT_UNDERSTOOD and self._with_stats:
            self._with_stats = False  # older firmware and clones: without the temperature
            return Meaning.AGAIN
        return Meaning.WRONG if code in _SETTINGS_LOST or code in _NOT_UNDERSTOOD else Meaning.ALIVE

    # -- answers that change what follows ----------------------------------------------------------

    def _program(self, rows: list[Row[Event]], info: dict[str, str]) -> Accepts:
        """In the bootloader: start the firmware, wait for it, and ask for its version."""

        def accepts(event: Event) -> bool | str | None:
            if not (isinstance(event, Response) and event.cmd == Op.PROGRAM):
                return refused(event, Op.PROGRAM)
            if in_bootloader(event.data):
                insert_after(
                    rows,
                    "ask which program runs",
                    Row("start the firmware", encode(Op.BOOT), booted, 2.0, 1, CHECK_SUPPLY),
                    Row("wait for it", b"", None, 2 * BOOT_S, 0, CHECK_SUPPLY, quiet_s=BOOT_S),
                    row("ask for the version again", Op.VERSION, b"", version(info)),
                )
            return True

        return accepts

    def _regions(self, rows: list[Row[Event]], info: dict[str, str]) -> Accepts:
        """Set the first of the region's numbers that the module has, and read it back. A clone that cannot
        list its regions gets the first number, and refuses it where it is not one of its own."""

        def accepts(event: Event) -> bool | str | None:
            wanted = self._wanted.regions
            if isinstance(event, Response) and event.cmd == Op.REGIONS:
                info["regions"] = ", ".join(REGION_NAMES.get(code, f"{code:02X}") for code in event.data)
                wanted = tuple(code for code in wanted if code in event.data)
                if not wanted:
                    return f"it has no region for {self._wanted.region_name!r}, only {info['regions']}"
            elif not refused(event, Op.REGIONS):
                return None
            self._region, region = wanted[0], bytes(wanted[:1])
            insert_after(
                rows,
                "ask for the regions",
                *map(
                    self._unbroken,
                    (
                        row("set region", Op.SET_REGION, region, done(Op.SET_REGION), CHECK_REGION),
                        row(
                            "read region back", Op.GET_REGION, b"", same(Op.GET_REGION, region), CHECK_REGION
                        ),
                    ),
                ),
            )
            return True

        return accepts

    def _unbroken(self, one: Row[Event]) -> Row[Event]:
        """``one``, failing from a boot message on: what was set before it is lost."""

        def accepts(event: Event) -> bool | str | None:
            self._restarted = self._restarted or (isinstance(event, Condition) and event.name == "reset")
            if self._restarted:
                return "the module started anew in the middle of it"
            return one.accepts(event) if one.accepts is not None else None

        return replace(one, accepts=accepts)

    def _limits(self, info: dict[str, str]) -> Accepts:
        def accepts(event: Event) -> bool | str | None:
            if isinstance(event, ErrorReply) and event.cmd == Op.GET_READ_POWER:
                return True  # older firmware does not know its limits; it will refuse what is too much
            if not (isinstance(event, Response) and event.cmd == Op.GET_READ_POWER and len(event.data) == 7):
                return None
            highest, lowest = (int.from_bytes(event.data[at : at + 2], "big", signed=True) for at in (3, 5))
            info["power"] = f"{lowest / 100:g} to {highest / 100:g} dBm"
            if lowest <= self._wanted.power <= highest:
                return True
            return f"{self._wanted.power / 100:g} dBm is wanted and the module does {info['power']}"

        return accepts

    def _power_back(self, event: Event) -> bool | str | None:
        answered = isinstance(event, Response) and event.cmd == Op.GET_READ_POWER
        if not isinstance(event, Response) or not answered or len(event.data) != 3:
            return refused(event, Op.GET_READ_POWER)
        kept = int.from_bytes(event.data[1:], "big")
        if abs(kept - self._wanted.power) > POWER_STEP:
            return f"{self._wanted.power / 100:g} dBm was set and it answers {event.data.hex()}"
        self._kept_power = kept
        return True
