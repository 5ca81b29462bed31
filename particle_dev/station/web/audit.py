"""Who did what on the page: one JSON line per act, each with the hash of the line before.

An act has two lines: ``begun`` is on the medium before anything is done, its result follows. One without a result was
cut short, or the disk was full.

A line that is changed, added or taken out in the middle is found (:func:`check_audit`); what is cut off at the end is
not. The hashes have no key: who may write the file can also compute them anew, all of them. They show accidents and
clumsy hands, no more; what must hold against others is in the records, which the station signs. No line holds what was
typed or scanned: labels and tokens hold secrets.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
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


BEGUN = "begun"
"""The result of an act before it has one."""
_KEYS = frozenset({"at", "who", "role", "from", "what", "target", "result", "before"})


@dataclass(slots=True)
class Act:
    """An act that goes on: what stands of it in the log when it ends. ``target``: a slot, a Device ID or a path."""

    visitor: Visitor
    what: str
    target: str = ""
    result: str = "failed"
    number: str = field(default_factory=lambda: secrets.token_hex(4))


class AuditLog:
    """An append-only file. Several processes may write to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = filelock.FileLock(path.with_suffix(".lock"), timeout=5)

    @contextmanager
    def act(self, visitor: Visitor, address: str, what: str, target: str = "") -> Iterator[Act]:
        """Around an act; what the act raises passes through. JournalError before it: it cannot be written down, and
        must not be done. JournalError after it: it was done, and only its result cannot be written down."""
        act = Act(visitor, what, target, BEGUN)
        self._append(address, act, hint="make room, or let the station write in the folder of --site; then do it again")
        act.result = "failed"
        try:
            yield act
        except BaseException:
            # What went wrong is more than that it cannot be written down; the line of its beginning is.
            with suppress(JournalError):
                self._append(address, act, hint="")
            raise
        self._append(address, act, hint="it was done, and its beginning is in the log: make room, do not do it again")

    def note(self, visitor: Visitor, address: str, what: str, target: str = "", *, result: str) -> None:
        """One line, for what was done already or needs no permission to be. JournalError: it cannot be written."""
        self._append(address, Act(visitor, what, target, result), hint="make room, or let the station write there")

    def _append(self, address: str, act: Act, *, hint: str) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    _write_line(descriptor, address, act)
                finally:
                    os.close(descriptor)
        except (OSError, filelock.Timeout) as error:
            raise JournalError(
                f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}",
                path=str(self.path),
                hint=hint,
            ) from error


def _write_line(descriptor: int, address: str, act: Act) -> None:
    end = os.lseek(descriptor, 0, os.SEEK_END)
    tail = os.pread(descriptor, _MOST_LINE_BYTES, max(0, end - _MOST_LINE_BYTES))
    torn = b"" if not tail or tail.endswith(b"\n") else b"\n"
    lines = tail.split(b"\n")
    last = lines[-2] if not torn and len(lines) > 1 else lines[-1]
    entry: JsonObject = {
        "act": act.number,
        "at": timestamp(datetime.now(UTC)),
        "who": act.visitor.name or None,
        "role": act.visitor.role.word,
        "from": address,
        "what": act.what,
        "target": act.target[:_MOST_TARGET] or None,
        "result": act.result,
        "before": hashlib.sha256(last).hexdigest() if tail else _START,
    }
    left = memoryview(torn + json.dumps(entry, sort_keys=True).encode() + b"\n")
    try:
        # A disk that is almost full takes a part.
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, end)
        raise


def check_audit(path: Path) -> tuple[tuple[JsonObject, ...], tuple[int, ...]]:
    """All lines of a log that tell of an act, and the numbers of the lines (from 1) that tell of none or do not follow
    the one before them. JournalError: it cannot be read."""
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
        except (ValueError, RecursionError):
            entry = None
        is_act = isinstance(entry, dict) and entry.keys() >= _KEYS
        if is_act:
            acts.append(entry)
        if not is_act or entry["before"] != before:
            wrong.append(number)
        before = hashlib.sha256(line).hexdigest()
    return tuple(acts), tuple(wrong)
