"""A connectivity test as events of the one schema: stages are steps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from particle_dev.cloud.gate import Gate
from particle_dev.connectivity.engine import error_of
from particle_dev.connectivity.outcome import (
    ConnectivityResult,
    StageEvent,
    StageFinished,
    StageProgress,
    StageStarted,
)
from particle_dev.connectivity.plan import ConnectivityPlan
from particle_dev.connectivity.record import cost_data, result_data, stage_data
from particle_dev.errors import ParticleDevError
from particle_dev.station.events import EventType, JsonObject, StationEvent, error_data, new_event
from particle_dev.station.verdict_data import gate_data

Emit = Callable[[StationEvent], None]


class ConnectivityEvents:
    """Makes events of what a test tells, with numbers from 1. ``slot`` is the port of the board."""

    def __init__(self, run_id: str, slot: str, unit: str, now: Callable[[], datetime], emit: Emit) -> None:
        self._run_id = run_id
        self._slot = slot
        self._unit = unit
        self._now = now
        self._emit = emit
        self._number = 0

    def begin(self, plan: ConnectivityPlan, bench: str, platform: str, software: JsonObject) -> None:
        """The test begins."""
        recipe = {"name": f"connectivity test, strategy {plan.strategy}", "sha256": "", "path": ""}
        data: JsonObject = {
            "recipe": recipe,
            "bench": {"name": bench},
            "slots": [self._slot],
            "software": software,
            "operator": None,
            "stages": [str(stage) for stage in plan.stages],
            "left_out": {str(stage): why for stage, why in plan.left_out.items()},
            "cost": cost_data(plan.cost),
        }
        self._tell(EventType.RUN_STARTED, data, slot=None, unit=None)
        self._tell(EventType.UNIT_STARTED, {"platform": platform, "port": self._slot})

    def handle(self, event: StageEvent) -> None:
        """What the engine tells."""
        match event:
            case StageStarted(stage, limit_s):
                self._tell(EventType.STEP_STARTED, {"limit_s": limit_s}, str(stage))
            case StageProgress(stage, activity, elapsed_s, limit_s):
                data = {"activity": activity, "elapsed_s": elapsed_s, "limit_s": limit_s}
                self._tell(EventType.STEP_PROGRESS, data, str(stage))
            case StageFinished(result):
                finished = stage_data(result)
                failure = finished.pop("failure")
                error = {**failure, "type": "StageFailedError", "message": failure["seen"]} if failure else None
                self._tell(EventType.STEP_FINISHED, {**finished, "error": error}, str(result.stage))

    def finish(self, result: ConnectivityResult, report: str | None) -> None:
        """The test has ended by itself."""
        error = error_of(result)
        data = {
            "verdict": str(result.verdict),
            "gate": gate_data(result.gate),
            "connectivity": result_data(result),
            "error": error_data(error) if error else None,
        }
        self._tell(EventType.UNIT_FINISHED, data)
        verdict = str(result.verdict)
        self._tell(
            EventType.RUN_FINISHED,
            {"verdict": verdict if verdict in ("pass", "fail") else "incomplete", "report": report},
            slot=None,
            unit=None,
        )

    def refuse(self, error: ParticleDevError, gate: Gate | None = None) -> None:
        """It was refused, or ended by an error that is no stage's."""
        data = {"verdict": "refused", "gate": gate_data(gate) if gate else None, "error": error_data(error)}
        self._tell(EventType.UNIT_FINISHED, data)
        self._tell(EventType.RUN_FINISHED, {"verdict": "fail", "report": None}, slot=None, unit=None)

    def _tell(self, kind: EventType, data: JsonObject, step: str | None = None, **place: str | None) -> None:
        # Progress carries the number of the last event that counts.
        self._number += kind is not EventType.STEP_PROGRESS
        where = {"slot": self._slot, "unit": self._unit} | place
        made = new_event(kind, run_id=self._run_id, at=self._now(), step=step, data=data, **where)
        self._emit(StationEvent(self._number, made.at, made.run_id, made.type, made.slot, made.unit, step, made.data))
