"""``particle-dev station replay``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from particle_dev.cli.endings import ended_as_by_ctrl_c
from particle_dev.cli.options import json_option
from particle_dev.cli.page_option import PageChoice, opened_page, page_options, stay
from particle_dev.cli.records_option import site_folder, site_option
from particle_dev.cli.station_view import JsonView, StationView, print_summary
from particle_dev.errors import JournalError
from particle_dev.finite_range import FiniteRange
from particle_dev.station.events import EventType, StationEvent, parse_timestamp
from particle_dev.station.fold import fold
from particle_dev.station.journal import JOURNAL_NAME, read_journal
from particle_dev.transport.clock import SystemClock

_MAX_PAUSE_S = 60.0
"""Between two starts of a station lie nights."""


@click.command("replay")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--speed",
    type=FiniteRange(min=0, min_open=True),
    metavar="TIMES",
    help="As many times as fast as it was; 1: as it was. Default: at once.",
)
@page_options
@site_option
@json_option
def replay(
    directory: Path,
    speed: float | None,
    page_address: str | None,
    page_users: Path | None,
    page_tls: tuple[Path, Path] | None,
    page_names: tuple[str, ...],
    site_dir: Path | None,
    as_json: bool,
) -> None:
    """Show a run again as it went, from its journal: no board is touched, nothing is written.

    DIR is the folder of the run. With --page it runs in a browser, as fast as it was unless --speed says otherwise, and
    the page stays until Ctrl-C. With --json every event is a line, as station run prints them, without progress. The
    exit status speaks of this command, not of the run.
    """
    events, torn = read_journal(directory / JOURNAL_NAME)
    record = fold(events)
    choice = PageChoice(page_address, page_users, page_tls, page_names)
    site = site_folder(site_dir)
    with ended_as_by_ctrl_c(), opened_page(choice, site, None, directory) as page:
        if page is not None and speed is None:
            speed = 1.0
        with JsonView() if as_json else StationView() as view:
            for event in _in_time(events, speed):
                if page is not None:
                    page.handle(event)
                view.handle(event)
        if torn:
            click.echo("the last line was cut short: the station died while it wrote it", err=True)
        if not as_json:
            print_summary(record, None)
        if page is not None:
            if events[-1].type != EventType.RUN_FINISHED:
                page.cut_short()
            stay(page)


def _in_time(events: Sequence[StationEvent], speed: float | None) -> Iterator[StationEvent]:
    clock = SystemClock()
    for event, pause_s in zip(events, pauses_s(events), strict=True):
        if speed is not None and pause_s > 0:
            clock.sleep(pause_s / speed)
        yield event


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
