"""Runs, units, steps, modules and billing evidence, as particle-dev 0.1 made them without Alembic."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("started_at", sa.String, nullable=False),
        sa.Column("finished_at", sa.String),
        sa.Column("verdict", sa.String, nullable=False),
        sa.Column("recipe_name", sa.String),
        sa.Column("recipe_sha256", sa.String),
        sa.Column("bench", sa.String, nullable=False),
        sa.Column("operator", sa.String),
        sa.Column("software", sa.JSON, nullable=False),
    )
    op.create_table(
        "units",
        sa.Column("run_id", sa.String, sa.ForeignKey("runs.run_id"), primary_key=True),
        sa.Column("unit", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("slot", sa.String, nullable=False),
        sa.Column("device_id", sa.String, index=True),
        sa.Column("platform", sa.String),
        sa.Column("verdict", sa.String, nullable=False),
        sa.Column("billing_verdict", sa.String, nullable=False),
        sa.Column("billing_from", sa.String),
        sa.Column("billing_until", sa.String),
        sa.Column("billing_missing", sa.JSON, nullable=False),
        sa.Column("parked_mode", sa.String),
        sa.Column("parked_power", sa.String),
        sa.Column("attempts", sa.JSON, nullable=False),
        sa.Column("gate", sa.JSON),
    )
    _unit_part(
        "steps",
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("started_at", sa.String, nullable=False),
        sa.Column("duration_s", sa.Float),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("error", sa.JSON),
    )
    _unit_part(
        "modules",
        sa.Column("function", sa.String, nullable=False),
        sa.Column("index", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("address", sa.BigInteger, nullable=False),
        sa.Column("file_name", sa.String, nullable=False),
        sa.Column("read_back_sha256", sa.String),
    )
    _unit_part(
        "billing_evidence",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("statement", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("from", sa.String, nullable=False),
        sa.Column("until", sa.String, nullable=False),
        sa.Column("finding", sa.String, nullable=False),
    )


def _unit_part(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("unit", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        *columns,
        sa.ForeignKeyConstraint(["run_id", "unit"], ["units.run_id", "units.unit"]),
    )
