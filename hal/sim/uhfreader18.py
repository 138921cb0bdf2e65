"""A simulated UHFReader18 / 288 / 8-port / 16-port reader, byte exact, with a Gen2 population. Pure.

It must never be kinder than the real thing: a wrong address is met with silence, a command during an
inventory is lost, a pause inside a command throws it away, and real-time mode survives a power cut and goes
on sending. Not simulated: masks, TID and 6B tags, the inventory into the reader's own buffer.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from hal.reader.crc import mcrf4xx
from hal.reader.events import Command
from hal.reader.uhfreader18_frames import UNPLUGGED, Record, record_bytes, reply
from hal.reader.uhfreader18_ops import MODELS, Cmd, Status
from hal.sim.population import Population, Seen
from hal.sim.uhfreader18_kept import Kept, change

GAP_S = 0.015
BOOT_S = 0.3
LEAST_ROUND_S = 0.02
PAUSES_S = (0.01, 0.02, 0.03, 0.05, 0.1)
HEARTBEAT_S = 30.0
MAX_DATA = 250
TYPES = {"18": 0x09, "288": 0x20, "8-port": 0x26, "16-port": 0x27}
BAUD_BYTES = (0, 1, 2, 5, 6)
SETTERS = (Cmd.FREQUENCY, Cmd.ADDRESS, Cmd.SCAN_TIME, Cmd.BAUD, Cmd.POWER, Cmd.ANTENNAS, Cmd.ANTENNA_CHECK)
_18_LACKS = (
    *(Cmd.ANTENNAS, Cmd.ANTENNA_CHECK, Cmd.PUSH_SETTINGS, Cmd.WORK_MODE, Cmd.PUSH_READ, Cmd.HEARTBEAT),
    *(Cmd.TEMPERATURE, Cmd.STOP, Cmd.PORT_POWERS),
)
_IN_PUSH = (Cmd.INFO, Cmd.WORK_MODE, Cmd.PUSH_READ)


class SimModule:
    """One command is one Gen2 round on each of its antennas.

    ``model``: one of ``TYPES``. ``per_frame``: tags in one frame of an answer; 0: as many as fit, at the
    end of the inventory (what an 18 does). ``keeps``: settings outlast a power cut, as the manual says;
    without, they do not, as when its flash is worn (status 13). Real-time mode outlasts it always.

    ``refuse``: commands it does not know. ``unplugged``: antennas whose cable is off, besides those that
    the population does not have. ``memory``: tags that one inventory can hold.
    """

    def __init__(
        self,
        field: Population,
        model: str = "288",
        *,
        address: int = 0,
        per_frame: int | None = None,
        keeps: bool = False,
    ) -> None:
        self.field = field
        self.model = model
        self.type = TYPES[model]
        self.ports = MODELS[self.type].ports
        self.address = address
        self.keeps = keeps
        self.per_frame = per_frame if per_frame is not None else (0 if model == "18" else 1)
        self.memory = 528
        self.refuse: set[int] = set()
        self.unplugged: set[int] = set()
        self.heard: deque[Command] = deque(maxlen=200)
        self.mode = 0
        self.heartbeat = 0
        self.baud = 5
        """As the wire has it: 5 = 57600."""
        self.push_settings = bytes((0, 0, 0, 4, 0))
        self.saved = Kept()
        self.power_cycle(0.0)

    def power_cycle(self, now: float) -> bytes:
        """The supply was gone: an inventory is over, nothing is said about it, real-time mode begins anew."""
        if not self.keeps:
            self.saved = Kept()
        self.set = self.saved
        self._in = bytearray()
        self._fed_at = now
        self._boots_until = now + BOOT_S
        self._frames: deque[tuple[float, bytes]] = deque()
        self._busy = False
        self._last = b""
        self._turn = 0
        self._next_at = self._boots_until
        self._beat_at = now
        self._beats = self._total = 0
        self._filtered: dict[bytes, float] = {}
        return b""

    def status(self) -> dict[str, Any]:
        return {
            "inventory": self._busy or self.mode > 0,
            "tags": len(self.field.epcs),
            "power": self.set.power,
            "region": self.set.region,
            "antennas": self.set.antennas,
            "mode": self.mode,
        }

    # -- bytes and time --------------------------------------------------------------------------------

    def feed(self, data: bytes, now: float) -> bytes:
        if now - self._fed_at > GAP_S:
            self._in.clear()
        self._fed_at = now
        if now < self._boots_until:
            return b""
        self._in += data
        answer = bytearray()
        while self._in:
            length = self._in[0] + 1
            if length < 5:
                self._in.clear()  # it trusts the length, and this one can be none: wait for a pause
            if len(self._in) < length:
                break
            frame = bytes(self._in[:length])
            del self._in[:length]
            answer += self._frame(frame, now)
        return bytes(answer)

    def due(self) -> float | None:
        if self._frames:
            return self._frames[0][0]
        return self._next_at if self.mode == 1 else None

    def speak(self, now: float) -> bytes:
        said = bytearray()
        while self._frames and self._frames[0][0] <= now + 1e-9:
            said += self._frames.popleft()[1]
        if not self._frames:
            self._busy = False
            if self.mode == 1 and now >= self._next_at - 1e-9:
                said += self._push_round(now)
        return bytes(said)

    # -- commands --------------------------------------------------------------------------------------

    def _frame(self, frame: bytes, now: float) -> bytes:
        cmd, data = frame[2], frame[3:-2]
        if frame[1] not in (self.address, 0xFF):
            return b""
        if self._busy and (cmd != Cmd.STOP or self.model == "18" or mcrf4xx(frame)):
            return b""
        if self.mode and cmd not in _IN_PUSH and self.model != "18":
            return b""
        if mcrf4xx(frame):
            return self._reply(Cmd.UNKNOWN, Status.BAD_COMMAND)
        self.heard.append(Command(cmd, data))
        if cmd in self.refuse or (self.model == "18" and cmd in _18_LACKS):
            return self._reply(Cmd.UNKNOWN, Status.BAD_COMMAND)
        return self._answer(cmd, data, now)

    def _answer(self, cmd: int, data: bytes, now: float) -> bytes:
        match cmd, len(data):
            case Cmd.INVENTORY, _:
                return self._inventory(data, now)
            case Cmd.STOP, 0:
                self._frames.clear()
                said, self._last, self._busy = self._last if self._busy else b"", b"", False
                return said
            case Cmd.INFO, 0:
                return self._reply(cmd, 0, self._info())
            case Cmd.WORK_MODE, 1 if data[0] <= 2:
                self._begin_push(data[0], now)
            case Cmd.WORK_MODE_18, 6 if self.model == "18":
                self._begin_push(data[0] & 1, now)
            case Cmd.PUSH_SETTINGS, 5 if data[0] <= 1 and data[1] < len(PAUSES_S) and _session(data[4]):
                self.push_settings = data
            case Cmd.PUSH_READ, 0:
                return self._reply(cmd, 0, bytes((self.mode,)) + self.push_settings + bytes(38))
            case Cmd.HEARTBEAT, 1:
                if data[0] & 0x80:
                    self.heartbeat = data[0] & 0x7F
                return self._reply(cmd, 0, bytes((self.heartbeat,)))
            case Cmd.TEMPERATURE, 0:
                return self._reply(cmd, 0, bytes((1, 41)))
            case Cmd.PORT_POWERS, 0:
                return self._reply(cmd, 0, bytes((self.set.power,)) * self.ports)
            case _ if cmd in SETTERS and len(data) <= 16:
                address = self.address  # a new one holds from the next command on
                return reply(cmd, self._set(cmd, data), address=address)
            case _ if cmd in tuple(Cmd) and cmd not in (Cmd.UNKNOWN, Cmd.PUSH, Cmd.SINGLE, Cmd.READ):
                lengths = {Cmd.WORK_MODE: 1, Cmd.PUSH_SETTINGS: 5, Cmd.HEARTBEAT: 1, Cmd.WORK_MODE_18: 6}
                right = len(data) == lengths.get(Cmd(cmd), 0)
                return self._reply(cmd, Status.PARAMETER if right else Status.LENGTH)
            case _:
                return self._reply(Cmd.UNKNOWN, Status.BAD_COMMAND)
        return self._reply(cmd, 0)

    def _set(self, cmd: int, data: bytes) -> int:
        """A setting; the status it is answered with."""
        if cmd in (Cmd.ADDRESS, Cmd.BAUD):
            if len(data) != 1:
                return Status.LENGTH
            if data[0] == 0xFF or (cmd == Cmd.BAUD and data[0] not in BAUD_BYTES):
                return Status.PARAMETER
            if cmd == Cmd.ADDRESS:
                self.address = data[0]
            else:
                self.baud = data[0]
            return Status.OK
        done = change(cmd, data, ports=self.ports, older=self.model == "18")
        if isinstance(done, int):
            return done
        fields, save = done
        self.set = replace(self.set, **fields)
        if save:
            self.saved = replace(self.saved, **fields)
        return Status.OK

    def _info(self) -> bytes:
        kept = self.set
        body = bytes((3, 13, self.type, 0x03)) + kept.band + bytes((kept.power, kept.scan_time))
        if self.model == "18":
            return body
        return body + bytes((kept.antennas & 0xFF, 0, kept.antennas >> 8, kept.check))

    def _reply(self, cmd: int, status: int, data: bytes = b"") -> bytes:
        return reply(cmd, status, data, address=self.address)

    # -- inventory by command ----------------------------------------------------------------------------

    def _inventory(self, data: bytes, now: float) -> bytes:
        q, session, antennas, scan = 4, 0, self._enabled(), self.set.scan_time
        if self.model == "18":
            if data:
                return self._reply(Cmd.INVENTORY, Status.LENGTH)
            antennas = [1]
        elif len(data) not in (2, 5):
            return self._reply(Cmd.INVENTORY, Status.LENGTH)
        else:
            q, session = data[:2]
            if not _session(session):
                return self._reply(Cmd.INVENTORY, Status.PARAMETER)
            if len(data) == 5:
                if data[2] > 1 or not 0x80 <= data[3] < 0x80 + self.ports:
                    return self._reply(Cmd.INVENTORY, Status.PARAMETER)
                antennas, scan = [data[3] - 0x7F], data[4] or scan
        self._take(q, 0 if session > 3 else session, antennas, scan * 0.1 if scan else None, now)
        return b""

    def _take(self, q: int, session: int, antennas: list[int], limit_s: float | None, now: float) -> None:
        """Plan the answer's frames; each goes out when its last tag has been read."""
        self._busy, at, total, status = True, now, 0, Status.DONE
        frames: list[tuple[float, bytes]] = []
        part: list[bytes] = []
        antenna = antennas[0]
        for antenna in antennas:
            if self._missing(antenna):
                at += 0.005
                if not self.set.check:
                    continue
                self._last = self._reply(Cmd.INVENTORY, Status.ANTENNA)
                self._frames.extend([*frames, (at, self._last)])
                return
            heard = self.field.inventory(at, antenna, session, limit_s)
            if limit_s is not None and heard.duration_s >= limit_s - 1e-9:
                status = Status.TIME_OVER
            for seen in heard.reads:
                if total == self.memory:
                    status = Status.MEMORY_FULL
                    break
                total += 1
                record = self._record(seen, bool(q & 0x10))
                if self.per_frame and len(part) == self.per_frame - 1:
                    frames.append((seen.at, self._tags(Status.MORE, antenna, [*part, record])))
                    part = []
                    continue
                if sum(map(len, part)) + len(record) > MAX_DATA - 2:
                    frames.append((seen.at, self._tags(Status.MORE, antenna, part)))
                    part = []
                part.append(record)
            at += max(heard.duration_s, LEAST_ROUND_S)
            if part and antenna != antennas[-1]:
                frames.append((at, self._tags(Status.MORE, antenna, part)))
                part = []
        if self.model == "18" and not total:
            self._last = self._reply(Cmd.INVENTORY, Status.NO_TAG)
        else:
            self._last = self._tags(status, antenna, part)
        frames.append((at, self._last))
        if q & 0x80:
            rate = min(round(total / max(at - now, 0.001)), 0xFFFF)
            counts = bytes((self._ant(antenna),)) + rate.to_bytes(2, "big") + total.to_bytes(4, "big")
            frames.append((at, self._reply(Cmd.INVENTORY, Status.STATISTICS, counts)))
        self._frames.extend(frames)

    def _tags(self, status: int, antenna: int, records: list[bytes]) -> bytes:
        head = bytes((len(records),)) if self.model == "18" else bytes((self._ant(antenna), len(records)))
        return self._reply(Cmd.INVENTORY, status, head + b"".join(records))

    def _record(self, seen: Seen, phase: bool = False) -> bytes:
        if self.model == "18":
            return record_bytes(Record(seen.epc))
        # The unit of the real byte is documented nowhere; this puts -90..-20 dBm where captures lie.
        rssi = max(0, min(255, round(seen.rssi_dbm) + 130))
        if not phase:
            return record_bytes(Record(seen.epc, rssi))
        return record_bytes(Record(seen.epc, rssi, seen.phase, seen.freq_khz))

    def _ant(self, antenna: int) -> int:
        return antenna - 1 if self.ports == 16 else 1 << antenna - 1

    def _enabled(self) -> list[int]:
        return [port for port in range(1, self.ports + 1) if self.set.antennas >> port - 1 & 1] or [1]

    def _missing(self, antenna: int) -> bool:
        return antenna in self.unplugged or antenna > self.field.antennas

    # -- real-time mode ------------------------------------------------------------------------------------

    def _begin_push(self, mode: int, now: float) -> None:
        if mode and not self.mode:
            self._next_at, self._beat_at, self._total = now + LEAST_ROUND_S, now, 0
        elif not mode:
            self._frames.clear()
        self.mode = mode

    def _push_round(self, now: float) -> bytes:
        """Read one antenna; heartbeat first where nothing was read for long."""
        said = b""
        if self.heartbeat and now - self._beat_at >= self.heartbeat * HEARTBEAT_S and self.model != "18":
            states = bytearray(self.ports)
            for port in self._enabled():
                states[port - 1] = UNPLUGGED if self._missing(port) else 1
            self._beat_at = now
            self._beats = (self._beats + 1) & 0xFFFFFFFF
            counts = self._beats.to_bytes(4, "big") + bytes(states) + self._total.to_bytes(4, "big")
            said = self._reply(Cmd.PUSH, Status.HEARTBEAT, counts)
        antennas = self._enabled()
        antenna = antennas[self._turn % len(antennas)]
        self._turn += 1
        took = LEAST_ROUND_S
        if not self._missing(antenna):
            session = self.push_settings[4] if self.push_settings[4] <= 3 else 0
            heard = self.field.inventory(now, antenna, session)
            took = max(took, heard.duration_s)
            for seen in heard.reads:
                if seen.at - self._filtered.get(seen.epc, float("-inf")) < self.push_settings[2]:
                    continue
                self._filtered[seen.epc] = self._beat_at = seen.at
                self._total = (self._total + 1) & 0xFFFFFFFF
                self._frames.append((seen.at, self._pushed(seen, antenna)))
        self._next_at = now + took + PAUSES_S[self.push_settings[1]]
        return said

    def _pushed(self, seen: Seen, antenna: int) -> bytes:
        if self.model == "18":
            return self._reply(Cmd.PUSH, 0, seen.epc)
        return self._reply(Cmd.PUSH, 0, bytes((self._ant(antenna),)) + self._record(seen))


def _session(byte: int) -> bool:
    return byte <= 3 or byte == 0xFF
