"""How a ThingMagic module's answers during bring-up are judged. Pure.

Each function makes (or is) the ``accepts`` of a ``bringup.Row``: True = done, a text = answered wrongly,
None = not an answer to this. A late frame of a stream that was just stopped never counts as an answer.
"""

from __future__ import annotations

from collections.abc import Callable

from hal.reader.bringup import Row
from hal.reader.events import Condition, ErrorReply, Event, Response
from hal.reader.thingmagic import encode
from hal.reader.thingmagic_ops import MODELS, MULTI_STOP, Op

CHECK_LINK = "TX and RX are not swapped, the baud rate, and the module's supply (a bare module takes 3.3 V)"
CHECK_REGION = "the region in the board file; this module is sold for others"
CHECK_POWER = "power_dbm and power_offset_db in the board file against the module's data sheet"
CHECK_ANTENNAS = "antennas in the board file: the module has no such port"
CHECK_SUPPLY = "the module's supply, and its firmware with the maker's tool"
ANSWER_S = 0.5

Accepts = Callable[[Event], bool | str | None]


def row(
    name: str, op: Op, data: bytes, accepts: Accepts, check: str = CHECK_LINK, optional: bool = False
) -> Row[Event]:
    """One command that is answered at once."""
    return Row(name, encode(op, data), accepts, ANSWER_S, 2, check, optional=optional)


def insert_after(rows: list[Row[Event]], name: str, *more: Row[Event]) -> None:
    """Put ``more`` behind the row called ``name``."""
    at = next(index for index, row in enumerate(rows) if row.name == name) + 1
    rows[at:at] = more


def refused(event: Event, op: Op) -> str | None:
    """The module's reason, where it refused ``op``."""
    if isinstance(event, ErrorReply) and event.cmd == op:
        return f"the module refused: {event.text}"
    return None


def done(op: Op) -> Accepts:
    """Any good answer to ``op``."""
    return lambda event: (isinstance(event, Response) and event.cmd == op) or refused(event, op)


def same(op: Op, data: bytes, unknown_is_good: bool = False) -> Accepts:
    """``op`` answered with exactly ``data``. ``unknown_is_good``: clones lack some questions."""

    def accepts(event: Event) -> bool | str | None:
        if isinstance(event, Response) and event.cmd == op:
            return event.data == data or f"it answered {event.data.hex()}, not {data.hex()}"
        reason = refused(event, op)
        return True if reason and unknown_is_good else reason

    return accepts


def stopped(event: Event) -> bool | None:
    """It says that it stopped; or that it does not know how to (bootloader, nothing runs)."""
    if isinstance(event, Response):
        return (event.cmd == Op.MULTI and event.data[:1] == bytes((MULTI_STOP,))) or None
    return (isinstance(event, ErrorReply) and event.cmd == Op.MULTI) or None


def booted(event: Event) -> bool | str | None:
    """The firmware's first word. Refused: it runs already."""
    if isinstance(event, Condition):
        return event.name == "reset" or None
    return (isinstance(event, ErrorReply) and event.cmd == Op.BOOT) or None


def version(info: dict[str, str]) -> Accepts:
    """Bootloader, hardware, date, firmware, 4 bytes each as the module prints them; protocols."""

    def accepts(event: Event) -> bool | str | None:
        if not (isinstance(event, Response) and event.cmd == Op.VERSION):
            return refused(event, Op.VERSION)
        data = event.data
        if len(data) < 16:
            return f"it answered {data.hex()}"
        info["model"] = MODELS.get(data[4], f"ThingMagic {data[4]:02X}")
        for name, at in (("bootloader", 0), ("hardware", 4), ("firmware", 12)):
            info[name] = data[at : at + 4].hex(".").upper()
        info["firmware_date"] = data[8:12].hex()
        return True

    return accepts


def detected(info: dict[str, str]) -> Accepts:
    """Pairs of port and detected; modules without a detector say no to good antennas, so it only informs."""

    def accepts(event: Event) -> bool | str | None:
        if isinstance(event, Response) and event.cmd == Op.GET_ANTENNA and event.data[:1] == b"\x05":
            pairs = zip(event.data[1::2], event.data[2::2], strict=False)
            info["antennas"] = ", ".join(
                f"{port}: {'seen' if there else 'not seen'}" for port, there in pairs
            )
            return True
        return refused(event, Op.GET_ANTENNA)

    return accepts


def serial(info: dict[str, str]) -> Accepts:
    """Option u16, flags, length, digits."""

    def accepts(event: Event) -> bool | str | None:
        if isinstance(event, Response) and event.cmd == Op.HARDWARE:
            text = event.data[4 : 4 + event.data[3]] if len(event.data) > 3 else b""
            info["serial"] = "".join(c if c.isprintable() else "?" for c in text.decode("ascii", "replace"))
            return True
        return refused(event, Op.HARDWARE)

    return accepts
