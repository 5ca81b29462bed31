"""The one event schema of a station: journal lines, ``--json`` output and the web page are these events.

An event is one line of JSON, keys sorted, ASCII only::

    {"at":"2026-05-04T08:00:00.000Z","data":{…},"run_id":"…","schema":1,"seq":1,"slot":null,"step":null,
     "type":"run_started","unit":null}

What ``data`` holds, by type:

run_started, run_resumed
    ``{"recipe":{"name","sha256","path","limits":{…_s: seconds},"release":{"name","version","sha256","signed_by"}|null,
    "firmware":{platform: {"device_os","app","modules":[{"sha256","version","file_name","source"}]}},"strategy"},
    "bench":{"name"}, "slots":[slot name,…], "software":{name: version}, "operator": str|null,
    "mode":"round"|"continuous", "start_by":"insertion"|"operator"|"scan"|null}``. A resumed run keeps
    the run id and the journal of the run that was cut short.
slot_empty
    ``{"reason": str, "lock": str}``: nothing to work on in this slot. Not for a slot whose unit passed before the
    resume. ``lock``: why it is locked, a code of slot_health; only there for one that is.
unit_started
    ``{"platform": str|null, "port": str|null}``; opens one attempt at this unit. ``unit`` may still be null
    when the Device ID is not known; the first event of the slot that carries one names the unit.
unit_retried
    ``{"attempt": int, "attempts": int, "error": error_data(…)}``: the unit, which has just failed, gets its next go (of
    so many in all) by the recipe's [retries]; a unit_started follows.
slot_waiting
    ``{"for":"board"|"removal"|"unlock", "removal": bool, "board": str|null, "reason": str|null, "lock": str|null}``: of
    a continuous run; nothing is being done in the slot. ``removal``: a board with which nothing begins is still in it:
    a unit that is done, or another one, to which nothing was done; ``board``: its Device ID, where that is known.
    ``lock``: why it is locked, a code of slot_health.
slot_health
    ``{"insertions": int, "units": int, "share_passed", "share_repeated", "drift", "bytes_per_s": float|null,
    "since_golden": int, "lock":{"code","reason","at"}|null}`` after a unit: slot_health says what they mean.
step_started
    ``{}``
step_progress (never journaled; carries the number of the last journaled event)
    ``{"activity": str, "done_bytes": int, "total_bytes": int}``
step_finished
    ``{"status":"passed"|"failed", "duration_s": float, "evidence":{…}, "error": error_data(…)|null}``; what was
    measured stands in the evidence as :mod:`particle_dev.station.measurements` says
operator_message
    ``{"message": str, "ask": str}``: something a person has to do or know. ``ask``, where it is there: the id of an
    instruction, see :mod:`particle_dev.station.instructions`.
    Stages of a connectivity test are steps; they tell ``{"activity", "elapsed_s", "limit_s"}`` of their progress, and
    their end has ``"status"`` "skipped" for what could not be done, ``"measurements"``, and the failure's code in
    ``"error"``. Its unit_finished has ``"connectivity"``, the whole result, and may say "parked" or "incomplete".
unit_finished
    ``{"verdict":"pass"|"fail"|"refused"|"interrupted",
    "billing":{"verdict":"not_started"|"started"|"unknown", "window":{"from","until"},
    "evidence":[{"id","statement","source","from","until","finding":"offline"|"online"|"inconclusive"}],
    "missing":[str]},
    "gate":{"verdict", "since_baseline": likewise, of the unit's whole life; "facts":[{"id","verdict":"pass"|
    "since_baseline"|"weak"|"doubt"|"fail","statement","source","at"}], "missing":[str], "started_by":[str]},
    "modules":[{"function": label such as "system part", "index", "version", "sha256", "size_bytes",
    "address", "file_name", "read_back_sha256": str|null}],
    "parked":{"mode":"dfu"|"halted", "power":"off"|"on_operator_must_unplug"}|null,
    "left":{"power":"off"|"on_operator_must_unplug","at", "error": error_data(…) if that failed}|null
    (how one that did not pass was left; null: in DFU mode),
    "error": error_data(…)|null}``: why it did not pass, where every step did; or what could not be kept of its start
run_finished
    ``{"verdict":"pass"|"fail"|"incomplete", "report": path|null}``

A good unit, from tray to parked (number, type, slot, unit, step, data in short)::

     1 run_started    -  -         -          recipe, bench, slots, software, operator
     2 unit_started   1  e00fce68… -          {"platform":"boron","port":"1-1"}
     3 step_started   1  e00fce68… identify   {}
     4 step_finished  1  e00fce68… identify   {"status":"passed","duration_s":0.2,"evidence":{…},"error":null}
     5 step_started   1  e00fce68… check      {}
     6 step_finished  1  e00fce68… check      passed
       … the same pair for plan, enter_dfu, flash, verify; step_progress within flash and verify …
    15 step_started   1  e00fce68… park       {}
    16 step_finished  1  e00fce68… park       passed
    17 unit_finished  1  e00fce68… -          verdict pass, billing, modules, parked
    18 run_finished   -  -         -          {"verdict":"pass","report":"…/report.html"}

The same unit when the station was killed in ``flash`` and started again on the same folder::

     … 1 to 10 as above: identify, check, plan, enter_dfu passed …
    11 step_started   1  e00fce68… flash      {}             and here the process died
    12 run_resumed    -  -         -          as run_started
    13 unit_started   1  e00fce68… -          {"platform":"boron","port":"1-1"}
    14 step_started   1  e00fce68… identify   {}             steps may run again: the first passed one stands
    15 step_finished  1  e00fce68… identify   passed
       … enter_dfu as needed (16, 17); then the steps that had not passed …
    18 step_started   1  e00fce68… flash      {}
    19 step_finished  1  e00fce68… flash      passed
       … verify, park …
    24 unit_finished  1  e00fce68… -          as above
    25 run_finished   -  -         -          as above

Units that already have a unit_finished with verdict "pass" get no further event after run_resumed.

So that a resumed run and an undisturbed one give the same record, evidence keeps what varies under names that
say so (``VOLATILE_KEYS``, or ending in ``_s``, ``_ms`` or ``_at``), and never inside a sentence.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

from particle_dev.errors import FormatError, ParticleDevError

SCHEMA_VERSION = 1

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object; its values are None, bool, int, finite float, str, and lists and objects of these."""

VOLATILE_KEYS = frozenset(
    {"at", "from", "until", "run_id", "seq", "attempt", "attempts", "observed", "usb_address", "usb_bus", "work"}
)
"""What differs between equal runs: times, run ids, numbers of the USB host, how much was left to
do, and how often the same was observed."""


class EventType(StrEnum):
    """What happened; the module docstring gives ``data`` for each."""

    RUN_STARTED = "run_started"
    RUN_RESUMED = "run_resumed"
    SLOT_EMPTY = "slot_empty"
    UNIT_STARTED = "unit_started"
    STEP_STARTED = "step_started"
    STEP_PROGRESS = "step_progress"
    STEP_FINISHED = "step_finished"
    OPERATOR_MESSAGE = "operator_message"
    UNIT_FINISHED = "unit_finished"
    UNIT_RETRIED = "unit_retried"
    SLOT_WAITING = "slot_waiting"
    SLOT_HEALTH = "slot_health"
    RUN_FINISHED = "run_finished"


class StepStatus(StrEnum):
    """How a step ended; ``interrupted`` is never written, it is what a fold finds when the end is missing."""

    PASSED = "passed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Verdict(StrEnum):
    """Of one unit. ``refused``: turned down before anything was erased."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class StationEvent:
    """One event. ``at`` is ISO 8601 in UTC with milliseconds; ``seq`` counts journaled events from 1.

    ``type`` is a plain string when a newer station wrote a type that this version does not know.
    """

    seq: int
    at: str
    run_id: str
    type: EventType | str
    slot: str | None
    unit: str | None
    step: str | None
    data: JsonObject

    def to_json(self) -> str:
        """One line without its line end. ValueError/TypeError: ``data`` holds what JSON cannot."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return json.dumps(fields | {"schema": SCHEMA_VERSION}, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, line: str | bytes) -> StationEvent:
        """The event of one line.

        FormatError: ``bad_json`` (offset: where), ``bad_event`` (a field is missing or of another type) or
        ``newer_schema`` (written by a later version of particle-dev).
        """
        try:
            fields = json.loads(line)
        except json.JSONDecodeError as error:
            raise FormatError(f"no JSON: {error.msg}", code="bad_json", offset=error.pos, hint=_DAMAGED) from error
        except UnicodeDecodeError as error:
            raise FormatError("no UTF-8 text", code="bad_json", offset=error.start, hint=_DAMAGED) from error
        if not isinstance(fields, dict) or type(fields.get("schema")) is not int:
            raise FormatError('no event: an object with "schema" is needed', code="bad_event", hint=_DAMAGED)
        if fields.pop("schema") > SCHEMA_VERSION:
            raise FormatError(
                "event of a newer schema",
                code="newer_schema",
                hint="read it with the particle-dev that wrote it",
            )
        for name, types in _FIELD_TYPES.items():
            if name not in fields or type(fields[name]) not in types:
                raise FormatError(
                    f'no event: "{name}" is missing or of the wrong type', code="bad_event", hint=_DAMAGED
                )
        with contextlib.suppress(ValueError):  # a type of a newer station stays a string
            fields["type"] = EventType(fields["type"])
        return cls(**{name: fields[name] for name in _FIELD_TYPES})


_DAMAGED = "the file is damaged, or none that a station wrote"
_TEXT_OR_NONE: tuple[type, ...] = (str, type(None))
_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "seq": (int,),
    "at": (str,),
    "run_id": (str,),
    "type": (str,),
    "slot": _TEXT_OR_NONE,
    "unit": _TEXT_OR_NONE,
    "step": _TEXT_OR_NONE,
    "data": (dict,),
}


def new_event(
    event_type: EventType,
    *,
    run_id: str,
    at: datetime,
    slot: str | None = None,
    unit: str | None = None,
    step: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> StationEvent:
    """An event that is not journaled yet: its number is 0 until ``Journal.append`` gives it one."""
    return StationEvent(0, timestamp(at), run_id, event_type, slot, unit, step, dict(data or {}))


def timestamp(at: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, ``2026-05-04T08:00:00.000Z``; ``at`` must know its zone."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone cannot be recorded")
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_timestamp(at: str) -> datetime:
    """The time of ``StationEvent.at``. ValueError: not ISO 8601 with a zone."""
    time = datetime.fromisoformat(at)
    if time.tzinfo is None:
        raise ValueError(f"time {at!r} has no zone")
    return time


def error_data(error: ParticleDevError) -> JsonObject:
    """``{"type","message","hint","fields"}`` of an error, for ``step_finished``; fields become JSON."""
    return {
        "type": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "fields": {name: _as_json(value) for name, value in error.fields().items()},
    }


def without_volatile(value: Any) -> Any:
    """A copy of JSON data without what differs between two equal runs: see ``VOLATILE_KEYS``."""
    if isinstance(value, dict):
        return {
            key: without_volatile(item)
            for key, item in value.items()
            if key not in VOLATILE_KEYS and not key.endswith(("_s", "_ms", "_at"))
        }
    if isinstance(value, list):
        return [without_volatile(item) for item in value]
    return value


def _as_json(value: object) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_json(item) for item in value]
    return str(value)
