"""Which file speaks which reader protocol. Only the one that is asked for is loaded.

``hal/reader/<protocol>.py`` has ``Codec``, ``hal/reader/<protocol>_family.py`` has ``Family``.
"""

from __future__ import annotations

import importlib
from typing import Literal, cast

from hal.reader.port import Codec, Family, ReaderSettings

PROTOCOLS = ("yrm100", "thingmagic", "uhfreader18", "r2000")
Direction = Literal["module", "host"]
"""Which side's frames come in: the module's (what a board hears) or the host's (what a module hears)."""


def family(settings: ReaderSettings) -> Family:
    """The protocol that the board file names, told its settings. Raises ValueError naming the key."""
    module = importlib.import_module(f"hal.reader.{known(settings.protocol)}_family")
    return cast(Family, module.Family(settings))


def codec(protocol: str, direction: Direction = "module") -> Codec:
    """A codec for one side's frames. Raises ValueError for a protocol that is not known."""
    return cast(Codec, importlib.import_module(f"hal.reader.{known(protocol)}").Codec(direction=direction))


def known(protocol: str) -> str:
    """``protocol`` itself. Raises ValueError for one that is not known."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol {protocol!r} is not known; use one of {', '.join(PROTOCOLS)}")
    return protocol
