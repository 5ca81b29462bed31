"""How a connectivity test looks while it goes on: a table that follows it on a terminal, else a line per stage."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from particle_dev.cli.escape import escaped
from particle_dev.cli.wrap import wrapped
from particle_dev.cloud.gate import power_hint
from particle_dev.cloud.metering import BillingVerdict
from particle_dev.cloud.strategies import Strategy
from particle_dev.connectivity.checks_board import ONLY
from particle_dev.connectivity.checks_dark import NO_ATTEMPT
from particle_dev.connectivity.measurements import Judgement, Measurement
from particle_dev.connectivity.outcome import (
    ConnectivityResult,
    ConnectivityVerdict,
    StageEvent,
    StageFinished,
    StageProgress,
    StageResult,
    StageStarted,
    StageStatus,
)
from particle_dev.connectivity.plan import ConnectivityPlan
from particle_dev.connectivity.stages import SPECS, Stage

_STYLES = {
    StageStatus.PASSED: "green",
    StageStatus.FAILED: "bold red",
    StageStatus.SKIPPED: "yellow",
    StageStatus.NOT_RUN: "dim",
}
_VERDICT_STYLES = {
    ConnectivityVerdict.PASS: "bold green",
    ConnectivityVerdict.FAIL: "bold red",
    ConnectivityVerdict.PARKED: "bold yellow",
    ConnectivityVerdict.INCOMPLETE: "bold yellow",
}


class ConnectivityView:
    """Shows a test to a person, on standard error. Use as a context manager."""

    def __init__(self, plan: ConnectivityPlan, stream: TextIO | None = None) -> None:
        self._stages = plan.stages
        self._console = Console(file=stream or sys.stderr, highlight=False)
        self._results: dict[Stage, StageResult] = {}
        self._present: StageProgress | None = None
        self._is_live = self._console.is_terminal
        self._live = Live(self._table(), console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_live:
            self._live.stop()

    def handle(self, event: StageEvent) -> None:
        """Show one event."""
        match event:
            case StageStarted(stage, limit_s):
                self._present = StageProgress(stage, "", 0.0, limit_s)
                if not self._is_live:
                    spec = SPECS[stage]
                    self._console.print(
                        f"{spec.number:>2} {spec.title}: begins, at most {limit_s:.0f} s", soft_wrap=True
                    )
            case StageProgress():
                self._present = event
            case StageFinished(result):
                self._results[result.stage] = result
                self._present = None
                if not self._is_live:
                    self._console.print(stage_line(result), soft_wrap=True)
        if self._is_live:
            self._live.update(self._table())

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("", "stage", "result", "time", ""):
            table.add_column(heading)
        for stage in self._stages:
            table.add_row(*self._row(stage))
        return table

    def _row(self, stage: Stage) -> list[Text | str]:
        spec, result = SPECS[stage], self._results.get(stage)
        head: list[Text | str] = [str(spec.number), spec.title]
        if result is not None:
            style = _STYLES[result.status]
            return [*head, Text(_words(result.status), style), f"{result.duration_s:.1f} s", Text(_said(result))]
        if self._present is not None and self._present.stage is stage:
            now = self._present
            return [*head, Text("…", "cyan"), f"{now.elapsed_s:.0f} of {now.limit_s:.0f} s", Text(now.activity, "cyan")]
        return [*head, "", "", ""]


def stage_line(result: StageResult) -> Text:
    """One line for logs and pipes."""
    spec = SPECS[result.stage]
    line = Text(f"{spec.number:>2} {spec.title}: ")
    line.append(_words(result.status), _STYLES[result.status])
    line.append(f" ({result.duration_s:.1f} s)")
    said = _said(result)
    return line.append(f"  {said}") if said else line


def print_result(
    result: ConnectivityResult, report: str | None, stream: TextIO | None = None, *, cloud_asked: bool = True
) -> None:
    """The verdict, what to do, what it cost. ``cloud_asked`` False: nobody wanted to know about billing."""
    out = stream or sys.stdout
    console = Console(file=out, highlight=False, soft_wrap=True)
    title = Text(f"{_words(result.verdict).upper()}", _VERDICT_STYLES[result.verdict])
    title.append(f": {result.device_id}, strategy {result.strategy}, {result.duration_s:.1f} s", "default")
    console.print(title)
    failed = result.failed
    if failed is not None and failed.failure is not None:
        row = failed.failure
        for line in (
            f"{row.code}: {row.cause}",
            f"  seen: {failed.seen}",
            f"  operator: {row.operator}",
            f"  engineer: {row.engineer}",
            f"  next: {row.next_step}",
        ):
            console.print(Text(wrapped(escaped(line), out, 4)))
    for item in result.left:
        console.print(Text(wrapped(escaped(f"left behind: {item}"), out), "red"))
    for name in (r for r in result.stages if r.status is StageStatus.SKIPPED):
        console.print(Text(wrapped(escaped(f"not proven: {SPECS[name.stage].title}: {name.seen}"), out), "yellow"))
    for line in [*_dark_lines(result), *_billing_lines(result, cloud_asked)]:
        console.print(Text(wrapped(escaped(line), out, 4)))
    spent = result.spent
    console.print(Text(f"spent: {spent.operations} data operations, {spent.cellular_bytes} bytes of cellular data"))
    if report is not None:
        console.print(Text(f"report: {report}"))


def _dark_lines(result: ConnectivityResult) -> list[str]:
    """What strategy C has proven of the board itself."""
    restore = result.stages[-1]
    if result.strategy is not Strategy.C or restore.status is not StageStatus.PASSED:
        return []
    if restore.evidence.get("counters") == NO_ATTEMPT:
        return [f"{NO_ATTEMPT}: by its counters of this boot; it stays in listening mode, until a reset"]
    return ["it stayed in DFU mode, in which nothing connects"]


def _billing_lines(result: ConnectivityResult, cloud_asked: bool) -> list[str]:
    """The verdict on the unit's whole life, and how to get what it lacks."""
    gate = result.gate
    if not cloud_asked and gate.verdict is BillingVerdict.UNKNOWN:
        return ["billing: not judged, as no --product was named whose records could be asked"]
    reasons = gate.started_by or gate.missing
    if result.strategy is not Strategy.C or gate.verdict is not BillingVerdict.UNKNOWN:
        return [f"billing: {_words(gate.verdict)}{f' ({reasons[0]})' if reasons else ''}"]
    return [
        "billing: unknown, which is no pass",
        *(f"  missing: {reason}" for reason in reasons),
        "  next: `particle-dev station run` with strategy C, which watches the unit until it has lost its power",
        *(f"  bench file: {hint}" for hint in [power_hint(gate.missing)] if hint),
    ]


def _said(result: StageResult) -> str:
    """What is worth a line: the code, or the measured values."""
    if result.failure is not None:
        return escaped(f"{result.failure.code}: {result.seen}")
    if only := result.evidence.get(ONLY):
        return f"only {only}"
    return escaped(result.seen or ", ".join(_measured(m) for m in result.measurements))


def _measured(measurement: Measurement) -> str:
    mark = "" if measurement.judgement is Judgement.OK else f" ({measurement.judgement})"
    return f"{_words(measurement.name)} {measurement.value:g} {measurement.unit}{mark}"


def _words(text: str) -> str:
    return str(text).replace("_", " ")
