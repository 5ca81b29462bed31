"""Files of a unit beside the journal: its labels, and logs of the steps that change it. They lie in
``attachments/UNIT/`` of the run's folder and go into the records with it, with size and SHA-256."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TextIO

from particle_dev.errors import JournalError, ParticleDevError
from particle_dev.flash.progress import BlockWritten, SectorErased
from particle_dev.protocol.identifiers import is_device_id
from particle_dev.protocol.secret import redact
from particle_dev.station.events import timestamp
from particle_dev.station.run_record import UnitRecord
from particle_dev.whole_file import write_whole

ATTACHMENTS_NAME = "attachments"
MAX_LOG_BYTES = 256 << 10
"""Of one step; a run is recorded as a whole, so a shift of units must fit into memory."""
_LEFT_OUT = "… the rest is left out\n"
_AT_ONCE_BYTES = 64 << 10
"""Erased and written in one line of a log."""


def unit_folder(folder: Path, unit: str | None) -> Path | None:
    """Where the files of a unit lie. None: it has told no Device ID, and what a board tells instead is no name of a
    folder."""
    return folder / ATTACHMENTS_NAME / unit if unit is not None and is_device_id(unit) else None


def attach(folder: Path, unit: str | None, name: str, data: bytes) -> None:
    """Put a file beside the journal of the run in ``folder``, for a unit. JournalError: it cannot be written."""
    place = unit_folder(folder, unit)
    try:
        if place is None:
            raise OSError(None, "the unit has no Device ID")
        place.mkdir(parents=True, exist_ok=True)
        write_whole(place / name, data)
    except OSError as error:
        raise _cannot_write(folder, name, error) from error


class StepLog:
    """The log of one step of a unit: a line at a time, so that a station that is killed leaves what it had written.

    Secrets that boards print are hidden. What is beyond ``MAX_LOG_BYTES`` is left out, which the last line says.
    Every method raises JournalError when the file cannot be written.
    """

    def __init__(self, folder: Path, unit: str, name: str) -> None:
        self._folder, self._name = folder, name
        self._left_bytes = MAX_LOG_BYTES
        self._file: TextIO | None = None
        try:
            place = unit_folder(folder, unit)
            if place is None:
                raise OSError(None, "the unit has no Device ID")
            place.mkdir(parents=True, exist_ok=True)
            self._file = (place / name).open("w", encoding="utf-8", errors="replace", buffering=1, newline="\n")
        except OSError as error:
            raise _cannot_write(folder, name, error) from error

    def write(self, at: str, text: str) -> None:
        """One line, with the time before it."""
        if self._file is None or self._left_bytes <= 0:
            return
        line = f"{at} {redact(' '.join(text.splitlines()))}\n"
        size_bytes = len(line.encode("utf-8", "replace"))
        if size_bytes > self._left_bytes - len(_LEFT_OUT.encode()):
            line, size_bytes = _LEFT_OUT, self._left_bytes
        self._left_bytes -= size_bytes
        try:
            self._file.write(line)
        except OSError as error:
            file, self._file = self._file, None
            with contextlib.suppress(OSError):
                file.close()
            raise _cannot_write(self._folder, self._name, error) from error

    def close(self) -> None:
        """Nothing more comes. Closing twice does nothing."""
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        except OSError as error:
            raise _cannot_write(self._folder, self._name, error) from error


class EventTexts:
    """Events of flashing as lines of a log; what is erased and written is told by pieces of up to 64 KiB."""

    def __init__(self) -> None:
        self._pieces: dict[str, tuple[int, int]] = {}

    def take(self, event: object) -> list[str]:
        """The lines that an event completes."""
        match event:
            case SectorErased(address, size_bytes):
                return self._gather("erased", address, size_bytes)
            case BlockWritten(file_name, size_bytes, done_bytes, _):
                return self._gather(f"written of {file_name}", done_bytes - size_bytes, size_bytes)
        return [*self.rest(), repr(event)]

    def rest(self) -> list[str]:
        """What is not told yet."""
        return [self._told(what) for what in list(self._pieces)]

    def _gather(self, what: str, begin: int, size_bytes: int) -> list[str]:
        before_begin, before_bytes = self._pieces.get(what, (begin, 0))
        goes_on = before_begin + before_bytes == begin and before_bytes + size_bytes <= _AT_ONCE_BYTES
        lines = [] if goes_on or what not in self._pieces else [self._told(what)]
        begin, before_bytes = self._pieces.get(what, (begin, 0))
        self._pieces[what] = (begin, before_bytes + size_bytes)
        return lines

    def _told(self, what: str) -> str:
        begin, size_bytes = self._pieces.pop(what)
        return f"{what}: {size_bytes} bytes from {begin:#x}"


class UnitLogs:
    """The logs of one attempt at a unit, one for each step that has something to tell: ``attempt-1-flash.log``.
    JournalError as :class:`StepLog`."""

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._folder, self._now = folder, now
        self._log: StepLog | None = None
        self._texts = EventTexts()

    @property
    def is_open(self) -> bool:
        """Whether the present step has a log already."""
        return self._log is not None

    def take(self, unit: str | None, prior: UnitRecord | None, step: str, event: object) -> None:
        """An event of flashing, or a line of text; ``prior``: earlier attempts at the unit. One without a Device ID has
        no logs."""
        if self._log is None:
            if unit is None or unit_folder(self._folder, unit) is None:
                return
            number = len(prior.attempts) + 1 if prior else 1
            self._log = StepLog(self._folder, unit, f"attempt-{number}-{step}.log")
        self._write([event] if isinstance(event, str) else self._texts.take(event))

    def end(self, error: ParticleDevError | None) -> None:
        """The step is over; ``error``: why it failed."""
        if self._log is not None:
            self._write([*self._texts.rest(), f"failed: {error}" if error else "done"])
            self._log.close()
            self._log = None

    def drop(self) -> None:
        """The step ended by what is no error of the unit: close its log as it is."""
        log, self._log = self._log, None
        with contextlib.suppress(JournalError):
            if log is not None:
                log.close()

    def _write(self, lines: Iterable[str]) -> None:
        assert self._log is not None
        for line in lines:
            self._log.write(timestamp(self._now()), line)


def _cannot_write(folder: Path, name: str, error: OSError) -> JournalError:
    return JournalError(
        f"cannot write {name} of a unit below {folder / ATTACHMENTS_NAME}: {error.strerror}",
        path=str(folder),
        hint="boards are left as they are; make room, then run again with the same --out to resume",
    )
