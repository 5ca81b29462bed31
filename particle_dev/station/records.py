"""Unit records in a database, to be asked across runs; made from the journals, which stay the truth.

SQLite in WAL mode with ``synchronous=FULL`` (a committed run survives loss of power), or PostgreSQL for several
stations (extra ``particle-dev[postgres]``). A run is written in one transaction, with an entry in the chain of the
station that writes it; written again unchanged, it changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from particle_dev.errors import ConfigError, JournalError, RecordNotFoundError, RecordsAwayError
from particle_dev.station import record_tables as tables
from particle_dev.station.events import timestamp
from particle_dev.station.record_chain import (
    Verification,
    append_entry,
    database_id_of,
    standing_entry,
    verify_chain,
    verify_run,
)
from particle_dev.station.record_migration import is_current, migrate
from particle_dev.station.record_outcomes import delete_outcomes, write_outcomes
from particle_dev.station.record_rows import (
    Attachment,
    Origin,
    attachment_of,
    attachment_row,
    rows_of_run,
    run_of_rows,
    unit_of_rows,
)
from particle_dev.station.record_tables import RunRows, read_run, run_digest, storable
from particle_dev.station.run_record import RunRecord, UnitRecord
from particle_dev.station.station_key import Anchor, StationKey
from particle_dev.transport.clock import SystemClock

DATABASE_NAME = "records.sqlite"
_POSTGRESQL = "postgresql+psycopg"
_CONNECT_TIMEOUT_S = 5
_LOCK_NAMESPACE = 0x7061_7274  # "part"


@dataclass(frozen=True, slots=True)
class StoredUnit:
    """A unit record and the run that made it."""

    run_id: str
    run_started_at: str
    recipe_name: str | None
    unit: UnitRecord


class RecordDatabase:
    """The unit records in ``place``: a SQLite file (made when absent), or a URL ``postgresql://…``.

    Every method raises JournalError when the database is locked for longer than ``busy_timeout_s``, full, damaged, made
    by a newer particle-dev or none at all; RecordsAwayError when a server does not answer or breaks off, and then
    nothing or all of what was asked is done: to ask again does no harm. ConfigError: a URL that cannot be used.
    """

    def __init__(self, place: Path | str, *, busy_timeout_s: float = 10.0) -> None:
        self.place = place
        self._url, arguments = _connection(place, busy_timeout_s)
        self.shown = self._url.render_as_string(hide_password=True) if isinstance(place, str) else str(place)
        """The place as it may be printed."""
        try:
            self._engine = sa.create_engine(self._url, connect_args=arguments)
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            raise ConfigError(
                "records on PostgreSQL need the library psycopg",
                hint="install it: pip install 'particle-dev[postgres]'",
            ) from error
        if self._url.get_backend_name() == "sqlite":
            sa.event.listen(self._engine, "connect", _configure)
            sa.event.listen(self._engine, "begin", _begin)
        try:
            with self.transaction(writing=False) as connection:
                current = is_current(connection)
            if not current:
                with self.transaction() as connection:
                    migrate(connection)
        except JournalError:
            self.close()
            raise

    def write_run(
        self,
        record: RunRecord,
        key: StationKey,
        attachments: Iterable[Attachment] = (),
        *,
        last_seq: int | None = None,
        journal_sha256: str | None = None,
        at: datetime | None = None,
    ) -> bool:
        """Store a run in place of what is stored for its run id, signed by ``key``: all of it or, on error, nothing.

        False: exactly this is stored already. Attachments of other names stay. JournalError also: the database knows
        more events of this run than ``last_seq``.
        """
        with self.as_station(key) as connection:
            # Not before: whoever had the chain meanwhile has written a later time into it.
            written = timestamp(at or SystemClock().utc_now())
            stored = read_run(connection, record.run_id)
            old = stored["runs"][0] if stored["runs"] else None
            if old and last_seq is not None and (old["last_seq"] or 0) > last_seq:
                raise JournalError(
                    f"run {record.run_id} is recorded up to event {old['last_seq']}, this journal ends at {last_seq}",
                    hint="find out which folder is the newer copy; nothing was changed",
                )
            known = old is not None and old["recorded"] is not None
            origin = Origin(
                old["station_id"] if old and known else key.station_id,
                old["recorded"] if old and known else _next_recorded(connection),
                last_seq,
                journal_sha256,
            )
            rows = rows_of_run(record, origin, attachments)
            given = {(row["unit"], row["name"]) for row in rows["attachments"]}
            rows["attachments"] += [a for a in stored["attachments"] if (a["unit"], a["name"]) not in given]
            return _replace_run(connection, key, record.run_id, rows, written)

    def attach(self, run_id: str, attachment: Attachment, key: StationKey) -> None:
        """Add a file to a run or one of its units, or replace it. RecordNotFoundError: no such run or unit."""
        with self.as_station(key) as connection:
            written = timestamp(SystemClock().utc_now())
            rows = read_run(connection, run_id)
            if not rows["runs"] or (attachment.unit and attachment.unit not in {u["unit"] for u in rows["units"]}):
                raise not_found(f"{attachment.unit or 'run'} in {run_id}" if attachment.unit else run_id)
            same = (attachment.unit, attachment.name)
            rows["attachments"] = [a for a in rows["attachments"] if (a["unit"], a["name"]) != same]
            row = {"run_id": run_id, **attachment_row(attachment)}
            rows["attachments"].append(storable(tables.attachments, row))
            _replace_run(connection, key, run_id, rows, written)

    def units(self) -> list[StoredUnit]:
        """All units, oldest run first, in the order of the run's slots."""
        query = sa.select(tables.runs.c.run_id).order_by(tables.runs.c.started_at, tables.runs.c.run_id)
        with self.transaction(writing=False) as connection:
            found = []
            for run_id in connection.execute(query).scalars().all():
                rows = read_run(connection, run_id)
                run = rows["runs"][0]
                for row in sorted(rows["units"], key=lambda row: row["position"]):
                    unit = unit_of_rows(row, rows)
                    found.append(StoredUnit(run_id, run["started_at"], run["recipe_name"], unit))
            return found

    def run(self, run_id: str) -> RunRecord:
        """The record of one run. RecordNotFoundError: it is not there."""
        return run_of_rows(self.run_rows(run_id))

    def run_rows(self, run_id: str) -> RunRows:
        """All rows of one run. RecordNotFoundError: it is not there."""
        with self.transaction(writing=False) as connection:
            rows = read_run(connection, run_id)
        if not rows["runs"]:
            raise not_found(run_id)
        return rows

    def attachment(self, run_id: str, unit: str, name: str) -> Attachment:
        """One attached file. RecordNotFoundError: it is not there. JournalError: it is damaged."""
        table = tables.attachments
        where = (table.c.run_id == run_id, table.c.unit == unit, table.c.name == name)
        with self.transaction(writing=False) as connection:
            row = connection.execute(sa.select(table).where(*where)).mappings().first()
        if row is None:
            raise not_found(f"{name} of {unit or 'run'} in {run_id}")
        return attachment_of(dict(row))

    def verify(
        self,
        key: StationKey | None,
        trusted: Mapping[str, str],
        journals: Mapping[str, str] | None = None,
        waiting: Collection[str] = (),
    ) -> Verification:
        """Compare every row with the chains: see :func:`~particle_dev.station.record_chain.verify_chain`. ``key``: the
        station that asks, whose own anchor counts."""

        def anchors(station_id: str, database_id: str) -> Anchor | None:
            return key.anchor(database_id) if key is not None and key.station_id == station_id else None

        own = {key.station_id: key.public_key} if key else {}
        with self.transaction(writing=False) as connection:
            return verify_chain(connection, {**trusted, **own}, anchors, journals, waiting)

    def verify_run(self, run_id: str, key: StationKey | None, trusted: Mapping[str, str]) -> Verification:
        """Compare the rows of one run with its entry: see :func:`~particle_dev.station.record_chain.verify_run`."""
        own = {key.station_id: key.public_key} if key else {}
        with self.transaction(writing=False) as connection:
            return verify_run(connection, run_id, {**trusted, **own})

    @property
    def database_id(self) -> str:
        """A name that copies of this database share and no other has."""
        with self.transaction(writing=False) as connection:
            return database_id_of(connection)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextlib.contextmanager
    def transaction(self, *, writing: bool = True) -> Iterator[sa.Connection]:
        """One transaction. Reading sees one state of the whole database from its first query on, while others write."""
        try:
            with self._engine.connect() as connection:
                if self._url.get_backend_name() == "postgresql":
                    level = "READ COMMITTED" if writing else "REPEATABLE READ"
                    connection.execution_options(isolation_level=level)
                connection.execution_options(particle_dev_writing=writing)
                with connection.begin():
                    yield connection
        except DBAPIError as error:
            raise self._error(error) from error

    def _error(self, error: DBAPIError) -> JournalError:
        message = f"record database {self.shown}: {error.orig}".rstrip()
        away = isinstance(error, OperationalError) or error.connection_invalidated
        if self._url.get_backend_name() == "postgresql" and away:
            return RecordsAwayError(
                message,
                path=self.shown,
                hint="journals keep the runs; when it is back: particle-dev records sync --pending DIR",
            )
        return JournalError(
            message,
            path=self.shown,
            hint="the journal is complete: make room or close other users of the file, then run "
            "'particle-dev station run' with the same --out again",
        )

    @contextlib.contextmanager
    def as_station(self, key: StationKey) -> Iterator[sa.Connection]:
        """A transaction that alone adds to the station's chain (:func:`keep_entry`), whose end becomes the anchor."""
        with self.transaction() as connection:
            if connection.dialect.name == "postgresql":
                number = int(key.station_id[:8], 16) - 2**31
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_NAMESPACE, number)))
            connection.info.pop(_ANCHOR, None)
            yield connection
            anchor = connection.info.pop(_ANCHOR, None)
            database_id = database_id_of(connection)
        if anchor is not None:
            key.remember(database_id, anchor)


_ANCHOR = "particle_dev_anchor"


def not_found(name: str) -> RecordNotFoundError:
    """The error for a unit or run that is not in the records."""
    return RecordNotFoundError(
        f"the records hold nothing by the name {name}",
        hint="see what there is: particle-dev records list, or particle-dev records search NAME",
    )


def keep_entry(connection: sa.Connection, key: StationKey, at: str, kind: str, payload: str, **fields: Any) -> None:
    """Add an entry, whose place becomes the station's anchor when the transaction is over."""
    connection.info[_ANCHOR] = append_entry(connection, key, at, kind, payload, **fields)


def _replace_run(connection: sa.Connection, key: StationKey, run_id: str, rows: RunRows, at: str) -> bool:
    sha256 = run_digest(rows)
    entry = standing_entry(connection, run_id)
    stored = connection.execute(sa.select(tables.runs.c.run_id).where(tables.runs.c.run_id == run_id)).first()
    if entry is not None and entry["payload_sha256"] == sha256 and stored is not None:
        return False
    delete_run(connection, run_id)
    for table in tables.RUN_TABLES:
        if rows[table.name]:
            connection.execute(table.insert(), rows[table.name])
    write_outcomes(connection, rows)
    keep_entry(connection, key, at, "run", sha256, run_id=run_id, version=(entry["version"] if entry else 0) + 1)
    return True


def delete_run(connection: sa.Connection, run_id: str) -> None:
    """Delete all rows of a run, none of its entries."""
    delete_outcomes(connection, run_id)
    for table in reversed(tables.RUN_TABLES):
        connection.execute(table.delete().where(table.c.run_id == run_id))


def _next_recorded(connection: sa.Connection) -> int:
    return (connection.execute(sa.select(sa.func.max(tables.runs.c.recorded))).scalar() or 0) + 1


def _connection(place: Path | str, busy_timeout_s: float) -> tuple[sa.URL, dict[str, Any]]:
    if isinstance(place, Path):
        return sa.URL.create("sqlite", database=str(place)), {"timeout": busy_timeout_s}
    try:
        url = sa.make_url(place)
    except ArgumentError as error:
        raise _no_place(place) from error
    if url.get_backend_name() != "postgresql":
        raise _no_place(place)
    wait_ms = int(busy_timeout_s * 1000)
    arguments = {"connect_timeout": _CONNECT_TIMEOUT_S, "options": f"-c lock_timeout={wait_ms}"}
    return url.set(drivername=_POSTGRESQL), arguments


def _no_place(place: str) -> ConfigError:
    return ConfigError(
        f"records cannot be kept in {place.partition('@')[2] or place!r}",
        hint="give a file name, or postgresql://USER@HOST/DATABASE",
    )


def _configure(connection: Any, _record: object) -> None:
    """WAL lets a report read while the station writes; FULL makes each commit safe against loss of power."""
    connection.isolation_level = None  # transactions begin where _begin says
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: sa.Connection) -> None:
    """SQLite: who is going to write waits for its turn now, and not when it has read what others change meanwhile."""
    writing = connection.get_execution_options().get("particle_dev_writing", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
