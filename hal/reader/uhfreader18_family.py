"""A UHFReader18 / 288 / 86 / CF-MU reader in a portal: bring-up, inventory, what its words mean. Pure.

The reader may still be pushing tags (that mode survives a power cut) or be busy with somebody's inventory:
it is told to leave the one and to stop the other before anything else. Settings are saved in the reader, so
that one that restarts in the middle of an inventory sends with our region and power, not with its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hal.reader.bringup import Row
from hal.reader.events import Alive, Condition, ErrorReply, Event, Response, RoundEnd, Tag
from hal.reader.port import Meaning, ReaderSettings
from hal.reader.uhfreader18 import Codec
from hal.reader.uhfreader18_frames import encode, parse_info
from hal.reader.uhfreader18_ops import MODELS, Cmd, Status
from hal.reader.uhfreader18_wanted import BROADCAST, SCAN_TIME, Wanted

CHECK_LINK = "TX and RX are not swapped, the baud rate (57600 on most, 115200 on some), address, and supply"
CHECK_MODEL = f"{CHECK_LINK}; antennas and inventory in the board file against this model"
CHECK_REGION = "the region in the board file; this reader may be built for another one"
CHECK_POWER = "power_dbm and power_offset_db in the board file against the reader's data sheet"
CHECK_ANTENNAS = "antennas in the board file against the connectors that this reader has"
CHECK_MODE = 'inventory in the board file: only 288 and later readers have "push", others "answer"'
ANSWER_S = 0.4
HEARTBEAT = 1
"""x 30 s: the least there is. Far too rare to notice a cut cable by, so the reader is asked besides."""
ASK_S = 0.5
FAULT_PAUSE_S = 0.1
"""A missing antenna or a refused command is answered at once: it need not be heard 200 times a second."""


class Family:
    """``inventory``: "answer" (each round asked for, the default) or "push" (real-time mode: the reader
    sends by itself). ``address``: 0..254, 255 finds the one reader on the line; -1 is 0, then 255.
    Raises ValueError naming the key, its value and what is allowed."""

    gap_s = 0.025
    """15 ms by the manual; a USB bridge adds its own latency."""

    def __init__(self, settings: ReaderSettings) -> None:
        self._wanted = Wanted.of(settings)
        self._push = self._wanted.push
        self._address = self._wanted.address or 0
        self.codec = Codec(address=None if self._address == BROADCAST else self._address)
        self.silence_s = 2.0 if self._push else max(1.0, 0.4 * len(self._wanted.antennas) + 0.4)
        self.round_pause_s = ASK_S if self._push else 0.0
        self._running = False
        self._pushing = False
        self._long = True
        self._round = -1
        self._pushed = 0
        self._two_bytes = False

    # -- rows --------------------------------------------------------------------------------------

    def stop_rows(self) -> list[Row[Event]]:
        """Leave real-time mode where we are in it, end a running inventory, wait until the line is quiet."""
        pushing, self._running, self._pushing = self._push, False, False
        self.codec.differs = None
        self.codec.unplugged.clear()
        return [
            *([self._leave_row(optional=False)] if pushing else []),
            Row("stop and drain", self._frame(Cmd.STOP), None, 1.5, 2, CHECK_LINK, quiet_s=0.15),
        ]

    def setup_rows(self, info: dict[str, str]) -> list[Row[Event]]:
        """``info`` receives model and firmware."""
        self.stop_rows()
        self._long, self._round, self._two_bytes = True, -1, False
        if self.codec.address is None and self.codec.heard is not None:
            self._address = self.codec.address = self.codec.heard
        older = []
        if self.codec.pushed_bare or self.codec.model.form == "18":
            older = [self._row("leave scan mode", Cmd.WORK_MODE_18, bytes(6), _tried, optional=True)]
        wanted = self._wanted
        mask, band, power = wanted.mask, wanted.band.wire, bytes((wanted.power,))
        rows = [
            self._leave_row(optional=True),
            *older,
            Row("stop and drain", self._frame(Cmd.STOP), None, 1.5, 2, CHECK_LINK, quiet_s=0.15),
            self._row("ask for the model", Cmd.INFO, b"", self._identified(info), CHECK_MODEL),
            self._row("ask for the number of ports", Cmd.PORT_POWERS, b"", _tried, optional=True),
            self._row("set region", Cmd.FREQUENCY, band, _done, CHECK_REGION),
            self._row("set power", Cmd.POWER, power, _done, CHECK_POWER),
            # Readers with more than four ports take the mask in two bytes, the others in one.
            self._row(
                "set antennas (two bytes)",
                Cmd.ANTENNAS,
                b"\x00" + mask.to_bytes(2, "big"),
                self._wide,
                CHECK_ANTENNAS,
                retries=1 if mask < 0x10 else 3,
                optional=mask < 0x10,
            ),
        ]
        if mask < 0x10:
            rows.append(self._row("set antennas", Cmd.ANTENNAS, bytes((mask,)), self._narrow, CHECK_ANTENNAS))
        rows += [
            self._row("set scan time", Cmd.SCAN_TIME, bytes((SCAN_TIME,)), _done),
            self._row("watch the antennas", Cmd.ANTENNA_CHECK, b"\x01", _tried, optional=True),
        ]
        if self._push:
            rows += [
                self._row("set real-time mode", Cmd.PUSH_SETTINGS, wanted.push_settings, _done, CHECK_MODE),
                self._row("set heartbeat", Cmd.HEARTBEAT, bytes((0x80 | HEARTBEAT,)), _done, CHECK_MODE),
            ]
        # Whoever takes inventory hears of a loss from the codec; until then the rows themselves compare.
        return [*rows, self._row("read settings back", Cmd.INFO, b"", self._read_back, CHECK_POWER)]

    def check_rows(
        self, forgotten: Callable[[], None], *, polling: bool, timeout_s: float
    ) -> list[Row[Event]]:
        """Reader info says it all. Real-time mode answers it while it runs; a command does not, so an
        inventory by command is stopped first."""

        def same(event: Event, cmd: Cmd) -> bool | str | None:
            if self._differs(event):
                forgotten()
            return True if isinstance(event, Response) else _refused(event)

        def mode(event: Event, cmd: Cmd) -> bool | str | None:
            # Whether the command that begins it was heard is not known before its answer.
            known = self._pushing or not polling
            if isinstance(event, Response) and known and self._other_mode(event, polling):
                forgotten()
            return True if isinstance(event, Response) else _refused(event)

        rows = [] if self._push or not polling else self.stop_rows()
        rows.append(self._row("are you there", Cmd.INFO, b"", same, timeout_s=timeout_s, retries=1))
        if self._push:
            rows.append(self._row("in which mode", Cmd.PUSH_READ, b"", mode, timeout_s=timeout_s, retries=1))
        return rows

    # -- inventory -----------------------------------------------------------------------------------

    def inventory(self) -> bytes:
        """Answer mode: one round on the next antenna. Real-time mode: begin it; from then on only ask, in
        turns, whether settings and mode still hold (setting the mode again would wear the reader's flash)."""
        self._running = True
        self.codec.differs = self._wanted.difference
        self._pushed = self.codec.pushed
        self._round += 1
        if self._push:
            self.codec.asked = None
            if not self._pushing:
                return self._frame(Cmd.WORK_MODE, b"\x01")
            return self._frame(Cmd.INFO if self._round % 2 else Cmd.PUSH_READ)
        wanted = self._wanted
        turn, at = divmod(self._round, len(wanted.antennas))
        self.round_pause_s = 0.0
        if self.codec.model.form == "18":
            self.codec.asked = 1
            return self._frame(Cmd.INVENTORY)
        if not self._long:
            self.codec.asked = wanted.antennas[0] if len(wanted.antennas) == 1 else None
            return self._frame(Cmd.INVENTORY, wanted.short_request)
        self.codec.asked = wanted.antennas[at]
        # From session 1 on a tag that answered stays silent for the same target: ask for A and B in turn.
        target = turn % 2 if wanted.session else 0
        return self._frame(Cmd.INVENTORY, wanted.request(wanted.antennas[at], target))

    def judge(self, event: Event) -> Meaning:
        if self._push:
            return self._judge_pushed(event)
        if self.codec.pushed != self._pushed:
            self._pushed = self.codec.pushed  # in real-time mode, which nobody asked for
            return Meaning.WRONG
        if isinstance(event, Tag):
            return Meaning.ALIVE
        if isinstance(event, Condition):
            if event.name == "antenna-missing":
                self.round_pause_s = FAULT_PAUSE_S
            return Meaning.NOTHING
        if isinstance(event, RoundEnd):
            return Meaning.AGAIN
        if isinstance(event, ErrorReply) and event.cmd in (None, Cmd.INVENTORY):
            self.round_pause_s = FAULT_PAUSE_S
            if event.cmd == Cmd.INVENTORY and event.code in (Status.LENGTH, Status.PARAMETER):
                # Older firmware: no antenna and scan time in the request. If that is refused too, give up.
                was_long, self._long = self._long, False
                return Meaning.AGAIN if was_long and self.codec.model.form == "288" else Meaning.WRONG
            return Meaning.AGAIN
        return Meaning.NOTHING

    def _judge_pushed(self, event: Event) -> Meaning:
        if isinstance(event, Response) and event.cmd == Cmd.WORK_MODE and self._running:
            self._pushing = True
            return Meaning.AGAIN
        if isinstance(event, Response) and event.cmd in (Cmd.INFO, Cmd.PUSH_READ) and self._running:
            return Meaning.WRONG if self._other_mode(event, self._pushing) else Meaning.AGAIN
        if isinstance(event, Condition) and event.name == "reset":
            return Meaning.WRONG
        if isinstance(event, Tag | Alive):
            # AGAIN: the next question. Without it, one that was lost on the line would have been the last.
            return Meaning.AGAIN if self._running else Meaning.ALIVE
        if isinstance(event, ErrorReply) and self._running:
            return Meaning.AGAIN
        return Meaning.NOTHING

    def other_framing(self) -> bool:
        """Nobody answered: call all addresses, unless the board file names one."""
        if self._wanted.address not in (None, BROADCAST) or self._address == BROADCAST:
            return False
        self._address, self.codec.address = BROADCAST, None
        return True

    # -- what is wanted, and what is -----------------------------------------------------------------

    def _differs(self, event: Event) -> bool:
        if not (isinstance(event, Response) and event.cmd == Cmd.INFO):
            return False
        info = parse_info(event.data, self.codec.model.ports)
        return info is None or self._wanted.difference(info) is not None

    def _other_mode(self, event: Response, pushing: bool) -> bool:
        if event.cmd != Cmd.PUSH_READ:
            return False
        return event.data[:6] != bytes((pushing,)) + self._wanted.push_settings

    def _read_back(self, event: Event, cmd: Cmd) -> bool | str | None:
        if isinstance(event, Response):
            info = parse_info(event.data, self.codec.model.ports)
            self._pushed = self.codec.pushed
            return (self._wanted.difference(info) or True) if info else "reader info is too short"
        return _refused(event)

    def _identified(self, info: dict[str, str]) -> _Judge:
        def accepts(event: Event, cmd: Cmd) -> bool | str | None:
            if not isinstance(event, Response):
                return _refused(event)
            said = parse_info(event.data)
            if said is None:
                return "reader info is too short"
            model = self.codec.model
            info["model"], info["firmware"] = model.name, said.version
            if max(self._wanted.antennas) > model.ports and said.type in MODELS:
                return f"antennas is {list(self._wanted.antennas)}, but a {model.name} has {model.ports}"
            if self._push and model.form == "18":
                return f"a {model.name} has no real-time mode"
            return True

        return accepts

    def _wide(self, event: Event, cmd: Cmd) -> bool | str | None:
        if isinstance(event, Response):
            self._two_bytes = True
            model = self.codec.model
            if max(self._wanted.antennas) > 8 and model.ports < 16:
                self.codec.model = replace(model, ports=16)  # a type that is not listed, but it takes them
            return True
        return True if self._wanted.mask < 0x10 and isinstance(event, ErrorReply) else _refused(event)

    def _narrow(self, event: Event, cmd: Cmd) -> bool | str | None:
        if isinstance(event, ErrorReply) and (self._two_bytes or self.codec.model.form == "18"):
            return True  # it took the other form, or has one antenna and nothing to set
        return _done(event, cmd)

    # -- frames ------------------------------------------------------------------------------------

    def _frame(self, cmd: Cmd, data: bytes = b"") -> bytes:
        return encode(cmd, data, address=self._address)

    def _leave_row(self, optional: bool) -> Row[Event]:
        # One that may never have been in it: readers without that mode refuse, a busy one does not answer.
        tries, judge = (1, _tried) if optional else (3, _done)
        name = "leave real-time mode"
        return self._row(name, Cmd.WORK_MODE, b"\x00", judge, retries=tries, optional=optional)

    def _row(
        self,
        name: str,
        cmd: Cmd,
        data: bytes,
        judge: _Judge,
        check: str = CHECK_LINK,
        *,
        timeout_s: float = ANSWER_S,
        retries: int = 3,
        optional: bool = False,
    ) -> Row[Event]:
        def accepts(event: Event) -> bool | str | None:
            mine = isinstance(event, Response | ErrorReply) and event.cmd in (cmd, None)
            return judge(event, cmd) if mine else None

        return Row(name, self._frame(cmd, data), accepts, timeout_s, retries, check, optional=optional)


_Judge = Callable[[Event, Cmd], bool | str | None]


def _done(event: Event, cmd: Cmd) -> bool | str | None:
    return True if isinstance(event, Response) else _refused(event)


def _tried(event: Event, cmd: Cmd) -> bool | str | None:
    """Whatever it answered: it may not know the command."""
    return True


def _refused(event: Event) -> str | None:
    return f"the reader refused: {event.text}" if isinstance(event, ErrorReply) else None
