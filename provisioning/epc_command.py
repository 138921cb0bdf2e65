"""``tallygate epc``: what the EPC on a tag means, one JSON line each. Opens no device, asks nobody."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from firmware.wire.epc import EpcError, decode_hex
from provisioning.trouble import FAILED, Trouble

FIELDS = ("hex", "scheme", "tag_uri", "pure_uri", "gtin14", "serial", "digital_link", "expiry")
LONGEST = 4096
"""Characters of one line that are looked at."""


def epc(
    hexes: Annotated[
        list[str], typer.Argument(metavar="HEX...", help="EPCs in hex; - reads them from standard input.")
    ],
) -> None:
    """Say what EPCs mean.

    Prints one JSON line per EPC: {"hex", "scheme", "tag_uri", "pure_uri", "gtin14", "serial", "digital_link",
    "expiry"}, null where the scheme has no such thing, or {"hex", "error"}. Spaces and a leading 0x are
    ignored; standard input (-) has one EPC per line. Exit code 1 when any could not be decoded.

    Example: tallygate epc 3066C4409047E140075BCD15
    """
    count = failed = 0
    for answer in map(explain, _each(hexes)):
        count += 1
        failed += "error" in answer
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()  # it may stand in an endless pipe
    if failed:
        raise Trouble(f'{failed} of {count} EPCs could not be decoded; see "error" above', FAILED)


def explain(text: str) -> dict[str, Any]:
    """The line for one EPC as people write it: ``FIELDS``, or "hex" and "error"."""
    digits = "".join(word[2:] if word[:2] in ("0x", "0X") else word for word in text.split())
    try:
        decoded = decode_hex(digits)
    except EpcError as error:
        return {"hex": digits.upper(), "error": str(error)}
    return {name: getattr(decoded, name) for name in FIELDS}


def _each(hexes: Iterable[str]) -> Iterator[str]:
    for given in hexes:
        if given == "-":
            yield from _lines()
        else:
            yield given


def _lines() -> Iterator[str]:
    """Lines of standard input that are not blank; a longer one is cut, which is no EPC either."""
    if sys.stdin is None:
        raise Trouble("standard input is closed; give the EPCs there, one on each line", FAILED)
    stdin = sys.stdin.buffer
    while line := stdin.readline(LONGEST):
        end = line
        while not end.endswith(b"\n") and len(end) == LONGEST:
            end = stdin.readline(LONGEST)
        if text := line.decode("utf-8-sig", "replace").strip():
            yield text
