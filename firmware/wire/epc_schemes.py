"""The EPC schemes of GS1 TDS 1.x: SGTIN, SSCC, SGLN, GRAI, GIAI and GID, 96 bits and longer. Pure.

Layouts: GS1 EPC Tag Data Standard 2.3, tables 14-7 to 14-24. Each reader takes the scheme's bits as one
integer, padding off, header still on, and the tag's hex. It must never let a value pass that the standard
has no meaning for.
"""

from __future__ import annotations

from collections.abc import Callable

from firmware.wire.epc_text import characters, link, urn
from firmware.wire.epc_value import Epc, EpcError
from firmware.wire.gtin import check_digit

COMPANY_BITS = (40, 37, 34, 30, 27, 24, 20)
"""By partition; the company prefix then has 12 - partition digits."""
_TENS = tuple(10**n for n in range(20))
_TAG = "urn:epc:tag:"
_PURE = "urn:epc:id:"


def _partition(value: int, at: int) -> int:
    partition = value >> at & 7
    if partition == 7:
        raise EpcError("partition 7 does not exist (0..6 do)")
    return partition


def _company(number: int, partition: int) -> str:
    digits = 12 - partition
    if number >= _TENS[digits]:
        raise EpcError(f"company prefix {number} is out of range: partition {partition} has {digits} digits")
    return str(number).zfill(digits)


def _split(value: int, at: int, bits: int, more_digits: int, what: str) -> tuple[str, str]:
    """Company prefix and reference from the ``bits`` behind the partition, which ends at bit ``at``.

    The reference has partition + ``more_digits`` digits."""
    partition = _partition(value, at)
    field = value >> (at - bits) & ((1 << bits) - 1)
    rest = bits - COMPANY_BITS[partition]
    company = _company(field >> rest, partition)
    reference = field & ((1 << rest) - 1)
    digits = partition + more_digits
    if reference >= _TENS[digits]:
        raise EpcError(f"{what} {reference} is out of range: partition {partition} has {digits} digits")
    return company, str(reference).zfill(digits) if digits else ""


def _sgtin(text: str, scheme: str, head: int, company: str, item: str, serial: str) -> Epc:
    body = item[0] + company + item[1:]
    gtin14 = body + check_digit(body)
    key = f"{company}.{item}.{urn(serial)}"
    return Epc(
        text,
        scheme,
        head,
        f"{_TAG}{scheme}:{head}.{key}",
        f"{_PURE}sgtin:{key}",
        gtin14,
        serial,
        f"/01/{gtin14}/21/{link(serial)}",
        company,
    )


def sgtin96(value: int, text: str) -> Epc:
    company, item = _split(value, 82, 44, 1, "item reference")
    return _sgtin(text, "sgtin-96", value >> 85 & 7, company, item, str(value & 0x3FFFFFFFFF))


def sgtin198(value: int, text: str) -> Epc:
    company, item = _split(value, 184, 44, 1, "item reference")
    serial = characters(value & ((1 << 140) - 1), 140, 20, "serial number")
    return _sgtin(text, "sgtin-198", value >> 187 & 7, company, item, serial)


def sscc96(value: int, text: str) -> Epc:
    company, reference = _split(value, 82, 58, 5, "serial reference")
    if value & 0xFFFFFF:
        raise EpcError("the last 24 bits of an SSCC-96 are reserved and must be zero")
    head, body = value >> 85 & 7, reference[0] + company + reference[1:]
    key = f"{company}.{reference}"
    path = f"/00/{body}{check_digit(body)}"
    return Epc(
        text, "sscc-96", head, f"{_TAG}sscc-96:{head}.{key}", f"{_PURE}sscc:{key}", None, None, path, company
    )


def _sgln(text: str, scheme: str, head: int, company: str, place: str, extension: str) -> Epc:
    body, key = company + place, f"{company}.{place}.{urn(extension)}"
    path = f"/414/{body}{check_digit(body)}"
    if extension != "0":  # "0" says that there is no extension
        path += f"/254/{link(extension)}"
    return Epc(
        text, scheme, head, f"{_TAG}{scheme}:{head}.{key}", f"{_PURE}sgln:{key}", None, None, path, company
    )


def sgln96(value: int, text: str) -> Epc:
    company, place = _split(value, 82, 41, 0, "location reference")
    return _sgln(text, "sgln-96", value >> 85 & 7, company, place, str(value & ((1 << 41) - 1)))


def sgln195(value: int, text: str) -> Epc:
    company, place = _split(value, 181, 41, 0, "location reference")
    extension = characters(value & ((1 << 140) - 1), 140, 20, "extension")
    return _sgln(text, "sgln-195", value >> 184 & 7, company, place, extension)


def _grai(text: str, scheme: str, head: int, company: str, kind: str, serial: str) -> Epc:
    body, key = company + kind, f"{company}.{kind}.{urn(serial)}"
    path = f"/8003/0{body}{check_digit(body)}{link(serial)}"
    return Epc(
        text, scheme, head, f"{_TAG}{scheme}:{head}.{key}", f"{_PURE}grai:{key}", None, serial, path, company
    )


def grai96(value: int, text: str) -> Epc:
    company, kind = _split(value, 82, 44, 0, "asset type")
    return _grai(text, "grai-96", value >> 85 & 7, company, kind, str(value & 0x3FFFFFFFFF))


def grai170(value: int, text: str) -> Epc:
    company, kind = _split(value, 156, 44, 0, "asset type")
    serial = characters(value & ((1 << 112) - 1), 112, 16, "serial number")
    return _grai(text, "grai-170", value >> 159 & 7, company, kind, serial)


def _giai(text: str, scheme: str, head: int, company: str, reference: str) -> Epc:
    key, path = f"{company}.{urn(reference)}", f"/8004/{company}{link(reference)}"
    return Epc(
        text, scheme, head, f"{_TAG}{scheme}:{head}.{key}", f"{_PURE}giai:{key}", None, None, path, company
    )


def giai96(value: int, text: str) -> Epc:
    partition = _partition(value, 82)
    bits = 82 - COMPANY_BITS[partition]
    company = _company(value >> bits & ((1 << COMPANY_BITS[partition]) - 1), partition)
    # No bound to check: the highest reference of any partition has the digits that the standard allows it.
    return _giai(text, "giai-96", value >> 85 & 7, company, str(value & ((1 << bits) - 1)))


def giai202(value: int, text: str) -> Epc:
    partition = _partition(value, 188)
    bits = 188 - COMPANY_BITS[partition]
    company = _company(value >> bits & ((1 << COMPANY_BITS[partition]) - 1), partition)
    reference = characters(value & ((1 << bits) - 1), bits, 18 + partition, "asset reference")
    return _giai(text, "giai-202", value >> 191 & 7, company, reference)


def gid96(value: int, text: str) -> Epc:
    serial = str(value & 0xFFFFFFFFF)
    key = f"{value >> 60 & 0xFFFFFFF}.{value >> 36 & 0xFFFFFF}.{serial}"
    return Epc(text, "gid-96", None, f"{_TAG}gid-96:{key}", f"{_PURE}gid:{key}", None, serial)


FIXED: dict[int, tuple[str, int, Callable[[int, str], Epc]]] = {
    0x30: ("SGTIN-96", 96, sgtin96),
    0x31: ("SSCC-96", 96, sscc96),
    0x32: ("SGLN-96", 96, sgln96),
    0x33: ("GRAI-96", 96, grai96),
    0x34: ("GIAI-96", 96, giai96),
    0x35: ("GID-96", 96, gid96),
    0x36: ("SGTIN-198", 198, sgtin198),
    0x37: ("GRAI-170", 170, grai170),
    0x38: ("GIAI-202", 202, giai202),
    0x39: ("SGLN-195", 195, sgln195),
}
"""Header → name, bits, reader."""

OTHERS = {
    0x2C: "GDTI-96",
    0x2D: "GSRN-96",
    0x2E: "GSRNP-96",
    0x2F: "USDoD-96",
    0x3A: "GDTI-113",
    0x3B: "ADI-var",
    0x3C: "CPI-96",
    0x3D: "CPI-var",
    0x3E: "GDTI-174",
    0x3F: "SGCN-96",
    0x40: "ITIP-110",
    0x41: "ITIP-212",
    0xE6: "CPI++",
    0xE7: "GSRN++",
    0xE8: "GSRNP++",
    0xE9: "SGLN++",
    0xEA: "GDTI++",
    0xEC: "SGCN++",
    0xED: "ITIP++",
    0xEE: "GIAI++",
    0xF0: "CPI+",
    0xF2: "SGLN+",
    0xF3: "ITIP+",
    0xF4: "GSRN+",
    0xF5: "GSRNP+",
    0xF6: "GDTI+",
    0xF8: "SGCN+",
    0xFA: "GIAI+",
}
"""Headers that GS1 gave to schemes which are not decoded here (TDS 2.3, Table 14-1)."""
