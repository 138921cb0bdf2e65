"""Revision 2: revoked visits, public pass keys, and what boards are told of them.

Written once and never edited: a ledger in the field has exactly these tables. Later changes are later
revisions.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "revocations",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("visit", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=False),
        sa.Column("undone_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_revocations"),
    )
    op.create_index("ix_revocations_visit", "revocations", ["visit"])
    op.create_table(
        "pass_keys",
        sa.Column("key_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("public_key", sa.String(length=64), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name="pk_pass_keys"),
        sa.UniqueConstraint("public_key", name="uq_pass_keys_public_key"),
    )
    op.create_table(
        "pushed_tables",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("bucket", sa.String(length=8), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("entry_size", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "bucket", name="pk_pushed_tables"),
    )


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back: restore the backup made before the update")
