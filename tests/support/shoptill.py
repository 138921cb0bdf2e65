"""A shop's till on a real ledger: baskets as a portal asks about them, the double's bank, a clock by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

from sqlalchemy import text

from firmware.wire import taglist
from firmware.wire.epc import encode_sgtin96
from firmware.wire.offers import Offer, PayQuestion, PayStand, decode_offer, decode_pay_stand
from firmware.wire.pricelist import PriceEntry
from firmware.wire.records import Basket, BasketClosed, Record, frame
from store import prices
from store.answers import Answer, Asked
from store.cashier import Cashier
from store.ingest import Arrived, commit
from store.ledger import migrate, open_ledger
from store.offers import Offers
from store.pay.double.bank import Bank
from store.pay.local import LocalProvider
from store.pay.provider import Provider
from store.payments import Payments
from store.pricing.discounts import Rules
from tests.support import shopfeed as feed
from tests.support.payruns import code

WALL_MS = 1_790_000_000_000
OATS, TEA = "09521234000013", "09527654000022"
GOODS = [
    PriceEntry(int(OATS), "Oat drink 1 l", 1280, brand="north-mill", zone="chiller"),
    PriceEntry(int(TEA), "Tea", 3000, brand="lotus-lane", zone="bakery"),
    PriceEntry(bytes.fromhex("AA55"), "A bag", 0),
]


def item(serial: int, gtin: str = OATS) -> bytes:
    return encode_sgtin96(gtin, serial, 7)


class Till:
    """``now``: seconds of the monotonic and, behind ``WALL_MS``, of the wall clock. Calls of the provider run
    when ``work`` does."""

    def __init__(
        self,
        folder: Path,
        *,
        rules: Rules | None = None,
        bank: Bank | None = None,
        wrap: Callable[[Provider], Provider] = lambda provider: provider,
    ) -> None:
        self.path = folder / "ledger.sqlite"
        self.engine = open_ledger(feed.sqlite_url(self.path))
        fresh = not self.path.exists()
        migrate(self.engine)
        if fresh:
            with self.engine.begin() as connection:
                prices.replace(connection, GOODS, prices.buckets(GOODS))
        self.now = 1000.0
        self.bank = bank or Bank(start_ms=0)
        self.calls: list[Callable[[], None]] = []
        self.sent: list[Answer] = []
        self.cashier = Cashier("demo", Offers(self.engine, rules or Rules(UTC), self.wall_ms), lambda: None)
        provider = wrap(LocalProvider(self.bank, lambda: self.now))
        self.cashier.payments = Payments(
            self.engine, provider, self.calls.append, ended=self.cashier.ended, wall_ms=self.wall_ms
        )
        self.cashier.send = self.sent.append
        self._correlations = 0

    def wall_ms(self) -> int:
        return WALL_MS + int(self.now * 1000)

    def ask(self, name: str, payload: bytes, board: str = "portal-1") -> list[bytes]:
        """What is answered at once, to this question."""
        self._correlations += 1
        correlation = self._correlations.to_bytes(8, "big")
        self.cashier.take(Asked(board, name, payload, correlation, self.now))
        self.cashier.turn(self.now)
        return [answer.payload for answer in self.sent if answer.correlation == correlation]

    def offer(self, payload: bytes, board: str = "portal-1") -> Offer:
        (answer,) = self.ask("offer", payload, board)
        return decode_offer(answer)

    def pay(self, offer: Offer, digits: str | None = "00", **changes: Any) -> PayStand:
        self._correlations += 1
        shown = None if digits is None else code(digits, self._correlations)
        asked = {"basket": offer.basket, "version": offer.version, "total_fen": offer.total_fen} | changes
        board = asked.pop("board", "portal-1")
        (answer,) = self.ask("pay", PayQuestion(code=shown, **asked).encode(), board)
        return decode_pay_stand(answer)

    def work(self) -> None:
        """The provider's calls that were asked for, and what follows."""
        while self.calls:
            self.calls.pop(0)()
            self.cashier.turn(self.now)

    def later(self, seconds: float) -> None:
        """Time passes, in steps of a second."""
        end = self.now + seconds
        while self.now < end:
            self.now += 1.0
            self.cashier.turn(self.now)
            self.work()

    def told(self) -> PayStand:
        """The last answer to a question of payment that was sent."""
        return decode_pay_stand(next(a.payload for a in reversed(self.sent) if a.topic.endswith("/ans/pay")))

    def records(self, *payloads: bytes, board: str = "portal-1") -> None:
        """The journal's copies."""
        commit(self.engine, [Arrived(board, "rec", payload, self.wall_ms()) for payload in payloads])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]


def basket(
    epcs: list[bytes],
    *,
    epoch: int = 31,
    seq: int = 1,
    first: int | None = None,
    version: int = 1,
    of: int | None = 7,
) -> bytes:
    """The frame of a basket's version."""
    visit = None if of is None else feed.visit(of)
    record = Basket(
        feed.STAMP, taglist.encode(epcs), len(epcs), "quiet", visit, ref_seq=first, version=version
    )
    return _frame(epoch, seq, record)


def closing(first: int, *, epoch: int = 31, seq: int = 2) -> bytes:
    return _frame(epoch, seq, BasketClosed(feed.STAMP, first, "abandoned"))


def _frame(epoch: int, seq: int, record: Record) -> bytes:
    return frame(epoch, seq, record.body())


def check_sums(path: Path) -> int:
    """Every sum of the ledger against its lines; the sum of the charges, fen."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as db:
        offers = db.execute(
            "SELECT o.id, o.list_fen, o.total_fen,"
            " (SELECT coalesce(sum(list_fen), 0) FROM offer_items i WHERE i.offer = o.id),"
            " (SELECT coalesce(sum(fen), 0) FROM offer_cuts c WHERE c.offer = o.id) FROM offers o"
        ).fetchall()
        for offer, list_fen, total_fen, items, cuts in offers:
            assert (list_fen, total_fen) == (items, items - cuts), f"offer {offer}"
        cut = "SELECT 1 FROM offer_cuts c JOIN offer_items i USING (offer, position)"
        over = db.execute(cut + " GROUP BY offer, position HAVING sum(c.fen) > i.list_fen").fetchall()
        assert over == [], "more was taken off an item than it costs"
        wrong = db.execute(
            "SELECT c.order_no FROM charges c JOIN offers o ON o.id = c.offer"
            " JOIN attempts a USING (order_no)"
            " WHERE c.amount_fen != o.total_fen OR a.total_fen != o.total_fen OR a.ended != 'paid'"
        ).fetchall()
        assert wrong == [], "a charge that is not its offer's sum"
        unbooked = db.execute(
            "SELECT order_no FROM attempts WHERE ended = 'paid'"
            " AND order_no NOT IN (SELECT order_no FROM charges)"
        ).fetchall()
        assert unbooked == [], "paid without a charge"
        unsold = db.execute(
            "SELECT i.epc FROM charges c JOIN offer_items i ON i.offer = c.offer"
            " WHERE i.epc NOT IN (SELECT epc FROM sold_tags)"
        ).fetchall()
        assert unsold == [], "paid and not sold"
        return int(db.execute("SELECT coalesce(sum(amount_fen), 0) FROM charges").fetchone()[0])
