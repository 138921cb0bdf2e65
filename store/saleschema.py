"""The ledger's tables of offers, payments and what is sold; the rest of the ledger is in ``store.schema``.

Offers, their items and cuts, steps of attempts and charges are only ever inserted: every sum can be computed
again from its lines. What changes in place is bookkeeping: where an attempt stands (``attempt_steps`` tells
how it came there), which open basket an EPC is in, and which EPCs are sold now (a refund takes one out).
A payment code is in none of these tables.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from store.schema import RowId, metadata

# A basket is named by its journal and the seq of its first version; it may not be posted yet.
offers = Table(
    "offers",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("journal", RowId, ForeignKey("journals.id"), nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("visit", String(16), ForeignKey("visits.visit"), nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("list_fen", BigInteger, nullable=False),
    Column("coupon", String(64), nullable=False),  # "": none
    Column("rules", String(64), nullable=False),  # SHA-256 of the file of discount rules; "": no rules
    Column("at_ms", BigInteger, nullable=False),
    UniqueConstraint("journal", "first_seq", "version"),
    CheckConstraint("0 <= total_fen AND total_fen <= list_fen", name="ck_offers_total"),
)
offer_items = Table(
    "offer_items",
    metadata,
    Column("offer", RowId, ForeignKey("offers.id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("epc", String(128), nullable=False),
    Column("goods", String(128), nullable=False),
    Column("name", Text, nullable=False),
    Column("list_fen", BigInteger, nullable=False),
    Column("brand", String(16), nullable=False),
    Column("zone", String(16), nullable=False),
    Index("ix_offer_items_epc", "epc"),
    sqlite_with_rowid=False,
)
offer_cuts = Table(
    "offer_cuts",
    metadata,
    Column("offer", RowId, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("rule", String(32), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("fen", BigInteger, nullable=False),
    Column("en", Text, nullable=False),
    Column("zh", Text, nullable=False),
    ForeignKeyConstraint(["offer", "position"], ["offer_items.offer", "offer_items.position"]),
    sqlite_with_rowid=False,
)
# The key is the rule: an EPC is in one open basket of the whole shop.
open_tags = Table(
    "open_tags",
    metadata,
    Column("epc", String(128), primary_key=True),
    Column("journal", RowId, ForeignKey("journals.id"), nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("visit", String(16), nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Index("ix_open_tags_journal_first_seq", "journal", "first_seq"),
    sqlite_with_rowid=False,
)
attempts = Table(
    "attempts",
    metadata,
    Column("order_no", String(32), primary_key=True),
    Column("offer", RowId, ForeignKey("offers.id"), nullable=False),
    Column("basket", String(27), nullable=False),  # EPOCH-SEQ, as on the wire
    Column("attempt", Integer, nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("ended", String(8), nullable=False),  # "": open; paid, unpaid, owed
    Column("reverses", Integer, nullable=False),
    Column("provider_no", String(64), nullable=False),
    Column("paid_ms", BigInteger),
    Column("reason", Text, nullable=False),
    Column("begun_ms", BigInteger, nullable=False),
    # The basket while the attempt is open, else NULL: one open attempt per basket.
    Column("open_basket", String(27), unique=True),
    UniqueConstraint("basket", "attempt"),
    Index("ix_attempts_ended", "ended"),
    sqlite_with_rowid=False,
)
attempt_steps = Table(
    "attempt_steps",
    metadata,
    Column("order_no", String(32), ForeignKey("attempts.order_no"), primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reverses", Integer, nullable=False),
    Column("provider_no", String(64), nullable=False),
    Column("paid_ms", BigInteger),
    Column("reason", Text, nullable=False),
    sqlite_with_rowid=False,
)
charges = Table(
    "charges",
    metadata,
    Column("order_no", String(32), ForeignKey("attempts.order_no"), primary_key=True),
    Column("offer", RowId, ForeignKey("offers.id"), nullable=False),
    Column("journal", RowId, ForeignKey("journals.id"), nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("visit", String(16), ForeignKey("visits.visit"), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("provider_no", String(64), nullable=False),
    Column("paid_ms", BigInteger),  # by the provider's clock
    Column("at_ms", BigInteger, nullable=False),
    UniqueConstraint("journal", "first_seq"),  # a basket is paid once
    CheckConstraint("amount_fen > 0", name="ck_charges_amount"),
    Index("ix_charges_visit", "visit"),
    sqlite_with_rowid=False,
)
sold_tags = Table(
    "sold_tags",
    metadata,
    Column("epc", String(128), primary_key=True),
    Column("offer", RowId, ForeignKey("offers.id"), nullable=False),  # goods for nothing have no charge
    Column("visit", String(16), nullable=False),
    Column("sold_ms", BigInteger, nullable=False),
    Index("ix_sold_tags_visit", "visit"),
    sqlite_with_rowid=False,
)
