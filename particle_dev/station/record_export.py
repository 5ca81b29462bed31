"""Records in the forms of others: a table, the list for a product's import, OpenHTF's JSON, JUnit's XML.

Source: google/openhtf ``openhtf/core/test_record.py`` (TestRecord, PhaseRecord, their outcomes); the JUnit form is the
one that pytest, Jenkins and GitLab read (testsuites, testsuite, testcase, failure, error, skipped, properties).
"""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

from particle_dev.station.events import JsonObject, StepStatus, Verdict, parse_timestamp
from particle_dev.station.measurements import Measurement, MeasurementStatus, unit_measurements
from particle_dev.station.record_rows import Attachment
from particle_dev.station.record_search import FoundUnit
from particle_dev.station.run_record import RunRecord, StepRecord, UnitRecord

TABLE_COLUMNS = (
    "device_id",
    "platform",
    "verdict",
    "billing_verdict",
    "gate_verdict",
    "failed_step",
    "failure",
    "started_at",
    "slot",
    "operator",
    "recipe_name",
    "run_id",
    "station_id",
)
_OUTCOMES = {Verdict.PASS: "PASS", Verdict.FAIL: "FAIL", Verdict.REFUSED: "FAIL", Verdict.INTERRUPTED: "ABORTED"}
_PHASE_OUTCOMES = {StepStatus.PASSED: "PASS", StepStatus.FAILED: "FAIL", StepStatus.INTERRUPTED: "ERROR"}
_PHASE_RESULTS = {StepStatus.PASSED: "CONTINUE", StepStatus.FAILED: "STOP", StepStatus.INTERRUPTED: None}
_MEASURED = {
    MeasurementStatus.PASSED: "PASS",
    MeasurementStatus.FAILED: "FAIL",
    MeasurementStatus.UNLIMITED: "PASS",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table_csv(units: Iterable[FoundUnit]) -> str:
    """One line for each go at a unit, under TABLE_COLUMNS. What a spreadsheet would take for a formula is quoted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(TABLE_COLUMNS)
    for unit in units:
        writer.writerow([_cell(getattr(unit, column)) for column in TABLE_COLUMNS])
    return text.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def product_import(units: Sequence[FoundUnit]) -> str:
    """Device IDs for a product's import, one a line: of units whose last go was a pass, each once.

    Which go was the last is told by its start and by the order in which runs were recorded. Where these differ (a clock
    was set back, or a run was recorded late) both must have passed.
    """
    last_recorded: dict[str, FoundUnit] = {}
    last_started: dict[str, FoundUnit] = {}
    for unit in sorted(units, key=lambda unit: unit.recorded or 0):
        if unit.device_id:
            last_recorded[unit.device_id] = unit
            known = last_started.get(unit.device_id)
            if known is None or parse_timestamp(unit.started_at) >= parse_timestamp(known.started_at):
                last_started[unit.device_id] = unit
    passed = [
        device_id
        for device_id, unit in last_recorded.items()
        if unit.verdict == Verdict.PASS and last_started[device_id].verdict == Verdict.PASS
    ]
    return "".join(f"{device_id}\n" for device_id in passed)


def openhtf_records(
    run: RunRecord, station_id: str | None, attachments: Iterable[Attachment] = ()
) -> Iterator[JsonObject]:
    """One OpenHTF TestRecord for each unit of a run. Attachments are in it, as base64 where OpenHTF has ``data``."""
    files = list(attachments)
    for unit in run.units:
        error = unit.error
        yield {
            "dut_id": unit.key,
            "station_id": station_id or run.bench,
            "start_time_millis": _millis(unit.attempts[0].started_at),
            "end_time_millis": _millis(unit.attempts[-1].last_event_at),
            "outcome": _OUTCOMES[unit.verdict],
            "outcome_details": [{"code": error["type"], "description": error["message"]}] if error else [],
            "code_info": {"name": run.recipe.get("path"), "docstring": run.recipe.get("name"), "sourcecode": ""},
            "metadata": _metadata(run, unit),
            "phases": list(_phases(run, unit, [file for file in files if file.unit in ("", unit.key)])),
            "diagnoses": [],
            "log_records": [],
        }


def _metadata(run: RunRecord, unit: UnitRecord) -> JsonObject:
    data = run.to_data()
    of_unit = data["units"][run.units.index(unit)]
    return {
        "test_name": run.recipe.get("name"),
        "run_id": run.run_id,
        "recipe_sha256": run.recipe.get("sha256"),
        "bench": run.bench,
        "slot": unit.slot,
        "platform": unit.platform,
        "operator": run.operator,
        "software": run.software,
        "verdict": str(unit.verdict),
        "modules": of_unit["modules"],
        "billing": of_unit["billing"],
        "gate": of_unit["gate"],
        "parked": of_unit["parked"],
        "config": {"limits": run.recipe.get("limits")},
    }


def _phases(run: RunRecord, unit: UnitRecord, files: list[Attachment]) -> Iterator[JsonObject]:
    measured = unit_measurements(unit, run.recipe.get("limits") or {})
    steps = [(attempt.number, step) for attempt in unit.attempts for step in attempt.steps]
    for position, (attempt, step) in enumerate(steps):
        of_step = [m for m in measured if (m.attempt, m.step) == (attempt, step.name)]
        start = _millis(step.started_at)
        yield {
            "name": step.name,
            "descriptor_id": position,
            "codeinfo": None,
            "options": None,
            "start_time_millis": start,
            "end_time_millis": None if step.duration_s is None else start + round(step.duration_s * 1000),
            "measurements": {m.name: _measurement(m) for m in of_step},
            "attachments": {file.name: _file(file) for file in files} if position == len(steps) - 1 else {},
            "diagnosis_results": [],
            "failure_diagnosis_results": [],
            "result": {"phase_result": _PHASE_RESULTS[step.status]},
            "outcome": _PHASE_OUTCOMES[step.status],
        }


def _measurement(measurement: Measurement) -> JsonObject:
    limits = measurement.lower, measurement.upper
    data: JsonObject = {
        "name": measurement.name,
        "outcome": _MEASURED[measurement.status],
        "measured_value": measurement.text if measurement.value is None else measurement.value,
        "validators": [] if limits == (None, None) else [_range(*limits)],
    }
    if measurement.units:
        data["units"] = {"name": measurement.units, "code": None, "suffix": measurement.units}
    return data


def _range(lower: float | None, upper: float | None) -> str:
    if lower is None:
        return f"x <= {upper:g}"
    return f"{lower:g} <= x" if upper is None else f"{lower:g} <= x <= {upper:g}"


def _file(file: Attachment) -> JsonObject:
    return {"mimetype": file.media_type, "data": base64.b64encode(file.data).decode("ascii")}


def _millis(at: str) -> int:
    return round(parse_timestamp(at).timestamp() * 1000)


def junit_xml(runs: Iterable[RunRecord]) -> bytes:
    """A JUnit file: a suite for each unit of each run, a case for each step. An interrupted unit is an error, and so is
    a run that was cut short or did nothing; an empty slot is skipped."""
    suites = ElementTree.Element("testsuites", name="particle-dev")
    for run in runs:
        for unit in run.units:
            _suite(suites, run, unit)
        for slot in run.empty_slots:
            suite = ElementTree.SubElement(suites, "testsuite", name=f"slot {_text(slot.slot)}", tests="1", skipped="1")
            case = ElementTree.SubElement(suite, "testcase", classname=_text(run.recipe.get("name")), name="unit")
            ElementTree.SubElement(case, "skipped", message=_text(slot.reason))
        if run.finished_at is None or not run.units:
            why = "it was cut short" if run.finished_at is None else "no unit was worked on"
            suite = ElementTree.SubElement(suites, "testsuite", name=f"run {run.run_id}", tests="1", errors="1")
            case = ElementTree.SubElement(suite, "testcase", classname=_text(run.recipe.get("name")), name="run")
            ElementTree.SubElement(case, "error", type="incomplete", message=why)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, "unicode").encode("utf-8")


def _suite(suites: ElementTree.Element, run: RunRecord, unit: UnitRecord) -> None:
    failed = [step for step in unit.steps if step.status is StepStatus.FAILED]
    cut = [step for step in unit.steps if step.status is StepStatus.INTERRUPTED]
    whole = _of_the_whole(unit, bool(failed))
    kinds = [whole[0]] if whole else []
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        name=_text(unit.key),
        timestamp=unit.attempts[0].started_at.removesuffix("Z"),
        hostname=_text(run.bench),
        tests=str(len(unit.steps) + 1),
        failures=str(len(failed) + kinds.count("failure")),
        errors=str(len(cut) + kinds.count("error")),
        skipped="0",
        time=f"{sum(step.duration_s or 0 for step in unit.steps):.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (
        ("run_id", run.run_id),
        ("slot", unit.slot),
        ("platform", unit.platform),
        ("operator", run.operator),
        ("billing", unit.billing.verdict),
    ):
        ElementTree.SubElement(properties, "property", name=name, value=_text(value))
    for step in unit.steps:
        _case(suite, run, step)
    case = ElementTree.SubElement(suite, "testcase", classname=_text(run.recipe.get("name")), name="verdict", time="0")
    if whole:
        ElementTree.SubElement(case, whole[0], type=whole[1], message=_text(whole[2]))


def _of_the_whole(unit: UnitRecord, step_failed: bool) -> tuple[str, str, str] | None:
    """What is wrong with a unit beyond its steps: a unit that did not pass is never a green suite."""
    if unit.verdict is Verdict.PASS:
        return None
    if unit.verdict is Verdict.INTERRUPTED:
        return "error", "interrupted", "the run ended before this unit was finished"
    if step_failed:
        return "failure", str(unit.verdict), f"the unit is {unit.verdict}"
    error = unit.error or {}
    return (
        "failure",
        _text(error.get("type") or unit.verdict),
        _text(error.get("message") or "; ".join(unit.billing.missing)),
    )


def _case(suite: ElementTree.Element, run: RunRecord, step: StepRecord) -> None:
    time = f"{step.duration_s or 0:.3f}"
    name = _text(run.recipe.get("name"))
    case = ElementTree.SubElement(suite, "testcase", classname=name, name=_text(step.name), time=time)
    if step.status is StepStatus.FAILED:
        error = step.error or {}
        failure = ElementTree.SubElement(
            case, "failure", type=_text(error.get("type")), message=_text(error.get("message"))
        )
        failure.text = _text(error.get("hint"))
    elif step.status is StepStatus.INTERRUPTED:
        ElementTree.SubElement(case, "error", type="interrupted", message="the step never ended")


def _text(value: Any) -> str:
    """Text that XML can hold: control characters that boards send have no place in it."""
    text = "" if value is None else str(value)
    return "".join(
        c if c in "\t\n\r" or 0x20 <= ord(c) < 0xD800 or 0xE000 <= ord(c) < 0xFFFE or ord(c) > 0xFFFF else "�"
        for c in text
    )
