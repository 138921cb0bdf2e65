"""Which simulated module speaks which protocol: ``hal/sim/<protocol>.py``, class ``SimModule``.

Only the one that is asked for is loaded.
"""

from __future__ import annotations

import importlib
from typing import cast

from hal.reader.families import known
from hal.sim.module import Module
from hal.sim.population import Population


def make(protocol: str, population: Population) -> Module:
    """A new module of ``protocol`` with ``population`` before its antennas. Raises ValueError for one that
    is not known."""
    return cast(Module, importlib.import_module(f"hal.sim.{known(protocol)}").SimModule(population))
