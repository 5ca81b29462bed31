"""Runs a plan of self-tests on a board and judges it. What was not proven is not passed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from particle_dev.device.selftest import SelfTestSession
from particle_dev.device.selftest_plan import Limit, PlannedTest, SelfTestPlan, check_names
from particle_dev.errors import ParticleDevError, ProtocolError, RequestRefusedError, TransportError
from particle_dev.protocol.selftest import Measurement, Outcome, SelfTestDescription, SelfTestReport
from particle_dev.transport.base import Clock


class Verdict(StrEnum):
    """What a test, or all of them, came to."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_SUPPORTED = "not supported"
    """The board's firmware has no access to what the test needs."""
    NOT_ALLOWED = "not allowed"
    """It can bring the device online, and the caller holds no permission for that."""
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test: the verdict, why it is none better, what the board reported (None: nothing), how long it took, and the
    error that ended it."""

    __test__ = False  # pytest shall not collect it

    name: str
    verdict: Verdict
    reasons: tuple[str, ...]
    report: SelfTestReport | None
    duration_s: float
    error: ParticleDevError | None = None


@dataclass(frozen=True, slots=True)
class SelfTestRun:
    """All results, in the plan's order."""

    plan: SelfTestPlan
    results: tuple[TestResult, ...]

    @property
    def verdict(self) -> Verdict:
        """``failed`` when anything failed, ``passed`` only when there was something and all of it passed, else what
        kept it from that."""
        found = [r.verdict for r in self.results]
        order = (Verdict.FAILED, Verdict.NOT_RUN, Verdict.NOT_ALLOWED, Verdict.NOT_SUPPORTED)
        worst = next((v for v in order if v in found), Verdict.PASSED)
        return worst if found else Verdict.NOT_RUN


Listener = Callable[[TestResult], None]


def run_plan(
    session: SelfTestSession,
    plan: SelfTestPlan,
    tests: Sequence[SelfTestDescription],
    clock: Clock,
    on_result: Listener = lambda _result: None,
) -> SelfTestRun:
    """Run every test of the plan; ``tests`` is what :meth:`SelfTestSession.describe` gave. A test that fails does not
    keep the others from running; a board that is silent or gone does, and they are ``not run``. **Tests that can go
    online run only when the session's permissions have ``may_connect``.**

    Raises ConfigError when the board has no test of a name, before anything is started.
    """
    check_names(plan, tests)
    online = {t.name for t in tests if t.may_connect}
    results: list[TestResult] = []
    lost = False
    for test in plan.tests:
        if lost:
            result = TestResult(test.name, Verdict.NOT_RUN, ("the board does not answer any more",), None, 0.0)
        elif test.name in online and not session.permissions.may_connect:
            reason = "it can bring the device online, which starts billing"
            result = TestResult(test.name, Verdict.NOT_ALLOWED, (reason,), None, 0.0)
        else:
            result = _run(session, test, clock, may_connect=test.name in online)
            lost = isinstance(result.error, TransportError) and not _answers(session)
        results.append(result)
        on_result(result)
    return SelfTestRun(plan, tuple(results))


def _answers(session: SelfTestSession) -> bool:
    """Whether the board is still there after a test that ran out of time."""
    try:
        session.status()
    except (TransportError, ProtocolError):
        return False
    return True


def _run(session: SelfTestSession, test: PlannedTest, clock: Clock, *, may_connect: bool) -> TestResult:
    started_s = clock.monotonic_s()
    try:
        report = session.run(
            test.name,
            test.parameters,
            may_connect=may_connect,
            timeout_s=test.time_limit_s(may_connect=may_connect),
        )
    except (TransportError, ProtocolError, RequestRefusedError) as error:
        duration_s = clock.monotonic_s() - started_s
        return TestResult(test.name, Verdict.FAILED, (str(error),), None, duration_s, error)
    verdict, reasons = judge(report, test)
    return TestResult(test.name, verdict, reasons, report, clock.monotonic_s() - started_s)


_VERDICTS = {
    Outcome.PASSED: Verdict.PASSED,
    Outcome.FAILED: Verdict.FAILED,
    Outcome.NOT_SUPPORTED: Verdict.NOT_SUPPORTED,
    Outcome.NOT_ALLOWED: Verdict.NOT_ALLOWED,
    Outcome.CANCELLED: Verdict.FAILED,
}


_WHY = {
    Outcome.NOT_SUPPORTED: "the board's firmware has no access to what it needs",
    Outcome.CANCELLED: "it was ended early",
}


def judge(report: SelfTestReport, test: PlannedTest) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict on a report, and every reason against a pass: the board's own, values outside of the board's limits
    or of the plan's, values that are missing."""
    reasons = (
        [] if report.outcome is Outcome.PASSED else [report.message or _WHY.get(report.outcome, "no reason given")]
    )
    reasons += [f"{value} is outside of the board's limits" for value in report.values if not value.ok]
    if report.lost:
        reasons.append(f"{report.lost} values had no room in the report")
    values = {value.name: value for value in report.values}
    verdict = _VERDICTS[report.outcome]
    if verdict in (Verdict.PASSED, Verdict.FAILED):
        broken = [_broken(name, limit, values.get(name)) for name, limit in test.limits.items()]
        reasons += [reason for reason in broken if reason]
    if verdict is Verdict.PASSED and reasons:
        verdict = Verdict.FAILED
    return verdict, tuple(reasons)


def _broken(name: str, limit: Limit, value: Measurement | None) -> str:
    """Why a value does not keep the plan's limit; empty when it does."""
    if value is None:
        return f"{name} is not in the report"
    if limit.equals is not None:
        return "" if value.value == limit.equals else f"{name} is {value.value!r}, not {limit.equals!r}"
    if isinstance(value.value, str):
        return f"{name} is the text {value.value!r}, not a number"
    if value.unit != limit.unit:
        return f"{name} is in {value.unit}, the plan's limit in {limit.unit}"
    if (limit.min is not None and value.value < limit.min) or (limit.max is not None and value.value > limit.max):
        low, high = ("…" if bound is None else str(bound) for bound in (limit.min, limit.max))
        return f"{name} is {value.value} {value.unit}, the plan wants {low} to {high}"
    return ""
