"""Unit records in a database, to be asked across runs; made from the journal, which stays the truth.

SQLite in WAL mode with ``synchronous=FULL``: a committed run survives loss of power. Tables: runs, units,
steps, modules, billing_evidence; a unit's key is its Device ID, or ``slot:<name>`` when the board never
told it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from particle_dev.errors import JournalError
from particle_dev.station.events import StepStatus, Verdict
from particle_dev.station.run_record import (
    Attempt,
    ModuleRecord,
    Parked,
    RunRecord,
    StepRecord,
    UnitRecord,
    standing_steps,
)
from particle_dev.station.verdict_data import billing_data, billing_from_data, gate_data, gate_from_data

DATABASE_NAME = "records.sqlite"

_metadata = sa.MetaData()
_runs = sa.Table(
    "runs",
    _metadata,
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
_units = sa.Table(
    "units",
    _metadata,
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
    sa.Column("gate", sa.JSON(none_as_null=True)),
)


def _unit_part(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """A table of ordered parts of a unit."""
    return sa.Table(
        name,
        _metadata,
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("unit", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        *columns,
        sa.ForeignKeyConstraint(["run_id", "unit"], ["units.run_id", "units.unit"]),
    )


_steps = _unit_part(
    "steps",
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("started_at", sa.String, nullable=False),
    sa.Column("duration_s", sa.Float),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("error", sa.JSON(none_as_null=True)),
)
_modules = _unit_part(
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
_billing_evidence = _unit_part(
    "billing_evidence",
    sa.Column("id", sa.String, nullable=False),
    sa.Column("statement", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("from", sa.String, nullable=False),
    sa.Column("until", sa.String, nullable=False),
    sa.Column("finding", sa.String, nullable=False),
)
_CHILDREN_FIRST = (_billing_evidence, _modules, _steps, _units, _runs)


@dataclass(frozen=True, slots=True)
class StoredUnit:
    """A unit record and the run that made it."""

    run_id: str
    run_started_at: str
    recipe_name: str | None
    unit: UnitRecord


class RecordDatabase:
    """The unit records of a folder or station, in the SQLite file ``path`` (made when absent).

    Every method raises JournalError when the file is locked for longer than ``busy_timeout_s``, full,
    damaged or no such database.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = 10.0) -> None:
        self.path = path
        url = sa.URL.create("sqlite", database=str(path))
        self._engine = sa.create_engine(url, connect_args={"timeout": busy_timeout_s})
        sa.event.listen(self._engine, "connect", _configure)
        try:
            with self._transaction() as connection:
                _metadata.create_all(connection)
                _add_gate(connection)
        except JournalError:
            self.close()
            raise

    def write_run(self, record: RunRecord) -> None:
        """Store a run in place of what is stored for its run id: all of it or, on error, nothing."""
        with self._transaction() as connection:
            for table in _CHILDREN_FIRST:
                connection.execute(table.delete().where(table.c.run_id == record.run_id))
            connection.execute(_runs.insert(), _run_row(record))
            for position, unit in enumerate(record.units):
                _insert_unit(connection, record.run_id, position, unit)

    def units(self) -> list[StoredUnit]:
        """All units, oldest run first, in the order of the run's slots."""
        query = (
            sa.select(_units, _runs.c.started_at.label("run_started_at"), _runs.c.recipe_name)
            .join(_runs)
            .order_by(_runs.c.started_at, _units.c.run_id, _units.c.position)
        )
        with self._transaction() as connection:
            rows = connection.execute(query).mappings().all()
            return [
                StoredUnit(row["run_id"], row["run_started_at"], row["recipe_name"], _read_unit(connection, row))
                for row in rows
            ]

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise JournalError(
                f"record database {self.path}: {error.orig}",
                path=str(self.path),
                hint="the journal is complete: make room or close other users of the file, then run "
                "'particle-dev station run' with the same --out again",
            ) from error


def _add_gate(connection: sa.Connection) -> None:
    """Files of before the gate lack its column."""
    if "gate" not in {column["name"] for column in sa.inspect(connection).get_columns("units")}:
        connection.execute(sa.text("ALTER TABLE units ADD COLUMN gate JSON"))


def _configure(connection: Any, _record: object) -> None:
    """WAL lets a report read while the station writes; FULL makes each commit safe against loss of power."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _run_row(record: RunRecord) -> dict[str, Any]:
    return {
        "run_id": record.run_id,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "verdict": record.verdict,
        "recipe_name": record.recipe.get("name"),
        "recipe_sha256": record.recipe.get("sha256"),
        "bench": record.bench,
        "operator": record.operator,
        "software": record.software,
    }


def _insert_unit(connection: sa.Connection, run_id: str, position: int, unit: UnitRecord) -> None:
    key = {"run_id": run_id, "unit": unit.device_id or f"slot:{unit.slot}"}
    billing = billing_data(unit.billing)
    attempts = [{**dataclasses.asdict(attempt), "steps": None} for attempt in unit.attempts]
    row = {
        **key,
        "position": position,
        "slot": unit.slot,
        "device_id": unit.device_id,
        "platform": unit.platform,
        "verdict": unit.verdict,
        "billing_verdict": billing["verdict"],
        "billing_from": billing["window"]["from"],
        "billing_until": billing["window"]["until"],
        "billing_missing": billing["missing"],
        "parked_mode": unit.parked.mode if unit.parked else None,
        "parked_power": unit.parked.power if unit.parked else None,
        "attempts": attempts,
        "gate": gate_data(unit.gate) if unit.gate else None,
    }
    connection.execute(_units.insert(), row)
    steps = [
        {"attempt": attempt.number, **dataclasses.asdict(step)} for attempt in unit.attempts for step in attempt.steps
    ]
    modules = [dataclasses.asdict(module) for module in unit.modules]
    evidence = billing["evidence"]
    for table, parts in ((_steps, steps), (_modules, modules), (_billing_evidence, evidence)):
        if parts:
            connection.execute(table.insert(), [{**key, "position": i, **part} for i, part in enumerate(parts)])


def _parts(connection: sa.Connection, table: sa.Table, unit: sa.RowMapping) -> list[dict[str, Any]]:
    """Rows of a part table of one unit, in order, without the key."""
    columns = [column for column in table.columns if not column.primary_key]
    query = (
        sa.select(*columns)
        .where(table.c.run_id == unit["run_id"], table.c.unit == unit["unit"])
        .order_by(table.c.position)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _read_unit(connection: sa.Connection, row: sa.RowMapping) -> UnitRecord:
    steps: dict[int, list[StepRecord]] = {}
    for part in _parts(connection, _steps, row):
        number = part.pop("attempt")
        steps.setdefault(number, []).append(StepRecord(**part | {"status": StepStatus(part["status"])}))
    attempts = []
    for stored in row["attempts"]:
        verdict = Verdict(stored["verdict"]) if stored["verdict"] else None
        attempts.append(Attempt(**stored | {"verdict": verdict, "steps": tuple(steps.get(stored["number"], ()))}))
    return UnitRecord(
        slot=row["slot"],
        device_id=row["device_id"],
        platform=row["platform"],
        verdict=Verdict(row["verdict"]),
        steps=standing_steps(attempts),
        modules=tuple(ModuleRecord(**part) for part in _parts(connection, _modules, row)),
        billing=billing_from_data(
            {
                "verdict": row["billing_verdict"],
                "window": {"from": row["billing_from"], "until": row["billing_until"]},
                "evidence": _parts(connection, _billing_evidence, row),
                "missing": row["billing_missing"],
            }
        ),
        parked=Parked(row["parked_mode"], row["parked_power"]) if row["parked_mode"] else None,
        attempts=tuple(attempts),
        gate=gate_from_data(row["gate"]) if row["gate"] else None,
    )
