"""``particle-dev station run``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from particle_dev.cli.cloud_options import cloud_option, opened_cloud
from particle_dev.cli.endings import ended_as_by_ctrl_c
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.options import (
    factory_modules,
    json_option,
    open_store,
    opened_bench,
    read_bench,
    store_option,
    with_images,
)
from particle_dev.cli.page_option import PageChoice, opened_page, page_options, stay
from particle_dev.cli.records_option import records_option, records_place, site_folder, site_option
from particle_dev.cli.station_release import from_release, refuse_recipe, trust_option, trusted_keys
from particle_dev.cli.station_view import JsonView, StationView, print_summary
from particle_dev.errors import JournalError, RecordsAwayError
from particle_dev.permissions import Permissions
from particle_dev.station.arrivals import Arrivals, StartBy
from particle_dev.station.bench import Bench
from particle_dev.station.engine import Station
from particle_dev.station.events import StationEvent
from particle_dev.station.guard import StationGuard
from particle_dev.station.journal import refuse_running
from particle_dev.station.label_scans import LabelScans
from particle_dev.station.operator_lines import OperatorLines
from particle_dev.station.recipe import Recipe, load_recipe
from particle_dev.station.record_keeping import RecordKeeper, pending_folders, sync
from particle_dev.station.records import RecordDatabase
from particle_dev.station.report import REPORT_NAME
from particle_dev.station.slot_health import HealthFile
from particle_dev.station.station_key import StationKey
from particle_dev.transport.hotplug import open_wake_up

if TYPE_CHECKING:
    from particle_dev.station.web.opening import StationPage

_EXIT_CODES = {"pass": ExitCode.OK, "fail": ExitCode.FAILED, "incomplete": ExitCode.INCOMPLETE}


@click.command()
@click.option("--recipe", "recipe_path", type=click.Path(path_type=Path), help="Recipe (TOML).")
@click.option("--release", "release_path", type=click.Path(path_type=Path), help="Signed release, instead of a recipe.")
@trust_option
@click.option(
    "--production",
    is_flag=True,
    envvar="PARTICLE_DEV_PRODUCTION",
    help="Take nothing but trusted releases.",
)
@click.option("--bench", "bench_spec", required=True, metavar="NAME|FILE", help="usb, virtual, or a bench file.")
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the run; unfinished: resumed.",
)
@click.option("--operator", metavar="NAME", help="Who runs the station, for the record.")
@click.option("--watch", is_flag=True, help="Unit after unit, until Ctrl-C.")
@click.option(
    "--start",
    "start_by",
    type=click.Choice([str(by) for by in StartBy]),
    metavar="HOW",
    help="By insertion, operator or scan.",
)
@click.option("--units", "most_units", type=click.IntRange(min=1), metavar="N", help="End --watch after so many.")
@page_options
@click.option("--stay", "stays", is_flag=True, help="Leave the page up until Ctrl-C.")
@click.option("--may-connect", is_flag=True, help="Strategy A: goes online, billing begins.")
@click.option("--may-bill", is_flag=True, help="Recipes that import units and their SIMs.")
@site_option
@records_option
@cloud_option
@store_option
@json_option
def run(
    recipe_path: Path | None,
    release_path: Path | None,
    trust: tuple[Path, ...],
    production: bool,
    bench_spec: str,
    folder: Path | None,
    operator: str | None,
    watch: bool,
    start_by: str | None,
    most_units: int | None,
    page_address: str | None,
    page_users: Path | None,
    page_tls: tuple[Path, Path] | None,
    page_names: tuple[str, ...],
    stays: bool,
    may_connect: bool,
    may_bill: bool,
    site_dir: Path | None,
    records: str | None,
    profile: str | None,
    token_file: Path | None,
    store_dir: Path | None,
    as_json: bool,
) -> None:
    """Take the board in every slot through the recipe, all slots at once.

    No board boots its new application, unless the recipe's strategy is A, with --may-connect. Exit status 0: every
    slot passed; 6: one was empty. --watch reads standard input, as a recipe that scans labels back does: Enter begins
    in all slots, a slot's name there, a label's text where its board is; "unlock SLOT", "end".
    """
    if not watch and (start_by or most_units):
        raise click.UsageError("--start and --units go with --watch.")
    page_choice = PageChoice(page_address, page_users, page_tls, page_names)
    if stays and page_address is None:
        raise click.UsageError("--stay goes with --page.")
    site = site_folder(site_dir)
    folder = folder or Path("station-runs") / datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    if (recipe_path is None) == (release_path is None):
        raise click.UsageError("give --recipe or --release.")
    if recipe_path is not None:
        refuse_recipe(production, recipe_path)
        recipe, store = load_recipe(recipe_path), open_store(store_dir)
    table = read_bench(bench_spec)
    if release_path is not None:
        _make_folder(folder)
        refuse_running(folder)
        recipe, store = from_release(release_path, trusted_keys(trust, site), production, folder)
    releases = {name: choice.device_os for name, choice in recipe.firmware.items()}
    factory = factory_modules(store, releases)
    expected = {str(s["name"]): str(s["device_id"]) for s in table.slots if "device_id" in s}
    _make_folder(folder)
    place = records_place(records) if records else None
    keeper = RecordKeeper(StationKey(site), place)
    keeper.check_place()
    permissions = Permissions(may_connect=may_connect, may_bill=may_bill)
    with ended_as_by_ctrl_c(), opened_page(page_choice, site, place, folder) as page:
        with (
            _guard(recipe, site, permissions, profile, token_file, records) as guard,
            opened_bench(with_images(table, store_dir), factory, folder / "bench-state") as bench,
            JsonView() if as_json else StationView() as view,
        ):
            health = HealthFile(site, bench.name)
            by = StartBy(start_by or StartBy.INSERTION)
            arrivals = _arrivals(bench, by) if watch else None
            scans = LabelScans() if recipe.label is not None and recipe.label.scan_back else None
            _listen(OperatorLines(arrivals, [s.name for s in bench.slots], by, health, scans), page, by)
            work = Station(
                recipe,
                bench,
                store,
                folder,
                _both(view.handle, page),
                expected,
                operator,
                guard,
                keeper,
                arrivals=arrivals,
                most_units=most_units,
                health=health,
                golden=table.golden,
                scans=scans,
                show_past=_both_remember(view, page),
            )
            _catch_up(keeper, folder, None)
            try:
                record = work.run()
            except KeyboardInterrupt:
                click.echo("stopped; the same command goes on where this run ended", err=True)
                raise
        if not as_json:
            print_summary(record, folder / REPORT_NAME)
        _catch_up(keeper, folder, work.records_away)
        if stays and page is not None:
            stay(page)
    raise SystemExit(_EXIT_CODES[record.verdict])


def _arrivals(bench: Bench, start_by: StartBy) -> Arrivals:
    # Only the system's own USB ports have udev; virtual boards may have clocks of their own.
    wake_up = open_wake_up(bench.host.clock)[0] if bench.driver.usb_backend is None else None
    return Arrivals(bench.host, bench.slots, start_by, wake_up)


_NOBODY = "nobody can begin a unit: standard input has ended, and there is no --page; Ctrl-C ends the run"


def _listen(lines: OperatorLines, page: StationPage | None, by: StartBy) -> None:
    """Operators are heard on standard input, where there is one and they have something to say; and on the page."""

    def say(text: str) -> None:
        click.echo(text, err=True)

    # As a service, say, with nothing on standard input: it would wait for ever and not say for what.
    at_end = _NOBODY if page is None and lines.begins_by_hand and by is not StartBy.INSERTION else ""
    if sys.stdin is None or sys.stdin.closed:
        if at_end:
            say(at_end)
    elif lines.begins_by_hand or lines.takes_labels:
        lines.listen(sys.stdin, say, at_end)
    if page is not None:
        page.listen(lines)


def _both(show: Callable[[StationEvent], None], page: StationPage | None) -> Callable[[StationEvent], None]:
    if page is None:
        return show

    def both(event: StationEvent) -> None:
        page.handle(event)
        show(event)

    return both


def _both_remember(view: JsonView | StationView, page: StationPage | None) -> Callable[[Sequence[StationEvent]], None]:
    def both(events: Sequence[StationEvent]) -> None:
        if page is not None:
            page.remember(events)
        view.remember(events)

    return both


def _catch_up(keeper: RecordKeeper, folder: Path, away: RecordsAwayError | None) -> None:
    """Runs beside this one that wait to be recorded are recorded now; or the operator is told that this one waits."""
    if away is not None:
        click.echo(f"not recorded yet: {away}", err=True)
    elif keeper.place is not None and (waiting := [f for f in pending_folders([folder.parent]) if f != folder]):
        try:
            database = RecordDatabase(keeper.place)
            try:
                done = list(sync(database, waiting, keeper.key))
            finally:
                database.close()
        except RecordsAwayError as error:
            click.echo(f"other runs are not recorded yet: {error}", err=True)
            return
        for item in done:
            click.echo(f"{item.folder}: {item.error or item.outcome}", err=True)


@contextmanager
def _guard(
    recipe: Recipe,
    site: Path,
    permissions: Permissions,
    profile: str | None,
    token_file: Path | None,
    records: str | None,
) -> Iterator[StationGuard | None]:
    """The billing guard of a recipe that names a product: opened before a board gets power."""
    if recipe.cloud is None:
        yield None
        return
    # HTTP is slow to import, and most recipes ask no cloud.
    from particle_dev.station.guard_setup import opened_guard  # noqa: PLC0415

    with ExitStack() as opened:
        api = opened.enter_context(opened_cloud(profile or recipe.cloud.profile, token_file, records))
        test_api = None
        if recipe.test_profile:
            test_api = opened.enter_context(opened_cloud(recipe.test_profile, None, records))
        yield opened.enter_context(opened_guard(recipe, api, site, permissions, test_api))


def _make_folder(folder: Path) -> None:
    """The folder of a run must take files before any board is touched."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise JournalError(
            f"cannot write in {folder}: {error.strerror}", path=str(folder), hint="give a folder of yours with --out"
        ) from error
