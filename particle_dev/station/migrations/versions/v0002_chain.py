"""Signed entries, stations, measurements, names, attachments, and all of a run's facts, so that its report can be made
from the database. What was recorded before keeps its rows and gets no entry: nobody can vouch for it now."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
_NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add tables and columns."""
    database = op.create_table("record_database", sa.Column("database_id", sa.String, primary_key=True))
    op.bulk_insert(database, [{"database_id": uuid.uuid4().hex}])
    op.create_table(
        "stations",
        sa.Column("station_id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("public_key", sa.String, nullable=False),
        sa.Column("first_recorded_at", sa.String, nullable=False),
    )
    op.create_table(
        "entries",
        sa.Column("station_id", sa.String, sa.ForeignKey("stations.station_id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("run_id", sa.String, index=True),
        sa.Column("version", sa.Integer),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("payload_sha256", sa.String, nullable=False),
        sa.Column("previous_sha256", sa.String, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("signature", sa.String, nullable=False),
    )
    for name, kind in (
        ("recorded", sa.Integer()),
        ("station_id", sa.String()),
        ("recipe", sa.JSON()),
        ("slots", sa.JSON()),
        ("empty_slots", sa.JSON()),
        ("messages", sa.JSON()),
        ("attempts", sa.JSON()),
        ("last_seq", sa.Integer()),
        ("journal_sha256", sa.String()),
    ):
        op.add_column("runs", sa.Column(name, kind))
    op.create_index("ix_runs_recorded", "runs", ["recorded"])
    for name in ("started_at", "finished_at", "failed_step", "failure"):
        op.add_column("units", sa.Column(name, sa.String))
    _unit_part(
        "measurements",
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("step", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("text", sa.String),
        sa.Column("units", sa.String),
        sa.Column("lower", sa.Float),
        sa.Column("upper", sa.Float),
        sa.Column("status", sa.String, nullable=False),
    )
    _unit_part(
        "unit_names",
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("value", _NAME, nullable=False, index=True),
        sa.Column("reversed", _NAME, nullable=False, index=True),
    )
    op.create_table(
        "attachments",
        sa.Column("run_id", sa.String, sa.ForeignKey("runs.run_id"), primary_key=True),
        sa.Column("unit", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("media_type", sa.String, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    _name_known_units()


def _name_known_units() -> None:
    """Units of before must be found by search too."""
    connection = op.get_bind()
    units = sa.table("units", sa.column("run_id"), sa.column("unit"), sa.column("device_id"))
    names = sa.table("unit_names", *map(sa.column, ("run_id", "unit", "position", "kind", "value", "reversed")))
    known = connection.execute(sa.select(units).where(units.c.device_id.is_not(None))).all()
    rows = [
        {"run_id": r, "unit": u, "position": 0, "kind": "device_id", "value": d, "reversed": d[::-1]}
        for r, u, d in known
    ]
    if rows:
        connection.execute(names.insert(), rows)


def _unit_part(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("unit", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        *columns,
        sa.ForeignKeyConstraint(["run_id", "unit"], ["units.run_id", "units.unit"]),
    )
