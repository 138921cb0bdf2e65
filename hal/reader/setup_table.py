"""What a YRM100 module is told at every start, row by row, and what it must answer. Pure.

Stop and drain first (it may still be polling for the last program), then identify, then region, hopping
and power; region and power are read back, because a module keeps neither reliably over a brown-out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hal.reader.bringup import Row
from hal.reader.yrm100 import NO_TAG, REGIONS, Cmd, ErrorReply, Event, Response, encode, power_value

CHECK_LINK = "TX and RX are not swapped, the baud rate, and the module's supply"
CHECK_REGION = "the region in the board file; this module may be built for another one"
CHECK_POWER = "power_dbm and power_offset_db in the board file against the module's data sheet"
ANSWER_S = 0.3
OK = b"\x00"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Region and power as they go over the wire."""

    region: int
    power: int

    @classmethod
    def of(cls, region: str, power_dbm: float, power_offset_db: float) -> Wanted:
        """Raises ValueError naming what is wrong and what is allowed."""
        if region not in REGIONS:
            raise ValueError(f"region {region!r} is not known; use one of {', '.join(REGIONS)}")
        return cls(REGIONS[region].code, power_value(power_dbm, power_offset_db))


def setup_rows(wanted: Wanted, header: int, info: dict[str, str]) -> list[Row[Event]]:
    """The whole bring-up; ``info`` receives the module's own words (hardware, software)."""

    def row(
        name: str,
        cmd: Cmd,
        params: bytes,
        accepts: Callable[[Event], bool | str | None],
        check: str = CHECK_LINK,
        optional: bool = False,
    ) -> Row[Event]:
        return Row(name, encode(cmd, params, header=header), accepts, ANSWER_S, 2, check, optional=optional)

    region, power = bytes((wanted.region,)), wanted.power.to_bytes(2, "big")
    return [
        *stop_rows(header),
        row("hardware version", Cmd.INFO, b"\x00", _info(0, "hardware", info)),
        row("software version", Cmd.INFO, b"\x01", _info(1, "software", info), optional=True),
        row("set region", Cmd.SET_REGION, region, _answer(Cmd.SET_REGION, OK), CHECK_REGION),
        row("read region back", Cmd.GET_REGION, b"", _answer(Cmd.GET_REGION, region), CHECK_REGION),
        row("hop between channels", Cmd.SET_HOPPING, b"\xff", _answer(Cmd.SET_HOPPING, OK), optional=True),
        row("set power", Cmd.SET_POWER, power, _answer(Cmd.SET_POWER, OK), CHECK_POWER),
        row("read power back", Cmd.GET_POWER, b"", _answer(Cmd.GET_POWER, power), CHECK_POWER),
    ]


def stop_rows(header: int) -> list[Row[Event]]:
    """End a running inventory and wait until the line is quiet; the answer itself does not matter."""
    return [Row("stop and drain", encode(Cmd.STOP, header=header), None, 1.0, 2, CHECK_LINK, quiet_s=0.12)]


def check_rows(
    wanted: Wanted, header: int, timeout_s: float, was_reset: Callable[[], None], *, polling: bool
) -> list[Row[Event]]:
    """Is the module there and still set up? ``was_reset`` is called when it is not.

    Region and power both: one of them may be the module's default. ``polling``: it may still be running
    an inventory and take no other command, so it is stopped first.
    """

    def row(name: str, cmd: Cmd, params: bytes) -> Row[Event]:
        def accepts(event: Event) -> bool | str | None:
            if isinstance(event, Response) and event.cmd == cmd:
                if event.params != params:
                    was_reset()
                return True
            return None

        return Row(name, encode(cmd, header=header), accepts, timeout_s, 1, CHECK_LINK)

    return [
        *(stop_rows(header) if polling else []),
        row("are you there", Cmd.GET_REGION, bytes((wanted.region,))),
        row("is the power kept", Cmd.GET_POWER, wanted.power.to_bytes(2, "big")),
    ]


def _answer(cmd: Cmd, params: bytes) -> Callable[[Event], bool | str | None]:
    def accepts(event: Event) -> bool | str | None:
        if isinstance(event, Response) and event.cmd == cmd:
            return event.params == params or f"it answered {event.params.hex()}, not {params.hex()}"
        return _refused(event)

    return accepts


def _info(which: int, name: str, info: dict[str, str]) -> Callable[[Event], bool | str | None]:
    def accepts(event: Event) -> bool | str | None:
        if isinstance(event, Response) and event.cmd == Cmd.INFO and event.params[:1] == bytes((which,)):
            text = event.params[1:].decode("ascii", "replace")
            info[name] = "".join(c if c.isprintable() else "?" for c in text).strip()
            return True
        return _refused(event)

    return accepts


def _refused(event: Event) -> str | None:
    # "No tag" still arrives from the inventory that was just stopped: it answers nothing.
    if isinstance(event, ErrorReply) and event.code != NO_TAG:
        return f"the module refused: {event.text}"
    return None
