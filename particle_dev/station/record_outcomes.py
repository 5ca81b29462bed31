"""One row for each go at a unit, which statistics count: made from the rows of its run, and made anew from them at any
time, so it proves nothing and can lose nothing.

``day``
    days since 1970-01-01 in UTC of the go's start; ``hour`` 0 to 23 of that day.
``attempts``
    attempts that came to an end; one that the station's own end cut short is none of the unit's.
``is_first``, ``is_last``
    0 or 1; of all goes at this Device ID that the records hold, by their start. A board that never told its Device ID
    is taken for another one each time.
``message``
    of a unit that did not pass: its error's message without what differs between units (:func:`message_group`).
``cycle_s``, ``bytes_per_s``
    of a unit that passed in attempts that all came to an end, none cut short: time in work, and the speed of its flash.
    ``cycle_bucket`` and ``speed_bucket`` are the same by :func:`bucket_of`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from particle_dev.station import record_tables as tables
from particle_dev.station.events import StepStatus, Verdict, parse_timestamp
from particle_dev.station.record_tables import Row, RunRows, storable

BUCKETS_PER_OCTAVE = 48
"""A bucket is 1.5 % wide: what is told from buckets is right within 0.7 %."""
UNKNOWN_VALUE = ""
"""In place of a station, platform or recipe that is not known."""
FLASH_STEPS = ("flash", "probe_flash")
_SECONDS_A_DAY = 86400
_MAX_MESSAGE = 120
_FLAGS_LOCK = 0x6F75_7463_6F6D_6573
"""Two stations may record goes at one unit at the same moment. "outcomes" in ASCII."""
_BATCH = 500
_MAX_TOLD = 20


def bucket_of(value: float | None) -> int | None:
    """The bucket of a value above 0; None: no such value."""
    return None if value is None or value <= 0 else math.floor(math.log2(value) * BUCKETS_PER_OCTAVE)


def bucket_value(bucket: int) -> float:
    """The middle of a bucket."""
    return float(2 ** ((bucket + 0.5) / BUCKETS_PER_OCTAVE))


_VARYING = (
    (re.compile(r"\b[0-9a-fA-F]{24}\b"), "DEVICE"),
    (re.compile(r"\b(?:slot )?slot:\S+|\bslot \S+?(?=[:,; ]|$)"), "slot …"),
    (re.compile(r"\b0[xX][0-9a-fA-F]+"), "…"),
    (re.compile(r"\b[0-9a-fA-F]{8,}\b"), "…"),
    (re.compile(r"\d+(?:[.,:-]\d+)*"), "…"),
)


def message_group(message: str) -> str:
    """A message without Device IDs, slots, addresses and numbers, so that equal failures are counted together."""
    text = " ".join(message.split())
    for pattern, replacement in _VARYING:
        text = pattern.sub(replacement, text)
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"


def outcomes_of(rows: RunRows) -> list[Row]:
    """The rows of a run's goes; ``is_first`` and ``is_last`` as if there were no other. ValueError: no station wrote
    these rows so."""
    try:
        run = rows["runs"][0]
        steps: dict[str, list[Row]] = {}
        for step in sorted(rows["steps"], key=lambda row: row["position"]):
            steps.setdefault(step["unit"], []).append(step)
        return [_outcome(run, unit, steps.get(unit["unit"], [])) for unit in rows["units"]]
    except (TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(f"these rows are not as a station writes them: {error!r}") from error


def _outcome(run: Mapping[str, Any], unit: Mapping[str, Any], steps: list[Row]) -> Row:
    started_at = unit["started_at"] or run["started_at"]
    day, second = divmod(int(parse_timestamp(started_at).timestamp()), _SECONDS_A_DAY)
    passed = unit["verdict"] == Verdict.PASS
    ended = [a for a in unit["attempts"] if a["verdict"] and a["verdict"] != Verdict.INTERRUPTED]
    judged = unit["verdict"] in (Verdict.FAIL, Verdict.REFUSED)
    # What a start of the station did until it was cut short is in no attempt's times.
    whole = passed and len(ended) == len(unit["attempts"])
    cycle_s = _cycle_s(unit["attempts"]) if whole else None
    speed = _speed(steps) if whole else None
    row = {
        "run_id": run["run_id"],
        "unit": unit["unit"],
        "device_id": unit["device_id"],
        "started_at": started_at,
        "day": day,
        "hour": second // 3600,
        "station_id": run["station_id"] or UNKNOWN_VALUE,
        "slot": unit["slot"],
        "platform": unit["platform"] or UNKNOWN_VALUE,
        "recipe_name": run["recipe_name"] or UNKNOWN_VALUE,
        "verdict": unit["verdict"],
        "attempts": max(1, len(ended)),
        "is_first": 1,
        "is_last": 1,
        "failed_step": unit["failed_step"] or UNKNOWN_VALUE if judged else None,
        "failure": unit["failure"] or UNKNOWN_VALUE if judged else None,
        "message": message_group(_message(unit, steps)) if judged else None,
        "cycle_s": cycle_s,
        "cycle_bucket": bucket_of(cycle_s),
        "bytes_per_s": speed,
        "speed_bucket": bucket_of(speed),
    }
    return storable(tables.unit_outcomes, row)


def _cycle_s(attempts: Iterable[Mapping[str, Any]]) -> float | None:
    """Negative parts come of a clock that was set back; such a time is not known."""
    parts = [(parse_timestamp(a["last_event_at"]) - parse_timestamp(a["started_at"])).total_seconds() for a in attempts]
    return sum(parts) if parts and min(parts) >= 0 and sum(parts) > 0 else None


def _speed(steps: Iterable[Mapping[str, Any]]) -> float | None:
    """Of the last flash that wrote anything."""
    speed = None
    for step in steps:
        work = step["evidence"].get("work") if step["name"] in FLASH_STEPS else None
        written = work.get("written_bytes") if isinstance(work, dict) else None
        if isinstance(written, int | float) and written > 0 and (step["duration_s"] or 0) > 0:
            speed = written / step["duration_s"]
    return speed


def _message(unit: Mapping[str, Any], steps: Iterable[Mapping[str, Any]]) -> str:
    last = unit["attempts"][-1] if unit["attempts"] else {}
    failed = [
        step["error"]
        for step in steps
        if step["attempt"] == last.get("number") and step["status"] == StepStatus.FAILED and step["error"]
    ]
    error = failed[-1] if failed else last.get("error")
    return str(error.get("message") or "") if isinstance(error, dict) else ""


def write_outcomes(connection: sa.Connection, rows: RunRows) -> None:
    """Add the rows of a run that has none, and bring the first and last goes of its units up to date."""
    outcomes = outcomes_of(rows)
    if outcomes:
        connection.execute(tables.unit_outcomes.insert(), outcomes)
    mark_first_and_last(connection, {row["device_id"] for row in outcomes if row["device_id"]})


def delete_outcomes(connection: sa.Connection, run_id: str) -> None:
    """Delete the rows of a run, and bring the first and last goes of its units up to date."""
    table = tables.unit_outcomes
    where = table.c.run_id == run_id
    device_ids = set(
        connection.execute(sa.select(table.c.device_id).where(where, table.c.device_id.is_not(None))).scalars()
    )
    connection.execute(table.delete().where(where))
    mark_first_and_last(connection, device_ids)


def delete_unit_outcome(connection: sa.Connection, run_id: str, unit: str) -> None:
    """Delete the row of one unit of a run that holds each unit once, and is alone in its database."""
    table = tables.unit_outcomes
    connection.execute(table.delete().where(table.c.run_id == run_id, table.c.unit == unit))


def mark_first_and_last(connection: sa.Connection, device_ids: Iterable[str]) -> None:
    """Say anew which of the goes at these units were the first and the last."""
    table = tables.unit_outcomes
    wanted = sorted(device_ids)
    if wanted and connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_FLAGS_LOCK)))
    columns = (table.c.run_id, table.c.unit, table.c.device_id, table.c.is_first, table.c.is_last)
    for start in range(0, len(wanted), _BATCH):
        query = sa.select(*columns).where(table.c.device_id.in_(wanted[start : start + _BATCH]))
        found = connection.execute(query.order_by(table.c.device_id, *_order(connection))).all()
        for at, row in enumerate(found):
            is_first = int(at == 0 or found[at - 1].device_id != row.device_id)
            is_last = int(at + 1 == len(found) or found[at + 1].device_id != row.device_id)
            if (row.is_first, row.is_last) != (is_first, is_last):
                where = (table.c.run_id == row.run_id, table.c.unit == row.unit)
                connection.execute(table.update().where(*where).values(is_first=is_first, is_last=is_last))


def rebuild_outcomes(connection: sa.Connection) -> int:
    """Make all rows anew from the runs; how many there are. A million units take minutes."""
    connection.execute(tables.unit_outcomes.delete())
    count = 0
    run_ids = connection.execute(sa.select(tables.runs.c.run_id)).scalars().all()
    for rows in _rows_of(connection, run_ids):
        try:
            outcomes = outcomes_of(rows)
        except ValueError:  # a damaged run must not lock the database up; verifying names it
            continue
        if outcomes:
            connection.execute(tables.unit_outcomes.insert(), outcomes)
            count += len(outcomes)
    table = tables.unit_outcomes
    several = sa.select(table.c.device_id).where(table.c.device_id.is_not(None)).group_by(table.c.device_id)
    mark_first_and_last(connection, connection.execute(several.having(sa.func.count() > 1)).scalars().all())
    return count


def _rows_of(connection: sa.Connection, run_ids: Iterable[str]) -> Iterator[RunRows]:
    for run_id in run_ids:
        yield {
            table.name: tables.read_rows(connection, table, table.c.run_id == run_id)
            for table in (tables.runs, tables.units, tables.steps)
        }


def stale_outcomes(connection: sa.Connection, rows: RunRows) -> bool:
    """Whether the rows that stand for a run are other ones than its rows make; first and last goes apart."""
    run_id = rows["runs"][0]["run_id"]
    standing = tables.read_rows(connection, tables.unit_outcomes, tables.unit_outcomes.c.run_id == run_id)
    try:
        made = sorted(outcomes_of(rows), key=lambda row: row["unit"])
    except ValueError:
        return True
    return [_facts(row) for row in sorted(standing, key=lambda row: row["unit"])] != [_facts(row) for row in made]


def _facts(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("is_first", "is_last")}


def wrongly_marked(connection: sa.Connection) -> list[str]:
    """Runs with goes of which it is not rightly said whether they are the first and the last at their unit."""
    table = tables.unit_outcomes
    device = sa.func.coalesce(table.c.device_id, table.c.run_id + ":" + table.c.unit)
    order = _order(connection)
    number = sa.func.row_number().over(partition_by=device, order_by=order)
    left = sa.func.row_number().over(partition_by=device, order_by=[column.desc() for column in order])
    marked = sa.select(
        table.c.run_id,
        table.c.is_first,
        table.c.is_last,
        sa.case((number == 1, 1), else_=0).label("should_be_first"),
        sa.case((left == 1, 1), else_=0).label("should_be_last"),
    ).subquery()
    columns = marked.c
    wrong = sa.or_(columns.is_first != columns.should_be_first, columns.is_last != columns.should_be_last)
    return list(connection.execute(sa.select(columns.run_id).where(wrong).distinct().limit(_MAX_TOLD)).scalars())


def _order(connection: sa.Connection) -> list[sa.ColumnElement[str]]:
    """Byte by byte, so that a database that moved to a server has the same first and last goes there."""
    table = tables.unit_outcomes
    collation = "C" if connection.dialect.name == "postgresql" else "BINARY"
    return [sa.collate(column, collation) for column in (table.c.started_at, table.c.run_id, table.c.unit)]
