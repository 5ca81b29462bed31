"""A row for each go at a unit, for statistics. It is filled from what is there when the last revision has run."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table and its indexes."""
    op.create_table(
        "unit_outcomes",
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("unit", sa.String, primary_key=True),
        sa.Column("device_id", sa.String, index=True),
        sa.Column("started_at", sa.String, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("hour", sa.Integer, nullable=False),
        sa.Column("station_id", sa.String, nullable=False),
        sa.Column("slot", sa.String, nullable=False),
        sa.Column("platform", sa.String, nullable=False),
        sa.Column("recipe_name", sa.String, nullable=False),
        sa.Column("verdict", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("is_first", sa.Integer, nullable=False),
        sa.Column("is_last", sa.Integer, nullable=False),
        sa.Column("failed_step", sa.String),
        sa.Column("failure", sa.String),
        sa.Column("message", sa.String),
        sa.Column("cycle_s", sa.Float),
        sa.Column("cycle_bucket", sa.Integer),
        sa.Column("bytes_per_s", sa.Float),
        sa.Column("speed_bucket", sa.Integer),
        sa.ForeignKeyConstraint(["run_id", "unit"], ["units.run_id", "units.unit"]),
    )
    where = ["platform", "recipe_name"]
    slot = ["station_id", "slot"]
    _index("yield", ["day", *slot, *where, "verdict", "attempts", "is_first", "is_last", "hour"])
    is_failure = sa.text("message IS NOT NULL")
    op.create_index(
        "ix_unit_outcomes_failures",
        "unit_outcomes",
        ["day", "failed_step", "failure", "message", *slot, *where],
        sqlite_where=is_failure,
        postgresql_where=is_failure,
    )
    _index("cycle", [*slot, "cycle_bucket", "day", *where])
    _index("speed", [*slot, "speed_bucket", "day", *where])
    _index("trend", ["day", *slot, "cycle_s", "bytes_per_s", *where, "hour"])


def _index(name: str, columns: list[str]) -> None:
    op.create_index(f"ix_unit_outcomes_{name}", "unit_outcomes", columns)
