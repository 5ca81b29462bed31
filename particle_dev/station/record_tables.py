"""The tables of unit records, for SQLite and PostgreSQL alike, and what a row is for hashes and backups.

A unit's key is its Device ID, or ``slot:<name>`` when the board never told it. Where a table belongs to a run, its
rows are part of what the run's entry in the chain proves (:mod:`particle_dev.station.record_chain`). Older files are
brought to this by ``migrations/``; a change here needs a revision there, and ``HEAD`` named after it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import sqlalchemy as sa

HEAD = "0004"
"""The newest revision in ``migrations/versions``."""

Row: TypeAlias = dict[str, Any]
RunRows: TypeAlias = dict[str, list[Row]]
"""All rows of one run, by table."""

metadata = sa.MetaData()
_OBJECT = sa.JSON(none_as_null=True)
# Compared byte by byte, so that an index also serves the search for a beginning.
_NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")

databases = sa.Table("record_database", metadata, sa.Column("database_id", sa.String, primary_key=True))
stations = sa.Table(
    "stations",
    metadata,
    sa.Column("station_id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("public_key", sa.String, nullable=False),
    sa.Column("first_recorded_at", sa.String, nullable=False),
)
entries = sa.Table(
    "entries",
    metadata,
    sa.Column("station_id", sa.ForeignKey("stations.station_id"), primary_key=True),
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
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("started_at", sa.String, nullable=False),
    sa.Column("finished_at", sa.String),
    sa.Column("verdict", sa.String, nullable=False),
    sa.Column("recipe_name", sa.String),
    sa.Column("recipe_sha256", sa.String),
    sa.Column("bench", sa.String, nullable=False),
    sa.Column("operator", sa.String),
    sa.Column("software", sa.JSON, nullable=False),
    # From here on None in runs that were recorded before there was a chain.
    sa.Column("recorded", sa.Integer, index=True),
    sa.Column("station_id", sa.String),
    sa.Column("recipe", _OBJECT),
    sa.Column("slots", _OBJECT),
    sa.Column("empty_slots", _OBJECT),
    sa.Column("messages", _OBJECT),
    sa.Column("attempts", _OBJECT),
    sa.Column("last_seq", sa.Integer),
    sa.Column("journal_sha256", sa.String),
)
units = sa.Table(
    "units",
    metadata,
    sa.Column("run_id", sa.ForeignKey("runs.run_id"), primary_key=True),
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
    sa.Column("gate", _OBJECT),
    sa.Column("started_at", sa.String),
    sa.Column("finished_at", sa.String),
    sa.Column("failed_step", sa.String),
    sa.Column("failure", sa.String),
)


def _unit_part(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """A table of ordered parts of a unit."""
    return sa.Table(
        name,
        metadata,
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("unit", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        *columns,
        sa.ForeignKeyConstraint(["run_id", "unit"], ["units.run_id", "units.unit"]),
    )


steps = _unit_part(
    "steps",
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("started_at", sa.String, nullable=False),
    sa.Column("duration_s", sa.Float),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("error", _OBJECT),
)
modules = _unit_part(
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
billing_evidence = _unit_part(
    "billing_evidence",
    sa.Column("id", sa.String, nullable=False),
    sa.Column("statement", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("from", sa.String, nullable=False),
    sa.Column("until", sa.String, nullable=False),
    sa.Column("finding", sa.String, nullable=False),
)
measurements = _unit_part(
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
unit_names = _unit_part(
    "unit_names",
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("value", _NAME, nullable=False, index=True),
    sa.Column("reversed", _NAME, nullable=False, index=True),
)
attachments = sa.Table(
    "attachments",
    metadata,
    sa.Column("run_id", sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("unit", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("media_type", sa.String, nullable=False),
    sa.Column("size_bytes", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

unit_outcomes = sa.Table(
    "unit_outcomes",
    metadata,
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
"""One row for each go at a unit, for statistics: made from the other rows of its run by
:mod:`particle_dev.station.record_outcomes`, which says what the columns mean; so no part of a run's digest."""
# Each holds all that one question asks, in the order in which it is counted: a million units in a tenth of a second.
sa.Index(
    "ix_unit_outcomes_yield",
    *(unit_outcomes.c[name] for name in ("day", "station_id", "slot", "platform", "recipe_name")),
    *(unit_outcomes.c[name] for name in ("verdict", "attempts", "is_first", "is_last", "hour")),
)
_IS_FAILURE = unit_outcomes.c.message.is_not(None)
sa.Index(
    "ix_unit_outcomes_failures",
    *(unit_outcomes.c[name] for name in ("day", "failed_step", "failure", "message")),
    *(unit_outcomes.c[name] for name in ("station_id", "slot", "platform", "recipe_name")),
    sqlite_where=_IS_FAILURE,
    postgresql_where=_IS_FAILURE,
)
for _name in ("cycle", "speed"):
    sa.Index(
        f"ix_unit_outcomes_{_name}",
        *(unit_outcomes.c[name] for name in ("station_id", "slot", f"{_name}_bucket")),
        *(unit_outcomes.c[name] for name in ("day", "platform", "recipe_name")),
    )
sa.Index(
    "ix_unit_outcomes_trend",
    *(unit_outcomes.c[name] for name in ("day", "station_id", "slot", "cycle_s", "bytes_per_s")),
    *(unit_outcomes.c[name] for name in ("platform", "recipe_name", "hour")),
)

UNIT_PARTS = (steps, modules, billing_evidence, measurements, unit_names)
RUN_TABLES = (runs, units, *UNIT_PARTS, attachments)
"""What belongs to a run, parents before children."""
ALL_TABLES = (databases, stations, entries, *RUN_TABLES, unit_outcomes)


def storable(table: sa.Table, row: Mapping[str, Any]) -> Row:
    """``row`` with every column of the table, and each value as any of the databases gives it back."""
    return {column.name: _storable(column, row.get(column.name)) for column in table.columns}


def _storable(column: sa.Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, sa.Float):
        return float(value)
    if isinstance(column.type, sa.String):
        # Neither NUL nor half of a surrogate pair can be stored as text; boards may send anything.
        return str(value).replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(column.type, sa.JSON):
        return json.loads(json.dumps(value, allow_nan=False))
    return value


def read_run(connection: sa.Connection, run_id: str) -> RunRows:
    """All rows of one run; no row in ``runs``: there is no such run."""
    return {table.name: read_rows(connection, table, table.c.run_id == run_id) for table in RUN_TABLES}


def read_rows(connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> list[Row]:
    """Rows of one table, in the order of its key."""
    query = sa.select(table).where(where).order_by(*table.primary_key.columns)
    return [dict(row) for row in connection.execute(query).mappings()]


def digest(value: Any) -> str:
    """SHA-256 of JSON data in one spelling; bytes count by their own SHA-256."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_digest_of_bytes, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def run_digest(rows: RunRows) -> str:
    """Digest of all rows of a run, whatever order they come in."""
    return digest({table.name: _sorted(table, rows.get(table.name, ())) for table in RUN_TABLES})


def _sorted(table: sa.Table, rows: Iterable[Row]) -> list[Row]:
    key = [column.name for column in table.primary_key.columns]
    return sorted(rows, key=lambda row: [row[name] for name in key])


def _digest_of_bytes(value: object) -> dict[str, str]:
    if isinstance(value, bytes | memoryview):
        return {"sha256": hashlib.sha256(value).hexdigest()}
    raise TypeError(f"no JSON: {value!r}")
