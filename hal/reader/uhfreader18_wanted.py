"""What the board file wants of a UHFReader18 / 288, as the wire has it, and what differs from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hal.reader.port import ReaderSettings
from hal.reader.uhfreader18_frames import ReaderInfo
from hal.reader.uhfreader18_ops import BANDS, BAUDS, Band

Q = 4
"""First number of slots is 2^Q; the reader adapts it."""
SCAN_TIME = 3
"""Longest inventory by one command, x 100 ms; the least that every model takes."""
BROADCAST = 0xFF
MAX_POWER = 33
"""dBm; the manual says 30, the CF-MU804 takes 33. A reader refuses what is too much for it."""
WAYS = {"": False, "answer": False, "push": True}
"""``inventory`` in the board file → real-time mode?"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """``address`` None: none is given, 0 is tried first."""

    band: Band
    power: int
    antennas: tuple[int, ...]
    session: int
    push: bool
    address: int | None

    @classmethod
    def of(cls, settings: ReaderSettings) -> Wanted:
        """Raises ValueError naming the key, its value and what is allowed."""
        if settings.region not in BANDS:
            raise ValueError(
                f"region {settings.region!r} is not known to a uhfreader18; use one of {', '.join(BANDS)}"
            )
        power = settings.power_dbm - settings.power_offset_db
        if power != round(power) or not 0 <= power <= MAX_POWER:
            raise ValueError(
                f"power_dbm {settings.power_dbm:g} with power_offset_db {settings.power_offset_db:g} is "
                f"{power:g} dBm on the wire; a uhfreader18 takes whole dBm from 0 to {MAX_POWER}"
            )
        antennas = list(settings.antennas)
        if not antennas or len(set(antennas)) != len(antennas) or not all(1 <= n <= 16 for n in antennas):
            raise ValueError(f"antennas is {antennas}; it must be different numbers from 1 to 16")
        if not 0 <= settings.session <= 3:
            raise ValueError(f"session is {settings.session}; it must be 0 to 3")
        if settings.inventory not in WAYS:
            raise ValueError(f'inventory is {settings.inventory!r}; a uhfreader18 has "answer" and "push"')
        address = settings.address
        if not -1 <= address <= BROADCAST:
            raise ValueError(f"address is {address}; it must be 0 to 254, or 255 to find the reader")
        if settings.baud not in BAUDS:
            raise ValueError(f"baud is {settings.baud}; a uhfreader18 has {', '.join(map(str, BAUDS))}")
        push = WAYS[settings.inventory]
        band = BANDS[settings.region]
        known = address if address >= 0 else None
        return cls(band, round(power), tuple(antennas), settings.session, push, known)

    @property
    def mask(self) -> int:
        """Bit 0 = antenna 1."""
        return sum(1 << antenna - 1 for antenna in self.antennas)

    @property
    def push_settings(self) -> bytes:
        """For 75: Gen2, 10 ms between rounds, no filter (repeats are evidence), Q, session, no mask."""
        return bytes((0, 0, 0, Q, self.session))

    def request(self, antenna: int, target: int) -> bytes:
        """For 01: Q, session, target, antenna, scan time."""
        return bytes((Q, self.session, target, 0x80 | antenna - 1, SCAN_TIME))

    @property
    def short_request(self) -> bytes:
        """For 01 where the firmware does not know the last three."""
        return bytes((Q, self.session))

    def difference(self, info: ReaderInfo) -> str | None:
        """What in reader info is not as wanted, in words; None: nothing."""
        band = self.band
        if (info.band, info.max_channel, info.min_channel) != (band.code, band.last, 0):
            return f"the region is band {info.band}, channels {info.min_channel} to {info.max_channel}"
        if info.power != self.power:
            return f"the power is {info.power} dBm, not {self.power}"
        if info.scan_time != SCAN_TIME:
            return f"the scan time is {info.scan_time}, not {SCAN_TIME}"
        if info.antennas is not None and info.antennas != self.mask:
            return f"the antennas are {info.antennas:#x}, not {self.mask:#x}"
        return None
