"""One go at a unit out of the records, whatever else its run did; and the files that were attached to it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from particle_dev.errors import JournalError
from particle_dev.station import record_tables as tables
from particle_dev.station.record_rows import OF_THE_RUN, run_of_rows
from particle_dev.station.record_tables import RunRows
from particle_dev.station.records import RecordDatabase, not_found
from particle_dev.station.run_record import RunRecord, UnitRecord

_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file in the records, without its content. ``unit`` is empty: it belongs to the whole run."""

    unit: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Go:
    """One go at a unit. ``run`` has this unit alone; ``names`` are what it may be searched by, by kind; ``files`` are
    the unit's own and those of the run."""

    run: RunRecord
    unit: UnitRecord
    station_id: str | None
    names: Mapping[str, str]
    files: tuple[AttachedFile, ...]


def read_go(database: RecordDatabase, run_id: str, unit: str) -> Go:
    """One go. RecordNotFoundError: there is none. JournalError."""
    with database.transaction(writing=False) as connection:
        rows: RunRows = {"runs": tables.read_rows(connection, tables.runs, tables.runs.c.run_id == run_id)}
        for table in (tables.units, *tables.UNIT_PARTS):
            rows[table.name] = tables.read_rows(connection, table, (table.c.run_id == run_id) & (table.c.unit == unit))
        files = _files(connection, run_id, unit, OF_THE_RUN)
    if not rows["units"] or not rows["runs"]:
        raise not_found(f"{unit} in run {run_id}")
    run = rows["runs"][0]
    slot = rows["units"][0]["slot"]
    messages = [item for item in run["messages"] or () if item["unit"] == unit]
    rows["runs"] = [run | {"slots": [slot], "empty_slots": [], "messages": messages}]
    record = _record(rows)
    names = {row["kind"]: row["value"] for row in rows["unit_names"]}
    return Go(record, record.units[0], run["station_id"], names, files)


def read_run_record(database: RecordDatabase, run_id: str) -> RunRecord:
    """The record of a run, without reading what is attached to it. RecordNotFoundError: it is not there."""
    with database.transaction(writing=False) as connection:
        rows: RunRows = {
            table.name: tables.read_rows(connection, table, table.c.run_id == run_id)
            for table in (tables.runs, tables.units, *tables.UNIT_PARTS)
        }
    if not rows["runs"]:
        raise not_found(run_id)
    return _record(rows)


def _record(rows: RunRows) -> RunRecord:
    """The record of rows that somebody may have changed."""
    try:
        record = run_of_rows(rows)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise _damaged(rows) from error
    if any(not unit.attempts for unit in record.units):
        raise _damaged(rows)
    return record


def _damaged(rows: RunRows) -> JournalError:
    return JournalError(
        f"what is recorded of run {rows['runs'][0]['run_id']} is damaged",
        hint="find out what else is: particle-dev records verify; the run's folder still has its journal",
    )


def files_of(database: RecordDatabase, run_id: str) -> tuple[AttachedFile, ...]:
    """All files that are attached to a run and its units. JournalError."""
    with database.transaction(writing=False) as connection:
        return _files(connection, run_id)


def _files(connection: sa.Connection, run_id: str, *units: str) -> tuple[AttachedFile, ...]:
    table = tables.attachments
    columns = (table.c.unit, table.c.name, table.c.media_type, table.c.size_bytes, table.c.sha256)
    query = sa.select(*columns).where(table.c.run_id == run_id).order_by(table.c.unit.desc(), table.c.name)
    if units:
        query = query.where(table.c.unit.in_(units))
    return tuple(AttachedFile(*row) for row in connection.execute(query))


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file with its content, which is whole: it was checked once when it was read from the records."""

    file: AttachedFile
    _packed: bytes

    def chunks(self) -> Iterator[bytes]:
        """The content, in pieces that need little memory."""
        return _unpacked(self._packed, self.file.size_bytes)


def stored_file(database: RecordDatabase, run_id: str, sha256: str) -> StoredFile:
    """The file of a run with this SHA-256: what one may ask for is what the records list, and no path.

    RecordNotFoundError: the run has no such file. JournalError: what is stored is not what its hash says, or larger
    than it says, which is found without unpacking more than that.
    """
    table = tables.attachments
    where = (table.c.run_id == run_id, table.c.sha256 == sha256)
    query = sa.select(table).where(*where).order_by(table.c.unit, table.c.name).limit(1)
    with database.transaction(writing=False) as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        raise not_found(f"file {sha256[:16]} of run {run_id}")
    file = AttachedFile(row["unit"], row["name"], row["media_type"], row["size_bytes"], row["sha256"])
    stored = StoredFile(file, bytes(row["content"]))
    if not _is_whole(stored):
        raise JournalError(
            f"file {file.name} of run {run_id} is damaged", hint="find out what else is: particle-dev records verify"
        )
    return stored


def _is_whole(stored: StoredFile) -> bool:
    whole, size_bytes = hashlib.sha256(), 0
    try:
        for chunk in stored.chunks():
            whole.update(chunk)
            size_bytes += len(chunk)
    except zlib.error:
        return False
    return (size_bytes, whole.hexdigest()) == (stored.file.size_bytes, stored.file.sha256)


def _unpacked(packed: bytes, size_bytes: int) -> Iterator[bytes]:
    """At most one chunk more than ``size_bytes``, however much is packed."""
    unpack: Any = zlib.decompressobj()
    given, rest = 0, packed
    while given <= size_bytes:
        chunk = unpack.decompress(rest, _CHUNK_BYTES)
        rest = unpack.unconsumed_tail
        if not chunk and not rest:
            return
        given += len(chunk)
        yield chunk
