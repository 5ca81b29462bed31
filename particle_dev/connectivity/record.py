"""A finished test as JSON: what ``--json`` ends with, and what a report is made of."""

from __future__ import annotations

from typing import Any

from particle_dev.cloud.budget import Cost
from particle_dev.connectivity.failures import Failure
from particle_dev.connectivity.measurements import Measurement
from particle_dev.connectivity.outcome import ConnectivityResult, StageResult
from particle_dev.connectivity.stages import SPECS


def result_data(result: ConnectivityResult) -> dict[str, Any]:
    """The whole test; times of day are ISO 8601."""
    first = result.first_connected_at
    return {
        "run_id": result.run_id,
        "device_id": result.device_id,
        "platform": result.platform,
        "strategy": str(result.strategy),
        "verdict": str(result.verdict),
        "started_at": result.started_at.isoformat(),
        "duration_s": result.duration_s,
        "first_connected_at": first.isoformat() if first else None,
        "stages": [stage_data(stage) for stage in result.stages],
        "cost": {"estimated": cost_data(result.estimated), "spent": cost_data(result.spent)},
        "signal": [
            {"at_s": s.at_s, "strength_dbm": s.strength_dbm, "quality_db": s.quality_db, "percent": s.percent}
            for s in result.samples
        ],
        "left": list(result.left),
    }


def stage_data(result: StageResult) -> dict[str, Any]:
    """One stage."""
    return {
        "stage": str(result.stage),
        "number": SPECS[result.stage].number,
        "status": str(result.status),
        "at_s": result.at_s,
        "duration_s": result.duration_s,
        "measurements": [measurement_data(m) for m in result.measurements],
        "evidence": dict(result.evidence),
        "failure": failure_data(result.failure, result.seen) if result.failure else None,
        "reason": result.seen if not result.failure else "",
    }


def measurement_data(measurement: Measurement) -> dict[str, Any]:
    """One value with its limits."""
    limit = measurement.limit
    return {
        "name": measurement.name,
        "value": measurement.value,
        "unit": measurement.unit,
        "min": limit.min,
        "max": limit.max,
        "warn_min": limit.warn_min,
        "warn_max": limit.warn_max,
        "judgement": str(measurement.judgement),
    }


def failure_data(failure: Failure, seen: str) -> dict[str, Any]:
    """Why a stage failed."""
    return {
        "code": str(failure.code),
        "cause": failure.cause,
        "seen": seen,
        "operator": failure.operator,
        "engineer": failure.engineer,
        "next_step": str(failure.next_step),
    }


def cost_data(cost: Cost) -> dict[str, int]:
    """Data operations and bytes."""
    return {"data_operations": cost.operations, "cellular_bytes": cost.cellular_bytes}
