"""The journal of acts on single boards that cannot be undone: append-only JSON lines, outside of a station's run.

Each act has two lines, ``act_started``, which is synced before the act, and ``act_finished`` with its result or error;
a first line without a second is an act that was cut short. A line, keys sorted::

    {"act":"recover","act_id":"…","at":"2026-05-04T08:00:00.000Z","data":{…},"device_id":"e00fce68…"|null,
     "probe":"…","schema":1,"type":"act_started"}

``data`` of ``act_started``: ``permission``, and ``before``: what was found, with the file that holds what was read out
before, or why nothing was. Of ``act_finished``: ``status`` "done" or "failed", ``result`` or ``error``.
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class ActJournal:
    """The journal at ``path``, made with its folder when something is written."""

    path: Path

    @contextmanager
    def act(
        self, name: str, *, probe: str, device_id: str | None, permission: Effect, before: JsonObject
    ) -> Iterator[JsonObject]:
        """Journal an act around the body of a ``with`` statement, which fills the result that this yields.

        What the body raises is written and goes on. Raises JournalError when the first line cannot be kept: then
        nothing must be done, and the body is not reached.
        """
        act_id = uuid.uuid4().hex
        head = {"act": name, "act_id": act_id, "probe": probe, "device_id": device_id}
        self._append({**head, "type": "act_started", "data": {"permission": str(permission), "before": before}})
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
