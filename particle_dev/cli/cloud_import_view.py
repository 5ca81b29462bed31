"""What ``particle-dev cloud import`` prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from particle_dev.cli.json_objects import error_object
from particle_dev.cli.output import count, print_text
from particle_dev.cloud.import_plan import ImportPlan
from particle_dev.cloud.import_report import BadEntry, ImportReport, SlowSim
from particle_dev.cloud.import_run import ImportStep, Progress
from particle_dev.cloud.order_file import LineNote, LineProblem
from particle_dev.errors import ParticleDevError

_SHOWN = 20
"""Lines of one kind in text; JSON has all."""
ItemT = TypeVar("ItemT")


class ImportView:
    """A plan, progress and a report, as text or as one JSON object. Progress goes to standard error: a line that is
    written over itself on a terminal, elsewhere a line for each tenth of a step."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._on_terminal = sys.stderr.isatty()
        self._told: tuple[ImportStep, int] | None = None
        self._line_is_open = False

    def close(self) -> None:
        """End the line of progress that was written last: what comes next begins a line of its own."""
        if self._line_is_open:
            self._line_is_open = False
            click.echo(err=True)

    def take(self, progress: Progress) -> None:
        """How far the import is."""
        done, total = progress.done, progress.total
        tenth = done * 10 // total if total else -1
        if self._on_terminal:
            of = f" of {total}" if total is not None else ""
            self._line_is_open = done != total
            click.echo(f"\r{progress.step}: {done}{of}\x1b[K", err=True, nl=done == total)
        elif not self._as_json and total and total > 1000 and self._told != (progress.step, tenth):
            self._told = (progress.step, tenth)
            click.echo(f"{progress.step}: {done} of {total}", err=True)

    def print_plan(self, plan: ImportPlan) -> None:
        """What is about to happen. Nothing with --json, where it is part of the end."""
        self.close()
        if self._as_json:
            return
        account, product = plan.account, plan.product
        platform = plan.platform.display_name if plan.platform else f"platform {product.platform_id}"
        self._say(f"product   {product.name} ({product.id}) for {platform}")
        self._say(f"owner     {account.owner}, who pays; {account.capacity.plan.name} plan{_used(plan)}")
        order = plan.order
        repeated = f", {order.duplicates} repeated" if order.duplicates else ""
        other = len(order.notes) - order.duplicates
        besides = f"; lines without a device: {other}" if other else ""
        self._say(
            f"order     {count(len(order.entries), 'device')}{repeated}; bad lines: {len(plan.problems)}{besides}"
        )
        cards = f", {count(len(plan.sims), 'SIM card')}" if plan.sims else ""
        self._say(f"to add    {len(plan.add)}{cards}; in the product already: {_members(plan)}")
        for line in (*plan.consequences(), *plan.notes()):
            self._say(f"          {line}")
        self._print_some(plan.problems, _problem_lines)
        self._print_some(order.notes, _note_lines)

    def print_dry_run(self, plan: ImportPlan, refusal: ParticleDevError | None) -> None:
        """What would happen, and why it would not."""
        if self._as_json:
            refused = error_object(refusal)["error"] if refusal else None
            click.echo(json.dumps(_plan_object(plan) | {"refusal": refused, "result": None}))
            return
        if refusal:
            self._say(f"refused   {refusal.message}")
            self._say(f"          what to do: {refusal.hint}")
        self._say("dry run: nothing was changed")

    def print_end(self, plan: ImportPlan, report: ImportReport, state_file: Path) -> None:
        """What became of it."""
        self.close()
        if self._as_json:
            click.echo(json.dumps(_plan_object(plan) | {"refusal": None, "result": _report_object(report, state_file)}))
        else:
            self._print_report(report, state_file)

    def _print_report(self, report: ImportReport, state_file: Path) -> None:
        self._say(f"added     {report.added}; were in the product: {report.present}")
        self._print_some(report.bad, _bad_lines)
        if report.active_sims or report.slow_sims:
            parked = f", {len(report.slow_sims)} not yet" if report.slow_sims else ""
            self._say(f"SIMs      {report.active_sims} active{parked}")
        self._print_some(report.slow_sims, _sim_lines)
        if report.simless:
            shown = ", ".join(report.simless[:_SHOWN])
            self._say(f"no ICCID  {len(report.simless)}: whether these can connect is not known: {shown}")
        if report.skipped:
            self._say(f"left out  {count(report.skipped, 'bad line')}")
        self._say(report.verdict)
        if report.slow_sims:
            self._say(f"remembered in {state_file}")

    def _print_some(self, items: Sequence[ItemT], lines_of: Callable[[ItemT], Sequence[str]]) -> None:
        shown = [lines_of(item) for item in items[:_SHOWN]]
        for number, (line, *advice) in enumerate(shown, 1):
            self._say(line)
            # The same advice once, below the last that it is for.
            for hint in advice:
                if all(hint not in later for later in shown[number:]):
                    self._say(hint)
        if len(items) > _SHOWN:
            self._say(f"… and {len(items) - _SHOWN} more; --json tells all")

    def _say(self, text: str) -> None:
        print_text(text, 10)


def _used(plan: ImportPlan) -> str:
    capacity = plan.account.capacity
    if capacity.plan.max_devices is None:
        return ""
    used = "unknown number" if capacity.devices is None else capacity.devices
    return f": {used} of {capacity.plan.max_devices} devices used over the whole account"


def _members(plan: ImportPlan) -> int:
    return sum(member is not None for member in plan.present_members)


def _problem_lines(problem: LineProblem) -> tuple[str, str]:
    place = f"{problem.file}, line {problem.line}"
    return f"bad line  {place}: {problem.message} ({problem.code})", f"          what to do: {problem.hint}"


def _note_lines(note: LineNote) -> tuple[str]:
    word = "repeated" if note.code == "duplicate" else "no device"
    return (f"{word:<9} {note.file}, line {note.line}: {note.message}",)


def _bad_lines(bad: BadEntry) -> tuple[str, str]:
    return f"not well  {bad.entry.place}: {bad.message} ({bad.outcome})", f"          what to do: {bad.hint}"


def _sim_lines(sim: SlowSim) -> tuple[str, str]:
    word = "SIM-PEND" if sim.state == "parked" else "SIM-FAIL"
    since = f"{sim.wait.since:%Y-%m-%d %H:%M} UTC"
    return f"{word}  {sim.message}; since {since}", f"          what to do: {sim.hint}"


def _plan_object(plan: ImportPlan) -> dict[str, object]:
    account, product, order = plan.account, plan.product, plan.order
    return {
        "product": {"id": product.id, "name": product.name, "platform_id": product.platform_id},
        "account": {
            "owner": account.owner,
            "is_organization": account.is_organization,
            "plan": str(account.capacity.plan.name),
            "devices": account.capacity.devices,
            "max_devices": account.capacity.plan.max_devices,
            "blocks": dict(zip(("now", "once_all_connected"), plan.blocks, strict=True)) if plan.blocks else None,
        },
        "order": {
            "entries": len(order.entries),
            "duplicates": order.duplicates,
            "problems": [problem._asdict() for problem in plan.problems],
            "notes": [note._asdict() for note in order.notes],
        },
        "to_add": [entry.asked.value for entry in plan.add],
        "sim_cards": list(plan.sims),
        "present": _members(plan),
        "consequences": [*plan.consequences(), *plan.notes()],
    }


def _report_object(report: ImportReport, state_file: Path) -> dict[str, object]:
    return {
        "verdict": report.verdict,
        "added": report.added,
        "present": report.present,
        "sim_cards": report.sim_cards,
        "bad": [
            {
                "file": bad.entry.file,
                "line": bad.entry.line,
                "identifier": bad.entry.asked.value,
                "outcome": str(bad.outcome),
                "message": bad.message,
                "hint": bad.hint,
            }
            for bad in report.bad
        ],
        "active_sims": report.active_sims,
        "slow_sims": [
            {
                "iccid": sim.wait.iccid,
                "device_id": sim.wait.device_id,
                "state": str(sim.state),
                "status": sim.status,
                "since": sim.wait.since.isoformat(),
                "message": sim.message,
                "hint": sim.hint,
            }
            for sim in report.slow_sims
        ],
        "simless": list(report.simless),
        "skipped": report.skipped,
        "state_file": str(state_file) if report.slow_sims else None,
    }
