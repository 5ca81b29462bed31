"""``particle-dev selftest run``."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from particle_dev.cli.escape import escaped
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.file_types import force_option
from particle_dev.cli.options import json_option
from particle_dev.cli.selftest_board import board_options, selftest_session
from particle_dev.device.selftest_plan import SelfTestPlan, load_plan, plan_for, plan_of_names
from particle_dev.device.selftest_runner import SelfTestRun, TestResult, Verdict, run_plan
from particle_dev.errors import FirmwareStoreError
from particle_dev.flash.file_io import write_file
from particle_dev.permissions import Permissions


@click.command("run")
@board_options
@click.option("--test", "names", multiple=True, metavar="NAME", help="Run this test; repeat for more.")
@click.option("--plan", "plan_path", type=click.Path(path_type=Path), help="Tests with parameters and limits (TOML).")
@click.option("--may-connect", is_flag=True, help="Allow named tests to bring the board online and start billing.")
@click.option("--out", "record", type=click.Path(path_type=Path), help="Write the record, as --json prints it.")
@force_option
@json_option
def selftest_run(
    port: str | None,
    baud: int,
    device: str | None,
    bench_spec: str,
    store_dir: Path | None,
    names: tuple[str, ...],
    plan_path: Path | None,
    may_connect: bool,
    record: Path | None,
    force: bool,
    as_json: bool,
) -> ExitCode:
    """Run self-tests of a board and judge them.

    Without --test and --plan: all tests of the board that stay offline. A board that went online for a test stays
    there until the test disconnect.

    Exit status 1: something failed. 6: nothing failed, but a test was not supported, not allowed or not run.
    """
    if names and plan_path:
        raise click.UsageError("--test and --plan both say which tests")
    plan = load_plan(plan_path) if plan_path else plan_of_names(names) if names else None
    if record and record.is_file() and not force:
        raise FirmwareStoreError(
            f"{record} exists already", path=str(record), hint="give another name, or --force to replace it"
        )
    permissions = Permissions(may_connect=may_connect)
    with selftest_session(port, baud, device, bench_spec, store_dir, permissions) as (session, clock):
        started_at = clock.utc_now()
        tests = session.describe()
        run = run_plan(
            session,
            plan or plan_for(tests),
            tests,
            clock,
            (lambda _result: None) if as_json else _print_result,
        )
    text = json.dumps(_run_object(run, session.where, started_at))
    click.echo(text if as_json else f"{run.verdict.upper()}: {_summary(run)}")
    if record:
        write_file(record, f"{text}\n".encode(), replace=force)
    return _exit_code(run.verdict)


def _exit_code(verdict: Verdict) -> ExitCode:
    match verdict:
        case Verdict.PASSED:
            return ExitCode.OK
        case Verdict.FAILED:
            return ExitCode.FAILED
        case _:
            return ExitCode.INCOMPLETE


def _summary(run: SelfTestRun) -> str:
    passed = sum(result.verdict is Verdict.PASSED for result in run.results)
    return f"{passed} of {len(run.results)} tests passed"


def _print_result(result: TestResult) -> None:
    click.echo(f"{result.verdict:13} {escaped(result.name)}")
    for value in result.report.values if result.report else ():
        click.echo(f"                {escaped(str(value))}")
    for reason in result.reasons:
        click.echo(f"              ! {escaped(reason)}")


def _plan_object(plan: SelfTestPlan) -> dict[str, object]:
    return {"name": plan.name, "sha256": plan.sha256}


def _run_object(run: SelfTestRun, where: str, started_at: datetime) -> dict[str, object]:
    return {
        "where": where,
        "started_at": started_at.isoformat(timespec="seconds"),
        "plan": _plan_object(run.plan),
        "verdict": str(run.verdict),
        "results": [_result_object(result) for result in run.results],
    }


def _result_object(result: TestResult) -> dict[str, object]:
    error = result.error
    return {
        "test": result.name,
        "verdict": str(result.verdict),
        "reasons": list(result.reasons),
        "duration_s": round(result.duration_s, 3),
        "values": [
            {
                "name": v.name,
                "value": v.value,
                "unit": v.unit,
                "min": v.min,
                "max": v.max,
                "ok": v.ok,
            }
            for v in (result.report.values if result.report else ())
        ],
        "error": {"type": type(error).__name__, "message": error.message, "hint": error.hint} if error else None,
    }
