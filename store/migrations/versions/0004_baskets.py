"""Revision 4: versions and verdicts of baskets, and baskets that were not paid.

Written once and never edited: a ledger in the field has exactly these tables. Later changes are later
revisions.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for column in (
        sa.Column("first_seq", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.SmallInteger(), nullable=False, server_default="1"),
        sa.Column("verdict", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("missing", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("declared", sa.Integer(), nullable=True),
    ):
        op.add_column("baskets", column)
    op.create_table(
        "basket_closings",
        sa.Column("journal", RowId, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("clock", sa.SmallInteger(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("ref_seq", sa.BigInteger(), nullable=False),
        sa.Column("ref_epoch", sa.String(length=16), nullable=True),
        sa.Column("why", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("journal", "seq", name="pk_basket_closings"),
        sa.ForeignKeyConstraint(
            ["journal", "seq"],
            ["records.journal", "records.seq"],
            name="fk_basket_closings_journal_seq_records",
        ),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back: restore the backup made before the update")
