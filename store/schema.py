"""The ledger's tables (SQLAlchemy Core), the same for SQLite and PostgreSQL.

Facts are only ever inserted. What may change in place is bookkeeping that no auditor would miss: how far
a journal is posted, what a board last said of itself, fault counters, the clearing time of an alarm, the end
of a revocation or a key, the price list, what was last published of a table, and whether a visit owes.
Must never hold a payment code, a private key, or anything that names a person.

Ids: epochs and visits are lower-case hex text (16 characters), EPCs upper-case hex, times milliseconds of
the Unix epoch (``at_ms`` by the board's clock, ``*_ms`` elsewhere by the store's).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

RowId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only in an INTEGER key

boards = Table(
    "boards",
    metadata,
    Column("board", String(63), primary_key=True),
    Column("epoch", String(16)),  # the journal its last `state` named
    Column("online", Boolean),
    Column("state", Text),
    Column("fw", Text),
    Column("state_ms", BigInteger),
    Column("record_ms", BigInteger),
)

journals = Table(
    "journals",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("board", String(63), ForeignKey("boards.board"), nullable=False),
    Column("epoch", String(16), nullable=False),
    Column("through", BigInteger, nullable=False),  # highest contiguous seq that is posted
    Column("first_seq", BigInteger),  # what the board says it holds
    Column("last_seq", BigInteger),
    Column("opened_ms", BigInteger, nullable=False),
    UniqueConstraint("board", "epoch"),
)

records = Table(
    "records",
    metadata,
    Column("journal", RowId, ForeignKey("journals.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),  # as it came, for audit and for later readers
    Column("received_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

visits = Table(
    "visits",
    metadata,
    Column("visit", String(16), primary_key=True),
    Column("origin", String(12), nullable=False),  # "pass" or "anonymous"
    Column("opened_ms", BigInteger, nullable=False),
    Column("kind", String(12)),
    Column("campaign", BigInteger),
    Column("placement", Integer),
    Column("settled_ms", BigInteger),  # when all its goods were paid; NULL: it owes, or never bought
)


def _fact(name: str, *columns: Any) -> Table:
    """A table with one row per record of some type, keyed and bound to that record."""
    return Table(
        name,
        metadata,
        Column("journal", RowId, primary_key=True, autoincrement=False),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("clock", SmallInteger, nullable=False),  # 0 unsynced, 1 synced, 2 declared
        Column("flags", Integer, nullable=False),  # 1 offline, 2 in memory, 4 provisional
        *columns,
        ForeignKeyConstraint(["journal", "seq"], ["records.journal", "records.seq"]),
        sqlite_with_rowid=False,
    )


def _visit(nullable: bool = False) -> Column[str]:
    return Column("visit", String(16), ForeignKey("visits.visit"), nullable=nullable)


admissions = _fact(
    "admissions",
    _visit(),
    Column("direction", String(3), nullable=False),
    Column("uses", Integer, nullable=False),
    Index("ix_admissions_visit_direction", "visit", "direction"),
)
passages = _fact(
    "passages",
    _visit(),
    Column("direction", String(3), nullable=False),
    Column("ref_seq", BigInteger, nullable=False),  # its admission; 0 = never journalled
    Column("ref_epoch", String(16)),  # only where that stands in an earlier journal
    Index("ix_passages_visit", "visit"),
)
annulments = _fact(
    "annulments",
    _visit(),
    Column("direction", String(3), nullable=False),
    Column("uses", Integer, nullable=False),
    Column("ref_seq", BigInteger, nullable=False),
    Column("ref_epoch", String(16)),
    Column("why", Text, nullable=False),
    Index("ix_annulments_visit_direction", "visit", "direction"),
)
# A refused code may carry any visit, also one that nobody ever opened: no foreign key here.
refusals = _fact(
    "refusals",
    Column("reason", SmallInteger, nullable=False),
    Column("code_kind", String(16), nullable=False),
    Column("visit", String(16)),
)
baskets = _fact(
    "baskets",
    _visit(),
    Column("reason", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("first_seq", BigInteger),  # of its first version, which names the basket; NULL: this is it
    Column("version", SmallInteger, nullable=False, server_default="1"),
    Column("verdict", SmallInteger, nullable=False, server_default="0"),  # index in records' VERDICTS
    Column("missing", Integer, nullable=False, server_default="0"),
    Column("declared", Integer),
    Index("ix_baskets_visit", "visit"),
)
# A portal's word that a basket will not be paid there. The basket may be of a journal that never came.
basket_closings = _fact(
    "basket_closings",
    Column("ref_seq", BigInteger, nullable=False),  # the basket's first version
    Column("ref_epoch", String(16)),  # only where that stands in an earlier journal
    Column("why", String(16), nullable=False),
)
basket_tags = Table(
    "basket_tags",
    metadata,
    Column("journal", RowId, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("epc", String(128), nullable=False),
    ForeignKeyConstraint(["journal", "seq"], ["baskets.journal", "baskets.seq"]),
    Index("ix_basket_tags_epc", "epc"),
    sqlite_with_rowid=False,
)
# Every other fact a board reports: started, damaged, missing, skipped, exit, price look, photo, ...
events = _fact(
    "events",
    Column("name", String(24), nullable=False),
    Column("visit", String(16)),
    Column("detail", Text, nullable=False),  # JSON
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("board", String(63), ForeignKey("boards.board"), nullable=False),
    Column("journal", RowId, ForeignKey("journals.id")),
    Column("seq", BigInteger),
    Column("source", String(5), nullable=False),  # "board" or "store"
    Column("kind", String(48), nullable=False),
    Column("subject", String(64), nullable=False),  # what it is about, e.g. a visit; "" if nothing
    Column("detail", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("cleared_ms", BigInteger),
    UniqueConstraint("journal", "seq", "kind"),
    Index("ix_alarms_kind_subject", "kind", "subject"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("journal", RowId, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("raw", LargeBinary, nullable=False),  # the whole frame's body
    Column("error", Text, nullable=False),
    Column("found_ms", BigInteger, nullable=False),
    ForeignKeyConstraint(["journal", "seq"], ["records.journal", "records.seq"]),
)

# Ranges of which the board said that they will never come. Holes in them are passed over; a record of
# the range that comes after all is still posted.
gaps = Table(
    "gaps",
    metadata,
    Column("journal", RowId, ForeignKey("journals.id"), primary_key=True, autoincrement=False),
    Column("from_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("to_seq", BigInteger),  # NULL: the board does not know how many there were
    Column("reason", Text, nullable=False),
    Column("found_ms", BigInteger, nullable=False),
)

# Frames that could not be stored at all, per board: nothing in them can be trusted but the topic.
wire_faults = Table(
    "wire_faults",
    metadata,
    Column("board", String(63), ForeignKey("boards.board"), primary_key=True),
    Column("kind", String(24), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
)

# Visits whose passes are withdrawn. A visit may be withdrawn, forgiven and withdrawn again.
revocations = Table(
    "revocations",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("visit", String(16), nullable=False),  # of a pass that may never have been shown: no foreign key
    Column("reason", Text, nullable=False),
    Column("revoked_ms", BigInteger, nullable=False),
    Column("undone_ms", BigInteger),
    Index("ix_revocations_visit", "visit"),
)

# Public keys that boards verify passes with. A number is never given to a second key.
pass_keys = Table(
    "pass_keys",
    metadata,
    Column("key_id", Integer, primary_key=True, autoincrement=False),
    Column("public_key", String(64), nullable=False, unique=True),
    Column("added_ms", BigInteger, nullable=False),
    Column("retired_ms", BigInteger),
)

# The price list: one row per GTIN-14, or per full EPC for goods without a GS1 code.
catalogue = Table(
    "catalogue",
    metadata,
    Column("goods", String(128), primary_key=True),  # 14 digits, or "epc:" and upper-case hex
    Column("name", Text, nullable=False),
    Column("price_fen", BigInteger, nullable=False),
    Column("unit", String(12), nullable=False),  # "": no unit price
    Column("unit_fen", BigInteger),
    Column("brand", String(16), nullable=False),
    Column("zone", String(16), nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    CheckConstraint("price_fen >= 0", name="ck_catalogue_price"),
)

# What boards are told: one row per table and bucket, exactly as published under that version.
pushed = Table(
    "pushed_tables",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("bucket", String(8), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("entry_size", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)

FACTS: tuple[Table, ...] = (
    admissions,
    passages,
    annulments,
    refusals,
    baskets,
    basket_tags,
    basket_closings,
    events,
    alarms,
)
"""The tables that posted records go to, in an order that satisfies their foreign keys."""
