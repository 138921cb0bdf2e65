"""What an EPC says once decoded, and why one could not be. Pure.

Must never hold a guess: every field is what the tag's bits say, or None where the scheme has no such thing.
"""

from __future__ import annotations

from dataclasses import dataclass

UNPROGRAMMED, OTHER, MALFORMED = "unprogrammed", "other", "malformed"
WORD_BITS = 16
"""A tag's EPC bank is read in words."""
CHARACTERS = frozenset("!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
"""GS1 AI encodable character set 82 (General Specifications 7.11)."""


class EpcError(ValueError):
    """Not an EPC that is decoded here; ``str(error)`` says why. ``kind``: "unprogrammed" (no GS1 EPC at
    all), "other" (a GS1 scheme that is none of ours, nothing is wrong with it) or "malformed"."""

    def __init__(self, reason: str, kind: str = MALFORMED) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Epc:
    """One decoded EPC.

    ``hex``: as read, upper case. ``scheme``: lower case ("sgtin-96", "dsgtin+"). ``filter``: 0..7.
    ``tag_uri``, ``pure_uri``: EPC URIs; the + schemes have none. ``gtin14``, ``serial``: of an SGTIN;
    ``serial`` also of a GRAI and a GID. ``digital_link``: the path of the GS1 Digital Link, with the date
    behind it where there is one. ``company_prefix``: digits; the + schemes do not say where it ends.
    ``date_type``, ``date``: AI and ISO date of a DSGTIN+; ``expiry``: that date where its type is 17.
    """

    hex: str
    scheme: str
    filter: int | None = None
    tag_uri: str | None = None
    pure_uri: str | None = None
    gtin14: str | None = None
    serial: str | None = None
    digital_link: str | None = None
    company_prefix: str | None = None
    date_type: str | None = None
    date: str | None = None
    expiry: str | None = None


def unpadded(value: int, bits: int, used: int, scheme: str) -> int:
    """The first ``used`` of ``bits`` bits.

    What follows them must be zeros, up to the end of the last 16-bit word: that is how a tag stores it.
    Raises EpcError."""
    spare = bits - used
    if spare < 0:
        raise EpcError(f"{bits} bits, {scheme} takes {used}: the EPC is cut short")
    if spare > -used % WORD_BITS:
        raise EpcError(f"{bits} bits, {scheme} takes {used}: too long, check the length in the tag's PC word")
    if value & ((1 << spare) - 1):
        raise EpcError(f"the {spare} bits behind the {used} of {scheme} are padding and must be zero")
    return value >> spare
