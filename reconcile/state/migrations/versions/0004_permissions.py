"""Permissions: what a person lets pass, and the runs that used it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_GROWING_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "permission",
        sa.Column("id", _GROWING_ID, nullable=False),
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("guard", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("up_to", sa.BigInteger(), nullable=True),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("seen_in", sa.Text(), nullable=False),
        sa.Column("standing", sa.Boolean(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["company"], ["company.key"], name=op.f("fk_permission_company_company")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_permission")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_permission_company"), "permission", ["company"], unique=False)
    op.create_table(
        "permission_use",
        sa.Column("permission_id", _GROWING_ID, autoincrement=False, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["permission_id"], ["permission.id"], name=op.f("fk_permission_use_permission_id_permission")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_permission_use_run_id_run")),
        sa.PrimaryKeyConstraint("permission_id", "run_id", name=op.f("pk_permission_use")),
    )
