"""What a run did: one RunRecord with a UnitRecord per board. ``fold`` makes it of the run's events."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from particle_dev.cloud.gate import Gate
from particle_dev.cloud.metering import Billing
from particle_dev.station.events import (
    JsonObject,
    StepStatus,
    Verdict,
    without_volatile,
)
from particle_dev.station.verdict_data import billing_data, gate_data


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """A module on the unit; ``function`` in words, ``read_back_sha256`` None: it was not read back."""

    function: str
    index: int
    version: int
    sha256: str
    size_bytes: int
    address: int
    file_name: str
    read_back_sha256: str | None


@dataclass(frozen=True, slots=True)
class Parked:
    """How the unit was left: ``mode`` "dfu" or "halted", ``power`` "off" or "on_operator_must_unplug"."""

    mode: str
    power: str


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One execution of a step. ``duration_s`` None: it never ended; ``error`` as in ``events.error_data``."""

    name: str
    status: StepStatus
    started_at: str
    duration_s: float | None
    evidence: JsonObject
    error: JsonObject | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One go at a unit; ``number`` counts from 1, ``run_attempt`` says in which start of the station."""

    number: int
    run_attempt: int
    started_at: str
    last_event_at: str
    verdict: Verdict | None
    steps: tuple[StepRecord, ...]
    switched_off_at: str | None = None
    """When the station took its power away, because it did not pass and was not in DFU mode."""
    error: JsonObject | None = None
    """What its end brought up when its steps were over."""


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """Everything about one unit of a run. ``device_id`` None: the board never told it.

    ``billing`` is about the time in which the station had it, ``gate`` about its whole life (None: recorded before
    there was a gate).
    """

    slot: str
    device_id: str | None
    platform: str | None
    verdict: Verdict
    steps: tuple[StepRecord, ...]
    modules: tuple[ModuleRecord, ...]
    billing: Billing
    parked: Parked | None
    attempts: tuple[Attempt, ...]
    gate: Gate | None = None

    @property
    def key(self) -> str:
        """Its name in the records: the Device ID, or ``slot:<name>`` when the board never told it."""
        return self.device_id or f"slot:{self.slot}"

    @property
    def error(self) -> JsonObject | None:
        """Why the unit did not pass: error of the last failed step of its last attempt, or of its end. None: it passed,
        or was cut short."""
        if self.verdict is Verdict.PASS:
            return None
        failed = [step.error for step in self.attempts[-1].steps if step.status is StepStatus.FAILED]
        return failed[-1] if failed else self.attempts[-1].error

    def comparable(self) -> JsonObject:
        """What is equal for a resumed and an undisturbed run: all but times, attempts, USB numbers."""
        data = dataclasses.asdict(dataclasses.replace(self, attempts=()))
        data["billing"] = billing_data(self.billing)
        # A resumed run observes the same thing again; what was observed is equal, not how often. That the unit had no
        # power between two attempts is of the attempts.
        observed = [e for e in self.billing.evidence if e.id != "off"]
        pieces = {(e.id, e.statement, e.source, str(e.finding)) for e in observed}
        data["billing"]["evidence"] = sorted(pieces)
        data["gate"] = gate_data(self.gate) if self.gate else None
        return json_object(without_volatile(_lists(data)))


@dataclass(frozen=True, slots=True)
class RunAttempt:
    """One start of the station on this run, from its first to its last event."""

    number: int
    started_at: str
    last_event_at: str


@dataclass(frozen=True, slots=True)
class EmptySlot:
    """A slot that had nothing to work on. ``lock``: the code of the lock that kept it from work, or nothing."""

    slot: str
    reason: str
    lock: str = ""


@dataclass(frozen=True, slots=True)
class OperatorMessage:
    """What a person was told."""

    at: str
    slot: str | None
    unit: str | None
    message: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a station. ``finished_at`` None: it was cut short and has not been resumed to its end."""

    run_id: str
    started_at: str
    finished_at: str | None
    recipe: JsonObject
    bench: str
    slots: tuple[str, ...]
    software: JsonObject
    operator: str | None
    units: tuple[UnitRecord, ...]
    empty_slots: tuple[EmptySlot, ...]
    messages: tuple[OperatorMessage, ...]
    attempts: tuple[RunAttempt, ...]

    @property
    def verdict(self) -> str:
        """``fail``: a unit failed or was refused; ``pass``: the run ended, no slot empty, all passed; else
        ``incomplete``.
        """
        verdicts = {unit.verdict for unit in self.units}
        if verdicts & {Verdict.FAIL, Verdict.REFUSED}:
            return "fail"
        complete = self.finished_at is not None and not self.empty_slots
        return "pass" if complete and verdicts == {Verdict.PASS} else "incomplete"

    def counts(self) -> dict[str, int]:
        """Number of units by verdict; verdicts that no unit has are left out."""
        found = [str(unit.verdict) for unit in self.units]
        return {str(verdict): found.count(verdict) for verdict in Verdict if verdict in found}

    def to_data(self) -> JsonObject:
        """The record as JSON data, as ``particle-dev report --json`` prints it."""
        data = json_object(_lists(dataclasses.asdict(self)))
        for unit, unit_data in zip(self.units, data["units"], strict=True):
            unit_data["billing"] = billing_data(unit.billing)
            unit_data["gate"] = gate_data(unit.gate) if unit.gate else None
        return data | {"verdict": self.verdict, "counts": self.counts()}


def standing_steps(attempts: Sequence[Attempt]) -> tuple[StepRecord, ...]:
    """Each step once, in order of first appearance: its first pass, or else its last try."""
    standing: dict[str, StepRecord] = {}
    for step in (step for attempt in attempts for step in attempt.steps):
        if step.name not in standing or standing[step.name].status is not StepStatus.PASSED:
            standing[step.name] = step
    return tuple(standing.values())


def json_object(value: Any) -> JsonObject:
    """``value``, which must be a JSON object. TypeError: it is not."""
    if not isinstance(value, dict):
        raise TypeError(f"not a JSON object: {value!r}")
    return value


def _lists(value: Any) -> Any:
    """JSON data with lists for tuples and strings for enum members."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_lists(item) for item in value]
    return str(value) if isinstance(value, str) else value
