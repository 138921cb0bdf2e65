"""Revision 3: the price list.

Written once and never edited: a ledger in the field has exactly these tables. Later changes are later
revisions.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "catalogue",
        sa.Column("goods", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.String(length=12), nullable=False),
        sa.Column("unit_fen", sa.BigInteger(), nullable=True),
        sa.Column("brand", sa.String(length=16), nullable=False),
        sa.Column("zone", sa.String(length=16), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("goods", name="pk_catalogue"),
        sa.CheckConstraint("price_fen >= 0", name="ck_catalogue_price"),
    )


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back: restore the backup made before the update")
