"""``particle-dev records verify`` and ``key``."""

from __future__ import annotations

from pathlib import Path

import click

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.options import json_option
from particle_dev.cli.output import plain, print_json
from particle_dev.cli.records_option import opened_records, records_option, site_folder, site_option
from particle_dev.errors import ConfigError

_STATUS = {"intact": ExitCode.OK, "altered": ExitCode.FAILED, "unproven": ExitCode.INCOMPLETE}


@click.command()
@click.option(
    "--trust",
    "trust",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Public key of a station ('records key' there); may be repeated.",
)
@click.option(
    "--journals",
    "journals",
    multiple=True,
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    metavar="DIR",
    help="Folders of runs, or of folders of runs, that must be in the records; may be repeated.",
)
@site_option
@records_option
@json_option
def verify(
    trust: tuple[Path, ...], journals: tuple[Path, ...], site_dir: Path | None, records: str | None, as_json: bool
) -> None:
    """Find every row that was changed, added, exchanged or is missing since stations signed it.

    Exit status 0: every row is as a known station recorded it; 1: something was altered, or is gone; 6: nothing is
    wrong, but there are stations whose key is not known here (--trust), runs of before records were signed, or runs
    of --journals that go on or wait to be recorded. That the end was cut off is found on the station itself, which
    remembers it, or with --journals.
    """
    from particle_dev.station.record_keeping import journal_hashes, run_folders  # noqa: PLC0415  SQLAlchemy is slow to import
    from particle_dev.station.station_key import KEY_NAME, StationKey, trusted_stations  # noqa: PLC0415

    for folder in journals:
        if not run_folders([folder]):
            raise ConfigError(
                f"no run is in {folder}, nor in a folder right below it: its journals prove nothing",
                hint="give --journals the folder of a run (--out of 'station run'), or the one that holds such folders",
            )
    site = site_folder(site_dir)
    # Looking makes no key: it would be one that nobody has heard of.
    own = StationKey(site) if (site / KEY_NAME).exists() else None
    trusted = trusted_stations(paths=trust)
    with opened_records(records) as database:
        found = database.verify(own, trusted, *journal_hashes(journals))
    if as_json:
        print_json(plain(found) | {"verdict": found.verdict})
    else:
        for problem in found.problems:
            click.echo(f"{problem.where}: {problem.message} ({problem.code})")
        for run_id in found.unsigned:
            click.echo(f"run {run_id}: recorded before records were signed; 'records sync' of its folder signs it")
        for run_id in found.waiting:
            click.echo(
                f"run {run_id}: goes on, or waits to be recorded; 'records sync --pending' of its folder does that"
            )
        for station_id in found.unknown:
            click.echo(f"station {station_id}: its key is not known here; give it with --trust")
        for remark in found.remarks:
            click.echo(f"note: {remark}")
        told = f"{found.runs} runs, {found.entries} entries, {found.stations} stations"
        click.echo(f"{found.verdict.upper()}: {told}, {len(found.problems)} problems")
    raise SystemExit(_STATUS[found.verdict])


@click.command()
@site_option
@json_option
def key(site_dir: Path | None, as_json: bool) -> None:
    """Print the public key of this station, for who verifies elsewhere; made when there is none.

    The private key is 'station.key' in the folder of the site (--site), readable by its owner only. It is not part of
    any backup of records: keep a copy, or a new key begins a new chain.
    """
    from particle_dev.station.station_key import StationKey  # noqa: PLC0415

    own = StationKey(site_folder(site_dir))
    if as_json:
        print_json({"station_id": own.station_id, "public_key": own.public_pem(), "folder": str(own.folder)})
    else:
        click.echo(own.public_pem(), nl=False)
