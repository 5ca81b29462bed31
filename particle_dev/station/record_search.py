"""Units and runs by what people know of them: a Device ID, a serial number, its beginning or its end, a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from particle_dev.errors import RecordNotFoundError
from particle_dev.station import record_tables as tables
from particle_dev.station.records import RecordDatabase, not_found

MIN_PART = 4
"""Characters of a beginning or end; fewer would find everything."""


@dataclass(frozen=True, slots=True)
class FoundUnit:
    """One go at a unit in one run, as lists show it. ``recorded`` orders what the database holds (None: recorded before
    there was a chain)."""

    run_id: str
    recorded: int | None
    unit: str
    slot: str
    device_id: str | None
    platform: str | None
    verdict: str
    billing_verdict: str
    gate_verdict: str | None
    failed_step: str | None
    failure: str | None
    started_at: str
    operator: str | None
    recipe_name: str | None
    station_id: str | None


@dataclass(frozen=True, slots=True)
class FoundRun:
    """One run, as lists show it."""

    run_id: str
    recorded: int | None
    started_at: str
    finished_at: str | None
    verdict: str
    recipe_name: str | None
    bench: str
    operator: str | None
    station_id: str | None
    units: int
    passed: int


def search(
    database: RecordDatabase,
    name: str = "",
    *,
    verdict: str | None = None,
    platform: str | None = None,
    operator: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 50,
) -> list[FoundUnit]:
    """Units by the whole, beginning or end of a name (Device ID, serial number, IMEI, ICCID) and by facts; last
    recorded first. Times are ISO 8601 in UTC, or beginnings of them.

    RecordNotFoundError: a name of fewer than MIN_PART characters. JournalError.
    """
    units, runs = tables.units, tables.runs
    if name and len(name) < MIN_PART:
        raise RecordNotFoundError(
            f"{name!r} is too short to search for", hint=f"give at least {MIN_PART} characters, of beginning or end"
        )
    of_units = [
        column == value for column, value in ((units.c.verdict, verdict), (units.c.platform, platform)) if value
    ]
    of_runs = [runs.c.operator == operator] if operator else []
    of_runs += [runs.c.started_at >= since] if since else []
    of_runs += [runs.c.started_at < until] if until else []
    with database.transaction(writing=False) as connection:
        if name:
            query = _units_of(runs).where(_named(name), *of_units, *of_runs).limit(limit)
            return [_found_unit(dict(row)) for row in connection.execute(query).mappings()]
        return _latest(connection, of_units, of_runs, limit)


def _units_of(runs: sa.FromClause) -> sa.Select[Any]:
    units = tables.units
    return (
        sa.select(
            units,
            runs.c.recorded,
            runs.c.station_id,
            runs.c.operator,
            runs.c.recipe_name,
            runs.c.started_at.label("run_started_at"),
        )
        .join_from(units, runs, units.c.run_id == runs.c.run_id)
        .order_by(sa.nulls_last(runs.c.recorded.desc()), units.c.run_id, units.c.position)
    )


def _latest(
    connection: sa.Connection,
    of_units: list[sa.ColumnElement[bool]],
    of_runs: list[sa.ColumnElement[bool]],
    limit: int,
) -> list[FoundUnit]:
    """Of more and more runs, the latest first: that the newest units stand in the newest runs is not known to a
    database, which would sort all units there are."""
    runs = tables.runs
    newest = sa.select(runs).where(*of_runs).order_by(sa.nulls_last(runs.c.recorded.desc()), runs.c.run_id)
    found: list[FoundUnit] = []
    first, count = 0, max(1, limit)
    while len(found) < limit:
        some = newest.offset(first).limit(count).subquery()
        query = _units_of(some).where(*of_units).limit(limit - len(found))
        found += [_found_unit(dict(row)) for row in connection.execute(query).mappings()]
        first, count = first + count, count * 8
        if connection.execute(newest.with_only_columns(runs.c.run_id).offset(first).limit(1)).first() is None:
            break
    return found


def _named(name: str) -> sa.ColumnElement[bool]:
    """In both spellings: Device IDs are kept in lower case, serial numbers in upper case."""
    names, units = tables.unit_names, tables.units
    parts = [
        part
        for text in dict.fromkeys((name, name.lower(), name.upper()))
        for part in (_begins(names.c.value, text), _begins(names.c.reversed, text[::-1]))
    ]
    found = (sa.select(names.c.run_id, names.c.unit).where(part).limit(_MAX_KEYS).subquery() for part in parts)
    keys = sa.union(*(sa.select(one) for one in found)).subquery()
    return sa.tuple_(units.c.run_id, units.c.unit).in_(sa.select(keys.c.run_id, keys.c.unit))


_MAX_KEYS = 1000


def _begins(column: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
    """As a range, which an index serves in every database."""
    return sa.and_(column >= text, column < text + "\U0010ffff")


def _found_unit(row: Mapping[str, Any]) -> FoundUnit:
    gate = row["gate"]
    return FoundUnit(
        run_id=row["run_id"],
        recorded=row["recorded"],
        unit=row["unit"],
        slot=row["slot"],
        device_id=row["device_id"],
        platform=row["platform"],
        verdict=row["verdict"],
        billing_verdict=row["billing_verdict"],
        gate_verdict=gate["verdict"] if gate else None,
        failed_step=row["failed_step"],
        failure=row["failure"],
        started_at=row["started_at"] or row["run_started_at"],
        operator=row["operator"],
        recipe_name=row["recipe_name"],
        station_id=row["station_id"],
    )


def list_runs(database: RecordDatabase, *, since: str | None = None, limit: int = 20) -> list[FoundRun]:
    """Runs, last recorded first. JournalError."""
    runs, units = tables.runs, tables.units
    latest = sa.select(runs).order_by(sa.nulls_last(runs.c.recorded.desc()), runs.c.started_at.desc()).limit(limit)
    if since:
        latest = latest.where(runs.c.started_at >= since)
    with database.transaction(writing=False) as connection:
        found = [dict(row) for row in connection.execute(latest).mappings()]
        verdicts: dict[str, list[str]] = {row["run_id"]: [] for row in found}
        # Not by a list of ids: a database takes only so many values in one question.
        wanted = latest.with_only_columns(runs.c.run_id).subquery()
        query = sa.select(units.c.run_id, units.c.verdict).where(units.c.run_id.in_(sa.select(wanted.c.run_id)))
        for run_id, verdict in connection.execute(query):
            verdicts[run_id].append(verdict)
    names = ("run_id", "recorded", "started_at", "finished_at", "verdict", "recipe_name", "bench", "operator")
    return [
        FoundRun(
            **{name: row[name] for name in names},
            station_id=row["station_id"],
            units=len(verdicts[row["run_id"]]),
            passed=verdicts[row["run_id"]].count("pass"),
        )
        for row in found
    ]


def run_named(database: RecordDatabase, name: str) -> str | None:
    """The run id that begins with ``name``, None when none or several do. JournalError."""
    column = tables.runs.c.run_id
    begins = column.like(name.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%", escape="\\")
    with database.transaction(writing=False) as connection:
        found = connection.execute(sa.select(column).where(sa.or_(column == name, begins)).limit(3)).scalars().all()
    return name if name in found else found[0] if len(found) == 1 else None


def unit_history(database: RecordDatabase, name: str) -> list[FoundUnit]:
    """Every go at the one unit that ``name`` means, last started first; as recorded where that is equal.

    RecordNotFoundError: none, or several units have such a name.
    """
    found = search(database, name, limit=1000)
    keys = list(dict.fromkeys(item.unit for item in found))
    exact = [key for key in keys if key == name.lower()]
    if exact:
        keys = exact
    if not keys:
        raise not_found(name)
    if len(keys) > 1:
        raise RecordNotFoundError(
            f"{name} may be {', '.join(keys[:5])}{' …' if len(keys) > 5 else ''}", hint="give more of the name"
        )
    history = [item for item in found if item.unit == keys[0]]
    return sorted(history, key=lambda item: (item.started_at, item.recorded or 0), reverse=True)
