"""An R2000 "A0" module in a portal: its bring-up as rows, its three inventories, what its words mean. Pure.

A round ends by itself and must be asked for again, so stopping is not asking. A module that goes on (another
program gave it many rounds) is reset. While a round runs it may not hear other commands: rows are repeated.
"""

from __future__ import annotations

from collections.abc import Callable

from hal.reader.bringup import Row
from hal.reader.events import Condition, ErrorReply, Event, Response, RoundEnd, Tag
from hal.reader.port import Meaning, ReaderSettings
from hal.reader.r2000 import Codec, addresses, encode
from hal.reader.r2000_answers import Accepts, chosen, done, same, version
from hal.reader.r2000_commands import (
    DEFAULT_ADDRESS,
    INVENTORY,
    PUBLIC_ADDRESS,
    REGIONS,
    Cmd,
    power_value,
)
from hal.reader.r2000_errors import NO_TAG

CHECK_LINK = "TX and RX are not swapped, the baud rate (115200 or 38400), the address, the module's supply"
CHECK_REGION = "the region in the board file; this module may be built for another one"
CHECK_POWER = "power_dbm and power_offset_db in the board file against the module's data sheet"
CHECK_ANTENNAS = "antennas in the board file against the module's ports"
ANSWER_S = 0.3
SETTLE_S = 0.35
"""Longer than a round without tags on four antennas takes: what is quiet for so long has stopped."""
STOP_S = 0.15
MISSING_PAUSE_S, ERROR_PAUSE_S = 0.05, 0.2
"""A round that fails at once is not asked for again at once."""
ERRORS_MOST = 3
"""So many failed rounds in a row are the module's state: it is set up anew."""
DETECTOR_DB = 3
"""Return loss below which a port counts as without antenna (a good antenna has more than 10 dB)."""
MODES = ("real-time", "fast-switch", "session")


class Family:
    """``inventory``: "real-time" (command 89, the default for one antenna), "fast-switch" (8A: the module
    goes round its antennas, the default for several) or "session" (8B, the default for sessions 1 to 3; there
    the flags A and B are asked for in turn). Raises ValueError naming the key, its value and the choice."""

    gap_s = 0.05

    def __init__(self, settings: ReaderSettings) -> None:
        if settings.region not in REGIONS:
            raise ValueError(
                f"region {settings.region!r} is not known to an r2000; use one of {', '.join(REGIONS)}"
            )
        self._ports = _ports(settings)
        self._mode = _mode(settings, len(self._ports))
        if not -1 <= settings.address <= 255:
            raise ValueError(
                f"address is {settings.address}; it must be 0 to 254, 255 for whichever module is there, or "
                f"left out"
            )
        self._address = settings.address if settings.address >= 0 else DEFAULT_ADDRESS
        self._fixed = settings.address >= 0
        self._public = False
        # Ports above 4 are told by a bit that modules with four of them do not define.
        self.codec = Codec(address=self._address, ports=8 if self._ports[-1] > 4 else 4)
        # A round without tags says nothing until its end; when that is lost, nothing is read for so long.
        self.silence_s = 0.6 + (0.1 * len(self._ports) if self._mode == "fast-switch" else 0.0)
        self.round_pause_s = 0.0
        region = REGIONS[settings.region]
        self._region = bytes((region.code, region.first, region.last))
        self._power = power_value(settings.power_dbm, settings.power_offset_db)
        self._session = settings.session
        self._turn = 0
        self._target = 0
        self._errors = 0
        self._selecting = self._selected = False

    # -- rows --------------------------------------------------------------------------------------

    def stop_rows(self) -> list[Row[Event]]:
        """Let the round end; a module that does not fall silent is reset."""
        return self._drain(STOP_S)

    def setup_rows(self, info: dict[str, str]) -> list[Row[Event]]:
        """``info`` receives model and firmware. Every port in use is selected once: one that the module does
        not have is refused here, not in every round. The first is selected last."""
        antennas = [
            self._row(f"select antenna {port}", Cmd.SET_ANTENNA, bytes((port - 1,)), chosen, CHECK_ANTENNAS)
            for port in reversed(self._ports)
        ]
        rows = [
            *self._drain(SETTLE_S),
            self._row("ask for the firmware", Cmd.GET_VERSION, b"", version(info), retries=4),
        ]
        for name, get, change, wanted, check in (
            ("region", Cmd.GET_REGION, Cmd.SET_REGION, self._region, CHECK_REGION),
            ("power", Cmd.GET_POWER, Cmd.SET_POWER, bytes((self._power,)), CHECK_POWER),
        ):
            is_kept = self._power_kept if get == Cmd.GET_POWER else wanted.__eq__
            rows.append(self._set(f"set {name}", get, change, wanted, is_kept, check))
            rows.append(self._row(f"read {name} back", get, b"", same(get, wanted, is_kept), check))
        detector = bytes((DETECTOR_DB,))
        rows.append(
            self._set(
                "watch the antennas",
                Cmd.GET_DETECTOR,
                Cmd.SET_DETECTOR,
                detector,
                detector.__eq__,
                CHECK_ANTENNAS,
                optional=True,
            )
        )
        return rows + antennas

    def check_rows(
        self, forgotten: Callable[[], None], *, polling: bool, timeout_s: float
    ) -> list[Row[Event]]:
        """Region, power and, where one port does all, the port: any of them may be the module's default."""

        def row(name: str, cmd: Cmd, kept: Callable[[bytes], bool]) -> Row[Event]:
            def accepts(event: Event) -> bool | None:
                if not (isinstance(event, Response) and event.cmd == cmd):
                    return None
                if not kept(event.data):
                    forgotten()
                return True

            return Row(name, self._frame(cmd), accepts, timeout_s, 1, CHECK_LINK)

        rows = self._drain(STOP_S) if polling else []
        rows.append(row("are you there", Cmd.GET_REGION, lambda data: data == self._region))
        rows.append(row("is the power kept", Cmd.GET_POWER, self._power_kept))
        if len(self._ports) == 1 and self._mode != "fast-switch":
            port = bytes((self._ports[0] - 1,))
            rows.append(row("is the antenna kept", Cmd.GET_ANTENNA, lambda data: data == port))
        return rows

    # -- the inventory -----------------------------------------------------------------------------

    def inventory(self) -> bytes:
        """With several antennas but without fast switching, selecting the next one is a step of its own."""
        self.round_pause_s = 0.0
        if self._mode == "fast-switch":
            return self._frame(Cmd.FAST_SWITCH, self._fast_switch())
        if len(self._ports) > 1 and not self._selected:
            self._selecting = True
            return self._frame(Cmd.SET_ANTENNA, bytes((self._ports[self._turn] - 1,)))
        self.codec.working = self._ports[self._turn]
        if self._mode == "session":
            return self._frame(Cmd.SESSION, bytes((self._session, self._target, 1)))
        return self._frame(Cmd.REAL_TIME, b"\x01")

    def judge(self, event: Event) -> Meaning:
        if isinstance(event, Tag):
            return Meaning.ALIVE
        if isinstance(event, RoundEnd):
            self._errors = 0
            return self._again(0.0) if event.cmd in INVENTORY else Meaning.NOTHING
        if isinstance(event, Response):
            if not (event.cmd == Cmd.SET_ANTENNA and self._selecting):
                return Meaning.NOTHING
            self._selecting, self._selected = False, True
            self.round_pause_s = 0.0
            return Meaning.AGAIN
        if isinstance(event, Condition):
            # One antenna of a fast-switch round is left out; any other round ends with that.
            goes_on = event.name != "antenna-missing" or (self._mode == "fast-switch" and event.antenna)
            return Meaning.ALIVE if goes_on else self._again(MISSING_PAUSE_S)
        if isinstance(event, ErrorReply):
            return self._failed(event)
        return Meaning.NOTHING

    def other_framing(self) -> bool:
        """Nobody at the default address: ask whoever is there."""
        if self._fixed:
            return False
        self._public = not self._public
        self._address = PUBLIC_ADDRESS if self._public else DEFAULT_ADDRESS
        self.codec.addresses = addresses(self._address)
        return self._public

    # ----------------------------------------------------------------------------------------------

    def _failed(self, event: ErrorReply) -> Meaning:
        if event.cmd == Cmd.SET_ANTENNA and self._selecting:
            return self._again(ERROR_PAUSE_S)
        if event.cmd not in INVENTORY:
            return Meaning.NOTHING
        if event.antenna is not None:
            return Meaning.ALIVE
        if event.code == NO_TAG:
            return self._again(0.0)
        self._errors += 1
        if self._errors >= ERRORS_MOST:
            self._errors = 0
            return Meaning.WRONG
        return self._again(ERROR_PAUSE_S)

    def _again(self, pause_s: float) -> Meaning:
        """The round is over: the next antenna's, and after the last one's the other flag's."""
        self.round_pause_s = pause_s
        self._selecting = self._selected = False
        self._turn += 1
        if self._turn >= len(self._ports) or self._mode == "fast-switch":
            self._turn = 0
            # Tags keep their flag in S1 to S3: asking only for A would hear each of them once.
            self._target = 1 - self._target if self._session else 0
        return Meaning.AGAIN

    def _fast_switch(self) -> bytes:
        """Port and rounds on it, for all ports of the 4- or 8-port form (a port that is too high is left
        out), then the pause between ports in ms, and how often."""
        count = 8 if self._ports[-1] > 4 else 4
        order = [byte for port in self._ports for byte in (port - 1, 1)]
        return bytes((*order, *(0xFF, 0) * (count - len(self._ports)), 0, 1))

    def _drain(self, quiet_s: float) -> list[Row[Event]]:
        self._turn = 0
        self._selecting = self._selected = False
        reset = self._frame(Cmd.RESET)
        name = "let the round end and drain"
        return [Row(name, b"", None, 1.5, 2, CHECK_LINK, quiet_s=quiet_s, again=reset)]

    def _power_kept(self, data: bytes) -> bool:
        """One figure for all ports, or one for each."""
        if len(data) == 1:
            return data[0] == self._power
        return len(data) >= self._ports[-1] and all(data[port - 1] == self._power for port in self._ports)

    def _frame(self, cmd: Cmd, data: bytes = b"") -> bytes:
        return encode(cmd, data, address=self._address)

    def _set(
        self,
        name: str,
        get: Cmd,
        change: Cmd,
        wanted: bytes,
        is_kept: Callable[[bytes], bool],
        check: str,
        optional: bool = False,
    ) -> Row[Event]:
        """Ask first, and change only what differs: the module keeps it in flash memory, which wears out."""
        kept, changed = same(get, wanted, is_kept), done(change)

        def accepts(event: Event) -> bool | str | None:
            verdict = kept(event)
            return verdict if verdict is not None else changed(event)

        again = self._frame(change, wanted)
        return Row(name, self._frame(get), accepts, ANSWER_S, 3, check, optional=optional, again=again)

    def _row(
        self,
        name: str,
        cmd: Cmd,
        data: bytes,
        accepts: Accepts,
        check: str = CHECK_LINK,
        retries: int = 2,
        optional: bool = False,
    ) -> Row[Event]:
        return Row(name, self._frame(cmd, data), accepts, ANSWER_S, retries, check, optional=optional)


def _ports(settings: ReaderSettings) -> list[int]:
    ports = sorted(set(settings.antennas))
    if not ports or len(ports) != len(settings.antennas) or not 1 <= ports[0] <= ports[-1] <= 8:
        raise ValueError(f"antennas is {list(settings.antennas)}; an r2000 has ports 1 to 8, each named once")
    return ports


def _mode(settings: ReaderSettings, ports: int) -> str:
    session, inventory = settings.session, settings.inventory
    if not 0 <= session <= 3:
        raise ValueError(f"session is {session}; it must be 0 to 3")
    if not inventory:
        return "session" if session else "fast-switch" if ports > 1 else "real-time"
    if inventory not in MODES:
        raise ValueError(f"inventory is {inventory!r}; an r2000 has {', '.join(MODES)}")
    if session and inventory != "session":
        raise ValueError(
            f'session is {session}, but inventory "{inventory}" cannot be told a session: use inventory '
            f'"session", or session 0'
        )
    return inventory
