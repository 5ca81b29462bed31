"""``particle-dev report``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from particle_dev.cli.file_types import NAMED_FILE, force_option
from particle_dev.cli.store_option import open_store, store_option
from particle_dev.flash.file_io import write_file
from particle_dev.station.fold import fold
from particle_dev.station.journal import JOURNAL_NAME, read_journal


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the whole record as JSON.")
@click.option(
    "--html",
    "html_path",
    metavar="FILE",
    type=NAMED_FILE,
    help="Write the report here instead of DIR/report.html.",
)
@force_option
@store_option
def report(directory: Path, as_json: bool, html_path: Path | None, force: bool, store_dir: Path | None) -> None:
    """Show what a station run did, and write its report anew.

    DIR is the folder of the run (--out of 'station run'). Its journal is read, also while the run goes on, and
    is not changed. DIR/report.html is replaced, what --html names with --force only. Modules that are in the firmware
    store are drawn as byte maps. The exit status speaks of this command, not of the run.
    """
    events, _torn = read_journal(directory / JOURNAL_NAME)
    record = fold(events)
    from particle_dev.station import report as html  # noqa: PLC0415  jinja2 is slow to import

    read_module = open_store(store_dir).read
    if html_path is None:
        html_path = directory / html.REPORT_NAME
        html.write_report(record, html_path, read_module)
    else:
        write_file(
            html_path, html.report_bytes(record, read_module), made_from=[directory / JOURNAL_NAME], replace=force
        )
    if as_json:
        click.echo(json.dumps(record.to_data() | {"report": str(html_path)}))
    else:
        from particle_dev.cli.station_view import print_summary  # noqa: PLC0415  rich is slow to import

        print_summary(record, html_path)
