"""The tour's second half: an item at the price point, a shopper with a full bag in the portal.

The goods are those of the demo price list, on tags that the simulated modules really read; the same three
witnesses are compared as at the gate: script, board and ledger.
"""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware.wire.epc import encode_sgtin96
from firmware.wire.records import Basket, PriceLook, Record
from hal.sim import scene
from provisioning.rundir import PORTAL, PRICE
from provisioning.tour import Result, Tour
from provisioning.tour_script import Issuer, Step
from provisioning.world_client import WorldClient

COMPANY_DIGITS = 7
"""Of the demo list's makers."""
BAG, SHELF = 14, 5
READ_S = 30.0
"""A bag that is hard to read may take so long."""


@dataclass(frozen=True)
class Item:
    """One tagged item of the demo price list."""

    name: str
    price_fen: int
    epc: str


def goods(prices: Path, count: int) -> list[Item]:
    """``count`` items of the list, going round it; serials count up."""
    with prices.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["gtin"]]
    items = []
    for number in range(count):
        row = rows[number % len(rows)]
        gtin14, fen = row["gtin"].zfill(14), round(float(row["price"]) * 100)
        epc = encode_sgtin96(gtin14, 1000 + number, COMPANY_DIGITS).hex().upper()
        items.append(Item(row["name"], fen, epc))
    return items


class GoodsTour:
    """Performs its steps into ``tour``, which compares and shows them with the gate's."""

    def __init__(
        self,
        tour: Tour,
        portal: WorldClient,
        price: WorldClient,
        issuer: Issuer,
        prices: Path,
        scene_file: Path,
    ) -> None:
        self._tour = tour
        self._portal = portal
        self._price = price
        self._issuer = issuer
        self._scene = scene_file
        self._items = goods(prices, BAG + 1 + SHELF)

    def prepare(self) -> None:
        """Lay the shelf's items out early: what lies there is known before a shopper comes."""
        self._portal.ask(shelf=[item.epc for item in self._items[BAG + 1 :]])

    def perform(self) -> None:
        self._look()
        self._checkout()

    def close(self) -> None:
        self._portal.close()
        self._price.close()

    def _look(self) -> None:
        item = self._items[0]
        step = Step(
            f"{item.name} is held to the price point", {"price-look": 1}, fault=_looked(item.price_fen)
        )
        self._price.ask(tags=[item.epc])
        self._run(step, PRICE)
        self._price.ask(tags=[])

    def _checkout(self) -> None:
        bag = self._items[: BAG + 1]
        step = Step(
            f"a shopper with {BAG} items in the portal, {SHELF} others lie on a shelf near by",
            {"basket": 1},
            fault=_counted(BAG, 1),
        )
        scene.write_scene(self._scene, scene.render(self._issuer.fresh("portal")(time.time())))
        self._portal.ask(inside=1, show=str(self._scene))
        self._portal.ask(tags=[item.epc for item in bag[:BAG]])
        self._run(step, PORTAL)
        self._portal.ask(show=None)
        step = Step("one more item comes out of the pocket", {"basket": 1}, fault=_counted(BAG + 1, 2))
        self._portal.ask(tags=[item.epc for item in bag])
        self._run(step, PORTAL)
        self._portal.ask(inside=0)
        self._portal.ask(tags=[])

    def _run(self, step: Step, board: str) -> None:
        result = Result(step)
        self._tour.results.append(result)
        self._tour.say("you", step.title)
        expected = Counter(step.expect)
        self._tour.collect(result, lambda: result.seen >= expected, READ_S, board)
        self._tour.rest()


def _looked(price_fen: int) -> Callable[[Sequence[Record]], str | None]:
    def fault(records: Sequence[Record]) -> str | None:
        shown = [record.shown_fen for record in records if isinstance(record, PriceLook)]
        return (
            None if shown == [price_fen] else f"the price point showed {shown} fen, the list has {price_fen}"
        )

    return fault


def _counted(items: int, version: int) -> Callable[[Sequence[Record]], str | None]:
    def fault(records: Sequence[Record]) -> str | None:
        found = [(record.count, record.version) for record in records if isinstance(record, Basket)]
        if found == [(items, version)]:
            return None
        return f"expected {items} items as version {version}, the portal counted {found}"

    return fault
