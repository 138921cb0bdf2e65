"""The settings that a simulated UHFReader18 / 288 keeps, and how a command changes them. Pure.

Ranges and lengths as in the vendor's manual: what it would refuse is refused here with the same status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hal.reader.uhfreader18_ops import BANDS, Cmd, Status

CODES = {band.code: name for name, band in BANDS.items()}
MAX_POWER = 33


@dataclass(frozen=True, slots=True)
class Kept:
    """``band``: MaxFre and MinFre as set."""

    band: bytes = BANDS["us"].wire
    power: int = 30
    antennas: int = 1
    scan_time: int = 20
    check: int = 0

    @property
    def region(self) -> str:
        """The band's name; its bytes where it has none."""
        return CODES.get(_code(self.band), self.band.hex())


def change(cmd: int, data: bytes, *, ports: int, older: bool) -> tuple[dict[str, Any], bool] | int:
    """Fields of ``Kept`` that a command sets, and whether they are to outlast a power cut; or the status of
    its refusal. ``older``: an 18, which knows no bit 7 (do not save): to it that is too much power."""
    length = len(data)
    if cmd == Cmd.FREQUENCY and length == 2:
        if data[0] & 0x3F < data[1] & 0x3F or _code(data) not in CODES:
            return Status.PARAMETER
        return {"band": data}, True
    if cmd == Cmd.POWER and length in (1, ports):
        power = data[0] if older else data[0] & 0x7F
        return ({"power": power}, not data[0] & 0x80) if power <= MAX_POWER else Status.PARAMETER
    if cmd == Cmd.ANTENNAS and length == 1 and data[0] & 0x0F:
        return {"antennas": data[0] & 0x0F}, not data[0] & 0x80
    if cmd == Cmd.ANTENNAS and length == 3 and ports > 4:
        mask = int.from_bytes(data[1:], "big")
        return ({"antennas": mask}, not data[0] & 1) if mask and not mask >> ports else Status.PARAMETER
    if cmd == Cmd.SCAN_TIME and length == 1:
        return {"scan_time": max(data[0], 3) if data[0] else 0}, True
    if cmd == Cmd.ANTENNA_CHECK and length == 1 and data[0] <= 1:
        return {"check": data[0]}, True
    return Status.PARAMETER if length == 1 else Status.LENGTH


def _code(band: bytes) -> int:
    return band[0] >> 6 << 2 | band[1] >> 6
