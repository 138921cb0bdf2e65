"""ThingMagic / JADAK "Mercury serial" numbers: opcodes, status words, regions, models. Data only.

From the vendor's public API headers and module guides. A number that is not here is not an error: it is
shown as hex.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Op(IntEnum):
    """Opcodes used here."""

    VERSION = 0x03
    BOOT = 0x04
    SET_BAUD = 0x06
    BOOTLOADER = 0x09
    PROGRAM = 0x0C
    HARDWARE = 0x10
    READ_SINGLE = 0x21
    READ_MULTIPLE = 0x22
    GET_BUFFER = 0x29
    CLEAR_BUFFER = 0x2A
    MULTI = 0x2F
    GET_ANTENNA = 0x61
    GET_READ_POWER = 0x62
    GET_PROTOCOL = 0x63
    GET_WRITE_POWER = 0x64
    GET_HOPS = 0x65
    GET_GPIO = 0x66
    GET_REGION = 0x67
    GET_POWER_MODE = 0x68
    GET_OPTION = 0x6A
    GET_GEN2 = 0x6B
    STATS = 0x6C
    PROTOCOLS = 0x70
    REGIONS = 0x71
    TEMPERATURE = 0x72
    SET_ANTENNA = 0x91
    SET_READ_POWER = 0x92
    SET_PROTOCOL = 0x93
    SET_WRITE_POWER = 0x94
    SET_HOPS = 0x95
    SET_GPIO = 0x96
    SET_REGION = 0x97
    SET_POWER_MODE = 0x98
    SET_OPTION = 0x9A
    SET_GEN2 = 0x9B


MULTI_START, MULTI_STOP, MULTI_WRAPPED = 1, 2, 4
"""Third byte of a ``MULTI`` command, first of its answer."""
GEN2 = 5
OPTION_READ_FILTER = 0x0C
GEN2_SESSION, GEN2_TARGET = 0x00, 0x01


class Meta(IntFlag):
    """Metadata bits of a tag record, in the order in which the fields come."""

    COUNT = 0x0001
    RSSI = 0x0002
    ANTENNA = 0x0004
    FREQUENCY = 0x0008
    TIME = 0x0010
    PHASE = 0x0020
    PROTOCOL = 0x0040
    DATA = 0x0080
    GPIO = 0x0100
    GEN2_Q = 0x0200
    GEN2_LF = 0x0400
    GEN2_TARGET = 0x0800
    BRAND = 0x1000
    TAG_TYPE = 0x2000


class Search(IntFlag):
    """Search flags of op 22; 03 is "the configured antenna list"."""

    ANTENNA_LIST = 0x0003
    EMBEDDED = 0x0004
    STREAM = 0x0008
    LARGE = 0x0010
    STATUS = 0x0020
    STATS = 0x0100


STATS_TEMPERATURE = 0x0100

OK = 0x0000
WRONG_COUNT = 0x0100
BAD_OPCODE = 0x0101
POWER_HIGH = 0x0103
BAD_PARAMETER = 0x0105
POWER_LOW = 0x0106
BAD_REGION = 0x010B
NO_TAG = 0x0400
BAD_PROTOCOL = 0x0402
NO_DATA = 0x0404
RADIO_OFF = 0x0405
NO_ANTENNA = 0x0503
HOT = 0x0504
RETURN_LOSS = 0x0505
BUFFER_FULL = 0x0601
ASSERTION = 0x7F01

STATUS = {
    WRONG_COUNT: "wrong number of data bytes",
    BAD_OPCODE: "it does not know this command (or is in its bootloader)",
    0x0102: "this command cannot be done now",
    POWER_HIGH: "the power is above the module's highest",
    0x0104: "the frequency is outside its band",
    BAD_PARAMETER: "a parameter is not allowed",
    POWER_LOW: "the power is below the module's lowest",
    0x0109: "this is not implemented in its firmware",
    0x010A: "the baud rate is not one of its",
    BAD_REGION: "the region is not one of its",
    0x0200: "its firmware image is damaged",
    0x0201: "its firmware image is not for this module",
    NO_TAG: "no tag was found",
    0x0401: "no protocol is chosen",
    BAD_PROTOCOL: "the protocol or parameter is not one of its",
    NO_DATA: "there are no data",
    RADIO_OFF: "the radio is off: no region is set",
    0x0420: "the tag reported an error",
    0x0500: "the frequency is not allowed in this region",
    0x0501: "the channel is in use (listen before talk)",
    0x0502: "the transmitter is on already",
    NO_ANTENNA: "no antenna is connected",
    HOT: "too hot: the transmitter is off",
    RETURN_LOSS: "the antenna sends the power back",
    0x0507: "the antenna setting is not allowed",
    0x0600: "not that many tags are in the buffer",
    BUFFER_FULL: "the tag buffer is full",
    0x0602: "the tag is in the buffer already",
    0x0603: "more tags were asked for than fit one answer",
    0x7F00: "an error that it does not know itself",
    ASSERTION: "an assertion in its firmware failed: it starts anew",
}
"""Status words in words."""


def status_text(status: int) -> str:
    """``status`` in words, with its number."""
    if 0x0421 <= status <= 0x0430:
        words: str | None = "the Gen2 operation on the tag failed"
    else:
        words = STATUS.get(status)
    return f"{words} (status {status:04X})" if words else f"status {status:04X}"


CONDITION_OF = {
    HOT: "hot",
    RETURN_LOSS: "return-loss",
    NO_ANTENNA: "antenna-missing",
    BUFFER_FULL: "buffer-full",
}
"""Status words that are a state of the module, not a refusal: names of ``events.CONDITIONS``."""

REGIONS: dict[str, tuple[int, ...]] = {
    "cn900": (0x06,),
    "cn800": (0x0A,),
    "us": (0x01, 0x0D),
    "eu": (0x08, 0x07, 0x02),
    "kr": (0x09, 0x03),
    "jp": (0x05,),
    "in": (0x04,),
    "au": (0x0B,),
}
"""Board-file name to region codes, best first: which of them a module has, it says itself (op 71)."""

REGION_NAMES = {
    0x01: "NA",
    0x02: "EU",
    0x03: "KR",
    0x04: "IN",
    0x05: "JP",
    0x06: "PRC",
    0x07: "EU2",
    0x08: "EU3",
    0x09: "KR2",
    0x0A: "PRC2",
    0x0B: "AU",
    0x0C: "NZ",
    0x0D: "NA2",
    0x0E: "NA3",
    0x0F: "IS",
    0xFF: "OPEN",
}

MODELS = {
    0x18: "M6e",
    0x20: "Micro",
    0x30: "M6E Nano",
    0x31: "Silion",
    0x38: "M7E Hecto",
    0xA1: "Silion",
}
"""First hardware byte of the version answer."""


def in_bootloader(program: bytes) -> bool:
    """Does this answer to ``PROGRAM`` come from the bootloader? (low two bits 01)"""
    return bool(program) and program[0] & 3 == 1
