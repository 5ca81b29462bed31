"""Who did what on the page: one JSON line per act, each with the hash of the line before.

A line that is changed, added or taken out in the middle is found (:func:`check_audit`); what is cut off at the end is
not. No line holds what was typed or scanned: labels and tokens hold secrets.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import filelock

from particle_dev.errors import JournalError
from particle_dev.station.events import JsonObject, timestamp
from particle_dev.station.web.access import Visitor

AUDIT_NAME = "page-audit.jsonl"
_START = "0" * 64
_MOST_LINE_BYTES = 8192
_MOST_TARGET = 200


@dataclass(slots=True)
class Act:
    """An act that goes on: what stands of it in the log when it ends. ``target``: a slot, a Device ID or a path."""

    visitor: Visitor
    what: str
    target: str = ""
    result: str = "failed"


class AuditLog:
    """An append-only file. Several processes may write to it.

    JournalError from every method: it cannot be written or read; then the act must not be done.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = filelock.FileLock(path.with_suffix(".lock"), timeout=5)

    @contextmanager
    def act(self, visitor: Visitor, address: str, what: str, target: str = "") -> Iterator[Act]:
        """Around an act: the file is open before, so that nothing is done that cannot be written down."""
        act = Act(visitor, what, target)
        with self._opened() as descriptor:
            try:
                yield act
            finally:
                self._append(descriptor, address, act)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    yield descriptor
                finally:
                    os.close(descriptor)
        except (OSError, filelock.Timeout) as error:
            raise JournalError(
                f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}",
                path=str(self.path),
                hint="make room, or let the station write in the folder of --site; then do it again",
            ) from error

    def _append(self, descriptor: int, address: str, act: Act) -> None:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        tail = os.pread(descriptor, _MOST_LINE_BYTES, max(0, end - _MOST_LINE_BYTES))
        torn = b"" if not tail or tail.endswith(b"\n") else b"\n"
        lines = tail.split(b"\n")
        last = lines[-2] if not torn and len(lines) > 1 else lines[-1]
        entry: JsonObject = {
            "at": timestamp(datetime.now(UTC)),
            "who": act.visitor.name or None,
            "role": act.visitor.role.word,
            "from": address,
            "what": act.what,
            "target": act.target[:_MOST_TARGET] or None,
            "result": act.result,
            "before": hashlib.sha256(last).hexdigest() if tail else _START,
        }
        os.write(descriptor, torn + json.dumps(entry, sort_keys=True).encode() + b"\n")
        os.fsync(descriptor)


def check_audit(path: Path) -> tuple[tuple[JsonObject, ...], tuple[int, ...]]:
    """All acts of a log, and the numbers of the lines (from 1) that do not follow the one before them. JournalError: it
    cannot be read."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise JournalError(
            f"cannot read {path}: {error.strerror}", path=str(path), hint="give the folder of a station's --site"
        ) from error
    acts, wrong, before = [], [], _START
    for number, line in enumerate(lines[:-1] if not lines[-1] else lines, start=1):
        try:
            entry = json.loads(line)
            if entry["before"] != before:
                wrong.append(number)
            acts.append(entry)
        except (ValueError, KeyError, TypeError):
            wrong.append(number)
        before = hashlib.sha256(line).hexdigest()
    return tuple(acts), tuple(wrong)
