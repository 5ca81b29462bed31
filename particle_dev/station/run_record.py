"""What a run did, folded from its events: one RunRecord with a UnitRecord per board.

Fold rules. A unit is known by its Device ID; until that is known, by its slot. Each time the station takes
a unit up (unit_started, again after run_resumed) is one attempt. The record's ``steps`` hold each step
once: the first time it passed, or else the last time it was tried; ``attempts`` keep everything. Of the
verdicts the last stands, but billing that was once seen as started stays started, and a unit that has no
end is interrupted with billing unknown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from particle_dev.cloud.metering import Billing, BillingVerdict
from particle_dev.errors import JournalError
from particle_dev.station.billing import billing_data, billing_from_data
from particle_dev.station.events import (
    EventType,
    JsonObject,
    StationEvent,
    StepStatus,
    Verdict,
    parse_timestamp,
    without_volatile,
)


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
    """How the unit was left: ``mode`` "dfu", ``power`` "off" or "on_operator_must_unplug"."""

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


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """Everything about one unit of a run. ``device_id`` None: the board never told it."""

    slot: str
    device_id: str | None
    platform: str | None
    verdict: Verdict
    steps: tuple[StepRecord, ...]
    modules: tuple[ModuleRecord, ...]
    billing: Billing
    parked: Parked | None
    attempts: tuple[Attempt, ...]

    @property
    def error(self) -> JsonObject | None:
        """Why the unit did not pass: error of the last failed step of its last attempt. None: it passed."""
        if self.verdict is Verdict.PASS:
            return None
        failed = [step.error for step in self.attempts[-1].steps if step.status is StepStatus.FAILED]
        return failed[-1] if failed else None

    def comparable(self) -> JsonObject:
        """What is equal for a resumed and an undisturbed run: all but times, attempts, USB numbers."""
        data = dataclasses.asdict(dataclasses.replace(self, attempts=()))
        data["billing"] = billing_data(self.billing)
        # A resumed run observes the same thing again; what was observed is equal, not how often.
        pieces = {(e.id, e.statement, e.source, str(e.finding)) for e in self.billing.evidence}
        data["billing"]["evidence"] = sorted(pieces)
        return _object(without_volatile(_lists(data)))


@dataclass(frozen=True, slots=True)
class RunAttempt:
    """One start of the station on this run, from its first to its last event."""

    number: int
    started_at: str
    last_event_at: str


@dataclass(frozen=True, slots=True)
class EmptySlot:
    """A slot that had nothing to work on."""

    slot: str
    reason: str


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
        data = _object(_lists(dataclasses.asdict(self)))
        for unit, unit_data in zip(self.units, data["units"], strict=True):
            unit_data["billing"] = billing_data(unit.billing)
        return data | {"verdict": self.verdict, "counts": self.counts()}


def fold(events: Iterable[StationEvent]) -> RunRecord:
    """The record of the run that these events tell. Types that this version does not know are passed over.

    JournalError: there is no run_started, there are two, or the data of an event does not follow the schema.
    """
    draft: _RunDraft | None = None
    for event in events:
        try:
            if event.type == EventType.RUN_STARTED and draft is None:
                draft = _RunDraft(event)
            elif draft is None or event.type == EventType.RUN_STARTED or event.run_id != draft.run.run_id:
                raise JournalError(
                    f"event {event.seq} ({event.type}) does not belong to the run of this journal",
                    hint="one folder holds one run: give each run its own --out",
                )
            else:
                draft.add(event)
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(
                f"event {event.seq} ({event.type}) does not follow the schema: {error!r}",
                line=event.seq,
                hint="the record of this run is damaged: keep the folder, start the next run in a new one",
            ) from error
    if draft is None:
        raise JournalError("the journal holds no run", hint="start one with 'particle-dev station run'")
    return draft.build()


def standing_steps(attempts: Sequence[Attempt]) -> tuple[StepRecord, ...]:
    """Each step once, in order of first appearance: its first pass, or else its last try."""
    standing: dict[str, StepRecord] = {}
    for step in (step for attempt in attempts for step in attempt.steps):
        if step.name not in standing or standing[step.name].status is not StepStatus.PASSED:
            standing[step.name] = step
    return tuple(standing.values())


def _object(value: Any) -> JsonObject:
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


@dataclass(slots=True)
class _AttemptDraft:
    run_attempt: int
    started_at: str
    last_event_at: str = ""
    verdict: Verdict | None = None
    steps: list[StepRecord] = field(default_factory=list)

    def step_started(self, event: StationEvent) -> None:
        self.steps.append(StepRecord(event.step or "", StepStatus.INTERRUPTED, event.at, None, {}, None))

    def step_finished(self, event: StationEvent) -> None:
        data = event.data
        open_steps = [i for i, s in enumerate(self.steps) if s.name == event.step and s.duration_s is None]
        if not open_steps:
            raise ValueError(f"step {event.step!r} ends without having started")
        self.steps[open_steps[-1]] = dataclasses.replace(
            self.steps[open_steps[-1]],
            status=StepStatus(data["status"]),
            duration_s=float(data["duration_s"]),
            evidence=_object(data["evidence"]),
            error=None if data["error"] is None else _object(data["error"]),
        )


@dataclass(frozen=True, slots=True)
class _Finish:
    verdict: Verdict
    billing: Billing
    modules: tuple[ModuleRecord, ...]
    parked: Parked | None

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> _Finish:
        return cls(
            Verdict(data["verdict"]),
            billing_from_data(data["billing"]),
            tuple(ModuleRecord(**module) for module in data["modules"]),
            Parked(**data["parked"]) if data["parked"] is not None else None,
        )


@dataclass(slots=True)
class _UnitDraft:
    slot: str
    device_id: str | None = None
    platform: str | None = None
    attempts: list[_AttemptDraft] = field(default_factory=list)
    billing_started: Billing | None = None
    finish: _Finish | None = None

    def add(self, event: StationEvent, run_attempt: int) -> None:
        self.slot = event.slot or self.slot
        self.device_id = event.unit or self.device_id
        started = event.type == EventType.UNIT_STARTED
        if started or not self.attempts or self.attempts[-1].run_attempt != run_attempt:
            self.attempts.append(_AttemptDraft(run_attempt, event.at))
            self.finish = None
        attempt = self.attempts[-1]
        attempt.last_event_at = event.at
        if started:
            self.platform = event.data.get("platform") or self.platform
        elif event.type == EventType.STEP_STARTED:
            attempt.step_started(event)
        elif event.type == EventType.STEP_FINISHED:
            attempt.step_finished(event)
        elif event.type == EventType.UNIT_FINISHED:
            self.finish = _Finish.from_data(event.data)
            attempt.verdict = self.finish.verdict
            if self.finish.billing.verdict is BillingVerdict.STARTED:
                self.billing_started = self.billing_started or self.finish.billing

    def build(self) -> UnitRecord:
        attempts = tuple(
            Attempt(number, a.run_attempt, a.started_at, a.last_event_at, a.verdict, tuple(a.steps))
            for number, a in enumerate(self.attempts, start=1)
        )
        finish = self.finish or _Finish(
            Verdict.INTERRUPTED,
            Billing(
                BillingVerdict.UNKNOWN,
                parse_timestamp(attempts[0].started_at),
                None,
                (),
                ("the run ended before this unit was finished",),
            ),
            (),
            None,
        )
        return UnitRecord(
            slot=self.slot,
            device_id=self.device_id,
            platform=self.platform,
            verdict=finish.verdict,
            steps=standing_steps(attempts),
            modules=finish.modules,
            billing=self.billing_started or finish.billing,
            parked=finish.parked,
            attempts=attempts,
        )


class _RunDraft:
    def __init__(self, start: StationEvent) -> None:
        data = start.data
        self.run = RunRecord(
            run_id=start.run_id,
            started_at=start.at,
            finished_at=None,
            recipe=_object(data["recipe"]),
            bench=str(data["bench"]["name"]),
            slots=tuple(str(slot) for slot in data["slots"]),
            software=_object(data["software"]),
            operator=data["operator"],
            units=(),
            empty_slots=(),
            messages=(),
            attempts=(),
        )
        self.finished_at: str | None = None
        self.attempts = [RunAttempt(1, start.at, start.at)]
        self.units: dict[str, _UnitDraft] = {}
        self.unnamed: dict[str, _UnitDraft] = {}  # by slot, until a Device ID is known
        self.empty: dict[str, EmptySlot] = {}
        self.messages: list[OperatorMessage] = []

    def add(self, event: StationEvent) -> None:
        if event.type == EventType.RUN_RESUMED:
            self.finished_at = None
            self.attempts.append(RunAttempt(len(self.attempts) + 1, event.at, event.at))
        latest = self.attempts[-1]
        self.attempts[-1] = dataclasses.replace(latest, last_event_at=_later(latest.last_event_at, event.at))
        match event.type:
            case EventType.RUN_FINISHED:
                self.finished_at = event.at
            case EventType.SLOT_EMPTY:
                slot = event.slot or ""
                self.empty[slot] = EmptySlot(slot, str(event.data["reason"]))
            case EventType.OPERATOR_MESSAGE:
                self.messages.append(OperatorMessage(event.at, event.slot, event.unit, str(event.data["message"])))
            case EventType.UNIT_STARTED | EventType.STEP_STARTED | EventType.STEP_FINISHED | EventType.UNIT_FINISHED:
                if event.slot is None:
                    raise ValueError("no slot")
                self.empty.pop(event.slot, None)
                self._unit(event, event.slot).add(event, latest.number)

    def _unit(self, event: StationEvent, slot: str) -> _UnitDraft:
        if event.unit is None:
            return self.unnamed.setdefault(slot, _UnitDraft(slot))
        unit = self.units.setdefault(event.unit, _UnitDraft(slot))
        if nameless := self.unnamed.pop(slot, None):
            unit.attempts.extend(nameless.attempts)
            unit.finish = None
            unit.platform = unit.platform or nameless.platform
            unit.billing_started = unit.billing_started or nameless.billing_started
        return unit

    def build(self) -> RunRecord:
        slots = self.run.slots
        units = [draft.build() for draft in (*self.units.values(), *self.unnamed.values())]
        units.sort(key=lambda unit: (slots.index(unit.slot) if unit.slot in slots else len(slots), unit.slot))
        return dataclasses.replace(
            self.run,
            finished_at=self.finished_at,
            units=tuple(units),
            empty_slots=tuple(self.empty.values()),
            messages=tuple(self.messages),
            attempts=tuple(self.attempts),
        )


def _later(first: str, second: str) -> str:
    times: list[tuple[datetime, str]] = [(parse_timestamp(text), text) for text in (first, second)]
    return max(times)[1]
