"""A run's events folded into its RunRecord.

A unit is known by its Device ID; until that is known, by its slot. Each time the station takes
a unit up (unit_started, again after run_resumed) is one attempt. The record's ``steps`` hold each step
once: the first time it passed, or else the last time it was tried; ``attempts`` keep everything. Of the
verdicts the last stands, but billing that was once seen as started stays started, and a unit that has no
end is interrupted with billing unknown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from particle_dev.cloud.gate import Gate
from particle_dev.cloud.metering import Billing, BillingVerdict
from particle_dev.errors import JournalError
from particle_dev.station.events import EventType, JsonObject, StationEvent, StepStatus, Verdict, parse_timestamp
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
    json_object,
    standing_steps,
)
from particle_dev.station.verdict_data import billing_from_data, gate_from_data


def fold(events: Iterable[StationEvent]) -> RunRecord:
    """The record of the run that these events tell. Types that this version does not know are passed over.

    JournalError: there is no run_started, there are two, or the data of an event does not follow the schema.
    """
    folding = Folding()
    for event in events:
        folding.take(event)
    return folding.record()


class Folding:
    """A fold that goes on while events come. JournalError as :func:`fold`."""

    def __init__(self) -> None:
        self._draft: _RunDraft | None = None

    def take(self, event: StationEvent) -> None:
        """Learn of the next event."""
        draft = self._draft
        try:
            if event.type == EventType.RUN_STARTED and draft is None:
                self._draft = _RunDraft(event)
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

    def record(self) -> RunRecord:
        """Of all events until now."""
        return self._begun().build()

    def run(self) -> RunRecord:
        """As :meth:`record`, without the units, which takes no time however many there are."""
        return self._begun().build_run()

    def unit(self, event: StationEvent) -> UnitRecord:
        """Of the unit that the last taken event was about."""
        return self._begun().unit_of(event)

    def _begun(self) -> _RunDraft:
        if self._draft is None:
            raise JournalError("the journal holds no run", hint="start one with 'particle-dev station run'")
        return self._draft


@dataclass(slots=True)
class _AttemptDraft:
    run_attempt: int
    started_at: str
    last_event_at: str = ""
    verdict: Verdict | None = None
    steps: list[StepRecord] = field(default_factory=list)
    switched_off_at: str | None = None
    error: JsonObject | None = None

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
            evidence=json_object(data["evidence"]),
            error=None if data["error"] is None else json_object(data["error"]),
        )


@dataclass(frozen=True, slots=True)
class _Finish:
    verdict: Verdict
    billing: Billing
    modules: tuple[ModuleRecord, ...]
    parked: Parked | None
    gate: Gate | None = None

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> _Finish:
        return cls(
            Verdict(data["verdict"]),
            billing_from_data(data["billing"]),
            tuple(ModuleRecord(**module) for module in data["modules"]),
            Parked(**data["parked"]) if data["parked"] is not None else None,
            gate_from_data(data["gate"]) if data.get("gate") is not None else None,
        )


@dataclass(slots=True)
class _UnitDraft:
    slot: str
    device_id: str | None = None
    platform: str | None = None
    attempts: list[_AttemptDraft] = field(default_factory=list)
    billing_started: Billing | None = None
    gate_started: Gate | None = None
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
            left = event.data.get("left")
            attempt.error = json_object(event.data["error"]) if event.data.get("error") else None
            attempt.switched_off_at = left["at"] if left and left["power"] == "off" else None
            if self.finish.billing.verdict is BillingVerdict.STARTED:
                self.billing_started = self.billing_started or self.finish.billing
            if self.finish.gate is not None and self.finish.gate.verdict is BillingVerdict.STARTED:
                self.gate_started = self.gate_started or self.finish.gate

    def build(self) -> UnitRecord:
        attempts = tuple(
            Attempt(
                number,
                a.run_attempt,
                a.started_at,
                a.last_event_at,
                a.verdict,
                tuple(a.steps),
                a.switched_off_at,
                a.error,
            )
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
            gate=self.gate_started or finish.gate,
        )


class _RunDraft:
    def __init__(self, start: StationEvent) -> None:
        data = start.data
        self.run = RunRecord(
            run_id=start.run_id,
            started_at=start.at,
            finished_at=None,
            recipe=json_object(data["recipe"]),
            bench=str(data["bench"]["name"]),
            slots=tuple(str(slot) for slot in data["slots"]),
            software=json_object(data["software"]),
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
                self.empty[slot] = EmptySlot(slot, str(event.data["reason"]), str(event.data.get("lock") or ""))
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
            unit.gate_started = unit.gate_started or nameless.gate_started
        return unit

    def unit_of(self, event: StationEvent) -> UnitRecord:
        draft = self.units[event.unit] if event.unit is not None else self.unnamed[event.slot or ""]
        return draft.build()

    def build_run(self) -> RunRecord:
        return dataclasses.replace(
            self.run,
            finished_at=self.finished_at,
            empty_slots=tuple(self.empty.values()),
            messages=tuple(self.messages),
            attempts=tuple(self.attempts),
        )

    def build(self) -> RunRecord:
        slots = self.run.slots
        units = [draft.build() for draft in (*self.units.values(), *self.unnamed.values())]
        units.sort(key=lambda unit: (slots.index(unit.slot) if unit.slot in slots else len(slots), unit.slot))
        return dataclasses.replace(self.build_run(), units=tuple(units))


def _later(first: str, second: str) -> str:
    times: list[tuple[datetime, str]] = [(parse_timestamp(text), text) for text in (first, second)]
    return max(times)[1]
