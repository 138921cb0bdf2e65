"""What the reader suites must know of each protocol: a row for each, which is all that they know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hal.reader.port import Settings
from hal.sim.module import Module
from hal.sim.population import Population


@dataclass(frozen=True)
class Spec:
    """One protocol. ``m`` in the callables is the simulated module itself (``hal/sim/<protocol>.py``).

    ``settings``: as a board file would have them, unlike the module's defaults. ``stored(m)``: the module
    has exactly these now. ``refuse_region(m)``, ``refuse_power(m)``: it takes them no more. ``conditions``:
    name → ``switch(m, on)`` for each state that the module can report. ``variants``: other modules of the
    same protocol. ``inventories``: every value of the setting. ``bad``: settings that are refused, and a
    word of the reason. ``wrong_address``: an address that nobody has; None: the protocol has none.
    ``dbm``: the RSSI's formula is known. ``invents``: so many tags may be invented by a noisy line
    (protocols whose frames have an 8-bit sum and no CRC of the tag's own). ``tag``: one tag's frame as the
    module sends it, for streams. ``max_frame``: the longest frame. ``not_tags``: names of vector rows whose
    tags the codec leaves in a plain response.
    """

    settings: Settings
    stored: Callable[[Any], bool]
    refuse_region: Callable[[Any], None]
    refuse_power: Callable[[Any], None]
    tag: Callable[[bytes], bytes]
    max_frame: int
    bad: tuple[tuple[dict[str, Any], str], ...]
    conditions: Mapping[str, Callable[[Any, bool], None]] = field(default_factory=dict)
    variants: Mapping[str, Callable[[Population], Module]] = field(default_factory=dict)
    inventories: tuple[str, ...] = ("",)
    wrong_address: int | None = None
    dbm: bool = True
    temperature: bool = False
    invents: int = 0
    not_tags: frozenset[str] = frozenset()


def _yrm100() -> Spec:
    from hal.reader.yrm100 import MAX_FRAME, Cmd, encode_tag
    from hal.sim.yrm100 import SimModule

    return Spec(
        settings=Settings("yrm100", region="eu", power_dbm=24.5, power_offset_db=6, session=1),
        stored=lambda m: (m.region, m.power, m.query, m.hopping) == (0x03, 1850, 0x1120, 0xFF),
        refuse_region=lambda m: m.refuse.add(Cmd.SET_REGION),
        refuse_power=lambda m: m.refuse.add(Cmd.SET_POWER),
        tag=lambda epc: encode_tag(epc, len(epc) // 2 << 11, -56),
        max_frame=MAX_FRAME,
        bad=(
            ({"region": "mars"}, "cn900"),
            ({"power_dbm": 40.0}, "0 to 30"),
            ({"power_dbm": 5.0}, "0 to 30"),
            ({"session": 4}, "session"),
            ({"antennas": (1, 2)}, "antennas"),
            ({"address": 3}, "address"),
            ({"inventory": "fast"}, "multi"),
        ),
        variants={"AA framing": lambda population: SimModule(population, header=0xAA)},
        inventories=("", "multi", "single"),
    )


def _uhfreader18() -> Spec:
    from hal.reader.uhfreader18_frames import Record, record_bytes, reply
    from hal.reader.uhfreader18_ops import BANDS, Cmd
    from hal.sim.uhfreader18 import SimModule
    from hal.sim.uhfreader18_kept import Kept

    def unplug(m: Any, on: bool) -> None:
        m.unplugged = {1} if on else set()

    return Spec(
        settings=Settings("uhfreader18", baud=57600, region="cn900", power_dbm=26, session=1),
        stored=lambda m: m.set == Kept(BANDS["cn900"].wire, 26, 1, 3, m.model != "18"),
        refuse_region=lambda m: m.refuse.add(Cmd.FREQUENCY),
        refuse_power=lambda m: m.refuse.add(Cmd.POWER),
        tag=lambda epc: reply(Cmd.INVENTORY, 3, b"\1\1" + record_bytes(Record(epc, 0x48))),
        max_frame=256,
        bad=(
            ({"region": "mars"}, "cn900"),
            ({"power_dbm": 34.0}, "0 to 33"),
            ({"power_dbm": 20.5}, "whole dBm"),
            ({"session": 4}, "session"),
            ({"antennas": (1, 17)}, "1 to 16"),
            ({"antennas": (2, 2)}, "different"),
            ({"address": 256}, "0 to 254"),
            ({"inventory": "multi"}, "push"),
            ({"baud": 921600}, "57600"),
        ),
        conditions={"antenna-missing": unplug},
        variants={
            "18": lambda population: SimModule(population, "18"),
            "8-port": lambda population: SimModule(population, "8-port"),
            "16-port": lambda population: SimModule(population, "16-port"),
            "several tags in a frame": lambda population: SimModule(population, per_frame=4),
            "another address": lambda population: SimModule(population, address=7),
            "left in real-time mode": _left_pushing,
        },
        inventories=("", "answer", "push"),
        wrong_address=9,
        dbm=False,
    )


def _left_pushing(population: Population) -> Module:
    from hal.sim.uhfreader18 import SimModule

    one = SimModule(population)
    one.mode = 1
    return one


def _thingmagic() -> Spec:
    from hal.reader.events import Tag
    from hal.reader.thingmagic import encode_tag
    from hal.reader.thingmagic_ops import Op
    from hal.sim.thingmagic import SimModule

    def stored(m: Any) -> bool:
        own = m.settings
        return (
            own.region in (0x01, 0x0D)
            and (own.read_power, own.session, own.antennas, own.protocol) == (2450, 1, (2, 1), 5)
            and not own.filters_repeats
        )

    return Spec(
        settings=Settings("thingmagic", region="us", power_dbm=24.5, session=1, antennas=(2, 1)),
        stored=stored,
        refuse_region=lambda m: m.refuse.add(Op.SET_REGION),
        refuse_power=lambda m: m.refuse.add(Op.SET_READ_POWER),
        tag=lambda epc: encode_tag(Tag(epc, len(epc) // 2 << 11, 0xC4, 1, -60.0, 922_250, 90, 1, 12)),
        max_frame=256,
        bad=(
            ({"region": "mars"}, "cn900"),
            ({"power_dbm": 40.0}, "0 to 33"),
            ({"power_dbm": -1.0}, "0 to 33"),
            ({"session": 4}, "session"),
            ({"antennas": (1, 17)}, "1 to 16"),
            ({"antennas": (1, 1)}, "each once"),
            ({"address": 3}, "address"),
            ({"inventory": "multi"}, "stream"),
        ),
        conditions={
            "hot": lambda m, on: setattr(m.trouble, "hot", on),
            "return-loss": lambda m, on: setattr(m.trouble, "return_loss", on),
        },
        variants={
            "nano": lambda population: SimModule(population, "nano"),
            "silion": lambda population: SimModule(population, "silion"),
            "in its bootloader": lambda population: SimModule(population, bootloader=True),
            "empty EPCs": lambda population: SimModule(population, empty_epc_every=3),
        },
        inventories=("", "stream"),
        temperature=True,
    )


def _r2000() -> Spec:
    from hal.reader.events import Tag
    from hal.reader.r2000 import MAX_FRAME, encode_tag
    from hal.reader.r2000_commands import Cmd
    from hal.sim.r2000 import SimModule

    def unplug(m: Any, on: bool) -> None:
        m.missing = {2, 3, 4} if on else {3, 4}

    return Spec(
        settings=Settings("r2000", region="eu", power_dbm=26, antennas=(1, 2)),
        stored=lambda m: (m.region, set(m.power)) == (b"\x02\x02\x05", {26}),
        refuse_region=lambda m: m.refuse.add(Cmd.SET_REGION),
        refuse_power=lambda m: m.refuse.add(Cmd.SET_POWER),
        tag=lambda epc: encode_tag(Cmd.FAST_SWITCH, Tag(epc, len(epc) // 2 << 11, 69), 5),
        max_frame=MAX_FRAME,
        bad=(
            ({"region": "mars"}, "cn900"),
            ({"power_dbm": 34.0}, "0 to 33"),
            ({"power_dbm": 20.5}, "whole dBm"),
            ({"session": 4}, "session"),
            ({"session": 1, "inventory": "real-time"}, "session"),
            ({"antennas": (1, 9)}, "1 to 8"),
            ({"antennas": (2, 2)}, "once"),
            ({"address": 256}, "0 to 254"),
            ({"inventory": "multi"}, "fast-switch"),
        ),
        conditions={"antenna-missing": unplug},
        variants={
            "8 ports": lambda population: SimModule(population, ports=8),
            "phase": lambda population: SimModule(population, phase=True),
            "another address": lambda population: SimModule(population, address=7),
            "no antenna detector": lambda population: SimModule(
                population, refuse=frozenset((Cmd.SET_DETECTOR,))
            ),
        },
        inventories=("", "real-time", "fast-switch", "session"),
        wrong_address=9,
        invents=1,
    )


_SPECS: dict[str, Callable[[], Spec]] = {
    "yrm100": _yrm100,
    "thingmagic": _thingmagic,
    "uhfreader18": _uhfreader18,
    "r2000": _r2000,
}
FAMILIES = tuple(_SPECS)


def spec(protocol: str) -> Spec:
    return _SPECS[protocol]()
