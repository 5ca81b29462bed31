"""``particle-dev report``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from particle_dev.cli.file_types import NAMED_FILE, force_option
from particle_dev.cli.records_option import opened_records, records_option
from particle_dev.cli.store_option import open_store, store_option
from particle_dev.errors import RecordNotFoundError
from particle_dev.flash.file_io import require_new_file, write_file
from particle_dev.station.fold import fold
from particle_dev.station.journal import JOURNAL_NAME, read_journal

if TYPE_CHECKING:
    from particle_dev.flash.store import FirmwareStore


@click.command()
@click.argument("name", metavar="DIR|RUN|UNIT")
@click.option("--json", "as_json", is_flag=True, help="Print the whole record as JSON.")
@click.option(
    "--html",
    "html_path",
    metavar="FILE",
    type=NAMED_FILE,
    help="Write the report here; default for DIR: DIR/report.html.",
)
@click.option("--pdf", "pdf_path", metavar="FILE", type=NAMED_FILE, help="Write it as PDF, by Chromium or Chrome.")
@records_option
@force_option
@store_option
def report(
    name: str,
    as_json: bool,
    html_path: Path | None,
    pdf_path: Path | None,
    records: str | None,
    force: bool,
    store_dir: Path | None,
) -> None:
    """Show what a station run did, or was done to a unit.

    Its report is written anew. DIR is the folder of a run (--out of 'station run'). Its journal is read, also while the
    run goes on, and is not changed. DIR/report.html is replaced, what --html and --pdf name with --force only. With
    --records, RUN is the id of a run there, or its beginning, and UNIT a Device ID, a serial number, or the beginning
    or end of one. Modules that are in the firmware store are drawn as byte maps. The exit status speaks of this
    command, not of the run.
    """
    for path in (html_path, pdf_path):
        if path is not None:
            require_new_file(path, replace=force)
    store = open_store(store_dir)
    if records and not Path(name).is_dir():
        _report_from_records(name, records, html_path, pdf_path, store, as_json)
    elif not Path(name).is_dir():
        raise RecordNotFoundError(
            f"there is no folder {name}",
            hint="give the folder of a station run (--out of 'station run'), or --records with a run or unit in them",
        )
    else:
        _report_of_folder(Path(name), html_path, pdf_path, force, store, as_json)


def _report_of_folder(
    directory: Path, html_path: Path | None, pdf_path: Path | None, force: bool, store: FirmwareStore, as_json: bool
) -> None:
    events, _torn = read_journal(directory / JOURNAL_NAME)
    record = fold(events)
    from particle_dev.station import report as html  # noqa: PLC0415  jinja2 is slow to import

    if html_path is None:
        html_path = directory / html.REPORT_NAME
        html.write_report(record, html_path, store.read)
    else:
        page = html.report_bytes(record, store.read)
        write_file(html_path, page, made_from=[directory / JOURNAL_NAME], replace=force)
    if pdf_path is not None:
        from particle_dev.station.report_pdf import html_to_pdf  # noqa: PLC0415

        page = html.report_bytes(record, store.read)
        write_file(pdf_path, html_to_pdf(page), made_from=[directory / JOURNAL_NAME], replace=True)
    _tell(pdf_path)
    if as_json:
        click.echo(json.dumps(record.to_data() | {"report": str(html_path)}))
    else:
        from particle_dev.cli.station_view import print_summary  # noqa: PLC0415  rich is slow to import

        print_summary(record, html_path)


def _report_from_records(
    name: str, records: str, html_path: Path | None, pdf_path: Path | None, store: FirmwareStore, as_json: bool
) -> None:
    from particle_dev.cli.records_look import print_units  # noqa: PLC0415  SQLAlchemy is slow to import
    from particle_dev.station import report as html  # noqa: PLC0415
    from particle_dev.station.record_search import run_named, unit_history  # noqa: PLC0415

    with opened_records(records) as database:
        run_id = run_named(database, name)
        if run_id is not None:
            record = database.run(run_id)
            _write(lambda: html.render_report(record, store.read), html_path, pdf_path)
            _tell(html_path, pdf_path)
            if as_json:
                click.echo(json.dumps(record.to_data() | {"report": str(html_path) if html_path else None}))
            else:
                from particle_dev.cli.station_view import print_summary  # noqa: PLC0415

                print_summary(record, html_path or pdf_path)
            return
        history = unit_history(database, name)
        runs = [database.run(item.run_id) for item in history]
    _write(lambda: html.render_unit_report(history[0].unit, runs, store.read), html_path, pdf_path)
    _tell(html_path, pdf_path)
    if as_json:
        found = {"unit": history[0].unit, "runs": [run.to_data() for run in runs]}
        click.echo(json.dumps(found | {"report": str(html_path) if html_path else None}))
    else:
        print_units(history, as_json=False)


def _tell(*paths: Path | None) -> None:
    """On stderr: what goes to stdout may be JSON."""
    for path in paths:
        if path is not None:
            click.echo(f"{path}: written", err=True)


def _write(render: Callable[[], str], html_path: Path | None, pdf_path: Path | None) -> None:
    """Whether the files may be replaced was asked before."""
    if html_path is None and pdf_path is None:
        return
    page = render().encode("utf-8", errors="replace")
    if html_path is not None:
        write_file(html_path, page, replace=True)
    if pdf_path is not None:
        from particle_dev.station.report_pdf import html_to_pdf  # noqa: PLC0415

        write_file(pdf_path, html_to_pdf(page), replace=True)
