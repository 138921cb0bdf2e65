"""A YRM100 / R200 module in a portal: its bring-up as rows, its inventory, and what its words mean. Pure.

Stop and drain first (it may still be polling for the last program), then identify, then everything an
inventory depends on; region, query word and power are read back, because a module keeps none of them
reliably over a brown-out. No tag in a round is an error frame, a multi poll ends without a word, and after
its sleep the first command is lost: that is why every row is tried again.
"""

from __future__ import annotations

from collections.abc import Callable

from hal.reader.bringup import Row
from hal.reader.events import ErrorReply, Event, Response, Tag
from hal.reader.port import Meaning, ReaderSettings
from hal.reader.yrm100 import BAD_COMMAND, END, NO_TAG, Cmd, Codec, encode
from hal.reader.yrm100_commands import REGIONS, SELECT_NEVER, multi_poll, power_value, query_word

CHECK_LINK = "TX and RX are not swapped, the baud rate, and the module's supply"
CHECK_REGION = "the region in the board file; this module may be built for another one"
CHECK_POWER = "power_dbm and power_offset_db in the board file against the module's data sheet"
CHECK_QUERY = "session in the board file; older modules take only session 0"
ANSWER_S = 0.3
OK = b"\x00"
INVENTORIES = {"": "multi", "multi": "multi", "single": "single"}

Accepts = Callable[[Event], bool | str | None]


class Family:
    """``inventory``: "multi" (65,535 rounds by one command, the default) or "single" (every round asked
    for). One antenna, no bus address. Raises ValueError naming the key, its value and what is allowed."""

    gap_s = 0.05
    silence_s = 1.0

    def __init__(self, settings: ReaderSettings) -> None:
        region = settings.region
        if region not in REGIONS:
            raise ValueError(f"region {region!r} is not known to a yrm100; use one of {', '.join(REGIONS)}")
        if list(settings.antennas) != [1]:
            raise ValueError(f"antennas is {list(settings.antennas)}; a yrm100 has one: [1]")
        if settings.address != -1:
            raise ValueError(f"address is {settings.address}; a yrm100 has none: leave it out")
        if settings.inventory not in INVENTORIES:
            raise ValueError(f'inventory is {settings.inventory!r}; a yrm100 has "multi" and "single"')
        self.codec = Codec()
        self._single = INVENTORIES[settings.inventory] == "single"
        self.round_pause_s = 0.02
        self._region = bytes((REGIONS[region].code,))
        self._power = power_value(settings.power_dbm, settings.power_offset_db).to_bytes(2, "big")
        self._query = query_word(settings.session).to_bytes(2, "big")
        self._swapped = False

    def stop_rows(self) -> list[Row[Event]]:
        """End a running inventory and wait until the line is quiet; the answer itself does not matter.

        In both framings as long as none was heard: a module that was left streaming hears only its own."""
        stop = self._frame(Cmd.STOP)
        if not self.codec.counters.frames:
            stop = b"".join(encode(Cmd.STOP, header=one) for one in END if one != self.codec.header) + stop
        return [Row("stop and drain", stop, None, 1.0, 2, CHECK_LINK, quiet_s=0.12)]

    def setup_rows(self, info: dict[str, str]) -> list[Row[Event]]:
        """``info`` receives the module's own words: model, firmware, maker."""
        region, query, power = self._region, self._query, self._power
        return [
            *self.stop_rows(),
            self._row("ask for the model", Cmd.INFO, b"\x00", _info(0, "model", info)),
            self._row("ask for the firmware", Cmd.INFO, b"\x01", _info(1, "firmware", info), optional=True),
            self._row("set region", Cmd.SET_REGION, region, _answer(Cmd.SET_REGION, OK), CHECK_REGION),
            self._row("read region back", Cmd.GET_REGION, b"", _answer(Cmd.GET_REGION, region), CHECK_REGION),
            self._row(
                "hop between channels", Cmd.SET_HOPPING, b"\xff", _done(Cmd.SET_HOPPING), optional=True
            ),
            self._row("never fall asleep", Cmd.IDLE_SLEEP, OK, _done(Cmd.IDLE_SLEEP), optional=True),
            self._row(
                "leave no tag out",
                Cmd.SELECT_MODE,
                bytes((SELECT_NEVER,)),
                _done(Cmd.SELECT_MODE, Cmd.SET_SELECT),  # printed as either
                optional=True,
            ),
            self._row("set query", Cmd.SET_QUERY, query, _answer(Cmd.SET_QUERY, OK), CHECK_QUERY),
            self._row("read query back", Cmd.GET_QUERY, b"", _session(query), CHECK_QUERY),
            self._row("set power", Cmd.SET_POWER, power, _answer(Cmd.SET_POWER, OK), CHECK_POWER),
            self._row("read power back", Cmd.GET_POWER, b"", _answer(Cmd.GET_POWER, power), CHECK_POWER),
        ]

    def check_rows(
        self, forgotten: Callable[[], None], *, polling: bool, timeout_s: float
    ) -> list[Row[Event]]:
        """Region and power both: one of them may be the module's default. While it polls, it may
        take no other command: it is stopped first."""

        def row(name: str, cmd: Cmd, wanted: bytes) -> Row[Event]:
            def accepts(event: Event) -> bool | None:
                if not (isinstance(event, Response) and event.cmd == cmd):
                    return None
                if event.data != wanted:
                    forgotten()
                return True

            return Row(name, lambda: self._frame(cmd), accepts, timeout_s, 1, CHECK_LINK)

        return [
            *(self.stop_rows() if polling else []),
            row("are you there", Cmd.GET_REGION, self._region),
            row("is the power kept", Cmd.GET_POWER, self._power),
        ]

    def inventory(self) -> bytes:
        if self._single:
            return self._frame(Cmd.SINGLE_POLL)
        return encode(*multi_poll(), header=self.codec.header)

    def judge(self, event: Event) -> Meaning:
        if isinstance(event, Tag) or (isinstance(event, ErrorReply) and event.code != BAD_COMMAND):
            # A single poll has no end mark: whatever comes of it, the next one may be asked for.
            return Meaning.AGAIN if self._single else Meaning.ALIVE
        return Meaning.NOTHING

    def other_framing(self) -> bool:
        self.codec.header = next(header for header in END if header != self.codec.header)
        self._swapped = not self._swapped
        return self._swapped

    def _frame(self, cmd: Cmd, params: bytes = b"") -> bytes:
        return encode(cmd, params, header=self.codec.header)

    def _row(
        self,
        name: str,
        cmd: Cmd,
        params: bytes,
        accepts: Accepts,
        check: str = CHECK_LINK,
        optional: bool = False,
    ) -> Row[Event]:
        # Framed when its turn has come: the answer to the stop tells which framing the module speaks.
        return Row(name, lambda: self._frame(cmd, params), accepts, ANSWER_S, 2, check, optional=optional)


def _answer(cmd: Cmd, data: bytes) -> Accepts:
    def accepts(event: Event) -> bool | str | None:
        if isinstance(event, Response) and event.cmd == cmd:
            return event.data == data or f"it answered {event.data.hex()}, not {data.hex()}"
        return _refused(event)

    return accepts


def _session(query: bytes) -> Accepts:
    """The session alone has to be kept: Q is the module's to change, and some keep their own TRext."""

    def accepts(event: Event) -> bool | str | None:
        if isinstance(event, Response) and event.cmd == Cmd.GET_QUERY:
            kept = len(event.data) == 2 and event.data[0] & 3 == query[0] & 3
            return kept or f"it answered {event.data.hex()}, not {query.hex()}"
        return _refused(event)

    return accepts


def _done(*cmds: Cmd) -> Accepts:
    def accepts(event: Event) -> bool | str | None:
        if isinstance(event, Response) and event.cmd in cmds:
            return event.data == OK or f"it answered {event.data.hex()}"
        return _refused(event)

    return accepts


def _info(which: int, name: str, info: dict[str, str]) -> Accepts:
    def accepts(event: Event) -> bool | str | None:
        if isinstance(event, Response) and event.cmd == Cmd.INFO and event.data[:1] == bytes((which,)):
            text = event.data[1:].decode("ascii", "replace")
            info[name] = "".join(c if c.isprintable() else "?" for c in text).strip()
            return True
        return _refused(event)

    return accepts


def _refused(event: Event) -> str | None:
    # "No tag" still arrives from the inventory that was just stopped: it answers nothing.
    if isinstance(event, ErrorReply) and event.code != NO_TAG:
        return f"the module refused: {event.text}"
    return None
