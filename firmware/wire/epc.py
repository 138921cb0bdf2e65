"""EPCs: what a tag's EPC bank says, strictly; and the EPCs that a shop makes itself. Pure.

GS1 EPC Tag Data Standard 2.3, both generations: company prefix by partition (TDS 1.x), whole keys (2.x).
What the standard does not allow must raise EpcError with the reason, never be guessed: a wrong item is a
wrong price. Two EPCs may name one item (SGTIN-96 on the tag, SGTIN+ from its label): ``item_key`` tells.
"""

from __future__ import annotations

from firmware.wire.epc_plus import PLUS, decode_plus, encode_link
from firmware.wire.epc_schemes import COMPANY_BITS, FIXED, OTHERS
from firmware.wire.epc_text import parse_link
from firmware.wire.epc_value import MALFORMED, OTHER, UNPROGRAMMED, Epc, EpcError, unpadded
from firmware.wire.gtin import check_digit, is_valid

__all__ = [
    "MALFORMED",
    "OTHER",
    "POS_ITEM",
    "UNPROGRAMMED",
    "Epc",
    "EpcError",
    "decode",
    "decode_hex",
    "encode_sgtin96",
    "from_digital_link",
    "item_key",
    "sgtin_key",
]

POS_ITEM = 1
"""Filter value of what is sold at a till (TDS, Table 10-2)."""
MAX_SERIAL_96 = (1 << 38) - 1
_HEX = frozenset("0123456789abcdefABCDEF")
_MAX_HEX = 124
"""31 words, the most that a tag's PC word can announce."""


def decode(epc: bytes) -> Epc:
    """The EPC bank of a tag from its header on, as long as its PC word says.

    Zero bits up to the end of the last 16-bit word are padding; fewer of them, or none, are taken too.
    More, or any that is not zero, is an error. Raises EpcError."""
    return _decode(int.from_bytes(epc, "big"), 8 * len(epc), epc.hex().upper())


def decode_hex(text: str) -> Epc:
    """The same from hex digits; an odd number of them ends in the middle of a byte. Raises EpcError."""
    if len(text) > _MAX_HEX:
        raise EpcError(f"{len(text)} hex digits, an EPC has at most {_MAX_HEX}")
    if not _HEX.issuperset(text):
        raise EpcError("not hex: digits 0-9 and A-F are expected")
    return _decode(int(text or "0", 16), 4 * len(text), text.upper())


def _decode(value: int, bits: int, text: str) -> Epc:
    if bits < 8:
        raise EpcError("an empty EPC: not programmed", UNPROGRAMMED)
    header = value >> (bits - 8)
    if (fixed := FIXED.get(header)) is not None:
        name, used, read = fixed
        return read(value if bits == used else unpadded(value, bits, used, name), text)
    if header in PLUS:
        return decode_plus(value, bits, text)
    if header in (0x00, 0xE2):
        which = "zeros" if not value else "what the chip's maker left there"
        raise EpcError(f"header {header:02X}: not programmed, the EPC is {which}", UNPROGRAMMED)
    if header in OTHERS:
        raise EpcError(f"header {header:02X} is {OTHERS[header]}, which is not decoded here", OTHER)
    raise EpcError(f"header {header:02X} belongs to no GS1 scheme", UNPROGRAMMED)


def encode_sgtin96(gtin14: str, serial: int, company_digits: int, filter_value: int = POS_ITEM) -> bytes:
    """12 bytes. ``company_digits``: length of the company prefix (6..12), which a GTIN does not show.

    Raises EpcError for a GTIN that is not 14 digits with the right check digit, or a value out of range."""
    if len(gtin14) != 14 or not is_valid(gtin14):
        raise EpcError(f"{gtin14[:20]!r} is not a GTIN-14 with the right check digit")
    if not 6 <= company_digits <= 12:
        raise EpcError(f"a company prefix of {company_digits} digits, 6 to 12 are allowed")
    if not 0 <= serial <= MAX_SERIAL_96:
        raise EpcError(f"serial number {serial}, an SGTIN-96 takes 0 to {MAX_SERIAL_96}")
    if not 0 <= filter_value <= 7:
        raise EpcError(f"filter {filter_value}, 0 to 7 are allowed")
    company = gtin14[1 : 1 + company_digits]
    item = gtin14[0] + gtin14[1 + company_digits : 13]
    partition = 12 - company_digits
    field = int(company) << (44 - COMPANY_BITS[partition]) | int(item)
    head = 0x30 << 6 | filter_value << 3 | partition
    return ((head << 44 | field) << 38 | serial).to_bytes(12, "big")


def from_digital_link(text: str, filter_value: int = POS_ITEM) -> bytes:
    """The EPC of an item whose label is a GS1 Digital Link (URI or path) with GTIN (01) and serial (21):
    SGTIN+, or DSGTIN+ where the link gives an expiry date (17). One link, one EPC. Raises EpcError."""
    return encode_link(parse_link(text), filter_value)


def sgtin_key(epc: bytes) -> str | None:
    """GTIN-14 of any SGTIN, else None: what ``decode(epc).gtin14`` says, faster for an SGTIN-96."""
    if len(epc) == 12 and epc[0] == 0x30:
        field = int.from_bytes(epc[:8], "big") >> 6
        partition = field >> 44 & 7
        if partition == 7:
            return None
        item_bits = 44 - COMPANY_BITS[partition]
        company = str((field & 0xFFFFFFFFFFF) >> item_bits).zfill(12 - partition)
        item = str(field & ((1 << item_bits) - 1)).zfill(partition + 1)
        body = item[0] + company + item[1:]
        return body + check_digit(body) if len(body) == 13 else None
    try:
        return decode(epc).gtin14
    except EpcError:
        return None


def item_key(epc: bytes) -> tuple[str, str] | None:
    """(GTIN-14, serial) of any SGTIN, else None: the same for one item however its EPC is written."""
    try:
        found = decode(epc)
    except EpcError:
        return None
    return (found.gtin14, found.serial) if found.gtin14 and found.serial else None
