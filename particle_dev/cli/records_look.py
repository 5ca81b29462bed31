"""``particle-dev records list``, ``search`` and ``show``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.file_types import NAMED_FILE, force_option
from particle_dev.cli.moment_type import MOMENT
from particle_dev.cli.options import json_option
from particle_dev.cli.output import print_json, print_table
from particle_dev.cli.records_option import opened_records, records_option
from particle_dev.errors import RecordNotFoundError
from particle_dev.flash.file_io import write_file

if TYPE_CHECKING:
    from particle_dev.station.record_search import FoundUnit
    from particle_dev.station.records import RecordDatabase

_UNIT_COLUMNS = ("Unit", "Platform", "Verdict", "Billing", "Failed step", "Started", "Slot", "Run")


@click.command("list")
@click.option("--since", type=MOMENT, metavar="DATE", help="Only runs that began then or later, ISO 8601 in UTC.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many runs.")
@records_option
@json_option
def list_records(since: str | None, limit: int, records: str | None, as_json: bool) -> None:
    """Runs, last recorded first."""
    from particle_dev.station.record_search import list_runs  # noqa: PLC0415  SQLAlchemy is slow to import

    with opened_records(records) as database:
        found = list_runs(database, since=since, limit=limit)
    if as_json:
        print_json({"runs": found})
        return
    rows = [
        (r.run_id, r.started_at, r.verdict, f"{r.passed} of {r.units}", r.recipe_name, r.bench, r.operator)
        for r in found
    ]
    print_table(("Run", "Started", "Verdict", "Passed", "Recipe", "Bench", "Operator"), rows, empty="no runs")


@click.command()
@click.argument("name", default="")
@click.option("--verdict", type=click.Choice(["pass", "fail", "refused", "interrupted"]), help="Only such units.")
@click.option("--platform", metavar="NAME", help="Only units of this platform, as lists show it.")
@click.option("--operator", metavar="NAME", help="Only units of this operator's runs.")
@click.option("--since", type=MOMENT, metavar="DATE", help="Only runs that began then or later, ISO 8601 in UTC.")
@click.option("--until", type=MOMENT, metavar="DATE", help="Only runs that began before this time.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many, last first.")
@records_option
@json_option
def search(
    name: str,
    verdict: str | None,
    platform: str | None,
    operator: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    records: str | None,
    as_json: bool,
) -> None:
    """Units by Device ID, serial number, IMEI or ICCID, or by the beginning or end of one (NAME, four characters or
    more). Exit status 4 when nothing is found."""
    from particle_dev.station.record_search import search as find  # noqa: PLC0415

    with opened_records(records) as database:
        found = find(
            database,
            name,
            verdict=verdict,
            platform=platform,
            operator=operator,
            since=since,
            until=until,
            limit=limit,
        )
    print_units(found, as_json)
    if not found:
        raise SystemExit(ExitCode.NO_DEVICE)


def print_units(found: Sequence[FoundUnit], as_json: bool) -> None:
    """Units as a table or JSON."""
    if as_json:
        print_json({"units": found})
        return
    rows = [
        (u.unit, u.platform, u.verdict, u.billing_verdict, u.failed_step, u.started_at, u.slot, u.run_id) for u in found
    ]
    print_table(_UNIT_COLUMNS, rows, empty="no such unit")


@click.command()
@click.argument("name")
@click.option("--attachment", metavar="FILE", help="Take this attached file out; --out says where to.")
@click.option("--out", "out", type=NAMED_FILE, metavar="FILE", help="Where the attached file goes.")
@force_option
@records_option
@json_option
def show(name: str, attachment: str | None, out: Path | None, force: bool, records: str | None, as_json: bool) -> None:
    """Everything about a run (by its id, or its beginning) or the history of a unit (by a name, as 'search').

    A report of it: particle-dev report NAME --records …
    """
    from particle_dev.station.record_search import run_named, unit_history  # noqa: PLC0415

    if (attachment is None) != (out is None):
        raise click.UsageError("--attachment and --out go together.")
    with opened_records(records) as database:
        run_id = run_named(database, name)
        history = [] if run_id else unit_history(database, name)
        if attachment is not None and out is not None:
            _take_out(
                database, run_id or history[0].run_id, None if run_id else history[0].unit, attachment, out, force
            )
        if run_id:
            data = database.run(run_id).to_data() | {"attachments": _attachments(database, run_id)}
        else:
            data = {"history": history, "runs": [database.run(item.run_id).to_data() for item in history]}
    if as_json:
        print_json(data)
    elif run_id:
        _print_run(data)
    else:
        print_units(history, as_json=False)
        _print_measurements(records, history[0])


def _take_out(database: RecordDatabase, run_id: str, unit: str | None, name: str, out: Path, force: bool) -> None:
    rows = database.run_rows(run_id)["attachments"]
    owners = [row["unit"] for row in rows if row["name"] == name and unit in (None, row["unit"])]
    if len(owners) > 1 and "" not in owners:
        raise RecordNotFoundError(
            f"{len(owners)} units of run {run_id} have a file {name}",
            hint=f"name the unit instead of the run: {', '.join(owners[:5])}{' …' if len(owners) > 5 else ''}",
        )
    owner = owners[0] if len(owners) == 1 else ""
    write_file(out, database.attachment(run_id, owner, name).data, replace=force)


def _attachments(database: RecordDatabase, run_id: str) -> list[dict[str, Any]]:
    rows = database.run_rows(run_id)["attachments"]
    return [{name: row[name] for name in ("unit", "name", "media_type", "size_bytes", "sha256")} for row in rows]


def _print_run(data: dict[str, Any]) -> None:
    rows = [(u["slot"], u["device_id"], u["platform"], u["verdict"], u["billing"]["verdict"]) for u in data["units"]]
    click.echo(f"run {data['run_id']}: {data['verdict']}, recipe {data['recipe']['name']}, operator {data['operator']}")
    print_table(("Slot", "Device ID", "Platform", "Verdict", "Billing"), rows, empty="no units")
    files = [(a["unit"] or "the run", a["name"], a["size_bytes"], a["sha256"][:16]) for a in data["attachments"]]
    print_table(("Attached to", "File", "Bytes", "SHA-256"), files, empty="nothing is attached")


def _print_measurements(records: str | None, unit: FoundUnit) -> None:
    with opened_records(records) as database:
        rows = [row for row in database.run_rows(unit.run_id)["measurements"] if row["unit"] == unit.unit]
    cells = [
        (
            r["step"],
            r["name"],
            r["text"] if r["value"] is None else f"{r['value']:g}",
            r["units"],
            r["lower"],
            r["upper"],
            r["status"],
        )
        for r in rows
    ]
    click.echo(f"measured in {unit.run_id}:")
    print_table(("Step", "Name", "Value", "Units", "Lower", "Upper", "Status"), cells, empty="nothing")
