"""Revision 5: offers, payments, what is sold, and which open basket an EPC is in.

Written once and never edited: a ledger in the field has exactly these tables. Later changes are later
revisions.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("visits", sa.Column("settled_ms", sa.BigInteger(), nullable=True))
    op.create_table(
        "offers",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("journal", RowId, nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.SmallInteger(), nullable=False),
        sa.Column("visit", sa.String(length=16), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("list_fen", sa.BigInteger(), nullable=False),
        sa.Column("coupon", sa.String(length=64), nullable=False),
        sa.Column("rules", sa.String(length=64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_offers"),
        sa.CheckConstraint("0 <= total_fen AND total_fen <= list_fen", name="ck_offers_total"),
        sa.ForeignKeyConstraint(["journal"], ["journals.id"], name="fk_offers_journal_journals"),
        sa.ForeignKeyConstraint(["visit"], ["visits.visit"], name="fk_offers_visit_visits"),
        sa.UniqueConstraint("journal", "first_seq", "version", name="uq_offers_journal_first_seq_version"),
    )
    op.create_table(
        "offer_items",
        sa.Column("offer", RowId, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epc", sa.String(length=128), nullable=False),
        sa.Column("goods", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("list_fen", sa.BigInteger(), nullable=False),
        sa.Column("brand", sa.String(length=16), nullable=False),
        sa.Column("zone", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("offer", "position", name="pk_offer_items"),
        sa.ForeignKeyConstraint(["offer"], ["offers.id"], name="fk_offer_items_offer_offers"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_offer_items_epc", "offer_items", ["epc"], unique=False)
    op.create_table(
        "offer_cuts",
        sa.Column("offer", RowId, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.Column("en", sa.Text(), nullable=False),
        sa.Column("zh", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("offer", "position", "step", name="pk_offer_cuts"),
        sa.ForeignKeyConstraint(
            ["offer", "position"],
            ["offer_items.offer", "offer_items.position"],
            name="fk_offer_cuts_offer_position_offer_items",
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "open_tags",
        sa.Column("epc", sa.String(length=128), nullable=False),
        sa.Column("journal", RowId, nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("visit", sa.String(length=16), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("epc", name="pk_open_tags"),
        sa.ForeignKeyConstraint(["journal"], ["journals.id"], name="fk_open_tags_journal_journals"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_open_tags_journal_first_seq", "open_tags", ["journal", "first_seq"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("order_no", sa.String(length=32), nullable=False),
        sa.Column("offer", RowId, nullable=False),
        sa.Column("basket", sa.String(length=27), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("ended", sa.String(length=8), nullable=False),
        sa.Column("reverses", sa.Integer(), nullable=False),
        sa.Column("provider_no", sa.String(length=64), nullable=False),
        sa.Column("paid_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("begun_ms", sa.BigInteger(), nullable=False),
        sa.Column("open_basket", sa.String(length=27), nullable=True),
        sa.PrimaryKeyConstraint("order_no", name="pk_attempts"),
        sa.ForeignKeyConstraint(["offer"], ["offers.id"], name="fk_attempts_offer_offers"),
        sa.UniqueConstraint("basket", "attempt", name="uq_attempts_basket_attempt"),
        sa.UniqueConstraint("open_basket", name="uq_attempts_open_basket"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_attempts_ended", "attempts", ["ended"], unique=False)
    op.create_table(
        "attempt_steps",
        sa.Column("order_no", sa.String(length=32), nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reverses", sa.Integer(), nullable=False),
        sa.Column("provider_no", sa.String(length=64), nullable=False),
        sa.Column("paid_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("order_no", "step", name="pk_attempt_steps"),
        sa.ForeignKeyConstraint(
            ["order_no"], ["attempts.order_no"], name="fk_attempt_steps_order_no_attempts"
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "charges",
        sa.Column("order_no", sa.String(length=32), nullable=False),
        sa.Column("offer", RowId, nullable=False),
        sa.Column("journal", RowId, nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("visit", sa.String(length=16), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("provider_no", sa.String(length=64), nullable=False),
        sa.Column("paid_ms", sa.BigInteger(), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("order_no", name="pk_charges"),
        sa.CheckConstraint("amount_fen > 0", name="ck_charges_amount"),
        sa.ForeignKeyConstraint(["journal"], ["journals.id"], name="fk_charges_journal_journals"),
        sa.ForeignKeyConstraint(["offer"], ["offers.id"], name="fk_charges_offer_offers"),
        sa.ForeignKeyConstraint(["order_no"], ["attempts.order_no"], name="fk_charges_order_no_attempts"),
        sa.ForeignKeyConstraint(["visit"], ["visits.visit"], name="fk_charges_visit_visits"),
        sa.UniqueConstraint("journal", "first_seq", name="uq_charges_journal_first_seq"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_charges_visit", "charges", ["visit"], unique=False)
    op.create_table(
        "sold_tags",
        sa.Column("epc", sa.String(length=128), nullable=False),
        sa.Column("offer", RowId, nullable=False),
        sa.Column("visit", sa.String(length=16), nullable=False),
        sa.Column("sold_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("epc", name="pk_sold_tags"),
        sa.ForeignKeyConstraint(["offer"], ["offers.id"], name="fk_sold_tags_offer_offers"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_sold_tags_visit", "sold_tags", ["visit"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back: restore the backup made before the update")
