"""The journal of acts on single boards that cannot be undone: append-only JSON lines, outside of a station's run.

Each act has two lines, ``act_started``, which is synced before the act, and ``act_finished`` with its result or error;
a first line without a second is an act that was cut short. A line, keys sorted::

    {"act":"recover","act_id":"…","at":"2026-05-04T08:00:00.000Z","data":{…},"device_id":"e00fce68…"|null,
     "probe":"…","schema":1,"type":"act_started"}

``data`` of ``act_started``: ``permission``, and ``before``: what was found, with the file that holds what was read out
before, or why nothing was; of ``flash`` and ``restore``: what is to be done. Of ``act_finished``: ``status`` "done" or
"failed", ``result``, ``error``; of ``flash`` and ``restore`` the result says what was ``changed`` and is ``whole``.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from particle_dev.errors import JournalError, ParticleDevError
from particle_dev.permissions import Effect
from particle_dev.station.events import JsonObject, error_data, timestamp

SCHEMA_VERSION = 1
_WRITING = ("flash", "restore")


@dataclass(frozen=True, slots=True)
class ActJournal:
    """The journal at ``path``, made with its folder when something is written."""

    path: Path

    @contextmanager
    def act(
        self, name: str, *, probe: str, device_id: str | None, permission: Effect | None, before: JsonObject
    ) -> Iterator[JsonObject]:
        """Journal an act around the body of a ``with`` statement, which fills the result that this yields.

        What the body raises is written and goes on. Raises JournalError when the first line cannot be kept: then
        nothing must be done, and the body is not reached.
        """
        act_id = uuid.uuid4().hex
        head = {"act": name, "act_id": act_id, "probe": probe, "device_id": device_id}
        self._append(
            {**head, "type": "act_started", "data": {"permission": permission and str(permission), "before": before}}
        )
        result: JsonObject = {}
        try:
            yield result
        except ParticleDevError as error:
            self._append({**head, **_finished("failed", result, error_data(error))})
            raise
        except BaseException as error:
            self._append({**head, **_finished("failed", result, {"type": type(error).__name__})})
            raise
        self._append({**head, **_finished("done", result, None)})

    def cut_short_at(self, device_id: str) -> str | None:
        """When the last act that wrote to this board's flash began, if it did not come to its end; None when it did, or
        when there was none. Lines that are no JSON are passed over, and so is a journal that cannot be read."""
        cut: str | None = None
        before: str | None = None
        for entry in self._entries():
            if entry.get("device_id") != device_id or entry.get("act") not in _WRITING:
                continue
            if entry.get("type") == "act_started":
                before, cut = cut, str(entry.get("at"))
                continue
            result = entry["data"].get("result", {})
            if entry["data"].get("status") == "done" or result.get("whole"):
                cut = None
            elif not result.get("changed", True):
                cut = before
        return cut

    def _entries(self) -> Iterator[JsonObject]:
        with contextlib.suppress(OSError), self.path.open("rb") as file:
            for line in file:
                # A power cut may have torn the last one.
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    if isinstance(entry, dict):
                        yield entry

    def _append(self, entry: JsonObject) -> None:
        line = json.dumps({**entry, "schema": SCHEMA_VERSION, "at": timestamp(datetime.now(UTC))}, sort_keys=True)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # One write of one line: several processes may have the file open.
            with self.path.open("ab") as file:
                file.write(line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise JournalError(
                f"cannot write in {self.path}: {error.strerror}",
                path=str(self.path),
                hint="what cannot be undone is not done without its journal; give another file with --journal",
            ) from error


def _finished(status: str, result: JsonObject, error: JsonObject | None) -> JsonObject:
    return {"type": "act_finished", "data": {"status": status, "result": result, "error": error}}
