"""Backup, restore and retention of records, for SQLite and PostgreSQL alike.

A backup is a zip with one file of JSON lines for each table, taken as one state while stations write on. It restores
into either kind of database, chains included, so it also moves records from one kind to the other.

Pruning deletes rows and says so: the station that prunes signs an entry with the digests of what went, so that
verifying still tells what was deleted on purpose from what is missing.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast

import sqlalchemy as sa

from particle_dev.errors import JournalError
from particle_dev.permissions import Effect, Permissions
from particle_dev.station import record_tables as tables
from particle_dev.station.events import timestamp
from particle_dev.station.record_chain import standing_entry
from particle_dev.station.record_outcomes import rebuild_outcomes
from particle_dev.station.record_tables import HEAD, Row, digest, read_run, run_digest
from particle_dev.station.records import RecordDatabase, delete_run, keep_entry
from particle_dev.station.station_key import StationKey
from particle_dev.transport.clock import SystemClock

MANIFEST = "backup.json"
_FORMAT = 1
MAX_MANIFEST_BYTES = 1 << 20
MAX_ROW_BYTES = 128 << 20
"""An attachment of 64 MiB that nothing makes smaller, in base64, with room to spare."""
_BATCH = 500
_LACKING: Mapping[str, tuple[sa.Table, ...]] = {HEAD: (), "0002": (tables.unit_outcomes,)}
"""Tables that backups of each revision do not have; they are made anew from the others. A new revision has its entry
here, so that yesterday's backup can be restored."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: rows by table."""

    database_id: str
    rows: dict[str, int]


def backup(database: RecordDatabase, path: Path) -> Backup:
    """Write all rows to a new file. JournalError: the file is there, or cannot be written; and as the database."""
    counts: dict[str, int] = {}
    try:
        with path.open("xb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            with database.transaction(writing=False) as connection:
                for table in tables.ALL_TABLES:
                    with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as member:
                        counts[table.name] = _write_rows(connection, table, member)
                ids = connection.execute(sa.select(tables.databases.c.database_id)).scalars().all()
            manifest = {"format": _FORMAT, "revision": HEAD, "database_id": "".join(ids), "rows": counts}
            archive.writestr(MANIFEST, json.dumps(manifest))
    except FileExistsError as error:
        raise _unusable(path, "it exists already", hint="give another name") from error
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _unusable(path, error.strerror or str(error)) from error
    except BaseException:
        # Ctrl-C, too: half a backup looks like one until somebody needs it.
        path.unlink(missing_ok=True)
        raise
    return Backup(str(manifest["database_id"]), counts)


def _write_rows(connection: sa.Connection, table: sa.Table, member: IO[bytes]) -> int:
    count = 0
    query = sa.select(table).order_by(*table.primary_key.columns).execution_options(yield_per=_BATCH)
    for row in connection.execute(query).mappings():
        member.write(json.dumps(dict(row), default=_bytes_as_text).encode("ascii") + b"\n")
        count += 1
    return count


def _bytes_as_text(value: object) -> dict[str, str]:
    if isinstance(value, bytes | memoryview):
        return {"base64": base64.b64encode(value).decode("ascii")}
    raise TypeError(f"no JSON: {value!r}")


def restore(path: Path, database: RecordDatabase) -> Backup:
    """Fill an empty database from a backup: all of it or, on error, nothing.

    A backup of an older particle-dev is brought up to date, as opening its database would.

    JournalError: the file is no backup, of a revision not known here, or damaged; the database has runs; and as the
    database.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(_bounded(archive, MANIFEST, MAX_MANIFEST_BYTES).read())
            lacking = _LACKING.get(str(manifest.get("revision")))
            if manifest.get("format") != _FORMAT or lacking is None:
                raise _unusable(
                    path,
                    f"it is of revision {manifest.get('revision')}, this particle-dev knows {HEAD}",
                    hint="restore it with the particle-dev that made it; opening the result here brings it up to date",
                )
            with database.transaction() as connection:
                if (
                    connection.execute(sa.select(tables.entries.c.number).limit(1)).first()
                    or connection.execute(sa.select(tables.runs.c.run_id).limit(1)).first()
                ):
                    raise _unusable(path, f"{database.shown} holds records already", hint="restore into a new database")
                connection.execute(tables.databases.delete())
                for table in [table for table in tables.ALL_TABLES if table not in lacking]:
                    count = 0
                    for batch in _batches(archive, table):
                        count += len(batch)
                        if count > manifest["rows"][table.name]:
                            break
                        connection.execute(table.insert(), batch)
                    if count != manifest["rows"][table.name]:
                        raise _unusable(path, f"{table.name} has {count} rows, not {manifest['rows'][table.name]}")
                if tables.unit_outcomes in lacking:
                    rebuild_outcomes(connection)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _unusable(path, str(error)) from error
    return Backup(str(manifest["database_id"]), dict(manifest["rows"]))


def _bounded(archive: zipfile.ZipFile, name: str, size_bytes: int) -> IO[bytes]:
    """A file of a backup. ValueError: it is larger than any that was made."""
    if archive.getinfo(name).file_size > size_bytes:
        raise ValueError(f"{name} has more than {size_bytes} bytes")
    return archive.open(name)


def _rows(member: IO[bytes]) -> Iterator[bytes]:
    # However well it is packed, no row is larger than the largest attachment.
    while line := member.readline(MAX_ROW_BYTES + 1):
        if len(line) > MAX_ROW_BYTES:
            raise ValueError(f"a row has more than {MAX_ROW_BYTES} bytes")
        yield line


def _batches(archive: zipfile.ZipFile, table: sa.Table) -> Iterator[list[Row]]:
    binary = [column.name for column in table.columns if isinstance(column.type, sa.LargeBinary)]
    batch: list[Row] = []
    with archive.open(f"{table.name}.jsonl") as member:
        for line in _rows(io.BufferedReader(cast("io.RawIOBase", member))):
            row: dict[str, Any] = json.loads(line)
            batch.append(row | {name: base64.b64decode(row[name]["base64"]) for name in binary})
            if len(batch) == _BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


@dataclass(frozen=True, slots=True)
class Pruned:
    """Runs whose rows, or whose attachments, were deleted."""

    run_ids: tuple[str, ...]
    attachments: int


def prunable(database: RecordDatabase, before: datetime) -> list[str]:
    """Runs that ended, or had their last start, before this time; oldest first."""
    runs = tables.runs
    query = sa.select(runs.c.run_id).where(sa.func.coalesce(runs.c.finished_at, runs.c.started_at) < timestamp(before))
    with database.transaction(writing=False) as connection:
        return list(connection.execute(query.order_by(runs.c.started_at, runs.c.run_id)).scalars())


def prune(
    database: RecordDatabase,
    before: datetime,
    key: StationKey,
    permissions: Permissions,
    *,
    attachments_only: bool = False,
) -> Pruned:
    """Delete runs of before this time, or their attachments only, and sign that it was done.

    Cannot be undone without a backup: raises PermissionMissingError unless ``may_delete_records`` is held.
    """
    permissions.require(Effect.DELETE_RECORDS, "pruning records")
    run_ids = prunable(database, before)
    at = timestamp(SystemClock().utc_now())
    if attachments_only:
        return _prune_attachments(database, run_ids, key, at)
    if run_ids:
        with database.as_station(key) as connection:
            digests = {run_id: run_digest(read_run(connection, run_id)) for run_id in run_ids}
            for run_id in run_ids:
                delete_run(connection, run_id)
            detail = {"runs": digests, "before": timestamp(before)}
            keep_entry(connection, key, at, "prune", digest(detail), detail=detail)
    return Pruned(tuple(run_ids), 0)


def _prune_attachments(database: RecordDatabase, run_ids: list[str], key: StationKey, at: str) -> Pruned:
    done, count = [], 0
    for run_id in run_ids:
        with database.as_station(key) as connection:
            rows = read_run(connection, run_id)
            if not rows["attachments"]:
                continue
            count += len(rows["attachments"])
            done.append(run_id)
            connection.execute(tables.attachments.delete().where(tables.attachments.c.run_id == run_id))
            entry = standing_entry(connection, run_id)
            keep_entry(
                connection,
                key,
                at,
                "run",
                run_digest(rows | {"attachments": []}),
                run_id=run_id,
                version=(entry["version"] if entry else 0) + 1,
                detail={"pruned": "attachments"},
            )
    return Pruned(tuple(done), count)


def _unusable(path: Path, why: str, *, hint: str = "check path, space and permissions") -> JournalError:
    return JournalError(f"backup {path} cannot be used: {why}", path=str(path), hint=hint)
