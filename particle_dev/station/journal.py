"""The journal of one run: append-only JSON lines that survive ``kill -9`` and loss of power.

The journal is the truth about a run; database and report are made from it. One station writes in a folder
at a time (``.lock``). Opening a journal again continues it: a last line without its line end is a write
that was cut short; it is moved aside, since no one was ever told that it was safe.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock

from particle_dev.errors import FormatError, JournalError
from particle_dev.station.events import EventType, StationEvent
from particle_dev.whole_file import sync_folder

JOURNAL_NAME = "journal.jsonl"
LOCK_NAME = ".lock"


def read_journal(path: Path) -> tuple[tuple[StationEvent, ...], bytes]:
    """Events of a journal, also of one that is being written, and the bytes of a torn last line (b"": none).

    JournalError: the file cannot be read, or a line other than a torn last one is damaged or missing
    (``path``, ``line``).
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise JournalError(
            f"cannot read journal {path}: {error.strerror}",
            path=str(path),
            hint="give the folder of a station run (--out of 'station run')",
        ) from error
    *lines, torn = content.split(b"\n")
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            event = StationEvent.from_json(line)
        except FormatError as error:
            raise _damaged(path, number, str(error)) from error
        if event.seq != number:
            raise _damaged(path, number, f"event {event.seq} stands where event {number} belongs")
        events.append(event)
    return tuple(events), torn


def _damaged(path: Path, line: int, what: str) -> JournalError:
    return JournalError(
        f"journal {path}, line {line}: {what}",
        path=str(path),
        line=line,
        hint="the record of this run is damaged: keep the folder, start the next run in a new one",
    )


def refuse_running(folder: Path) -> None:
    """Before anything in a run's folder is replaced. JournalError: another station is writing there. Its lock is taken
    for a moment, where there is one."""
    path = folder / LOCK_NAME
    try:
        if path.exists():
            with filelock.FileLock(path, timeout=0):
                return
    except filelock.Timeout as error:
        raise _running(folder) from error
    except OSError:
        return  # Whether the folder can be written is found by who writes.


def _running(folder: Path) -> JournalError:
    return JournalError(
        f"another station is writing in {folder}",
        path=str(folder),
        hint="wait until it ends, or give this run another folder with --out",
    )


class Journal:
    """An open journal with the only right to write in its folder. Appending is safe from several threads.

    ``events`` are those found when it was opened; ``torn`` is the file that keeps a cut-off last line, if
    any. JournalError from the constructor: another station holds the folder, the folder or file cannot be
    written, or the journal is damaged (see ``read_journal``).
    """

    events: tuple[StationEvent, ...]
    torn: Path | None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.Lock()
        self._failure: JournalError | None = None
        self._descriptor = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(path.parent / LOCK_NAME, timeout=0)
            self._lock.acquire()
        except filelock.Timeout as error:
            raise _running(path.parent) from error
        except OSError as error:
            raise self._cannot_write(error) from error
        try:
            self._open()
        except OSError as error:
            self.close()
            raise self._cannot_write(error) from error
        except JournalError:
            self.close()
            raise

    def _open(self) -> None:
        self.torn = None
        self.events = ()
        if self.path.exists():
            self.events, torn = read_journal(self.path)
            if torn:
                self.torn = self._set_aside(torn)
        self._last_seq = len(self.events)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        sync_folder(self.path.parent)

    def _set_aside(self, torn: bytes) -> Path:
        number = 1
        while (aside := self.path.with_name(f"{self.path.stem}.torn-{number}")).exists():
            number += 1
        with aside.open("xb") as file:
            file.write(torn)
            file.flush()
            os.fsync(file.fileno())
        with self.path.open("r+b") as file:
            file.truncate(self.path.stat().st_size - len(torn))
            os.fsync(file.fileno())
        return aside

    def append(self, event: StationEvent, *, durable: bool) -> StationEvent:
        """Write one event and return it with its number; ``durable``: it is on the medium when this returns.

        step_progress is not written and gets the number of the last event that was. JournalError: the event
        could not be written, for instance because the disk is full. Every later call raises it again, for
        progress too: work that cannot be recorded must stop, nothing further may be done to boards.
        """
        with self._mutex:
            if self._failure is not None:
                raise self._failure
            if event.type == EventType.STEP_PROGRESS:
                return dataclasses.replace(event, seq=self._last_seq)
            numbered = dataclasses.replace(event, seq=self._last_seq + 1)
            line = numbered.to_json().encode("ascii") + b"\n"
            try:
                _write_all(self._descriptor, line)
                if durable:
                    os.fsync(self._descriptor)
            except OSError as error:
                self._failure = self._cannot_write(error)
                raise self._failure from error
            self._last_seq = numbered.seq
            return numbered

    def _cannot_write(self, error: OSError) -> JournalError:
        return JournalError(
            f"cannot write journal {self.path}: {error.strerror or error}",
            path=str(self.path),
            hint="boards are left as they are; make room, then run again with the same --out to resume",
        )

    def close(self) -> None:
        """Give the folder free. Closing twice does nothing."""
        with self._mutex:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
                self._failure = JournalError(
                    f"journal {self.path} is closed",
                    path=str(self.path),
                    hint="open it again, by a new run with the same --out",
                )
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
