"""What an import has asked for and is waiting for, in a file that survives ``kill -9``: append-only JSON lines.

The cloud says who is a member; this file remembers what it does not tell: what was asked and not answered, and since
when a SIM is waited for. One process at a time writes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock

from particle_dev.catalog.skus import SimClass
from particle_dev.cloud.sim_wait import SimWait
from particle_dev.errors import ImportStateError

_VERSION = 1
_BATCH = 500
"""SIMs in one line of the file."""


class ImportState:
    """The open state of imports into one product. ``ImportStateError`` from every method: the file cannot be used.

    ``asked`` are identifiers whose import was asked for and never answered; ``sims_asked`` when ICCIDs were asked for;
    ``waits`` SIMs that are still waited for, by ICCID.
    """

    def __init__(self, path: Path, product_id: int) -> None:
        self.path = path
        self.product_id = product_id
        self.asked: set[str] = set()
        self.sims_asked: dict[str, datetime] = {}
        self.waits: dict[str, SimWait] = {}
        self._descriptor = -1
        self._lock = filelock.FileLock(path.with_name(path.name + ".lock"), timeout=0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except filelock.Timeout as error:
            raise self._error("another import into this product is running", "wait until it ends") from error
        except OSError as error:
            raise self._cannot_write(error) from error
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def _load(self) -> None:
        try:
            lines = self.path.read_bytes().split(b"\n") if self.path.exists() else [b""]
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            # A last line without its end was cut short before anything followed from it.
            os.ftruncate(self._descriptor, sum(len(line) + 1 for line in lines[:-1]))
        except OSError as error:
            raise self._cannot_write(error) from error
        for number, line in enumerate(lines[:-1], 1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                hint = "move the file away: the cloud knows the members, and only how long SIMs were waited for is lost"
                raise self._error(f"line {number} is damaged", hint, number) from error
        if not lines[:-1]:
            self._append({"event": "began", "version": _VERSION, "product_id": self.product_id})

    def _take(self, event: dict[str, Any]) -> None:
        """Change what is remembered by one line of the file."""
        kind = event["event"]
        if kind == "began" and (event["version"], event["product_id"]) != (_VERSION, self.product_id):
            raise ValueError("a file of another product or version")
        if kind == "asked":
            self.asked.update(event["identifiers"])
        elif kind == "answered":
            self.asked.difference_update(event["identifiers"])
        elif kind == "sims_asked":
            self.sims_asked.update(dict.fromkeys(event["iccids"], datetime.fromisoformat(event["at"])))
        elif kind == "waiting":
            since = datetime.fromisoformat(event["at"])
            for iccid, device_id, sim_class, reactivated in event["sims"]:
                known = SimClass(sim_class) if sim_class else None
                self.waits[iccid] = SimWait(iccid, device_id, known, bool(reactivated), since)
        elif kind == "active":
            for iccid in event["iccids"]:
                self.waits.pop(iccid, None)
                self.sims_asked.pop(iccid, None)

    def ask(self, identifiers: Sequence[str]) -> None:
        """Remember what is asked for next, before it is."""
        self._record({"event": "asked", "identifiers": list(identifiers)})

    def answer(self, identifiers: Sequence[str]) -> None:
        """Remember that the cloud has answered, whatever it said."""
        self._record({"event": "answered", "identifiers": list(identifiers)})

    def ask_sims(self, iccids: Sequence[str], at: datetime) -> None:
        """Remember which SIMs are asked for next."""
        self._record({"event": "sims_asked", "at": at.isoformat(), "iccids": list(iccids)})

    def wait_for(self, waits: Iterable[SimWait]) -> None:
        """Remember SIMs that are waited for; those that were before keep their time."""
        new = [wait for wait in waits if wait.iccid not in self.waits]
        for since in sorted({wait.since for wait in new}):
            sims = [[w.iccid, w.device_id, w.sim_class, w.reactivated] for w in new if w.since == since]
            for start in range(0, len(sims), _BATCH):
                self._record({"event": "waiting", "at": since.isoformat(), "sims": sims[start : start + _BATCH]})

    def settle(self, iccids: Sequence[str]) -> None:
        """Forget SIMs that are active. One that failed stays, so that its time is known when it is looked at again."""
        for start in range(0, len(iccids), _BATCH):
            self._record({"event": "active", "iccids": list(iccids[start : start + _BATCH])})

    def _record(self, event: dict[str, Any]) -> None:
        self._append(event)
        self._take(event)

    def _append(self, event: dict[str, Any]) -> None:
        line = memoryview(json.dumps(event).encode() + b"\n")
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> ImportStateError:
        hint = "make room or give another file with --state; then run the same again, which doubles nothing"
        return self._error(f"it cannot be used: {error.strerror or error}", hint)

    def _error(self, what: str, hint: str, line: int | None = None) -> ImportStateError:
        return ImportStateError(f"{self.path}: {what}", path=str(self.path), line=line, hint=hint)

    def close(self) -> None:
        """Give the file free. One that waits for nothing is removed: the next import starts with none."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            if not self.asked and not self.waits and not self.sims_asked:
                self.path.unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
