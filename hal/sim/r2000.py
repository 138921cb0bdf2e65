"""A simulated R2000 "A0" module (Invelion, Rodinbell): byte exact on the wire, 1, 4 or 8 antenna ports.

Never kinder than the real thing: it says nothing to another address, hears nothing but a reset while a round
runs, needs half a second after a reset, and a round that ends is not begun again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hal.reader.events import Command, Tag
from hal.reader.r2000 import RSSI_OFFSET_DBM, Codec, encode, encode_code, encode_end, encode_tag
from hal.reader.r2000_commands import DEFAULT_ADDRESS, PUBLIC_ADDRESS, USER_REGION, Cmd
from hal.reader.r2000_errors import (
    ANTENNA_MISSING,
    BAD_ADDRESS,
    BAD_ANTENNA,
    BAD_BAUD,
    BAD_FREQUENCIES,
    BAD_PARAMETER,
    BAD_POWER,
    BAD_REGION,
    FAILED,
    OK,
)
from hal.sim.population import Population, Seen

RESET_S = 0.5
ROUND_START_S = 0.01
"""Carrier on, Select, carrier off: around every inventory on one antenna."""
DETECT_S = 0.01
MAX_POWER = 33
VERSION = bytes((8, 2))
_BANDS = {0x01: (7, 59), 0x02: (0, 6), 0x03: (43, 53)}
"""First and last channel that a region allows."""

Spoken = Iterator[tuple[float, bytes]]


class SimModule:
    """``ports``: 1, 4 or 8, the population's antennas rounded up unless given; a port that the population
    does not have, or that is in ``missing``, has nothing connected. ``phase``: every report carries one."""

    def __init__(
        self,
        population: Population,
        *,
        ports: int = 0,
        address: int = DEFAULT_ADDRESS,
        phase: bool = False,
        refuse: frozenset[int] = frozenset(),
    ) -> None:
        self.field = population
        antennas = population.antennas
        self.ports = ports or (1 if antennas == 1 else 4 if antennas <= 4 else 8)
        self.missing = set(range(antennas + 1, self.ports + 1))
        self.refuse = set(refuse)
        """Commands that this firmware does not know."""
        self.phase = phase
        self.celsius = 38
        self.trouble = 0
        """The error code that every round fails with; 0: none."""
        self._home = address
        self._in = Codec("host")
        self._answers: dict[int, Callable[[bytes], bytes | int]] = {
            Cmd.GET_VERSION: lambda data: VERSION,
            Cmd.GET_IDENTIFIER: lambda data: b"SIMULATED000",
            Cmd.GET_DETECTOR: lambda data: bytes((self.detector_db,)),
            Cmd.SET_DETECTOR: self._set_detector,
            Cmd.SET_BAUD: lambda data: OK if data in (b"\x03", b"\x04") else BAD_BAUD,
            Cmd.SET_ADDRESS: self._set_address,
            Cmd.SET_ANTENNA: self._set_antenna,
            Cmd.GET_ANTENNA: lambda data: bytes((self.antenna - 1,)),
            Cmd.SET_POWER: self._set_power,
            Cmd.SET_TEMPORARY_POWER: self._set_power,
            Cmd.GET_POWER: lambda data: self._powers(),
            Cmd.GET_POWER_8: lambda data: self._powers(),
            Cmd.SET_REGION: self._set_region,
            Cmd.GET_REGION: lambda data: self.region,
            Cmd.SET_BEEPER: lambda data: OK,
            Cmd.GET_TEMPERATURE: lambda data: bytes((int(self.celsius >= 0), abs(self.celsius))),
            Cmd.GET_LINK_PROFILE: lambda data: b"\xd1",
            Cmd.GET_RETURN_LOSS: lambda data: bytes((0 if self.antenna in self.missing else 18,)),
        }
        self._default()

    def _default(self) -> None:
        self.region = bytes((0x01, 7, 59))
        self.power = [30] * self.ports
        self.antenna = 1
        self.detector_db = 0
        self._move(self._home)
        self._round: Spoken = iter(())
        self._next: tuple[float, bytes] | None = None
        self._cmd = 0
        self._deaf_until = float("-inf")
        self._in.reset()

    def _move(self, address: int) -> None:
        self.address = address
        self._in.addresses = frozenset((address, PUBLIC_ADDRESS))

    # -- hal.sim.module.Module -----------------------------------------------------------------------

    def feed(self, data: bytes, now: float) -> bytes:
        if now < self._deaf_until:
            return b""
        answer = bytearray()
        for event in self._in.feed(data):
            if isinstance(event, Command):
                answer += self._hear(event, now)
        return bytes(answer)

    def due(self) -> float | None:
        return self._next[0] if self._next is not None else None

    def speak(self, now: float) -> bytes:
        said = bytearray()
        while self._next is not None and self._next[0] <= now:
            said += self._next[1]
            self._next = next(self._round, None)
        return bytes(said)

    def power_cycle(self, now: float) -> bytes:
        """No boot message; deaf for half a second."""
        self._default()
        self._deaf_until = now + RESET_S
        return b""

    def status(self) -> dict[str, Any]:
        return {
            "polling": self._next is not None,
            "inventory": f"{self._cmd:02X}" if self._next is not None else "",
            "tags": len(self.field.epcs),
            "region": self.region.hex(),
            "power": max(self.power),
            "antenna": self.antenna,
            "antennas_missing": sorted(self.missing),
        }

    # -- commands ------------------------------------------------------------------------------------

    def _hear(self, command: Command, now: float) -> bytes:
        cmd, data = command.cmd, command.data
        if cmd == Cmd.RESET:
            self._round, self._next = iter(()), None
            self._in.reset()
            self._deaf_until = now + RESET_S
            return b""
        if self._next is not None or now < self._deaf_until:
            return b""
        if cmd in self.refuse:
            return self._code(cmd, FAILED)
        if cmd in (Cmd.REAL_TIME, Cmd.FAST_SWITCH, Cmd.SESSION):
            return self._begin(cmd, data, now)
        known = self._answers.get(cmd)
        answer = known(data) if known is not None else FAILED
        return encode(cmd, bytes((answer,)) if isinstance(answer, int) else answer, address=self.address)

    def _begin(self, cmd: int, data: bytes, now: float) -> bytes:
        made = {
            Cmd.REAL_TIME: self._real_time,
            Cmd.FAST_SWITCH: self._fast_switch,
            Cmd.SESSION: self._session,
        }
        spoken = made[Cmd(cmd)](data, now)
        if self.trouble and not isinstance(spoken, int):
            spoken = iter([(now + DETECT_S, self._code(cmd, self.trouble))])
        if isinstance(spoken, int):
            return self._code(cmd, spoken)
        self._cmd = cmd
        self._round = spoken
        self._next = next(spoken, None)
        return b""

    def _set_detector(self, data: bytes) -> int:
        if len(data) != 1:
            return BAD_PARAMETER
        self.detector_db = data[0]
        return OK

    def _set_address(self, data: bytes) -> int:
        if len(data) != 1 or data[0] == PUBLIC_ADDRESS:
            return BAD_ADDRESS
        self._move(data[0])
        return OK

    def _set_antenna(self, data: bytes) -> int:
        if len(data) != 1 or data[0] >= self.ports:
            return BAD_ANTENNA
        self.antenna = data[0] + 1
        return OK

    def _set_power(self, data: bytes) -> int:
        if len(data) not in (1, self.ports):
            return BAD_PARAMETER
        if max(data) > MAX_POWER:
            return BAD_POWER
        self.power = list(data) * (self.ports if len(data) == 1 else 1)
        return OK

    def _powers(self) -> bytes:
        return bytes(self.power if len(set(self.power)) > 1 else self.power[:1])

    def _set_region(self, data: bytes) -> int:
        if len(data) == 6 and data[0] == USER_REGION:
            self.region = data
            return OK
        if len(data) != 3:
            return BAD_PARAMETER
        if data[0] not in _BANDS:
            return BAD_REGION
        first, last = _BANDS[data[0]]
        if not first <= data[1] <= data[2] <= last:
            return BAD_FREQUENCIES
        self.region = data
        return OK

    # -- rounds --------------------------------------------------------------------------------------

    def _real_time(self, data: bytes, now: float) -> Spoken | int:
        if len(data) != 1 or not data[0]:
            return BAD_PARAMETER
        return self._on_one(Cmd.REAL_TIME, now, 0, data[0], self.phase)

    def _session(self, data: bytes, now: float) -> Spoken | int:
        """Session, target, [selected], [phase], repeat. Which flag is asked for is the population's turn."""
        if not 3 <= len(data) <= 5 or data[0] > 3 or data[1] > 1 or not data[-1]:
            return BAD_PARAMETER
        phase = self.phase or (len(data) == 5 and data[3] == 1)
        return self._on_one(Cmd.SESSION, now, data[0], data[-1], phase)

    def _fast_switch(self, data: bytes, now: float) -> Spoken | int:
        """Pairs of port and rounds, pause in ms, repeat; firmware 8 also takes session and phase between."""
        pairs = {10: 4, 18: 8, 21: 4, 29: 8}.get(len(data), 0)
        if not pairs or pairs > max(4, self.ports) or not data[-1]:
            return BAD_PARAMETER
        order = [(data[2 * i] + 1, data[2 * i + 1]) for i in range(pairs) if data[2 * i] < pairs]
        if any(port > self.ports for port, _ in order):
            return BAD_ANTENNA
        more = data[2 * pairs + 1 : -1]
        if more and (more[5] > 3 or more[6] > 1):
            return BAD_PARAMETER
        session, phase = (more[5], more[10] == 1) if more else (0, False)
        return self._round_them(now, order, data[2 * pairs] / 1000, session, data[-1], self.phase or phase)

    def _on_one(self, cmd: int, at: float, session: int, repeat: int, phase: bool) -> Spoken:
        port, began, total = self.antenna, at, 0
        if self._open(port):
            yield at + DETECT_S, self._code(cmd, ANTENNA_MISSING)
            return
        # FF is one round of the best length, not 255 of them.
        for _ in range(1 if repeat == 0xFF else repeat):
            at, reads = self._inventory(at, port, session)
            for seen in reads:
                yield seen.at, self._report(cmd, seen, port, phase)
            total += len(reads)
        rate = round(total / max(at - began, 0.001))
        yield at, encode_end(cmd, total, antenna=port, rate=rate, address=self.address)

    def _round_them(
        self, at: float, order: list[tuple[int, int]], pause_s: float, session: int, repeat: int, phase: bool
    ) -> Spoken:
        cmd, began, total = Cmd.FAST_SWITCH, at, 0
        for _ in range(repeat):
            for port, stay in order:
                if self._open(port):
                    at += DETECT_S
                    yield at, self._code(cmd, ANTENNA_MISSING, port)
                    continue
                for _ in range(stay):
                    at, reads = self._inventory(at, port, session)
                    for seen in reads:
                        yield seen.at, self._report(cmd, seen, port, phase)
                    total += len(reads)
                at += pause_s
            at += 0.001
        took_ms = round((at - began) * 1000)
        yield at, encode_end(cmd, total, duration_ms=took_ms, address=self.address)

    def _open(self, port: int) -> bool:
        """Does the detector, where it is switched on, find nothing connected?"""
        return bool(self.detector_db) and port in self.missing

    def _inventory(self, at: float, port: int, session: int) -> tuple[float, tuple[Seen, ...]]:
        """When the round on this port is over, and what it heard."""
        if port > self.field.antennas or port in self.missing:
            return at + 3 * ROUND_START_S, ()
        heard = self.field.inventory(at + ROUND_START_S, port, session)
        return at + heard.duration_s + 2 * ROUND_START_S, heard.reads

    def _report(self, cmd: int, seen: Seen, port: int, phase: bool) -> bytes:
        raw = min(max(round(seen.rssi_dbm) - RSSI_OFFSET_DBM, 0), 0x7F)
        turned = seen.phase * 4096 // 360 if phase else None
        tag = Tag(seen.epc, seen.pc, raw, port, phase=turned)
        return encode_tag(cmd, tag, self._channel(seen.freq_khz), address=self.address)

    def _channel(self, khz: int) -> int:
        """The population hops in its own band: each of its carriers has its place among this region's."""
        if self.region[0] == USER_REGION:
            return khz // 250 % max(1, min(self.region[2], 64))
        first, last = self.region[1], self.region[2]
        return first + khz // 250 % (last - first + 1)

    def _code(self, cmd: int, code: int, antenna: int | None = None) -> bytes:
        return encode_code(cmd, code, antenna=antenna, address=self.address)
