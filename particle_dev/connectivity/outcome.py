"""How stages and a whole test end, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from particle_dev.cloud.budget import Cost
from particle_dev.cloud.gate import Gate
from particle_dev.cloud.strategies import Strategy
from particle_dev.connectivity.failures import Failure, FailureCode, NextStep
from particle_dev.connectivity.measurements import Measurement, SignalSample
from particle_dev.connectivity.stages import Stage


class StageFailure(Exception):  # noqa: N818  inside of this package only: the engine makes an error of it
    """A stage fails with a code; ``seen`` is what was observed, for the report."""

    def __init__(self, code: FailureCode, seen: str) -> None:
        super().__init__(f"{code}: {seen}")
        self.code = code
        self.seen = seen


class StageSkipped(Exception):  # noqa: N818  likewise
    """A stage cannot be done on this board, which is no pass; the text says why."""


class StageStatus(StrEnum):
    """Of one stage."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It could not be done: no pass."""
    NOT_RUN = "not_run"
    """An earlier stage failed, or somebody stopped the test."""


class ConnectivityVerdict(StrEnum):
    """Of the whole test. Only ``pass`` is a pass."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    PARKED = "parked"
    """Not the unit's fault, as far as is known: test it again later."""
    INCOMPLETE = "incomplete"
    """Nothing failed, and something was not proven."""


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage. ``at_s`` seconds from the start of the test to that of the stage. ``evidence`` is JSON."""

    stage: Stage
    status: StageStatus
    started_at: datetime | None = None
    at_s: float = 0.0
    duration_s: float = 0.0
    measurements: tuple[Measurement, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    seen: str = ""
    """What was observed, or why it was skipped."""


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage begins; it is given up after ``limit_s``."""

    stage: Stage
    limit_s: float


@dataclass(frozen=True, slots=True)
class StageProgress:
    """A stage goes on, about once a second."""

    stage: Stage
    activity: str
    elapsed_s: float
    limit_s: float


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage has ended."""

    result: StageResult


StageEvent: TypeAlias = StageStarted | StageProgress | StageFinished


@dataclass(frozen=True, slots=True)
class ConnectivityResult:
    """A finished test. ``estimated`` is the most it could cost, ``spent`` what it did cost as far as this side knows.

    ``gate`` is the billing verdict on the unit's whole life. ``left`` names what the test could not take back.
    """

    run_id: str
    device_id: str
    platform: str
    strategy: Strategy
    started_at: datetime
    duration_s: float
    stages: tuple[StageResult, ...]
    gate: Gate
    estimated: Cost
    spent: Cost
    samples: tuple[SignalSample, ...]
    log: tuple[tuple[float, str], ...]
    """Lines of the board's log: seconds since the start, text."""
    left: tuple[str, ...]
    first_connected_at: datetime | None
    """When the board was seen online first in this test."""

    @property
    def failed(self) -> StageResult | None:
        """The first stage that failed."""
        return next((r for r in self.stages if r.status is StageStatus.FAILED), None)

    @property
    def verdict(self) -> ConnectivityVerdict:
        """What the test says of the unit."""
        failed = self.failed
        if failed is not None:
            parks = failed.failure is not None and failed.failure.next_step is NextStep.PARK
            return ConnectivityVerdict.PARKED if parks else ConnectivityVerdict.FAIL
        if any(r.status is not StageStatus.PASSED for r in self.stages) or not self.stages:
            return ConnectivityVerdict.INCOMPLETE
        return ConnectivityVerdict.PASS
