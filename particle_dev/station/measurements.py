"""Measurements of a unit, with units and limits, out of the evidence of its steps.

A step lists what it measured under ``measurements`` in its evidence::

    {"name": "rssi", "value": -71, "units": "dBm", "lower": -100, "upper": null}

``value`` is a number, or text that has no limits; ``lower``, ``upper`` and ``units`` may be left out, and be spelled
``min``, ``max`` and ``unit``. Besides, the
duration of every step that ended is a measurement, whose upper limit is that of the recipe.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from particle_dev.station.run_record import StepRecord, UnitRecord

_STEP_LIMITS = {
    "identify": "identify_s",
    "check": "check_s",
    "plan": "check_s",
    "enter_dfu": "enter_dfu_s",
    "copy": "flash_s",
    "flash": "flash_s",
    "verify": "verify_s",
    "park": "park_s",
    "connect": "connect_s",
    "gate": "gate_s",
    "probe": "identify_s",
    "probe_plan": "check_s",
    "probe_flash": "flash_s",
    "probe_park": "park_s",
}


class MeasurementStatus(StrEnum):
    """``unlimited``: nothing says what would be wrong."""

    PASSED = "passed"
    FAILED = "failed"
    UNLIMITED = "unlimited"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value. Exactly one of ``value`` and ``text`` is given; ``units`` as people write them, such as "s", "dBm"."""

    attempt: int
    step: str
    name: str
    value: float | None
    text: str | None
    units: str | None
    lower: float | None
    upper: float | None

    @property
    def status(self) -> MeasurementStatus:
        """Whether it keeps its limits; both ends belong to them."""
        if self.value is None or (self.lower is None and self.upper is None):
            return MeasurementStatus.UNLIMITED
        above = self.lower is None or self.value >= self.lower
        below = self.upper is None or self.value <= self.upper
        return MeasurementStatus.PASSED if above and below else MeasurementStatus.FAILED


def unit_measurements(unit: UnitRecord, limits: Mapping[str, Any]) -> tuple[Measurement, ...]:
    """Everything measured on a unit, in order. ``limits`` are the recipe's, in seconds, by its key."""
    found: list[Measurement] = []
    for attempt in unit.attempts:
        for step in attempt.steps:
            found += _of_step(attempt.number, step, limits)
    return tuple(found)


def _of_step(attempt: int, step: StepRecord, limits: Mapping[str, Any]) -> Iterator[Measurement]:
    listed = step.evidence.get("measurements")
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, Mapping) and isinstance(item.get("name"), str):
            value = _number(item.get("value"))
            text = None if value is not None else str(item.get("value"))
            units = item.get("units", item.get("unit"))
            units = str(units) if units is not None else None
            lower, upper = _number(item.get("lower", item.get("min"))), _number(item.get("upper", item.get("max")))
            yield Measurement(attempt, step.name, item["name"], value, text, units, lower, upper)
    if step.duration_s is not None:
        limit = _number(limits.get(_STEP_LIMITS.get(step.name, "")))
        yield Measurement(attempt, step.name, "duration", step.duration_s, None, "s", None, limit)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def failed(measurements: Iterable[Measurement]) -> tuple[Measurement, ...]:
    """Those outside of their limits."""
    return tuple(item for item in measurements if item.status is MeasurementStatus.FAILED)
