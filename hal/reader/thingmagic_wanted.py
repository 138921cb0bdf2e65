"""What the board file wants of a ThingMagic module, as it goes over the wire. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hal.reader.port import ReaderSettings
from hal.reader.thingmagic_ops import GEN2, GEN2_SESSION, GEN2_TARGET, REGIONS

HIGHEST_DBM = 33.0
PORTS = 16


@dataclass(frozen=True, slots=True)
class Wanted:
    """``regions``: the numbers that this region may have, best first. ``power``: centi-dBm."""

    region_name: str
    regions: tuple[int, ...]
    power: int
    antennas: tuple[int, ...]
    session: int

    @classmethod
    def of(cls, settings: ReaderSettings) -> Wanted:
        """Raises ValueError naming the key, its value and what is allowed."""
        if settings.region not in REGIONS:
            known = ", ".join(REGIONS)
            raise ValueError(f"region {settings.region!r} is not known to a thingmagic; use one of {known}")
        antennas = tuple(settings.antennas)
        if not antennas or len(set(antennas)) < len(antennas) or not all(1 <= n <= PORTS for n in antennas):
            raise ValueError(
                f"antennas is {list(antennas)}; a thingmagic takes one or several of 1 to {PORTS}, each once"
            )
        if settings.session not in range(4):
            raise ValueError(f"session is {settings.session}; it must be 0 to 3")
        if settings.address != -1:
            raise ValueError(f"address is {settings.address}; a thingmagic has none: leave it out")
        if settings.inventory not in ("", "stream"):
            raise ValueError(f'inventory is {settings.inventory!r}; a thingmagic has "stream"')
        wire = settings.power_dbm - settings.power_offset_db
        if not 0 <= wire <= HIGHEST_DBM:
            raise ValueError(
                f"power_dbm {settings.power_dbm:g} with power_offset_db {settings.power_offset_db:g} is "
                f"{wire:g} dBm on the wire; it must be 0 to {HIGHEST_DBM:g}"
            )
        return cls(settings.region, REGIONS[settings.region], round(wire * 100), antennas, settings.session)

    @property
    def session_data(self) -> bytes:
        return bytes((GEN2, GEN2_SESSION, self.session))

    @property
    def target_data(self) -> bytes:
        """A alone in session 0; else A and B in turn, or a tag would be heard once and then rest."""
        return bytes((GEN2, GEN2_TARGET)) + (b"\x00\x00" if self.session else b"\x01\x00")

    @property
    def antenna_data(self) -> bytes:
        """Option 02 and the list of transmitting and receiving ports."""
        return b"\x02" + bytes(number for port in self.antennas for number in (port, port))
