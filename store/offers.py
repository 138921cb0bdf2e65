"""The answer to ``ask/offer``: the basket's record into the ledger, priced, held, kept, answered.

The record is taken in as any other (its journal's copy comes later as a duplicate), so an offer waits for no
backlog. A version of a basket has one offer, which stands: the same question has the same answer. Money is
integer fen. Must never offer a basket with goods that have no price, that are another's, or that another
open basket has.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, select

from firmware.wire.epc import sgtin_key
from firmware.wire.offers import MAX_WORDS, Offer, basket_id
from firmware.wire.pricelist import Key, PriceEntry
from firmware.wire.records import Basket, Frame, FrameError, RecordError, decode_body, parse_frame
from store import holds, ingest, sales, schema
from store.holds import BasketKey
from store.ingest import Arrived, Outcome
from store.ledger import upsert
from store.pay.provider import MAX_FEN
from store.posting import Place, Rows, post
from store.pricing.discounts import Rules
from store.pricing.engine import Priced, Shopper, price
from store.pricing.lines import Unknown, basket, goods_of
from store.saleschema import charges, offer_cuts, offer_items, offers
from store.schema import catalogue, journals, records

ITEM = ("epc", "goods", "name", "list_fen", "brand", "zone")
CUT = ("position", "step", "rule", "kind", "fen", "en", "zh")
log = logging.getLogger("store.offers")


class _No(Exception):
    """No offer; the words are for the shopper, or for who helps."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A basket as it was asked about. ``epcs``: upper-case hex, in order."""

    key: BasketKey
    frame: Frame
    record: Basket
    visit: str
    anonymous: bool
    epcs: tuple[str, ...]
    rows: Rows


class Offers:
    """``rules``: the shop's discounts. ``wall_ms``: the store's clock, by which discounts hold."""

    def __init__(
        self, engine: Engine, rules: Rules, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._engine, self._rules, self._wall_ms = engine, rules, wall_ms

    def answer(self, board: str, payload: bytes) -> tuple[Offer, Outcome] | None:
        """The offer and the receipts that the record earned; None: the payload is no basket's frame.

        Raises SQLAlchemyError when the ledger refuses; asked again later, the answer is the same."""
        try:
            frame = parse_frame(payload)
            record = decode_body(frame.body)
        except (FrameError, RecordError) as error:
            log.warning("%s: ask/offer carries no record: %s", board, error)
            return None
        if not isinstance(record, Basket):
            log.warning("%s: ask/offer carries a record of type %s", board, record.KIND.name.lower())
            return None
        now_ms = self._wall_ms()
        outcome = ingest.commit(self._engine, [Arrived(board, "asked", payload, now_ms)])
        name = basket_id(frame.epoch, record.ref_seq or frame.seq)
        try:
            with self._engine.begin() as connection:
                offer = self._offer(connection, _asked(connection, board, frame, record), now_ms)
        except _No as no:
            offer = Offer(name, record.version, refused=str(no)[:MAX_WORDS])
            log.info("basket %s version %d: no offer: %s", name, record.version, no)
        return offer, outcome

    def _offer(self, connection: Connection, asked: _Asked, now_ms: int) -> Offer:
        key, version = asked.key, asked.record.version
        stored = latest(connection, key)
        if stored is not None and stored.version > version:
            raise _No("an older version of this basket: it has changed since")
        same = stored is not None and stored.version == version
        paid = connection.scalar(select(charges.c.offer).where(*_of(charges, key)))
        if paid is not None:
            if same and stored.id == paid:
                return Offer(key.name, version, 0, stored.list_fen, settled=True)
            raise _No("this basket is paid; what is new is a basket of its own")
        if same and not stored.total_fen:
            return Offer(key.name, version, 0, stored.list_fen, settled=True)
        if holds.under_way(connection, key.name):
            if not same:
                raise _No("a payment for this basket is under way, one moment")
            return Offer(key.name, version, stored.total_fen, stored.list_fen)
        if holds.closed(connection, key):
            raise _No("this basket is closed: please lay the items in again")
        if not asked.epcs:
            raise _No("the basket is empty")
        left = self._not_sold(connection, asked, now_ms)
        if same and not items_of(connection, stored.id) <= set(left):
            raise _No("an item of this basket was sold meanwhile: please lay the items in again")
        priced = None if same else self._price(connection, left, now_ms)
        if taken := holds.take(connection, key, left, asked.visit, now_ms):
            raise _No(f"an item is in another basket: {_name(taken[0])}{_more(taken)}")
        if priced is None:
            return Offer(key.name, version, stored.total_fen, stored.list_fen)
        self._keep(connection, asked, priced, now_ms)
        settled = not priced.total_fen
        return Offer(key.name, version, priced.total_fen, priced.list_fen, settled)

    def _not_sold(self, connection: Connection, asked: _Asked, now_ms: int) -> list[str]:
        """The tags to be charged: what this shopper has bought already is left out."""
        gone = set()
        for row in sales.sold(connection, asked.epcs):
            board = asked.key.board
            if not sales.yours(row, board, asked.visit, anonymous=asked.anonymous, now_ms=now_ms):
                raise _No(f"an item was sold to somebody else: {_name(row.epc)}")
            gone.add(row.epc)
        return [epc for epc in asked.epcs if epc not in gone]

    def _price(self, connection: Connection, epcs: Sequence[str], now_ms: int) -> Priced:
        tags = [bytes.fromhex(epc) for epc in epcs]
        found = basket(tags, _prices(connection, tags).get)
        if found.unknown:
            raise _No(_unknown(found.unknown))
        priced = price(found, self._rules, Shopper(now_ms))
        if priced.total_fen > MAX_FEN:
            raise _No("this basket is too dear to be paid here, please ask for help")
        return priced

    def _keep(self, connection: Connection, asked: _Asked, priced: Priced, now_ms: int) -> None:
        visits = list(asked.rows.visits.values())
        upsert(connection, schema.visits, visits, ["kind", "campaign", "placement"], keep=True)
        row: dict[str, Any] = {
            "journal": asked.key.journal,
            "first_seq": asked.key.first,
            "version": asked.record.version,
        }
        row |= {"visit": asked.visit, "total_fen": priced.total_fen, "list_fen": priced.list_fen}
        row |= {"coupon": priced.coupon, "rules": self._rules.digest, "at_ms": now_ms}
        result = connection.execute(offers.insert(), row)
        assert result.inserted_primary_key is not None
        offer = int(result.inserted_primary_key[0])
        items = [
            {"offer": offer, "position": at} | {name: getattr(item, name) for name in ITEM}
            for at, item in enumerate(priced.items)
        ]
        cuts = [{"offer": offer} | {name: getattr(cut, name) for name in CUT} for cut in priced.cuts]
        if items:
            connection.execute(offer_items.insert(), items)
        if cuts:
            connection.execute(offer_cuts.insert(), cuts)
        if priced.total_fen:
            sales.settle(connection, asked.visit, None)
        else:
            sales.sell(connection, asked.key, offer, asked.visit, now_ms)


def latest(connection: Connection, key: BasketKey) -> Any:
    """The newest offer of a basket (a row of ``offers``), or None."""
    query = select(offers).where(*_of(offers, key)).order_by(offers.c.version.desc()).limit(1)
    return connection.execute(query).one_or_none()


def items_of(connection: Connection, offer: int) -> set[str]:
    """The EPCs that an offer charges for."""
    return set(connection.scalars(select(offer_items.c.epc).where(offer_items.c.offer == offer)))


def find_basket(connection: Connection, board: str, epoch: str, first: int) -> BasketKey | None:
    """A basket of this board's journals; None where the journal is not known."""
    query = select(journals.c.id).where(journals.c.board == board, journals.c.epoch == epoch)
    journal = connection.scalar(query)
    return None if journal is None else BasketKey(board, journal, epoch, first)


def _of(table: Any, key: BasketKey) -> tuple[Any, Any]:
    return table.c.journal == key.journal, table.c.first_seq == key.first


def _asked(connection: Connection, board: str, frame: Frame, record: Basket) -> _Asked:
    """Raises _No for a journal that cannot be this board's own, or tags that are none."""
    epoch, first = f"{frame.epoch:016x}", record.ref_seq or frame.seq
    owners = set(connection.scalars(select(journals.c.board).where(journals.c.epoch == epoch)))
    key = find_basket(connection, board, epoch, first)
    body = None
    if key is not None and owners == {board}:
        query = select(records.c.body).where(records.c.journal == key.journal, records.c.seq == frame.seq)
        body = connection.scalar(query)
    if key is None or body is None or bytes(body) != frame.body or first > frame.seq:
        raise _No("this portal's records do not fit together: please ask for help")
    rows = Rows()
    try:
        post(Place(key.journal, board, epoch, frame.seq), record, rows)
    except RecordError:
        raise _No("the items could not be read: please ask for help") from None
    (fact,) = rows.facts[schema.baskets]
    epcs = tuple(sorted({row["epc"] for row in rows.facts[schema.basket_tags]}))
    return _Asked(key, frame, record, fact["visit"], record.visit is None, epcs, rows)


def _prices(connection: Connection, tags: Sequence[bytes]) -> dict[Key, PriceEntry]:
    """What the list says of these tags and of their GTINs."""
    keys: set[Key] = set(tags) | {int(gtin14) for tag in tags if (gtin14 := sgtin_key(tag)) is not None}
    by_name = {goods_of(key): key for key in keys}
    names = sorted(by_name)
    columns = ("name", "price_fen", "unit", "unit_fen", "brand", "zone")
    query = select(catalogue.c.goods, *(catalogue.c[column] for column in columns))
    found: dict[Key, PriceEntry] = {}
    for at in range(0, len(names), holds.BATCH):
        wanted = catalogue.c.goods.in_(names[at : at + holds.BATCH])
        for goods, *row in connection.execute(query.where(wanted)):
            found[by_name[goods]] = PriceEntry(by_name[goods], *row)
    return found


def _unknown(tags: Sequence[Unknown]) -> str:
    names = sorted({tag.gtin14 or tag.epc for tag in tags})
    return f"no price for {names[0][:40]}{_more(names)}: please ask for help"


def _name(epc: str) -> str:
    """Goods as people can find them: the GTIN and the end of the tag."""
    gtin14 = sgtin_key(bytes.fromhex(epc))
    return f"{gtin14} (tag …{epc[-6:]})" if gtin14 is not None else f"tag {epc[-24:]}"


def _more(found: Sequence[str]) -> str:
    return f" and {len(found) - 1} more" if len(found) > 1 else ""
