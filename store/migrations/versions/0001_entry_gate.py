"""Revision 1: boards, journals, records as they came, and the typed facts of the entry gate.

Written once and never edited: a ledger in the field has exactly these tables. Later changes are later
revisions.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "boards",
        sa.Column("board", sa.String(length=63), nullable=False),
        sa.Column("epoch", sa.String(length=16), nullable=True),
        sa.Column("online", sa.Boolean(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("fw", sa.Text(), nullable=True),
        sa.Column("state_ms", sa.BigInteger(), nullable=True),
        sa.Column("record_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("board", name="pk_boards"),
    )
    op.create_table(
        "visits",
        sa.Column("visit", sa.String(length=16), nullable=False),
        sa.Column("origin", sa.String(length=12), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=True),
        sa.Column("campaign", sa.BigInteger(), nullable=True),
        sa.Column("placement", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("visit", name="pk_visits"),
    )
    op.create_table(
        "journals",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("board", sa.String(length=63), nullable=False),
        sa.Column("epoch", sa.String(length=16), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=True),
        sa.Column("last_seq", sa.BigInteger(), nullable=True),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["board"], ["boards.board"], name="fk_journals_board"),
        sa.PrimaryKeyConstraint("id", name="pk_journals"),
        sa.UniqueConstraint("board", "epoch", name="uq_journals_board_epoch"),
    )
    op.create_table(
        "wire_faults",
        sa.Column("board", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["board"], ["boards.board"], name="fk_wire_faults_board"),
        sa.PrimaryKeyConstraint("board", "kind", name="pk_wire_faults"),
    )
    op.create_table(
        "alarms",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("board", sa.String(length=63), nullable=False),
        sa.Column("journal", RowId, nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(length=5), nullable=False),
        sa.Column("kind", sa.String(length=48), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("cleared_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["board"], ["boards.board"], name="fk_alarms_board"),
        sa.ForeignKeyConstraint(["journal"], ["journals.id"], name="fk_alarms_journal"),
        sa.PrimaryKeyConstraint("id", name="pk_alarms"),
        sa.UniqueConstraint("journal", "seq", "kind", name="uq_alarms_journal_seq_kind"),
    )
    op.create_index("ix_alarms_kind_subject", "alarms", ["kind", "subject"])
    op.create_table(
        "gaps",
        sa.Column("journal", RowId, autoincrement=False, nullable=False),
        sa.Column("from_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("to_seq", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("found_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["journal"], ["journals.id"], name="fk_gaps_journal"),
        sa.PrimaryKeyConstraint("journal", "from_seq", name="pk_gaps"),
    )
    op.create_table(
        "records",
        sa.Column("journal", RowId, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["journal"], ["journals.id"], name="fk_records_journal"),
        sa.PrimaryKeyConstraint("journal", "seq", name="pk_records"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "admissions",
        sa.Column("journal", RowId, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("clock", sa.SmallInteger(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("visit", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.String(length=3), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["journal", "seq"], ["records.journal", "records.seq"], name="fk_admissions_journal_seq"
        ),
        sa.ForeignKeyConstraint(["visit"], ["visits.visit"], name="fk_admissions_visit"),
        sa.PrimaryKeyConstraint("journal", "seq", name="pk_admissions"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_admissions_visit_direction", "admissions", ["visit", "direction"])
    op.create_table(
        "annulments",
        sa.Column("journal", RowId, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("clock", sa.SmallInteger(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("visit", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.String(length=3), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("ref_seq", sa.BigInteger(), nullable=False),
        sa.Column("ref_epoch", sa.String(length=16), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["journal", "seq"], ["records.journal", "records.seq"], name="fk_annulments_journal_seq"
        ),
        sa.ForeignKeyConstraint(["visit"], ["visits.visit"], name="fk_annulments_visit"),
        sa.PrimaryKeyConstraint("journal", "seq", name="pk_annulments"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_annulments_visit_direction", "annulments", ["visit", "direction"])
    op.create_table(
        "baskets",
        sa.Column("journal", RowId, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("clock", sa.SmallInteger(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("visit", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["journal", "seq"], ["records.journal", "records.seq"], name="fk_baskets_journal_seq"
        ),
        sa.ForeignKeyConstraint(["visit"], ["visits.visit"], name="fk_baskets_visit"),
        sa.PrimaryKeyConstraint("journal", "seq", name="pk_baskets"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_baskets_visit", "baskets", ["visit"])
    op.create_table(
        "events",
        sa.Column("journal", RowId, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("clock", sa.SmallInteger(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=24), nullable=False),
        sa.Column("visit", sa.String(length=16), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["journal", "seq"], ["records.journal", "records.seq"], name="fk_events_journal_seq"
        ),
        sa.PrimaryKeyConstraint("journal", "seq", name="pk_events"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "passages",
        sa.Column("journal", RowId, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("clock", sa.SmallInteger(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("visit", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.String(length=3), nullable=False),
        sa.Column("ref_seq", sa.BigInteger(), nullable=False),
        sa.Column("ref_epoch", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(
            ["journal", "seq"], ["records.journal", "records.seq"], name="fk_passages_journal_seq"
        ),
        sa.ForeignKeyConstraint(["visit"], ["visits.visit"], name="fk_passages_visit"),
        sa.PrimaryKeyConstraint("journal", "seq", name="pk_passages"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_passages_visit", "passages", ["visit"])
    op.create_table(
        "quarantine",
        sa.Column("journal", RowId, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("found_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["journal", "seq"], ["records.journal", "records.seq"], name="fk_quarantine_journal_seq"
        ),
        sa.PrimaryKeyConstraint("journal", "seq", name="pk_quarantine"),
    )
    op.create_table(
        "refusals",
        sa.Column("journal", RowId, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("clock", sa.SmallInteger(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("reason", sa.SmallInteger(), nullable=False),
        sa.Column("code_kind", sa.String(length=16), nullable=False),
        sa.Column("visit", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(
            ["journal", "seq"], ["records.journal", "records.seq"], name="fk_refusals_journal_seq"
        ),
        sa.PrimaryKeyConstraint("journal", "seq", name="pk_refusals"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "basket_tags",
        sa.Column("journal", RowId, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epc", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["journal", "seq"], ["baskets.journal", "baskets.seq"], name="fk_basket_tags_journal_seq"
        ),
        sa.PrimaryKeyConstraint("journal", "seq", "position", name="pk_basket_tags"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_basket_tags_epc", "basket_tags", ["epc"])


def downgrade() -> None:
    raise NotImplementedError("a ledger is never taken back: restore the backup made before the update")
