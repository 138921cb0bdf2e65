"""Numbers of the UHFReader18 / 288 / 86 / CF-MU protocol: commands, statuses, bands, models. Tables only.

From the vendor's "UHF RFID Reader Series User Manual" v2.20; models and port counts from public drivers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Cmd(IntEnum):
    """Command numbers. ``PUSH`` is no command: the number under which a reader sends unasked."""

    UNKNOWN = 0x00
    INVENTORY = 0x01
    READ = 0x02
    SINGLE = 0x0F
    INFO = 0x21
    FREQUENCY = 0x22
    ADDRESS = 0x24
    SCAN_TIME = 0x25
    BAUD = 0x28
    POWER = 0x2F
    WORK_MODE_18 = 0x35
    ANTENNAS = 0x3F
    ANTENNA_CHECK = 0x66
    PUSH_SETTINGS = 0x75
    WORK_MODE = 0x76
    PUSH_READ = 0x77
    HEARTBEAT = 0x78
    TEMPERATURE = 0x92
    STOP = 0x93
    PORT_POWERS = 0x94
    PUSH = 0xEE


class Status(IntEnum):
    """Status bytes that mean more than "it went wrong"."""

    OK = 0x00
    DONE = 0x01
    TIME_OVER = 0x02
    MORE = 0x03
    MEMORY_FULL = 0x04
    NOT_SAVED = 0x13
    STATISTICS = 0x26
    HEARTBEAT = 0x28
    ANTENNA = 0xF8
    NO_TAG = 0xFB
    LENGTH = 0xFD
    BAD_COMMAND = 0xFE
    PARAMETER = 0xFF


ERRORS = {
    0x05: "the tag's access password is wrong",
    0x09: "killing the tag failed",
    0x0A: "the tag's kill password is zero",
    0x0B: "the tag does not know this command",
    0x0C: "the tag's access password is zero",
    0x0D: "the tag is read-protected already",
    0x0E: "the tag is not read-protected or cannot be",
    0x10: "writing the 6B tag failed",
    0x11: "locking the 6B tag failed",
    0x12: "the 6B tag is locked",
    0x14: "the transmitter's power could not be adjusted",
    0x19: "the tag's access password is zero, or it lacks the function",
    0x1A: "the tag's own command failed",
    0xF8: "the antenna is not connected",
    0xF9: "the command could not be executed",
    0xFA: "a tag is there but does not answer well enough",
    0xFB: "no tag answered",
    0xFC: "the tag answered with an error",
    0xFD: "the command has the wrong length",
    0xFE: "the command is unknown, or its CRC was wrong",
    0xFF: "a parameter of the command is out of range",
}

LAST = frozenset(
    {Status.OK, Status.DONE, Status.TIME_OVER, Status.MEMORY_FULL, Status.ANTENNA, Status.NO_TAG}
)
"""Statuses after which an inventory is over. 04 is read both ways by public drivers: taken as the end, for a
command that comes too early is ignored, while an end that was missed costs seconds."""

_BARE = (0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x10, 0x12, 0x16, 0x22, 0x24, 0x25)
_BARE_OWN = (0x28, 0x2F, 0x33, 0x35, 0x3F, 0x40, 0x46, 0x50, 0x51, 0x66, 0x6A, 0x70, 0x73, 0x75, 0x76, 0x79)
_BYTES = (0x3A, 0x47, 0x6E, 0x71, 0x74, 0x78, 0x7A, 0x7B, 0x7D, 0x7E, 0x7F, 0x90, 0x91, 0x92, 0x93, 0x9A)
_LONG = (0x01, 0x02, 0x0F, 0x11, 0x15, 0x18, 0x19, 0x1A, 0x1B, 0x52, 0x53, 0x54, 0x55, 0x72, 0xEE)
_OTHER = (0x85, 0x86, 0x87, 0x88, 0xEA, 0xEB)


def _longest(values: dict[int, int]) -> bytes:
    return bytes(values.get(cmd, 0) for cmd in range(256))


LONGEST_REPLY = _longest(
    {Cmd.UNKNOWN: 5, Cmd.INFO: 32, Cmd.PUSH_READ: 64, Cmd.PORT_POWERS: 21, 0x4C: 16}
    | dict.fromkeys(_BARE, 6)
    | dict.fromkeys(_BARE_OWN, 21)
    | dict.fromkeys(_BYTES, 16)
    | dict.fromkeys(_LONG + _OTHER, 255)
)
"""Greatest Len of a reply by its command, 0 where no such reply exists: what cannot be is not waited for."""
LONGEST_COMMAND = bytes(
    255 if longest and cmd not in (0x00, 0xEE) else 0 for cmd, longest in enumerate(LONGEST_REPLY)
)
"""The same for what a host sends; masks and write data make most of them long."""


@dataclass(frozen=True, slots=True)
class Band:
    """Channel n is ``first_mhz + n * step_mhz``, n from 0 to ``last``; ``code`` in four bits on the wire."""

    code: int
    first_mhz: float
    step_mhz: float
    last: int

    @property
    def wire(self) -> bytes:
        """MaxFre and MinFre with the whole band between them; their two top bits are the code."""
        return bytes((self.code >> 2 << 6 | self.last, (self.code & 3) << 6))


BAUDS = (57600, 115200, 38400, 19200, 9600)
"""The first is the default."""

BANDS = {
    "cn900": Band(1, 920.125, 0.25, 19),
    "cn800": Band(8, 840.125, 0.25, 19),
    "us": Band(2, 902.75, 0.5, 49),
    "eu": Band(4, 865.1, 0.2, 14),
    "kr": Band(3, 917.1, 0.2, 31),
}


@dataclass(frozen=True, slots=True)
class Model:
    """``form``: "18" = tag records are {Len, EPC}; "288" = Ant before them and RSSI in each.

    ``ports``: antenna connectors; with 16 the antenna byte is a number 0..15, else a bit mask."""

    name: str
    form: str = "288"
    ports: int = 4


MODELS = {
    0x03: Model("RRU9803M", "18", 1),
    0x08: Model("RRU9803M", "18", 1),
    0x09: Model("UHFReader18", "18", 1),
    0x0C: Model("UHFReader288M"),
    0x0F: Model("UHFReader86"),
    0x10: Model("UHFReader86"),
    0x16: Model("RRU9883M"),
    0x20: Model("UHFReader288MP"),
    0x26: Model("8-port reader", ports=8),
    0x27: Model("16-port reader", ports=16),
    0x65: Model("16-port reader", ports=16),
    0x68: Model("8-port reader", ports=8),
    0x8B: Model("UHFReader288ADV"),
}


def model(type_byte: int) -> Model:
    """The model of reader info's type byte; one that is not listed speaks as a 288 with four ports."""
    return MODELS.get(type_byte, Model(f"type 0x{type_byte:02X}"))
