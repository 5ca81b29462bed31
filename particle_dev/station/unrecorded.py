"""The finished units of a run that is not in the records yet, looked up as records are.

A run comes into the records when it ends, signed as a whole. A shift is long, so what has ended until then is read from
its journal into a database of its own, which lasts as long as its reader, is signed by nobody and proves nothing.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from particle_dev.errors import FormatError, JournalError
from particle_dev.station import record_tables as tables
from particle_dev.station.events import EventType, StationEvent
from particle_dev.station.fold import Folding
from particle_dev.station.journal import JOURNAL_NAME
from particle_dev.station.record_keeping import PENDING_NAME
from particle_dev.station.record_outcomes import delete_unit_outcome, write_outcomes
from particle_dev.station.record_rows import Origin, rows_of_run
from particle_dev.station.records import RecordDatabase
from particle_dev.station.run_record import RunRecord, UnitRecord

_ORIGIN = Origin(station_id="", recorded=1)


@dataclass(frozen=True, slots=True)
class _Ended:
    """``unit`` None: it is in work again."""

    seq: int
    unit: UnitRecord | None


class UnrecordedRun:
    """Reads along in the run's folder. Every method may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._folding = Folding()
        self._read_bytes = 0
        self._read_events = 0
        self._units: set[str] = set()
        self._place: tempfile.TemporaryDirectory[str] | None = None
        self._database: RecordDatabase | None = None
        self.run_id = ""

    def database(self) -> RecordDatabase | None:
        """The run with its finished units, up to now; None: it is in the records, or no unit has ended. A unit that is
        in work, also once more, is not in it. JournalError: the journal cannot be read, or is damaged."""
        with self._lock:
            if not (self._folder / PENDING_NAME).is_file():
                self._close()
                return None
            try:
                self._catch_up()
            except JournalError:
                self._close()  # what was read and not written is read again
                raise
            return self._database if self._units else None

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
        if self._place is not None:
            self._place.cleanup()
        if self._read_bytes:
            self._forget()

    def _catch_up(self) -> None:
        changed: dict[str, _Ended] = {}
        for event in self._new_events():
            self._folding.take(event)
            if event.type not in (EventType.UNIT_STARTED, EventType.UNIT_FINISHED):
                continue
            unit = self._folding.unit(event)
            # A board that tells its Device ID at last is no longer the nameless one of its slot.
            changed[f"slot:{unit.slot}"] = _Ended(event.seq, None)
            changed[unit.key] = _Ended(event.seq, unit if event.type == EventType.UNIT_FINISHED else None)
        if changed:
            self._write(self._folding.run(), changed)

    def _new_events(self) -> Iterator[StationEvent]:
        """What was written since the last time, without a last line that is not whole."""
        path = self._folder / JOURNAL_NAME
        try:
            with path.open("rb") as file:
                file.seek(self._read_bytes)
                content = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalError(
                f"cannot read journal {path}: {error.strerror}", path=str(path), hint="check the folder of the run"
            ) from error
        for line in content.split(b"\n")[:-1]:
            try:
                event = StationEvent.from_json(line)
            except FormatError as error:
                raise JournalError(
                    f"journal {path}, line {self._read_events + 1}: {error}",
                    path=str(path),
                    line=self._read_events + 1,
                    hint="the record of this run is damaged: keep the folder, start the next run in a new one",
                ) from error
            self._read_bytes += len(line) + 1
            self._read_events += 1
            yield event

    def _write(self, run: RunRecord, changed: dict[str, _Ended]) -> None:
        if self._database is None:
            self._place = tempfile.TemporaryDirectory(prefix="particle-dev-", ignore_cleanup_errors=True)
            self._database = RecordDatabase(Path(self._place.name) / "unrecorded.sqlite")
        with self._database.transaction() as connection:
            row = rows_of_run(run, _ORIGIN)["runs"][0]
            is_new = not self.run_id
            connection.execute(tables.runs.insert() if is_new else tables.runs.update(), row)
            for key, ended in changed.items():
                _delete(connection, run.run_id, key)
                self._units.discard(key)
                if ended.unit is not None:
                    # Latest first in lists: they go by position.
                    self._add(connection, replace(run, units=(ended.unit,)), -ended.seq)
                    self._units.add(key)
        self.run_id = run.run_id

    def _add(self, connection: sa.Connection, run: RunRecord, position: int) -> None:
        rows = rows_of_run(run, _ORIGIN)
        rows["units"][0]["position"] = position
        for table in (tables.units, *tables.UNIT_PARTS):
            if rows[table.name]:
                connection.execute(table.insert(), rows[table.name])
        write_outcomes(connection, rows)


def _delete(connection: sa.Connection, run_id: str, unit: str) -> None:
    delete_unit_outcome(connection, run_id, unit)
    for table in (*reversed(tables.UNIT_PARTS), tables.units):
        connection.execute(table.delete().where(table.c.run_id == run_id, table.c.unit == unit))
