"""Resolutions: what people decided about records, and what nobody else may decide meanwhile."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_GROWING_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "resolution",
        sa.Column("id", _GROWING_ID, nullable=False),
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("choice", sa.Text(), nullable=False),
        sa.Column("books_id", sa.Text(), nullable=True),
        sa.Column("billing_id", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_because", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["company"], ["company.key"], name=op.f("fk_resolution_company_company")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_resolution_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resolution")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_resolution_company_status"), "resolution", ["company", "status"], unique=False)
    op.create_table(
        "resolution_claim",
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("record_key", sa.Text(), nullable=False),
        sa.Column("aspect", sa.Text(), nullable=False),
        sa.Column("resolution_id", _GROWING_ID, nullable=False),
        sa.ForeignKeyConstraint(["company"], ["company.key"], name=op.f("fk_resolution_claim_company_company")),
        sa.ForeignKeyConstraint(
            ["resolution_id"], ["resolution.id"], name=op.f("fk_resolution_claim_resolution_id_resolution")
        ),
        sa.PrimaryKeyConstraint("company", "entity", "record_key", "aspect", name=op.f("pk_resolution_claim")),
    )
    op.create_index(op.f("ix_resolution_claim_resolution_id"), "resolution_claim", ["resolution_id"], unique=False)
