"""The commands of R2000 "A0" modules, their regions and channels, and the figures that go with them. Data.

Numbers and layouts as the vendors' protocol documents give them (Invelion, Rodinbell).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

DEFAULT_ADDRESS, PUBLIC_ADDRESS = 0x01, 0xFF
FREQUENCIES = 60


class Cmd(IntEnum):
    """Command numbers, as the vendors' documents name them."""

    READ_GPIO = 0x60
    WRITE_GPIO = 0x61
    SET_DETECTOR = 0x62
    GET_DETECTOR = 0x63
    SET_TEMPORARY_POWER = 0x66
    SET_IDENTIFIER = 0x67
    GET_IDENTIFIER = 0x68
    SET_LINK_PROFILE = 0x69
    GET_LINK_PROFILE = 0x6A
    RESET = 0x70
    SET_BAUD = 0x71
    GET_VERSION = 0x72
    SET_ADDRESS = 0x73
    SET_ANTENNA = 0x74
    GET_ANTENNA = 0x75
    SET_POWER = 0x76
    GET_POWER = 0x77
    SET_REGION = 0x78
    GET_REGION = 0x79
    SET_BEEPER = 0x7A
    GET_TEMPERATURE = 0x7B
    SET_DENSE = 0x7C
    GET_DENSE = 0x7D
    GET_RETURN_LOSS = 0x7E
    BUFFERED = 0x80
    READ = 0x81
    WRITE = 0x82
    LOCK = 0x83
    KILL = 0x84
    SET_MATCH = 0x85
    GET_MATCH = 0x86
    REAL_TIME = 0x89
    FAST_SWITCH = 0x8A
    SESSION = 0x8B
    SET_FAST_TID = 0x8C
    SAVE_FAST_TID = 0x8D
    GET_FAST_TID = 0x8E
    GET_BUFFER = 0x90
    TAKE_BUFFER = 0x91
    COUNT_BUFFER = 0x92
    CLEAR_BUFFER = 0x93
    WRITE_BLOCK = 0x94
    GET_POWER_8 = 0x97


INVENTORY = frozenset((Cmd.REAL_TIME, Cmd.FAST_SWITCH, Cmd.SESSION))
ACCESS = frozenset((Cmd.READ, Cmd.WRITE, Cmd.LOCK, Cmd.KILL, Cmd.WRITE_BLOCK))
BUFFER_READS = frozenset((Cmd.GET_BUFFER, Cmd.TAKE_BUFFER))
ONE_BYTE_VALUES = frozenset(
    (
        Cmd.GET_DETECTOR,
        Cmd.GET_LINK_PROFILE,
        Cmd.GET_ANTENNA,
        Cmd.GET_POWER,
        Cmd.GET_POWER_8,
        Cmd.GET_DENSE,
        Cmd.GET_RETURN_LOSS,
        Cmd.GET_FAST_TID,
    )
)
"""Their one byte is the value asked for; everybody else's is a code (17 dBm and "failed" are both 11)."""


def _longest(direction: str) -> bytes:
    """By command: the greatest LEN of that side's frames, 0 = no such command. The smaller, the sooner a
    false header is given up."""
    table = bytearray(256)
    for cmd in Cmd:
        if cmd in ACCESS:
            table[cmd] = 255
        elif direction == "host":
            table[cmd] = 72 if cmd == Cmd.SET_MATCH else 34
        elif cmd in INVENTORY:
            table[cmd] = 71  # frequency and antenna, PC, 31 words of EPC, RSSI, phase
        else:
            table[cmd] = 78 if cmd in BUFFER_READS or cmd == Cmd.GET_MATCH else 20
    return bytes(table)


LONGEST = {"module": _longest("module"), "host": _longest("host")}


@dataclass(frozen=True, slots=True)
class Region:
    """``code`` on the wire and the indexes of its first and last channel (see ``channel_khz``)."""

    code: int
    first: int
    last: int


USER_REGION = 0x04
REGIONS = {
    # 902.5-927.5: a channel centred on the band's edge (902.0, 928.0) would radiate outside it.
    "us": Region(0x01, 8, 58),
    # 866.0-867.5: the part of ETSI EN 302 208's lower band where 2 W ERP are allowed (865.6-867.6).
    "eu": Region(0x02, 2, 5),
    "cn900": Region(0x03, 44, 52),  # 920.5-924.5
}


def channel_khz(index: int) -> int:
    """Carrier of channel 0..59, kHz: seven from 865 MHz, the rest from 902 MHz, in steps of 0.5 MHz."""
    return 865_000 + 500 * index if index < 7 else 902_000 + 500 * (index - 7)


CHANNELS: tuple[int | None, ...] = tuple(channel_khz(i) if i < FREQUENCIES else None for i in range(64))


def power_value(power_dbm: float, offset_db: float = 0.0) -> int:
    """The number on the wire for ``power_dbm`` at the antenna connector: whole dBm, 0 to 33. ``offset_db``:
    an amplifier behind the module. Raises ValueError."""
    value = power_dbm - offset_db
    if value != int(value) or not 0 <= value <= 33:
        raise ValueError(
            f"power_dbm {power_dbm:g} with power_offset_db {offset_db:g} is {value:g} dBm on the wire; this "
            f"protocol sets whole dBm, 0 to 33"
        )
    return int(value)
