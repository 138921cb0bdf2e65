"""What pushed tables mean where passes are shown: revoked visits and pass keys of its ``House``. Loop thread.

The site file's keys are good until the shop has pushed a key set. Must never leave a board without a key.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Protocol

from firmware.boardschema import Board, Site
from firmware.gate.admission import House, Shop
from firmware.health import Faults
from firmware.wire.keys import KeySetError, parse_key_set
from firmware.wire.tables import Snapshot

log = logging.getLogger("tables")

CHECK = "the keys in the shop (python -m store keys list); the board goes on with those it has"


class Keeper(Protocol):
    """Who has a house: a station where passes are shown."""

    house: House
    faults: Faults


class HouseTables:
    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def check(self, name: str, snapshot: Snapshot) -> str | None:
        """Why this content cannot be used; None where it can. Raises the fault ``keys``, and clears it."""
        if name != "keys":
            return None
        faults = self._keeper.faults
        try:
            found = parse_key_set(snapshot.data)
            why = None if found.active else "the shop's key set has no key that may be used"
        except KeySetError as error:
            why = f"the shop's key set cannot be read: {error}"
        if why is None:
            faults.clear("keys")
        elif faults.raise_("keys", why, CHECK):
            log.error("%s; refused: %s", why, CHECK)
        return why

    def changed(self, name: str, buckets: dict[str, Snapshot]) -> None:
        """Content that is on the disk: in force from here on."""
        keeper = self._keeper
        if name == "revoked":
            visits = frozenset(visit for one in buckets.values() for visit in one.entries)
            if visits != keeper.house.revoked:
                log.info("%d visits are revoked", len(visits))
            keeper.house = replace(keeper.house, revoked=visits)
        elif name == "keys":
            for snapshot in buckets.values():
                keys = parse_key_set(snapshot.data).active
                if keys != keeper.house.keys:
                    log.info("pass keys are now %s", ", ".join(map(str, sorted(keys))))
                keeper.house = replace(keeper.house, keys=keys)


def house_of(board: Board, site: Site, direction: str) -> House:
    """Closed until the documents are read: a lockdown must not be open for the first codes of a start."""
    keys = {int(number): bytes.fromhex(key) for number, key in site.pass_keys.items()}
    return House(site.store, direction, keys, unsynced=board.admission.on_unsynced_clock, shop=Shop("closed"))
