"""``particle-dev station replay``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from particle_dev.cli.options import json_option
from particle_dev.cli.station_view import JsonView, StationView, print_summary
from particle_dev.errors import JournalError
from particle_dev.station.events import StationEvent, parse_timestamp
from particle_dev.station.fold import fold
from particle_dev.station.journal import JOURNAL_NAME, read_journal
from particle_dev.transport.clock import SystemClock

_MAX_PAUSE_S = 60.0
"""Between two starts of a station lie nights."""


@click.command("replay")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="TIMES",
    help="As many times as fast as it was; 1: as it was. Default: at once.",
)
@json_option
def replay(directory: Path, speed: float | None, as_json: bool) -> None:
    """Show a run again as it went, from its journal: no board is touched, nothing is written.

    DIR is the folder of the run. With --json every event is a line, as station run prints them, without progress. The
    exit status speaks of this command, not of the run.
    """
    events, torn = read_journal(directory / JOURNAL_NAME)
    record = fold(events)
    clock = SystemClock()
    with JsonView() if as_json else StationView() as view:
        for event, pause_s in zip(events, pauses_s(events), strict=True):
            if speed is not None and pause_s > 0:
                clock.sleep(pause_s / speed)
            view.handle(event)
    if torn:
        click.echo("the last line was cut short: the station died while it wrote it", err=True)
    if not as_json:
        print_summary(record, None)


def pauses_s(events: Sequence[StationEvent]) -> list[float]:
    """Seconds to wait before each event; never back, where a clock was set back, and never long.

    JournalError: a time that is none.
    """
    try:
        times = [parse_timestamp(event.at).timestamp() for event in events]
    except ValueError as error:
        raise JournalError(
            f"the journal has a time that is none: {error}", hint="the record is damaged: keep it"
        ) from error
    return [
        min(max(0.0, later - earlier), _MAX_PAUSE_S)
        for earlier, later in zip([*times[:1], *times], times, strict=False)
    ]
