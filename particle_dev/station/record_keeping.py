"""From a run's folder into the records: at its end, and later for those that could not be recorded then.

The journal in the folder is the buffer. ``records-pending.json`` lies beside it from the start of a run until its
record is committed, so whatever ends the station, the folder says that it waits. Recording is safe to repeat: a
run that is there already changes nothing, one that went on replaces what was there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mimetypes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock

from particle_dev.errors import JournalError, RecordsAwayError
from particle_dev.station.attaching import ATTACHMENTS_NAME
from particle_dev.station.events import StationEvent
from particle_dev.station.fold import fold
from particle_dev.station.journal import JOURNAL_NAME, LOCK_NAME, read_journal
from particle_dev.station.record_rows import OF_THE_RUN, Attachment
from particle_dev.station.records import DATABASE_NAME, RecordDatabase
from particle_dev.station.run_record import RunRecord
from particle_dev.station.station_key import StationKey
from particle_dev.whole_file import write_whole

PENDING_NAME = "records-pending.json"
_JOURNAL_TYPE = "application/jsonl"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """What a run's folder holds for the records."""

    record: RunRecord
    attachments: tuple[Attachment, ...]
    last_seq: int
    journal_sha256: str


def read_run_folder(folder: Path) -> RunFolder:
    """Journal, torn ends of it, and the files in ``attachments/`` (of the run) and ``attachments/UNIT/`` (of a unit).

    JournalError: the journal cannot be read, is damaged or holds no run; a file cannot be read or is too large.
    """
    events, torn = read_journal(folder / JOURNAL_NAME)
    content = _content(events)
    record = fold(events)
    try:
        files = [Attachment(OF_THE_RUN, JOURNAL_NAME, _JOURNAL_TYPE, content + torn)]
        for path in sorted(folder.glob("journal.torn-*")):
            files.append(Attachment(OF_THE_RUN, path.name, "application/octet-stream", path.read_bytes()))
        files += _attached(folder / ATTACHMENTS_NAME, OF_THE_RUN)
        for path in sorted(folder.glob(f"{ATTACHMENTS_NAME}/*/")):
            if not path.is_symlink():
                files += _attached(path, path.name)
    except OSError as error:
        raise JournalError(
            f"cannot read {error.filename}: {error.strerror}", path=str(folder), hint="check the folder and its files"
        ) from error
    return RunFolder(record, tuple(files), len(events), hashlib.sha256(content).hexdigest())


def _content(events: Iterable[StationEvent]) -> bytes:
    return b"".join(event.to_json().encode("ascii") + b"\n" for event in events)


def _attached(folder: Path, unit: str) -> Iterator[Attachment]:
    for path in sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else ():
        if path.is_file() and not path.is_symlink():
            yield Attachment(unit, path.name, media_type_of(path.name), path.read_bytes())


def media_type_of(name: str) -> str:
    """The media type that a file name promises."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


class RecordKeeper:
    """Records runs of this station in ``place`` (None: a SQLite file in each run's own folder), signed by ``key``."""

    def __init__(self, key: StationKey, place: Path | str | None = None) -> None:
        self.key = key
        self.place = place

    def check_place(self) -> None:
        """Find out before a board is touched whether ``place`` takes records. JournalError: it never will, as it is. A
        server that is away is no reason to wait: runs are recorded when it is back. ConfigError: a URL that cannot be
        used."""
        if self.place is None:
            return
        try:
            database = RecordDatabase(self.place)
            try:
                with database.transaction():
                    pass
            finally:
                database.close()
        except RecordsAwayError:
            return
        except JournalError as error:
            raise JournalError(
                error.message,
                path=str(error.path),
                hint="no board was touched; give --records a file in a folder that you may write in, or a database",
            ) from error

    def begin(self, folder: Path) -> None:
        """Mark a folder as one that is still to be recorded. JournalError: it cannot be written."""
        path = folder / PENDING_NAME
        try:
            write_whole(path, _why("the run has not ended, or was cut short"))
        except OSError as error:
            raise JournalError(
                f"cannot write {path}: {error.strerror}", path=str(path), hint="give a folder of yours with --out"
            ) from error

    def keep(self, folder: Path) -> RecordsAwayError | None:
        """Record a folder's run. When the server is away, the error is returned and the folder goes on waiting;
        JournalError for everything else."""
        try:
            database = RecordDatabase(self.place if self.place is not None else folder / DATABASE_NAME)
            try:
                record_folder(database, folder, self.key)
            finally:
                database.close()
        except RecordsAwayError as error:
            with contextlib.suppress(OSError):  # that it waits is written already, only not why
                write_whole(folder / PENDING_NAME, _why(error.message))
            return error
        return None


def _why(text: str) -> bytes:
    return f"{json.dumps({'why': text})}\n".encode()


def record_folder(database: RecordDatabase, folder: Path, key: StationKey) -> bool:
    """Record the run in a folder; False: it was there already, just so. JournalError as the parts, and when the run is
    recorded but its folder cannot be told so: it goes on waiting, which is safe."""
    run = read_run_folder(folder)
    written = database.write_run(
        run.record, key, run.attachments, last_seq=run.last_seq, journal_sha256=run.journal_sha256
    )
    path = folder / PENDING_NAME
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise JournalError(
            f"the run is recorded, but cannot remove {path}: {error.strerror}",
            path=str(path),
            hint="make the folder writable, then record it again: that changes nothing in the records",
        ) from error
    return written


@dataclass(frozen=True, slots=True)
class Synced:
    """One folder that :func:`sync` looked at. ``outcome``: recorded, unchanged, running (another station writes there;
    its end will record it) or failed, with ``error``."""

    folder: Path
    outcome: str
    error: JournalError | None = None


def pending_folders(parents: Iterable[Path]) -> list[Path]:
    """Run folders that wait to be recorded: the given ones, and those right below them."""
    found: dict[Path, None] = {}
    for parent in parents:
        for path in (parent / PENDING_NAME, *sorted(parent.glob(f"*/{PENDING_NAME}"))):
            if path.is_file() and (path.parent / JOURNAL_NAME).is_file():
                found[path.parent] = None
    return list(found)


def run_folders(parents: Iterable[Path]) -> list[Path]:
    """Folders with a run: the given ones, and those right below them. A journal without an event is of a run that was
    refused before it began, or of one that is about to."""
    found: dict[Path, None] = {}
    for parent in parents:
        for path in (parent / JOURNAL_NAME, *sorted(parent.glob(f"*/{JOURNAL_NAME}"))):
            if path.is_file() and _has_begun(path):
                found[path.parent] = None
    return list(found)


def _has_begun(path: Path) -> bool:
    try:
        with path.open("rb") as journal:
            return journal.readline().endswith(b"\n")
    except OSError:
        return True  # Who reads it whole says why it cannot be read.


def sync(database: RecordDatabase, folders: Iterable[Path], key: StationKey) -> Iterator[Synced]:
    """Record these folders, one after the other. A damaged one is told and does not stop the others; RecordsAwayError
    stops."""
    for folder in folders:
        yield _sync_one(database, folder, key)


def _sync_one(database: RecordDatabase, folder: Path, key: StationKey) -> Synced:
    lock = filelock.FileLock(folder / LOCK_NAME, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        return Synced(folder, "running")
    except OSError as error:
        why = JournalError(
            f"cannot lock {folder / LOCK_NAME}: {error.strerror}",
            path=str(folder / LOCK_NAME),
            hint="check that the folder is there and is yours",
        )
        why.__cause__ = error
        return Synced(folder, "failed", why)
    try:
        return Synced(folder, "recorded" if record_folder(database, folder, key) else "unchanged")
    except RecordsAwayError:
        raise
    except JournalError as error:
        return Synced(folder, "failed", error)
    finally:
        lock.release()


def journal_hashes(parents: Iterable[Path]) -> tuple[dict[str, str], set[str]]:
    """SHA-256 of the journals below these folders, by run id, to hold records against; and which of these runs go on or
    wait to be recorded. JournalError as the parts."""
    found, waiting = {}, set()
    for folder in run_folders(parents):
        # Looked for before: a run that ends meanwhile is in the records before its mark goes.
        waits = (folder / PENDING_NAME).exists()
        events, _ = read_journal(folder / JOURNAL_NAME)
        run_id = fold(events).run_id
        found[run_id] = hashlib.sha256(_content(events)).hexdigest()
        if waits:
            waiting.add(run_id)
    return found, waiting
