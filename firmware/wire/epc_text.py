"""EPC texts: characters in tag bits, escapes in EPC URIs and Digital Links, a Digital Link taken apart. Pure.

Must never follow a link; the host of a Digital Link means nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware.wire.epc_value import CHARACTERS, EpcError
from firmware.wire.gtin import is_digits, to_gtin14

MAX_LINK = 2000
MAX_SERIAL = 20
_QUALIFIERS = ("22", "10", "21")
"""Key qualifiers of a GTIN in the order that a Digital Link has them: variant, lot, serial."""
_TO_URN = {ord(c): f"%{ord(c):02X}" for c in '"%&/<>?'}
_TO_LINK = {ord(c): f"%{ord(c):02X}" for c in CHARACTERS if not (c.isalnum() or c in "-._")}


def urn(text: str) -> str:
    """As it stands in an EPC URI (TDS, Table A-1)."""
    return text if text.isalnum() else text.translate(_TO_URN)


def link(text: str) -> str:
    """As it stands in a GS1 Digital Link: all but letters, digits, ``-``, ``.`` and ``_`` escaped."""
    return text if text.isalnum() else text.translate(_TO_LINK)


def characters(field: int, bits: int, most: int, what: str) -> str:
    """7-bit characters from the highest bit on, ended by a zero one or by the field (TDS 14.4.2).

    At most ``most`` of them. Raises EpcError when there is none, one is outside GS1's set of 82, or anything
    but zeros follows the end."""
    text: list[str] = []
    left = bits
    while left >= 7 and (code := field >> (left - 7) & 0x7F):
        left -= 7
        if chr(code) not in CHARACTERS:
            raise EpcError(f"{what}: character {len(text) + 1} has code {code}, none of the GS1 set")
        text.append(chr(code))
    if field & ((1 << left) - 1):
        raise EpcError(f"{what}: bits behind the zero that ends its {len(text)} characters")
    if not text:
        raise EpcError(f"{what} is empty")
    if len(text) > most:
        raise EpcError(f"{what} has {len(text)} characters, at most {most} are allowed")
    return "".join(text)


@dataclass(frozen=True, slots=True)
class Link:
    """What a GS1 Digital Link names. ``expiry``: AI 17 as YYMMDD, "" without one."""

    gtin14: str
    serial: str
    expiry: str


def parse_link(text: str) -> Link:
    """A GS1 Digital Link URI, or only its path, with a GTIN (01) and a serial number (21).

    Anything may stand before ``/01/``; variant (22) and lot (10) may stand between and are left out; of the
    query only an expiry date (17) counts. GTIN-8, -12 and -13 are filled up to 14 digits. Raises EpcError."""
    if len(text) > MAX_LINK or not text.isascii() or not text.isprintable() or " " in text:
        raise EpcError(f"a Digital Link is up to {MAX_LINK} printable ASCII characters without spaces")
    rest, _, _fragment = text.partition("#")
    path, _, query = rest.partition("?")
    scheme, colon, after = path.partition("://")
    if colon:
        if scheme.lower() not in ("http", "https"):
            raise EpcError(f"a Digital Link begins with https://, not with {scheme[:20]}://")
        path = after.partition("/")[2]
    parts = path.strip("/").split("/")
    at = next((i for i in range(len(parts) - 2, -1, -1) if parts[i] == "01"), None)
    if at is None:
        raise EpcError("no /01/ with a GTIN in the link: not a GS1 Digital Link of an item")
    named = _qualifiers(parts[at + 2 :])
    try:
        gtin14 = to_gtin14(parts[at + 1])
    except ValueError as error:
        raise EpcError(str(error)) from None
    if "21" not in named:
        raise EpcError("no serial number (/21/) in the link: it names a kind of item, not one item")
    serial = named["21"]
    if not 1 <= len(serial) <= MAX_SERIAL or not CHARACTERS.issuperset(serial):
        raise EpcError(f"the serial number in the link is not 1 to {MAX_SERIAL} characters of the GS1 set")
    return Link(gtin14, serial, _expiry(query))


def _qualifiers(parts: list[str]) -> dict[str, str]:
    if len(parts) % 2:
        raise EpcError("behind the GTIN in the link each number must be followed by its value")
    named: dict[str, str] = {}
    before = -1
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        if name not in _QUALIFIERS or (place := _QUALIFIERS.index(name)) <= before:
            raise EpcError(
                f"/{name[:8]}/ in the link: behind a GTIN only 22, 10, 21 may follow, in this order"
            )
        before = place
        named[name] = _unescape(value)
    return named


def _expiry(query: str) -> str:
    found = [
        value
        for name, _, value in (p.partition("=") for p in query.replace(";", "&").split("&"))
        if name == "17"
    ]
    if len(found) > 1:
        raise EpcError("the link gives two expiry dates (17)")
    if found and not (len(found[0]) == 6 and is_digits(found[0])):
        raise EpcError("the expiry date (17) in the link must be 6 digits, YYMMDD")
    return found[0] if found else ""


def _unescape(text: str) -> str:
    first, *others = text.split("%")
    out = [first]
    for part in others:
        try:
            if not part[:2].isalnum():
                raise ValueError
            out.append(chr(bytes.fromhex(part[:2])[0]) + part[2:])
        except (ValueError, IndexError):
            raise EpcError("a % in the link is not followed by two hex digits") from None
    return "".join(out)
