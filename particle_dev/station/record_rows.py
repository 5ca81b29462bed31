"""A run's record as rows of the database, and back."""

from __future__ import annotations

import dataclasses
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from particle_dev.errors import JournalError
from particle_dev.protocol.identifiers import IdentifierKind
from particle_dev.station import record_tables as tables
from particle_dev.station.events import StepStatus, Verdict
from particle_dev.station.measurements import unit_measurements
from particle_dev.station.record_tables import Row, RunRows, storable
from particle_dev.station.run_record import (
    Attempt,
    EmptySlot,
    ModuleRecord,
    OperatorMessage,
    Parked,
    RunAttempt,
    RunRecord,
    StepRecord,
    UnitRecord,
    standing_steps,
)
from particle_dev.station.verdict_data import billing_data, billing_from_data, gate_data, gate_from_data

MAX_ATTACHMENT_BYTES = 64 << 20
"""What is larger is no log of a unit."""
OF_THE_RUN = ""
"""In place of a unit, for what belongs to the whole run."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that belongs to a unit (its key) or, with OF_THE_RUN, to the run. ``name`` has no folder in it."""

    unit: str
    name: str
    media_type: str
    data: bytes

    def __post_init__(self) -> None:
        if not self.name or self.name in (".", "..") or any(c in self.name for c in "/\\\0"):
            raise JournalError(f"{self.name!r} is no name for an attachment", hint="give a file name without folders")
        if len(self.data) > MAX_ATTACHMENT_BYTES:
            raise JournalError(
                f"attachment {self.name} has more than {MAX_ATTACHMENT_BYTES} bytes", hint="attach a shorter file"
            )


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a run's record comes from. ``recorded`` orders runs as they reached the database, whatever clocks said."""

    station_id: str
    recorded: int
    last_seq: int | None = None
    journal_sha256: str | None = None


def rows_of_run(record: RunRecord, origin: Origin, attachments: Iterable[Attachment] = ()) -> RunRows:
    """All rows of a run, as they will be read back."""
    rows: RunRows = {table.name: [] for table in tables.RUN_TABLES}

    def add(table: Any, row: Mapping[str, Any]) -> None:
        rows[table.name].append(storable(table, row))

    add(tables.runs, _run_row(record, origin))
    limits = record.recipe.get("limits")
    for position, unit in enumerate(record.units):
        key = {"run_id": record.run_id, "unit": unit.key}
        add(tables.units, key | _unit_row(unit, position))
        for table, items in _unit_parts(unit, limits if isinstance(limits, dict) else {}):
            for number, item in enumerate(items):
                add(table, key | {"position": number} | dict(item))
    for attachment in attachments:
        add(tables.attachments, {"run_id": record.run_id} | attachment_row(attachment))
    return rows


def _unit_parts(unit: UnitRecord, limits: Mapping[str, Any]) -> Iterator[tuple[Any, Sequence[Mapping[str, Any]]]]:
    yield tables.steps, [{"attempt": a.number, **dataclasses.asdict(s)} for a in unit.attempts for s in a.steps]
    yield tables.modules, [dataclasses.asdict(module) for module in unit.modules]
    yield tables.billing_evidence, billing_data(unit.billing)["evidence"]
    measured = unit_measurements(unit, limits)
    yield tables.measurements, [dataclasses.asdict(m) | {"status": m.status} for m in measured]
    yield tables.unit_names, _names(unit)


def attachment_row(attachment: Attachment) -> Row:
    """The row of an attachment, without its run; content is compressed."""
    return {
        "unit": attachment.unit,
        "name": attachment.name,
        "media_type": attachment.media_type,
        "size_bytes": len(attachment.data),
        "sha256": hashlib.sha256(attachment.data).hexdigest(),
        "content": zlib.compress(attachment.data),
    }


def attachment_of(row: Row) -> Attachment:
    """The attachment in a row. JournalError: its content is damaged."""
    try:
        unpack = zlib.decompressobj()
        data = unpack.decompress(row["content"], MAX_ATTACHMENT_BYTES + 1)
    except zlib.error as error:
        raise _damaged(row) from error
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        raise _damaged(row)
    return Attachment(row["unit"], row["name"], row["media_type"], data)


def _damaged(row: Mapping[str, Any]) -> JournalError:
    return JournalError(
        f"attachment {row['name']} of run {row['run_id']} is damaged",
        hint="find out what else is: particle-dev records verify",
    )


def _run_row(record: RunRecord, origin: Origin) -> Row:
    return {
        "run_id": record.run_id,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "verdict": record.verdict,
        "recipe_name": record.recipe.get("name"),
        "recipe_sha256": record.recipe.get("sha256"),
        "bench": record.bench,
        "operator": record.operator,
        "software": record.software,
        "recipe": record.recipe,
        "slots": record.slots,
        "empty_slots": [dataclasses.asdict(slot) for slot in record.empty_slots],
        "messages": [dataclasses.asdict(message) for message in record.messages],
        "attempts": [dataclasses.asdict(attempt) for attempt in record.attempts],
        **dataclasses.asdict(origin),
    }


def _unit_row(unit: UnitRecord, position: int) -> Row:
    billing = billing_data(unit.billing)
    last = unit.attempts[-1]
    failed = [step for step in last.steps if step.status is not StepStatus.PASSED]
    passed = unit.verdict is Verdict.PASS
    return {
        "position": position,
        "slot": unit.slot,
        "device_id": unit.device_id,
        "platform": unit.platform,
        "verdict": unit.verdict,
        "billing_verdict": billing["verdict"],
        "billing_from": billing["window"]["from"],
        "billing_until": billing["window"]["until"],
        "billing_missing": billing["missing"],
        "parked_mode": unit.parked.mode if unit.parked else None,
        "parked_power": unit.parked.power if unit.parked else None,
        "attempts": [{**dataclasses.asdict(attempt), "steps": None} for attempt in unit.attempts],
        "gate": gate_data(unit.gate) if unit.gate else None,
        "started_at": unit.attempts[0].started_at,
        "finished_at": last.last_event_at,
        "failed_step": failed[-1].name if failed and not passed else None,
        "failure": (unit.error or {}).get("type") if not passed else None,
    }


def _names(unit: UnitRecord) -> list[Row]:
    """What people may search a unit by: its Device ID, and what its steps read of serial number, IMEI and ICCID."""
    found: dict[tuple[str, str], None] = {}
    if unit.device_id:
        found["device_id", unit.device_id] = None
    for step in unit.steps:
        for kind in IdentifierKind:
            value = step.evidence.get(kind)
            if isinstance(value, str) and value:
                found[str(kind), value] = None
    return [{"kind": kind, "value": value, "reversed": value[::-1]} for kind, value in found]


def run_of_rows(rows: RunRows) -> RunRecord:
    """The record that these rows are of. What a run of before the chain did not keep is empty."""
    run = rows["runs"][0]
    recipe = run["recipe"] or {"name": run["recipe_name"], "sha256": run["recipe_sha256"], "path": "not recorded"}
    units = sorted(rows["units"], key=lambda row: row["position"])
    return RunRecord(
        run_id=run["run_id"],
        started_at=run["started_at"],
        finished_at=run["finished_at"],
        recipe=recipe,
        bench=run["bench"],
        slots=tuple(run["slots"] or [unit["slot"] for unit in units]),
        software=run["software"],
        operator=run["operator"],
        units=tuple(unit_of_rows(row, rows) for row in units),
        empty_slots=tuple(EmptySlot(**item) for item in run["empty_slots"] or ()),
        messages=tuple(OperatorMessage(**item) for item in run["messages"] or ()),
        attempts=tuple(RunAttempt(**item) for item in run["attempts"] or ())
        or (RunAttempt(1, run["started_at"], run["finished_at"] or run["started_at"]),),
    )


def unit_of_rows(row: Mapping[str, Any], rows: RunRows) -> UnitRecord:
    """The record of one unit: its row, and the rows of its run."""
    steps: dict[int, list[StepRecord]] = {}
    for part in _parts(rows, tables.steps, row):
        number = part.pop("attempt")
        steps.setdefault(number, []).append(StepRecord(**part | {"status": StepStatus(part["status"])}))
    attempts = []
    for stored in row["attempts"]:
        verdict = Verdict(stored["verdict"]) if stored["verdict"] else None
        attempts.append(Attempt(**stored | {"verdict": verdict, "steps": tuple(steps.get(stored["number"], ()))}))
    return UnitRecord(
        slot=row["slot"],
        device_id=row["device_id"],
        platform=row["platform"],
        verdict=Verdict(row["verdict"]),
        steps=standing_steps(attempts),
        modules=tuple(ModuleRecord(**part) for part in _parts(rows, tables.modules, row)),
        billing=billing_from_data(
            {
                "verdict": row["billing_verdict"],
                "window": {"from": row["billing_from"], "until": row["billing_until"]},
                "evidence": _parts(rows, tables.billing_evidence, row),
                "missing": row["billing_missing"],
            }
        ),
        parked=Parked(row["parked_mode"], row["parked_power"]) if row["parked_mode"] else None,
        attempts=tuple(attempts),
        gate=gate_from_data(row["gate"]) if row["gate"] else None,
    )


def _parts(rows: RunRows, table: Any, unit: Mapping[str, Any]) -> list[Row]:
    """Rows of a part table of one unit, in order, without the key."""
    key = {column.name for column in table.primary_key.columns}
    found = [row for row in rows[table.name] if row["unit"] == unit["unit"]]
    found.sort(key=lambda row: row["position"])
    return [{name: value for name, value in row.items() if name not in key} for row in found]
