"""What a simulated ThingMagic module can be told and asked, apart from searching: its settings, byte exact.

Every command has its allowed lengths (else 0100), limits (0103, 0105, 0106, 010B) and answer. Nothing
survives a loss of supply: a module must never be kinder than that. Never loaded on a real board.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hal.reader.thingmagic_ops import (
    BAD_OPCODE,
    BAD_PARAMETER,
    BAD_PROTOCOL,
    BAD_REGION,
    GEN2,
    GEN2_SESSION,
    OK,
    OPTION_READ_FILTER,
    POWER_HIGH,
    POWER_LOW,
    WRONG_COUNT,
    Op,
)

Reply = tuple[int, bytes]
"""Status and data of an answer."""
BAUD_RATES = (9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
PROGRAM_APPLICATION, PROGRAM_BOOTLOADER = b"\x52", b"\x51"
SETTLING_MS = 125


@dataclass(frozen=True, slots=True)
class Kind:
    """A model: its version answer, regions, power limits in centi-dBm. ``counts_cycles``: every cycle of a
    stream that found tags ends with a count (M7E), else only empty ones say something."""

    name: str
    version: bytes
    regions: tuple[int, ...]
    lowest: int = 0
    highest: int = 2700
    counts_cycles: bool = False
    serial: bytes = bytes.fromhex("0040401231363233303036373932373136373236392B")


KINDS = {
    "m7e": Kind(
        "m7e",
        bytes.fromhex("2301060038000201202409130201060800000010"),
        (0x01, 0x08, 0x06, 0x0D, 0x0E, 0x04, 0x05, 0x09, 0x0B, 0x0C, 0x0F, 0xFF),
        counts_cycles=True,
    ),
    "nano": Kind(
        "nano",
        bytes.fromhex("1212130030000002201906100119011100000010"),
        (0x0D, 0x0E, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0B, 0x0C, 0x0F, *range(0x10, 0x1F), 0xFF),
    ),
    "silion": Kind(
        "silion",
        bytes.fromhex("2202110031020000202303122303120000000010"),
        (0x06, 0x0A, 0x01, 0x08, 0x09),
        lowest=500,
        highest=3000,
    ),
}

HOPS_KHZ = {
    0x06: tuple(range(920_625, 924_400, 250)),
    0x08: (865_700, 866_300, 866_900, 867_500),
    0x0D: tuple(range(917_400, 927_201, 200)),
}
"""Channels by region, kHz; every other region answers with North America's."""
_HOPS_NA = tuple(range(902_750, 927_300, 500))


@dataclass
class Settings:
    """Everything as after power-up. ``ports``: antennas it has; ``connected``: those that it detects."""

    kind: Kind
    ports: int = 1
    connected: set[int] = field(default_factory=set)
    region: int | None = None
    protocol: int = 0
    antennas: tuple[int, ...] = (1,)
    read_power: int = 2000
    write_power: int = 2000
    power_mode: int = 0
    celsius: int = 28
    options: dict[int, bytes] = field(
        default_factory=lambda: {
            0x00: b"\x01",
            0x06: b"\x00",
            0x08: b"\x01",
            0x09: b"\x01",
            OPTION_READ_FILTER: b"\x01",
            0x0D: bytes(4),
            0x0E: b"\x00",
            0x12: bytes(2),
        }
    )
    gen2: dict[int, bytes] = field(
        default_factory=lambda: {
            GEN2_SESSION: b"\x00",
            0x01: b"\x01\x00",
            0x02: b"\x02",
            0x10: b"\x00",
            0x11: b"\x00",
            0x12: b"\x00",
            0x16: b"\x00\x02",
        }
    )
    pins: dict[int, int] = field(default_factory=lambda: {1: 0, 2: 0, 3: 0, 4: 0})

    @property
    def session(self) -> int:
        return self.gen2[GEN2_SESSION][0]

    @property
    def filters_repeats(self) -> bool:
        return self.options[OPTION_READ_FILTER] != b"\x00"

    def answer(self, op: int, data: bytes) -> Reply:
        """Status and data for one command; 0101 for an unknown one, 0100 for a wrong number of bytes."""
        entry = _COMMANDS.get(op)
        if entry is None:
            return BAD_OPCODE, b""
        lengths, act = entry
        return act(self, data) if len(data) in lengths else (WRONG_COUNT, b"")

    # -- one function per command ------------------------------------------------------------------

    def _get_antenna(self, data: bytes) -> Reply:
        ports = range(1, self.ports + 1)
        option = data[0]
        if option == 0x01:
            return OK, bytes((self.antennas[0], self.antennas[0], 0))
        if option == 0x02:
            return OK, data + bytes(number for port in self.antennas for number in (port, port))
        if option == 0x04:
            power = self.read_power.to_bytes(2, "big") + self.write_power.to_bytes(2, "big")
            block = power + SETTLING_MS.to_bytes(2, "big")
            return OK, data + b"".join(bytes((port,)) + block for port in ports)
        if option == 0x05:
            return OK, data + bytes(number for port in ports for number in (port, port in self.connected))
        return BAD_PARAMETER, b""

    def _set_antenna(self, data: bytes) -> Reply:
        if data[0] == 0x07:  # settling time per port
            return (OK, b"") if len(data) % 3 == 1 else (WRONG_COUNT, b"")
        pairs = data[1:] if data[0] == 0x02 else data
        if len(pairs) % 2 or not pairs:
            return WRONG_COUNT, b""
        if any(not 1 <= port <= self.ports for port in pairs):
            return BAD_PARAMETER, b""
        self.antennas = tuple(pairs[::2])
        return OK, b""

    def _get_power(self, data: bytes) -> Reply:
        if data == b"\x00":
            return OK, data + self.read_power.to_bytes(2, "big")
        if data == b"\x01":
            figures = self.read_power, self.kind.highest, self.kind.lowest
            return OK, data + b"".join(figure.to_bytes(2, "big") for figure in figures)
        return BAD_PARAMETER, b""

    def _power(self, data: bytes) -> tuple[int, int]:
        value = int.from_bytes(data, "big")
        if value > self.kind.highest:
            return POWER_HIGH, value
        return (POWER_LOW if value < self.kind.lowest else OK), value

    def _set_read_power(self, data: bytes) -> Reply:
        status, value = self._power(data)
        self.read_power = value if status == OK else self.read_power
        return status, b""

    def _set_write_power(self, data: bytes) -> Reply:
        status, value = self._power(data)
        self.write_power = value if status == OK else self.write_power
        return status, b""

    def _set_region(self, data: bytes) -> Reply:
        if data[0] not in self.kind.regions:
            return BAD_REGION, b""
        self.region = data[0]
        return OK, b""

    def _set_protocol(self, data: bytes) -> Reply:
        if data != bytes((0, GEN2)):
            return BAD_PROTOCOL, b""
        self.protocol = GEN2
        return OK, b""

    def _get_option(self, data: bytes) -> Reply:
        if data[0] != 1 or data[1] not in self.options:
            return BAD_PARAMETER, b""
        return OK, data + self.options[data[1]]

    def _set_option(self, data: bytes) -> Reply:
        if data[0] != 1 or len(self.options.get(data[1], b"")) != len(data) - 2:
            return BAD_PARAMETER, b""
        self.options[data[1]] = data[2:]
        return OK, b""

    def _get_gen2(self, data: bytes) -> Reply:
        if data[0] != GEN2 or data[1] not in self.gen2:
            return BAD_PROTOCOL, data
        return OK, data + self.gen2[data[1]]

    def _set_gen2(self, data: bytes) -> Reply:
        if data[0] != GEN2 or data[1] not in self.gen2:
            return BAD_PROTOCOL, data[:2]
        too_high = data[1] == GEN2_SESSION and data[2] > 3
        if too_high or len(self.gen2[data[1]]) != len(data) - 2:
            return BAD_PARAMETER, b""
        self.gen2[data[1]] = data[2:]
        return OK, b""

    def _set_baud(self, data: bytes) -> Reply:
        return (OK, b"") if int.from_bytes(data, "big") in BAUD_RATES else (0x010A, b"")

    def _hops(self, data: bytes) -> Reply:
        channels = HOPS_KHZ.get(self.region or 0, _HOPS_NA)
        return OK, b"".join(khz.to_bytes(4, "big") for khz in channels)

    def _gpio(self, data: bytes) -> Reply:
        return OK, b"\x01" + bytes(number for pin, level in self.pins.items() for number in (pin, 1, level))

    def _set_gpio(self, data: bytes) -> Reply:
        if data[0] not in self.pins:
            return BAD_PARAMETER, b""
        self.pins[data[0]] = data[1] if len(data) > 1 else 1
        return OK, bytes((data[0], self.pins[data[0]]))

    def _set_power_mode(self, data: bytes) -> Reply:
        if data[0] > 4:
            return BAD_PARAMETER, b""
        self.power_mode = data[0]
        return OK, b""

    def _hardware(self, data: bytes) -> Reply:
        return (OK, self.kind.serial) if data == b"\x00\x40" else (OK, data + self.kind.version[4:8])

    def _celsius(self, data: bytes) -> Reply:
        return OK, bytes((self.celsius & 0xFF,))


_Act = Callable[[Settings, bytes], Reply]
_NONE, _ONE, _TWO = range(1), range(1, 2), range(2, 3)
_COMMANDS: dict[int, tuple[range, _Act]] = {
    Op.VERSION: (_NONE, lambda own, _: (OK, own.kind.version)),
    Op.SET_BAUD: (range(4, 5), Settings._set_baud),
    Op.HARDWARE: (_TWO, Settings._hardware),
    Op.GET_ANTENNA: (_ONE, Settings._get_antenna),
    Op.SET_ANTENNA: (range(2, 66), Settings._set_antenna),
    Op.GET_READ_POWER: (_ONE, Settings._get_power),
    Op.SET_READ_POWER: (_TWO, Settings._set_read_power),
    Op.GET_WRITE_POWER: (_ONE, lambda own, data: (OK, data + own.write_power.to_bytes(2, "big"))),
    Op.SET_WRITE_POWER: (_TWO, Settings._set_write_power),
    Op.GET_PROTOCOL: (_NONE, lambda own, _: (OK, own.protocol.to_bytes(2, "big"))),
    Op.SET_PROTOCOL: (_TWO, Settings._set_protocol),
    Op.GET_HOPS: (_NONE, Settings._hops),
    Op.GET_GPIO: (range(2), Settings._gpio),
    Op.SET_GPIO: (range(1, 3), Settings._set_gpio),
    Op.GET_REGION: (_NONE, lambda own, _: (OK, bytes((own.region or 0,)))),
    Op.SET_REGION: (_ONE, Settings._set_region),
    Op.GET_POWER_MODE: (_NONE, lambda own, _: (OK, bytes((own.power_mode,)))),
    Op.SET_POWER_MODE: (_ONE, Settings._set_power_mode),
    Op.GET_OPTION: (_TWO, Settings._get_option),
    Op.SET_OPTION: (range(3, 7), Settings._set_option),
    Op.GET_GEN2: (_TWO, Settings._get_gen2),
    Op.SET_GEN2: (range(3, 7), Settings._set_gen2),
    Op.STATS: (_TWO, lambda own, _: (OK, b"\x01\x9f\x41")),
    Op.PROTOCOLS: (_NONE, lambda own, _: (OK, bytes((0, GEN2)))),
    Op.REGIONS: (_NONE, lambda own, _: (OK, bytes(own.kind.regions))),
    Op.TEMPERATURE: (_NONE, Settings._celsius),
}
