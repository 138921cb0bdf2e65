"""What a tag may carry behind an EPC of the + schemes: GS1 element strings ("+AIDC data"). Pure.

Only the expiry date (17) is looked for. Layout: GS1 TDS 2.3, 15.3, tables K and F. It must never make an EPC
invalid: what cannot be read ends the search, the EPC before it stands.
"""

from __future__ import annotations

from collections.abc import Callable

from firmware.wire.epc_bits import Reader
from firmware.wire.epc_value import EpcError


def _text(most: int) -> Callable[[Reader], object]:
    return lambda reader: reader.text(most, "value")


def _bits(width: int) -> Callable[[Reader], object]:
    return lambda reader: reader.take(width)


_STEPS: dict[str, Callable[[Reader], object]] = {
    "00": _bits(72),
    "01": _bits(56),
    "02": _bits(56),
    "10": _text(20),
    **dict.fromkeys(("11", "12", "13", "15", "16"), _bits(16)),
    "20": _bits(7),
    "21": _text(20),
    "22": _text(20),
    "240": _text(30),
    "241": _text(30),
    "250": _text(30),
    "251": _text(30),
    "7003": _bits(27),
    "7006": _bits(16),
}
"""AI → how its value is stepped over; weights and measures (31nn to 36nn) take 20 bits."""
_LONGER = {"23": 1, "24": 1, "25": 1, "40": 1, "41": 1, "42": 1, "71": 1} | {
    str(n): 2 for n in (31, 32, 33, 34, 35, 36, 39, 43, 70, 72, 80, 81, 82)
}
"""First two digits of an AI → digits that follow."""


def expiry_behind(reader: Reader) -> str | None:
    """The ISO date of AI 17 in what is left, if it comes before anything that is not known here."""
    try:
        while reader.left >= 8:
            ai = format(reader.take(8), "02X")
            ai += format(reader.take(4 * _LONGER.get(ai, 0)), f"0{_LONGER[ai]}X") if ai in _LONGER else ""
            if ai == "17":
                return reader.date()[1]
            if (step := _STEPS.get(ai)) is not None:
                step(reader)
            elif "31" <= ai[:2] <= "36" and len(ai) == 4:
                reader.take(20)
            else:
                return None
    except EpcError:
        pass
    return None
