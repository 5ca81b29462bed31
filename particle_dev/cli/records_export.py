"""``particle-dev records export``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from particle_dev.cli.file_types import NAMED_FILE, force_option
from particle_dev.cli.moment_type import MOMENT
from particle_dev.cli.options import json_option
from particle_dev.cli.output import print_json
from particle_dev.cli.records_option import opened_records, records_option
from particle_dev.flash.file_io import require_new_file, write_file

if TYPE_CHECKING:
    from particle_dev.station.record_search import FoundUnit
    from particle_dev.station.records import RecordDatabase

_MAX_UNITS = 10_000_000
_MAX_RUNS = 1_000_000


@click.command()
@click.argument("form", type=click.Choice(["csv", "import", "openhtf", "junit"]))
@click.option("--out", "out", required=True, type=NAMED_FILE, metavar="FILE", help="Where it goes.")
@click.option("--run", "run_names", multiple=True, metavar="RUN", help="Only this run; may be repeated. Default: all.")
@click.option("--since", type=MOMENT, metavar="DATE", help="Only runs that began then or later, ISO 8601 in UTC.")
@force_option
@records_option
@json_option
def export(
    form: str,
    out: Path,
    run_names: tuple[str, ...],
    since: str | None,
    force: bool,
    records: str | None,
    as_json: bool,
) -> None:
    """Write records in another form.

    csv: a line for each go at a unit. import: the Device IDs of units whose last go passed, one a line, as the import
    of a product takes them. openhtf: a list of OpenHTF's TestRecords. junit: XML with a suite for each unit.
    """
    require_new_file(out, replace=force)
    with opened_records(records) as database:
        run_ids = _run_ids(database, run_names, since)
        data, count = _FORMS[form](database, run_ids)
    write_file(out, data, replace=force)
    if as_json:
        print_json({"form": form, "out": str(out), "runs": len(run_ids), "units": count})
    else:
        click.echo(f"{out}: {count} units of {len(run_ids)} runs")


def _run_ids(database: RecordDatabase, names: tuple[str, ...], since: str | None) -> list[str]:
    """Runs in the order in which they were recorded."""
    from particle_dev.station.record_search import list_runs, run_named  # noqa: PLC0415  SQLAlchemy is slow to import
    from particle_dev.station.records import not_found  # noqa: PLC0415

    if not names:
        return [run.run_id for run in reversed(list_runs(database, since=since, limit=_MAX_RUNS))]
    found = []
    for name in names:
        run_id = run_named(database, name)
        if run_id is None:
            raise not_found(name)
        found.append(run_id)
    return found


def _table(database: RecordDatabase, run_ids: list[str]) -> tuple[bytes, int]:
    from particle_dev.station.record_export import table_csv  # noqa: PLC0415
    from particle_dev.station.record_search import search  # noqa: PLC0415

    by_run: dict[str, list[FoundUnit]] = {run_id: [] for run_id in run_ids}
    for unit in search(database, limit=_MAX_UNITS):
        if unit.run_id in by_run:
            by_run[unit.run_id].append(unit)
    units = [unit for found in by_run.values() for unit in found]
    return table_csv(units).encode("utf-8"), len(units)


def _import(database: RecordDatabase, run_ids: list[str]) -> tuple[bytes, int]:
    from particle_dev.station.record_export import product_import  # noqa: PLC0415
    from particle_dev.station.record_search import search  # noqa: PLC0415

    # What was recorded of a unit later counts, also in runs that were not asked for.
    wanted = set(run_ids)
    units = search(database, limit=_MAX_UNITS)
    named = {unit.unit for unit in units if unit.run_id in wanted}
    text = product_import([unit for unit in units if unit.unit in named])
    return text.encode("ascii"), text.count("\n")


def _openhtf(database: RecordDatabase, run_ids: list[str]) -> tuple[bytes, int]:
    from particle_dev.station.record_export import openhtf_records  # noqa: PLC0415
    from particle_dev.station.record_rows import attachment_of, run_of_rows  # noqa: PLC0415

    found = []
    for run_id in run_ids:
        rows = database.run_rows(run_id)
        files = [attachment_of(row) for row in rows["attachments"]]
        found += list(openhtf_records(run_of_rows(rows), rows["runs"][0]["station_id"], files))
    return json.dumps(found, indent=1).encode("ascii") + b"\n", len(found)


def _junit(database: RecordDatabase, run_ids: list[str]) -> tuple[bytes, int]:
    from particle_dev.station.record_export import junit_xml  # noqa: PLC0415

    runs = [database.run(run_id) for run_id in run_ids]
    return junit_xml(runs), sum(len(run.units) for run in runs)


_FORMS: dict[str, Callable[[RecordDatabase, list[str]], tuple[bytes, int]]] = {
    "csv": _table,
    "import": _import,
    "openhtf": _openhtf,
    "junit": _junit,
}
