"""``particle-dev records sync``, ``attach``, ``backup``, ``restore`` and ``prune``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from particle_dev.cli.error_text import error_text
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.file_types import NAMED_FILE
from particle_dev.cli.options import json_option
from particle_dev.cli.output import print_json
from particle_dev.cli.records_option import opened_records, records_option, site_folder, site_option
from particle_dev.flash.file_io import read_file
from particle_dev.permissions import Permissions

_MOST_DAYS = 100 * 365


@click.command()
@click.argument("directories", nargs=-1, required=True, type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option("--pending", is_flag=True, help="Only folders that wait to be recorded.")
@site_option
@records_option
@json_option
def sync(
    directories: tuple[Path, ...], pending: bool, site_dir: Path | None, records: str | None, as_json: bool
) -> None:
    """Record runs from their folders: DIRECTORIES, and the folders right below them.

    What is recorded already stays as it is, so this may be repeated at any time: after the database was away, for runs
    of before, or to bring the runs of one station into the records of several. Exit status 1 when a folder is damaged,
    6 when a run still goes on.
    """
    from particle_dev.station import record_keeping  # noqa: PLC0415  SQLAlchemy is slow to import
    from particle_dev.station.station_key import StationKey  # noqa: PLC0415

    find = record_keeping.pending_folders if pending else record_keeping.run_folders
    with opened_records(records, make=True) as database:
        done = list(record_keeping.sync(database, find(directories), StationKey(site_folder(site_dir))))
    if as_json:
        print_json(
            {
                "folders": [
                    {"folder": str(d.folder), "outcome": d.outcome, "error": str(d.error) if d.error else None}
                    for d in done
                ]
            }
        )
    else:
        for item in done:
            click.echo(f"{item.folder}: {item.outcome}")
            if item.error:
                click.echo(error_text(item.error), err=True)
        click.echo(f"{sum(item.outcome == 'recorded' for item in done)} recorded of {len(done)}")
    outcomes = {item.outcome for item in done}
    if "failed" in outcomes:
        raise SystemExit(ExitCode.FAILED)
    if "running" in outcomes:
        raise SystemExit(ExitCode.INCOMPLETE)


@click.command()
@click.argument("run")
@click.argument("files", nargs=-1, required=True, type=NAMED_FILE)
@click.option("--unit", default="", metavar="NAME", help="Attach to this unit of the run; default: to the run.")
@site_option
@records_option
@json_option
def attach(
    run: str, files: tuple[Path, ...], unit: str, site_dir: Path | None, records: str | None, as_json: bool
) -> None:
    """Add files, such as logs, to a RUN in the records, signed by this station. One of the same name is replaced."""
    from particle_dev.station.record_keeping import media_type_of  # noqa: PLC0415
    from particle_dev.station.record_rows import Attachment  # noqa: PLC0415
    from particle_dev.station.record_search import run_named  # noqa: PLC0415
    from particle_dev.station.records import not_found  # noqa: PLC0415
    from particle_dev.station.station_key import StationKey  # noqa: PLC0415

    read = [Attachment(unit, path.name, media_type_of(path.name), read_file(path)) for path in files]
    with opened_records(records) as database:
        run_id = run_named(database, run)
        if run_id is None:
            raise not_found(run)
        own = StationKey(site_folder(site_dir))
        for attachment in read:
            database.attach(run_id, attachment, own)
    if as_json:
        print_json({"run_id": run_id, "unit": unit or None, "attached": [a.name for a in read]})
    else:
        click.echo(f"{len(read)} attached to {unit or f'run {run_id}'}")


@click.command()
@click.argument("file", type=NAMED_FILE)
@records_option
@json_option
def backup(file: Path, records: str | None, as_json: bool) -> None:
    """Write all records to a new FILE (zip), as one state, while stations write on. 'records restore' reads it back,
    also into the other kind of database."""
    from particle_dev.station import record_backup  # noqa: PLC0415

    with opened_records(records) as database:
        done = record_backup.backup(database, file)
    if as_json:
        print_json({"file": str(file), "database_id": done.database_id, "rows": done.rows})
    else:
        click.echo(f"{file}: {done.rows['runs']} runs, {done.rows['units']} units")


@click.command()
@click.argument("file", type=NAMED_FILE)
@records_option
@json_option
def restore(file: Path, records: str | None, as_json: bool) -> None:
    """Fill new, empty records (--records) from a backup FILE: all of it or nothing. 'records verify' tells afterwards
    whether it is as stations signed it."""
    from particle_dev.station import record_backup  # noqa: PLC0415

    with opened_records(records, make=True) as database:
        done = record_backup.restore(file, database)
    if as_json:
        print_json({"file": str(file), "database_id": done.database_id, "rows": done.rows})
    else:
        click.echo(f"{done.rows['runs']} runs, {done.rows['units']} units; prove them: particle-dev records verify")


@click.command()
@click.option("--before", metavar="DATE", help="Runs that ended before this day, YYYY-MM-DD in UTC.")
@click.option(
    "--older-than", "days", type=click.IntRange(1, _MOST_DAYS), metavar="DAYS", help="Runs that ended so long ago."
)
@click.option("--attachments-only", is_flag=True, help="Delete their attachments, keep everything else.")
@click.option("--dry-run", is_flag=True, help="Only say which runs.")
@click.option(
    "--may-delete-records", is_flag=True, help="Allows it: what is deleted is gone, unless there is a backup."
)
@site_option
@records_option
@json_option
def prune(
    before: str | None,
    days: int | None,
    attachments_only: bool,
    dry_run: bool,
    may_delete_records: bool,
    site_dir: Path | None,
    records: str | None,
    as_json: bool,
) -> None:
    """Delete old runs, or their attachments, and sign that it was done: verifying goes on to work.

    Make a backup first. Needs --may-delete-records.
    """
    from particle_dev.station import record_backup  # noqa: PLC0415
    from particle_dev.station.station_key import StationKey  # noqa: PLC0415

    if (before is None) == (days is None):
        raise click.UsageError("give --before or --older-than.")
    time = _day(before) if before else datetime.now(UTC) - timedelta(days=days or 0)
    with opened_records(records) as database:
        if dry_run:
            run_ids: tuple[str, ...] = tuple(record_backup.prunable(database, time))
        else:
            permissions = Permissions(may_delete_records=may_delete_records)
            own = StationKey(site_folder(site_dir))
            run_ids = record_backup.prune(database, time, own, permissions, attachments_only=attachments_only).run_ids
    what = "attachments" if attachments_only else "runs"
    if as_json:
        print_json({"dry_run": dry_run, "what": what, "before": time, "run_ids": run_ids})
    else:
        of = "attachments of " if attachments_only else ""
        click.echo(f"{of}{len(run_ids)} runs {'would be' if dry_run else 'were'} deleted")


def _day(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise click.UsageError(f"--before {text!r} is no date such as 2026-05-04.") from error
