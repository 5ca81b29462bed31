"""The chain of a station's entries in a record database, and what it proves.

Each time a station records a run it adds an entry: the SHA-256 of all rows of that run, the SHA-256 of the entry
before, a number without gaps, and its signature over them. Each station has a chain of its own, so that several
can write at once. Kinds of entries:

station
    number 1: the station introduces itself; the payload is its row in ``stations``.
run
    all rows of a run, in the ``version`` that this entry makes; the highest version stands.
prune
    runs whose rows were deleted on purpose; ``detail["runs"]`` gives the digest that each had.
gap
    when the station came back, the database had lost entries that it had written; ``detail`` names the last of them.

What is found: every changed, added, missing or exchanged row, wherever it is; entries that are gone at the end by
the anchor that the station keeps, or by journals. What is not: a whole station with all its runs, deleted where nobody
holds its anchor, key or journals; and what the holder of the key wrote false in the first place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from particle_dev.station import record_tables as tables
from particle_dev.station.events import parse_timestamp
from particle_dev.station.record_outcomes import stale_outcomes, wrongly_marked
from particle_dev.station.record_tables import Row, digest, read_run, run_digest, storable
from particle_dev.station.station_key import Anchor, StationKey, signature_is_good, station_id_of

FIRST = "0" * 64
"""In place of the hash of an entry before the first one."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was recorded. ``code`` is stable; ``where`` names entry, run or table."""

    code: str
    where: str
    message: str


@dataclass(slots=True)
class Verification:
    """What a look at every row found. ``unsigned``: runs of before the chain, for which nobody vouches. ``unknown``:
    stations whose key the verifier does not know: their rows agree with each other, and that is all. ``waiting``: runs
    that are not here as their journals have them, and whose folders say that they still are to be recorded."""

    stations: int = 0
    entries: int = 0
    runs: int = 0
    problems: list[Problem] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """``intact``; ``altered``; ``unproven``: nothing is wrong, but not everything is vouched for."""
        if self.problems:
            return "altered"
        return "unproven" if self.unsigned or self.unknown or self.waiting or not self.entries else "intact"


def entry_digest(database_id: str, entry: Mapping[str, Any]) -> str:
    """SHA-256 of an entry, of whose fields only hash and signature are left out, and of the database it stands in."""
    fields = {name: value for name, value in entry.items() if name not in ("sha256", "signature")}
    return digest({"database_id": database_id, **fields})


def append_entry(
    connection: sa.Connection, key: StationKey, at: str, kind: str, payload_sha256: str, **fields: Any
) -> Anchor:
    """Add one entry at the end of the station's chain, in a transaction that holds the station's lock."""
    database_id = database_id_of(connection)
    last = _last_entry(connection, key.station_id)
    if last is None:
        station = {
            "station_id": key.station_id,
            "name": key.name,
            "public_key": key.public_key,
            "first_recorded_at": at,
        }
        station = storable(tables.stations, station)
        connection.execute(tables.stations.insert(), station)
        last = _insert(connection, key, database_id, Anchor(0, FIRST), at, "station", digest(station))
    anchor = key.anchor(database_id)
    if anchor is not None and not _has(connection, key.station_id, anchor):
        detail = {"expected_number": anchor.number, "expected_sha256": anchor.sha256}
        last = _insert(connection, key, database_id, last, at, "gap", digest(detail), detail=detail)
    return _insert(connection, key, database_id, last, at, kind, payload_sha256, **fields)


def _insert(
    connection: sa.Connection,
    key: StationKey,
    database_id: str,
    last: Anchor,
    at: str,
    kind: str,
    payload_sha256: str,
    **fields: Any,
) -> Anchor:
    entry = storable(
        tables.entries,
        {
            "station_id": key.station_id,
            "number": last.number + 1,
            "kind": kind,
            "at": at,
            "detail": {},
            "payload_sha256": payload_sha256,
            "previous_sha256": last.sha256,
            **fields,
        },
    )
    entry["sha256"] = entry_digest(database_id, entry)
    entry["signature"] = key.sign(bytes.fromhex(entry["sha256"]))
    connection.execute(tables.entries.insert(), entry)
    return Anchor(entry["number"], entry["sha256"])


def database_id_of(connection: sa.Connection) -> str:
    """The id of a database; empty when its row is gone."""
    return connection.execute(sa.select(tables.databases.c.database_id)).scalar() or ""


def _last_entry(connection: sa.Connection, station_id: str) -> Anchor | None:
    entries = tables.entries
    query = sa.select(entries.c.number, entries.c.sha256).where(entries.c.station_id == station_id)
    row = connection.execute(query.order_by(entries.c.number.desc()).limit(1)).first()
    return Anchor(*row) if row else None


def _has(connection: sa.Connection, station_id: str, anchor: Anchor) -> bool:
    entries = tables.entries
    where = (entries.c.station_id == station_id, entries.c.number == anchor.number, entries.c.sha256 == anchor.sha256)
    return connection.execute(sa.select(entries.c.number).where(*where)).first() is not None


def standing_entry(connection: sa.Connection, run_id: str) -> Row | None:
    """The entry of the highest version of a run."""
    entries = tables.entries
    query = sa.select(entries).where(entries.c.run_id == run_id, entries.c.kind == "run")
    row = connection.execute(query.order_by(entries.c.version.desc()).limit(1)).mappings().first()
    return dict(row) if row else None


def verify_chain(
    connection: sa.Connection,
    trusted: Mapping[str, str],
    anchors: Callable[[str, str], Anchor | None],
    journals: Mapping[str, str] | None = None,
    waiting: Collection[str] = (),
) -> Verification:
    """Look at every row. ``trusted`` are public keys by station id; ``anchors`` gives what is kept for (station id,
    database id). ``journals``: runs that must be there, with the SHA-256 of their journal; ``waiting``: those of them
    that go on, or wait to be recorded."""
    found = Verification()
    ids = list(connection.execute(sa.select(tables.databases.c.database_id)).scalars())
    if len(ids) != 1:
        found.problems.append(Problem("database_id", "record_database", f"{len(ids)} rows where one belongs"))
    database_id = ids[0] if ids else ""
    standing: dict[str, tuple[int, str]] = {}
    pruned: dict[str, str] = {}
    stations = {row["station_id"]: row for row in _all(connection, tables.stations)}
    chains = set(connection.execute(sa.select(tables.entries.c.station_id).distinct()).scalars())
    for station_id in sorted(set(stations) | chains):
        _verify_station(connection, found, database_id, station_id, stations.get(station_id), standing, pruned)
        anchor = anchors(station_id, database_id)
        if anchor is not None and not _has(connection, station_id, anchor):
            message = f"the station wrote entry {anchor.number}, which is not here: the end was cut off, or replaced"
            found.problems.append(Problem("truncated", f"station {station_id}", message))
        if station_id not in trusted:
            found.unknown.append(station_id)
        elif station_id in stations and stations[station_id]["public_key"] != trusted[station_id]:
            message = "the public key is not the one of this station"
            found.problems.append(Problem("wrong_key", f"station {station_id}", message))
    _verify_runs(connection, found, standing, pruned)
    _verify_journals(connection, found, journals or {}, pruned, waiting)
    return found


def verify_run(connection: sa.Connection, run_id: str, trusted: Mapping[str, str]) -> Verification:
    """Look at the rows of one run, its standing entry and the entry before that. Whether entries are missing elsewhere,
    or a newer one of this run at the end, only :func:`verify_chain` finds."""
    found = Verification(runs=1)
    rows = read_run(connection, run_id)
    entry = standing_entry(connection, run_id)
    if not rows["runs"]:
        found.problems.append(Problem("missing_run", f"run {run_id}", "is not here"))
        return found
    if entry is None:
        _judge_unsigned(connection, found, run_id)
        return found
    found.entries = found.stations = 1
    if run_digest(rows) != entry["payload_sha256"]:
        found.problems.append(Problem("altered_row", f"run {run_id}", "its rows are not what was recorded"))
    elif stale_outcomes(connection, rows):
        message = "what statistics count is not what the run's rows say"
        found.problems.append(Problem("altered_row", f"unit_outcomes of run {run_id}", message))
    _verify_entry(connection, found, entry, trusted)
    return found


def _verify_entry(connection: sa.Connection, found: Verification, entry: Row, trusted: Mapping[str, str]) -> None:
    station_id = entry["station_id"]
    where, place = f"station {station_id}", f"station {station_id}, entry {entry['number']}"
    table = tables.stations
    row = connection.execute(sa.select(table).where(table.c.station_id == station_id)).mappings().first()
    if row is None:
        found.problems.append(Problem("no_station", where, "entries of a station that is not in the list"))
        return
    station = dict(row)
    if not _names_itself(station):
        found.problems.append(Problem("wrong_key", where, "the public key does not belong to the station's id"))
    if station_id not in trusted:
        found.unknown.append(station_id)
    elif station["public_key"] != trusted[station_id]:
        found.problems.append(Problem("wrong_key", where, "the public key is not the one of this station"))
    if entry["sha256"] != entry_digest(database_id_of(connection), entry):
        found.problems.append(Problem("altered_entry", place, "was changed after it was written"))
    elif not signature_is_good(station["public_key"], bytes.fromhex(entry["sha256"]), entry["signature"]):
        found.problems.append(Problem("bad_signature", place, "was not signed by this station"))
    if not _has(connection, station_id, Anchor(entry["number"] - 1, entry["previous_sha256"])):
        found.problems.append(Problem("broken_chain", place, "does not follow the entry before it"))


def _verify_station(
    connection: sa.Connection,
    found: Verification,
    database_id: str,
    station_id: str,
    station: Row | None,
    standing: dict[str, tuple[int, str]],
    pruned: dict[str, str],
) -> None:
    found.stations += 1
    where = f"station {station_id}"
    if station is None:
        found.problems.append(Problem("no_station", where, "entries of a station that is not in the list"))
        return
    public_key = station["public_key"]
    if not _names_itself(station):
        found.problems.append(Problem("wrong_key", where, "the public key does not belong to the station's id"))
    last, latest_at = Anchor(0, FIRST), ""
    for entry in _entries(connection, station_id):
        found.entries += 1
        place = f"{where}, entry {entry['number']}"
        if entry["number"] != last.number + 1:
            message = f"entry {last.number + 1} is missing" if entry["number"] > last.number + 1 else "comes twice"
            found.problems.append(Problem("missing_entry", place, message))
        elif entry["previous_sha256"] != last.sha256:
            found.problems.append(Problem("broken_chain", place, "does not follow the entry before it"))
        if entry["sha256"] != entry_digest(database_id, entry):
            found.problems.append(Problem("altered_entry", place, "was changed after it was written"))
        elif not signature_is_good(public_key, bytes.fromhex(entry["sha256"]), entry["signature"]):
            found.problems.append(Problem("bad_signature", place, "was not signed by this station"))
        last = Anchor(entry["number"], entry["sha256"])
        latest_at = _compare_time(found, place, latest_at, entry["at"])
        _verify_kind(found, place, entry, station, standing, pruned)
    if last.number == 0:
        found.problems.append(Problem("missing_entry", where, "is listed without an entry"))


def _names_itself(station: Row) -> bool:
    try:
        return station_id_of(station["public_key"]) == str(station["station_id"])
    except ValueError:
        return False


def _compare_time(found: Verification, place: str, latest_at: str, at: str) -> str:
    """A clock that was set back alters nothing: the numbers say the order. It is worth a remark."""
    try:
        if latest_at and parse_timestamp(at) < parse_timestamp(latest_at):
            found.remarks.append(f"{place}: the station's clock was set back, from {latest_at} to {at}")
    except ValueError:
        return latest_at
    return at


def _verify_kind(
    found: Verification,
    place: str,
    entry: Row,
    station: Row,
    standing: dict[str, tuple[int, str]],
    pruned: dict[str, str],
) -> None:
    kind, detail = entry["kind"], entry["detail"]
    if kind == "run":
        version, run_id = entry["version"] or 0, entry["run_id"] or ""
        if version >= standing.get(run_id, (0, ""))[0]:
            standing[run_id] = (version, entry["payload_sha256"])
    elif kind == "station":
        if entry["payload_sha256"] != digest(station):
            found.problems.append(Problem("altered_row", place, "the station's row in stations was changed"))
    elif kind == "prune":
        pruned.update({str(run): str(sha256) for run, sha256 in detail.get("runs", {}).items()})
        if entry["payload_sha256"] != digest(detail):
            found.problems.append(Problem("altered_entry", place, "its detail was changed"))
    elif kind == "gap":
        message = f"entries up to number {detail.get('expected_number')} were lost before this one"
        found.problems.append(Problem("gap", place, message))


def _verify_runs(
    connection: sa.Connection, found: Verification, standing: dict[str, tuple[int, str]], pruned: dict[str, str]
) -> None:
    present = list(connection.execute(sa.select(tables.runs.c.run_id).order_by(tables.runs.c.run_id)).scalars())
    for run_id in present:
        found.runs += 1
        rows = read_run(connection, run_id)
        if run_id not in standing:
            _judge_unsigned(connection, found, run_id)
        if run_id in standing and run_digest(rows) != standing[run_id][1]:
            found.problems.append(Problem("altered_row", f"run {run_id}", "its rows are not what was recorded"))
        elif stale_outcomes(connection, rows):
            message = "what statistics count is not what the run's rows say"
            found.problems.append(Problem("altered_row", f"unit_outcomes of run {run_id}", message))
    known = set(present)
    for run_id, (_, sha256) in sorted(standing.items()):
        if run_id not in known and pruned.get(run_id) != sha256:
            found.problems.append(Problem("missing_run", f"run {run_id}", "was recorded and is gone"))
    for run_id in wrongly_marked(connection):
        message = "which go at a unit was the first, or the last, is not rightly said"
        found.problems.append(Problem("altered_row", f"unit_outcomes of run {run_id}", message))
    for table in (*tables.RUN_TABLES[1:], tables.unit_outcomes):
        query = sa.select(table.c.run_id).distinct().where(table.c.run_id.not_in(sa.select(tables.runs.c.run_id)))
        for run_id in connection.execute(query).scalars():
            found.problems.append(Problem("stray_row", f"{table.name} of run {run_id}", "belongs to no run"))


def _judge_unsigned(connection: sa.Connection, found: Verification, run_id: str) -> None:
    """Runs of before the chain say nothing of a station; one that does was never recorded by it."""
    columns = (tables.runs.c.station_id, tables.runs.c.recorded)
    row = connection.execute(sa.select(*columns).where(tables.runs.c.run_id == run_id)).one()
    if tuple(row) == (None, None):
        found.unsigned.append(run_id)
    else:
        found.problems.append(Problem("added_row", f"run {run_id}", "no station recorded it"))


def _verify_journals(
    connection: sa.Connection,
    found: Verification,
    journals: Mapping[str, str],
    pruned: dict[str, str],
    waiting: Collection[str],
) -> None:
    for run_id, sha256 in sorted(journals.items()):
        query = sa.select(tables.runs.c.journal_sha256).where(tables.runs.c.run_id == run_id)
        stored = connection.execute(query).first()
        if run_id in waiting and (stored is None or stored[0] != sha256):
            found.waiting.append(run_id)
        elif stored is None and run_id not in pruned:
            found.problems.append(Problem("missing_run", f"run {run_id}", "has a journal and is not here"))
        elif stored is not None and stored[0] not in (None, sha256):
            message = "its journal is another one, or went on since it was recorded"
            found.problems.append(Problem("other_journal", f"run {run_id}", message))


def _entries(connection: sa.Connection, station_id: str) -> Iterator[Row]:
    entries = tables.entries
    query = sa.select(entries).where(entries.c.station_id == station_id).order_by(entries.c.number)
    for row in connection.execute(query.execution_options(yield_per=1000)).mappings():
        yield dict(row)


def _all(connection: sa.Connection, table: sa.Table) -> list[Row]:
    return [dict(row) for row in connection.execute(sa.select(table)).mappings()]
