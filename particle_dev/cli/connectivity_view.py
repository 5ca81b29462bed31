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


def print_result(result: ConnectivityResult, report: str | None, stream: TextIO | None = None) -> None:
    """The verdict, what to do, what it cost."""
    console = Console(file=stream or sys.stdout, highlight=False, soft_wrap=True)
    title = Text(f"{_words(result.verdict).upper()}", _VERDICT_STYLES[result.verdict])
    title.append(f": {result.device_id}, strategy {result.strategy}, {result.duration_s:.1f} s", "default")
    console.print(title)
    failed = result.failed
    if failed is not None and failed.failure is not None:
        row = failed.failure
        console.print(Text(f"{row.code}: {row.cause}"))
        console.print(Text(escaped(f"  seen: {failed.seen}")))
        console.print(Text(f"  operator: {row.operator}"))
        console.print(Text(f"  engineer: {row.engineer}"))
        console.print(Text(f"  next: {row.next_step}"))
    for item in result.left:
        console.print(Text(escaped(f"left behind: {item}"), "red"))
    for name in (r for r in result.stages if r.status is StageStatus.SKIPPED):
        console.print(Text(escaped(f"not proven: {SPECS[name.stage].title}: {name.seen}"), "yellow"))
    reasons = result.gate.started_by or result.gate.missing
    console.print(Text(escaped(f"billing: {_words(result.gate.verdict)}{f' ({reasons[0]})' if reasons else ''}")))
    spent = result.spent
    console.print(Text(f"spent: {spent.operations} data operations, {spent.cellular_bytes} bytes of cellular data"))
    if report is not None:
        console.print(Text(f"report: {report}"))


def _said(result: StageResult) -> str:
    """What is worth a line: the code, or the measured values."""
    if result.failure is not None:
        return escaped(f"{result.failure.code}: {result.seen}")
    return escaped(result.seen or ", ".join(_measured(m) for m in result.measurements))


def _measured(measurement: Measurement) -> str:
    mark = "" if measurement.judgement is Judgement.OK else f" ({measurement.judgement})"
    return f"{_words(measurement.name)} {measurement.value:g} {measurement.unit}{mark}"


def _words(text: str) -> str:
    return str(text).replace("_", " ")
