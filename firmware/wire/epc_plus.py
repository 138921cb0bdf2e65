"""The EPC schemes of GS1 TDS 2.x with whole GS1 keys: SGTIN+, DSGTIN+, SSCC+, GRAI+ and their ++ twins. Pure.

Layouts: GS1 EPC Tag Data Standard 2.3, 14.6. They carry the check digit, and it must be right: a GTIN with
a flipped bit would be another item's price. A ++ scheme adds a host name for links; it is stepped over.
"""

from __future__ import annotations

from firmware.wire.epc_aidc import expiry_behind
from firmware.wire.epc_bits import Reader, Writer
from firmware.wire.epc_text import MAX_SERIAL, Link, link
from firmware.wire.epc_value import Epc, EpcError, unpadded
from firmware.wire.gtin import check_digit, is_valid

PLUS = {
    0xF7: "sgtin+",
    0xFB: "dsgtin+",
    0xF9: "sscc+",
    0xF1: "grai+",
    0xFD: "sgtin++",
    0xFC: "dsgtin++",
    0xEF: "sscc++",
    0xEB: "grai++",
}
_DATE_TYPES = ("11", "13", "15", "16", "17", "7006", "7007")
"""Date type 0..6 → AI (TDS 14.5.3)."""
_EXPIRY = "17"


def decode_plus(value: int, bits: int, text: str) -> Epc:
    """Header, toggle, filter, then the keys. Raises EpcError."""
    reader = Reader(value, bits)
    scheme = PLUS[reader.take(8)]
    more, head = reader.take(1), reader.take(3)
    date_type = date = gtin14 = serial = expiry = None
    if scheme.startswith("sscc"):
        sscc = reader.digits(18, "SSCC")
        _check(sscc, "SSCC")
        path = f"/00/{sscc}"
    elif scheme.startswith("grai"):
        asset = reader.digits(14, "GRAI")
        if asset[0] != "0":
            raise EpcError(f"a GRAI begins with a 0 before its 13 digits, not with {asset[0]}")
        _check(asset[1:], "GRAI")
        serial = reader.text(16, "serial number")
        path = f"/8003/{asset}{link(serial)}"
    else:
        query = ""
        if scheme.startswith("dsgtin"):
            kind = reader.take(4)
            if kind >= len(_DATE_TYPES):
                raise EpcError(f"date type {kind} is reserved (0..{len(_DATE_TYPES) - 1} exist)")
            date_type = _DATE_TYPES[kind]
            yymmdd, date = reader.date()
            query = f"?{date_type}={yymmdd}"
            expiry = date if date_type == _EXPIRY else None
        gtin14 = reader.digits(14, "GTIN")
        _check(gtin14, "GTIN")
        serial = reader.text(MAX_SERIAL, "serial number")
        path = f"/01/{gtin14}/21/{link(serial)}{query}"
    if scheme.endswith("++"):
        _step_over_host(reader)
    if more:
        expiry = expiry or expiry_behind(reader)
    else:
        unpadded(value, bits, bits - reader.left, scheme.upper())
    return Epc(text, scheme, head, None, None, gtin14, serial, path, None, date_type, date, expiry)


def encode_link(named: Link, head: int) -> bytes:
    """SGTIN+, or DSGTIN+ with its expiry date, filled up to whole 16-bit words. Raises EpcError."""
    writer = Writer()
    writer.put(0xFB if named.expiry else 0xF7, 8)
    writer.put(head, 4)  # the toggle is 0: nothing follows
    if named.expiry:
        writer.put(_DATE_TYPES.index(_EXPIRY), 4)
        writer.date(named.expiry)
    writer.digits(named.gtin14)
    writer.text(named.serial)
    return writer.whole()


def _check(number: str, what: str) -> None:
    if not is_valid(number):
        raise EpcError(f"{what} {number} should end in check digit {check_digit(number[:-1])}")


def _step_over_host(reader: Reader) -> None:
    """TDS 14.5.16: one bit says how, 6 bits how many units; 7 bits each, or 16 bits for three."""
    seven, units = reader.take(1), reader.take(6)
    if not units:
        raise EpcError("the host name is empty")
    reader.take(7 * units if seven else 16 * -(-units // 3))
