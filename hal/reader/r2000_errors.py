"""What the error codes of R2000 "A0" modules mean, in words for people. Data only.

Codes as the vendors' protocol documents number them (Invelion, Rodinbell): 1x the command, 2x the module's
own hardware, 3x the tag, 4x parameters, 5x the transmitter.
"""

from __future__ import annotations

OK = 0x10
FAILED = 0x11
ANTENNA_MISSING = 0x22
NO_TAG = 0x36
BAD_PARAMETER = 0x41
BAD_ADDRESS = 0x46
BAD_ANTENNA = 0x47
BAD_POWER = 0x48
BAD_REGION = 0x49
BAD_BAUD = 0x4A
BAD_FREQUENCIES = 0x4F
NO_RETURN_LOSS = 0xEE

ERRORS = {
    FAILED: "the command failed",
    0x20: "its processor could not restart",
    0x21: "the carrier could not be switched on",
    ANTENNA_MISSING: "no antenna on this port",
    0x23: "its flash memory could not be written",
    0x24: "its flash memory could not be read",
    0x25: "the power could not be set",
    0x31: "the inventory failed",
    0x32: "reading the tag failed",
    0x33: "writing the tag failed",
    0x34: "locking the tag failed",
    0x35: "killing the tag failed",
    NO_TAG: "no tag answered",
    0x37: "the tag was found but refused access",
    0x38: "the tag buffer is empty",
    0x3C: "the tag maker's own command failed",
    0x40: "the access password is wrong, or access failed",
    BAD_PARAMETER: "a parameter is not allowed",
    0x42: "more words than one command can carry",
    0x43: "no such memory bank",
    0x44: "no such area to lock",
    0x45: "no such kind of lock",
    BAD_ADDRESS: "no such reader address",
    BAD_ANTENNA: "the module does not have this antenna port",
    BAD_POWER: "the power is outside what this module can do",
    BAD_REGION: "this module does not know the region",
    BAD_BAUD: "no such baud rate",
    0x4B: "no such beeper mode",
    0x4C: "the EPC to match is too long",
    0x4D: "the length of the EPC to match is wrong",
    0x4E: "no such kind of EPC match",
    BAD_FREQUENCIES: "the frequencies are outside the region",
    0x50: "the tag did not answer with its random number",
    0x51: "no such dense-reader mode",
    0x52: "the frequency synthesizer does not lock",
    0x53: "the radio chip does not answer",
    0x54: "the wanted power is not reached",
    0x55: "the module refuses its own firmware (copyright check)",
    0x56: "the region's rules forbid this",
    0x57: "the power is too low",
    NO_RETURN_LOSS: "the return loss could not be measured",
}


def text(code: int) -> str:
    """In words; codes of newer firmware as their number."""
    return ERRORS.get(code, f"error 0x{code:02X}")
