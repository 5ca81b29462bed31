"""The report of a run, or of a unit through its runs: one HTML file that needs nothing else, not even JavaScript."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import jinja2

from particle_dev.cloud.metering import EVIDENCE_IDS
from particle_dev.errors import FirmwareStoreError, JournalError
from particle_dev.flash.file_io import write_file
from particle_dev.station.events import JsonObject
from particle_dev.station.measurements import Measurement, unit_measurements
from particle_dev.station.module_maps import ReadModule, module_maps, no_modules
from particle_dev.station.run_record import RunRecord, UnitRecord
from particle_dev.station.timeline import layout
from particle_dev.station.wording import (
    STEP_TEXTS,
    duration_text,
    evidence_text,
    name_text,
    outcome_text,
    period_text,
    platform_text,
    slot_text,
    time_text,
    version_text,
)

REPORT_NAME = "report.html"


def render_report(record: RunRecord, read_module: ReadModule = no_modules) -> str:
    """The report of a run as HTML; everything that came off devices or files is escaped.

    Modules that ``read_module`` has (raises FirmwareStoreError for others) are shown as byte maps.
    """
    title = f"{record.verdict.upper()} – {record.recipe['name']} – {time_text(record.started_at)}"
    return _render([record], title, None, read_module)


def render_unit_report(unit: str, records: Sequence[RunRecord], read_module: ReadModule = no_modules) -> str:
    """The report of one unit, by its key in the records, through these runs, as HTML like :func:`render_report`."""
    own = [
        replace(
            record,
            units=tuple(u for u in record.units if u.key == unit),
            slots=tuple(u.slot for u in record.units if u.key == unit),
            empty_slots=(),
            messages=tuple(m for m in record.messages if m.unit == unit),
        )
        for record in records
    ]
    return _render([record for record in own if record.units], f"Unit {unit}", unit, read_module)


@functools.cache
def _template() -> jinja2.Template:
    # To compile it takes longer than all the rest of a report.
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters.update(
        duration=duration_text,
        time=time_text,
        words=name_text,
        facts=evidence_text,
        outcome=outcome_text,
        period=period_text,
        in_slot=lambda text, slot: slot_text(slot, text),
        platform=platform_text,
        version=version_text,
        json=_json,
        measured=_measured,
    )
    source = resources.files("particle_dev.station").joinpath("templates/report.html").read_text("utf-8")
    return environment.from_string(source)


def _render(records: Sequence[RunRecord], title: str, unit_name: str | None, read_module: ReadModule) -> str:
    pages = [
        {"run": record, "timeline": layout(record), "prefix": "" if number == 1 else f"{number}-"}
        for number, record in enumerate(records, start=1)
    ]
    return _template().render(
        pages=pages,
        title=title,
        unit_name=unit_name,
        maps={sha256: map_ for record in records for sha256, map_ in module_maps(record, read_module).items()},
        evidence_ids={id_: text for id_, text in EVIDENCE_IDS.items() if id_ in _evidence_ids(records)},
        step_texts={name: text for name, text in STEP_TEXTS.items() if name in _step_names(records)},
    )


def report_bytes(record: RunRecord, read_module: ReadModule = no_modules) -> bytes:
    """The report as the bytes of a file; see :func:`render_report`."""
    return render_report(record, read_module).encode("utf-8", errors="replace")


def write_report(record: RunRecord, path: Path, read_module: ReadModule = no_modules) -> None:
    """Write the report in place of an older one; a reader sees the old file or the new one, never half of one.

    Links are followed; pipes and device nodes are written into. JournalError: the file cannot be written.
    """
    try:
        write_file(path, report_bytes(record, read_module), replace=True)
    except FirmwareStoreError as error:
        raise JournalError(
            f"cannot write report: {error}",
            path=str(path),
            hint="the journal is complete: make room or access, then run 'particle-dev report' on its folder",
        ) from error


def _json(value: JsonObject) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


def _measured(unit: UnitRecord, run: RunRecord) -> list[Measurement]:
    """What was measured, without durations: they stand with the steps."""
    found = unit_measurements(unit, run.recipe.get("limits") or {})
    return [item for item in found if item.name != "duration"]


def _evidence_ids(records: Sequence[RunRecord]) -> set[str]:
    return {item.id for record in records for unit in record.units for item in unit.billing.evidence}


def _step_names(records: Sequence[RunRecord]) -> set[str]:
    return {step.name for record in records for unit in record.units for step in unit.steps}
