"""What an R2000 module must answer to a row of its bring-up: a judge for each kind of answer. Pure.

A judge returns True (done), a text (answered wrongly, and how) or None (no answer to this row).
"""

from __future__ import annotations

from collections.abc import Callable

from hal.reader.events import Condition, ErrorReply, Event, Response
from hal.reader.r2000_commands import Cmd
from hal.reader.r2000_errors import OK

Accepts = Callable[[Event], bool | str | None]


def done(cmd: Cmd) -> Accepts:
    def accepts(event: Event) -> bool | str | None:
        if isinstance(event, Response) and event.cmd == cmd:
            return event.data == bytes((OK,)) or f"it answered {event.data.hex()}"
        return refused(event, cmd)

    return accepts


def same(cmd: Cmd, wanted: bytes, is_kept: Callable[[bytes], bool]) -> Accepts:
    def accepts(event: Event) -> bool | str | None:
        if isinstance(event, Response) and event.cmd == cmd:
            return is_kept(event.data) or f"it answered {event.data.hex() or 'nothing'}, not {wanted.hex()}"
        return refused(event, cmd)

    return accepts


def chosen(event: Event) -> bool | str | None:
    # A port without antenna is a condition of the module, not a reason not to start it.
    if isinstance(event, Condition) and event.name == "antenna-missing":
        return True
    return done(Cmd.SET_ANTENNA)(event)


def version(info: dict[str, str]) -> Accepts:
    def accepts(event: Event) -> bool | str | None:
        if isinstance(event, Response) and event.cmd == Cmd.GET_VERSION and len(event.data) == 2:
            info["model"] = "R2000 (A0)"
            info["firmware"] = f"{event.data[0]}.{event.data[1]}"
            return True
        return refused(event, Cmd.GET_VERSION)

    return accepts


def refused(event: Event, cmd: Cmd) -> str | None:
    # Errors of the round that was just let go still arrive: they answer nothing.
    if isinstance(event, ErrorReply) and event.cmd == cmd:
        return f"the module refused: {event.text}"
    return None
