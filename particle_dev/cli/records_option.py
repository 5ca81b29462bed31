"""``--records`` and ``--site``: where units are recorded, and what a station keeps to itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import platformdirs

from particle_dev.cli.command_type import CommandT
from particle_dev.errors import ConfigError

if TYPE_CHECKING:
    from particle_dev.station.records import RecordDatabase


def site_option(command: CommandT) -> CommandT:
    """``--site``."""
    return click.option(
        "--site",
        "site_dir",
        envvar="PARTICLE_DEV_SITE",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the station's key and memory.",
    )(command)


def site_folder(site_dir: Path | None) -> Path:
    """The folder that ``--site`` names, or this user's own."""
    return site_dir or platformdirs.user_data_path("particle-dev")


def records_option(command: CommandT) -> CommandT:
    """``--records``."""
    return click.option(
        "--records",
        "records",
        envvar="PARTICLE_DEV_RECORDS",
        metavar="FILE|URL",
        help="Of many runs: file or PostgreSQL.",
    )(command)


def records_place(records: str) -> Path | str:
    """What ``--records`` names: a URL, else a file."""
    return records if "://" in records else Path(records)


@contextmanager
def opened_records(records: str | None, *, make: bool = False) -> Iterator[RecordDatabase]:
    """The database that ``--records`` names. ConfigError: none is named, or the file is not there (unless ``make``)."""
    # SQLAlchemy is slow to import.
    from particle_dev.station.records import RecordDatabase  # noqa: PLC0415

    if not records:
        raise ConfigError(
            "no records are named",
            hint="give --records FILE (a run's own is RUN/records.sqlite) or URL, or set PARTICLE_DEV_RECORDS",
        )
    place = records_place(records)
    if isinstance(place, Path) and not make and not place.is_file():
        raise ConfigError(f"there are no records {place}", hint="give a file that a station wrote with --records")
    database = RecordDatabase(place)
    try:
        yield database
    finally:
        database.close()
