"""``particle-dev test connectivity``."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import click

from particle_dev import __version__
from particle_dev.cli.cloud_options import cloud_option, opened_cloud
from particle_dev.cli.connectivity_options import SECURITIES, FunctionType, LimitType, StageType, VariableType, wifi_of
from particle_dev.cli.connectivity_view import ConnectivityView, print_result
from particle_dev.cli.devices import choose_device
from particle_dev.cli.endings import ended_as_by_ctrl_c
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.options import bench_for, bench_option, json_option, store_option
from particle_dev.cli.records_option import site_folder, site_option
from particle_dev.cloud.account_usage import AccountUsage
from particle_dev.cloud.budget import Budget, BudgetBook, budget_of
from particle_dev.cloud.device_state import DeviceStates
from particle_dev.cloud.firmware import ProductFirmwares
from particle_dev.cloud.metering import BillingVerdict
from particle_dev.cloud.plans import PLANS, PlanName
from particle_dev.cloud.strategies import Strategy
from particle_dev.connectivity.board import Board
from particle_dev.connectivity.bookkeeping import SiteBooks, run_booked
from particle_dev.connectivity.cloud_link import CloudLink, CloudScope, SiteStream, cloud_scope
from particle_dev.connectivity.engine import require_permissions
from particle_dev.connectivity.measurements import Limit
from particle_dev.connectivity.outcome import ConnectivityResult, ConnectivityVerdict, StageEvent
from particle_dev.connectivity.plan import (
    ConnectivityOptions,
    ConnectivityPlan,
    FunctionProbe,
    VariableProbe,
    make_plan,
)
from particle_dev.connectivity.report import REPORT_NAME, render_report
from particle_dev.connectivity.stages import Stage
from particle_dev.device.model import Device
from particle_dev.errors import JournalError, ParticleDevError
from particle_dev.flash.file_io import write_file
from particle_dev.permissions import Permissions
from particle_dev.station.connectivity_events import ConnectivityEvents
from particle_dev.station.events import StationEvent
from particle_dev.station.guard_setup import DEVICES_NAME
from particle_dev.station.lease import board_leases

EVENTS_NAME = "connectivity.jsonl"
_EXIT_CODES = {
    ConnectivityVerdict.PASS: ExitCode.OK,
    ConnectivityVerdict.FAIL: ExitCode.FAILED,
    ConnectivityVerdict.PARKED: ExitCode.INCOMPLETE,
    ConnectivityVerdict.INCOMPLETE: ExitCode.INCOMPLETE,
}


@click.command("connectivity")
@click.argument("device", metavar="DEVICE")
@click.option("--strategy", required=True, type=click.Choice([str(s) for s in Strategy]), help="A, B or C.")
@click.option("--product", "product_ref", metavar="ID|SLUG", help="The product; strategy A needs it, C may have it.")
@click.option("--plan", "plan_name", type=click.Choice([str(n) for n in PlanName]), help="Plan of who pays (A and B).")
@click.option("--may-connect", is_flag=True, help="Let the board go online, which starts its billing (A and B).")
@click.option("--may-erase", is_flag=True, help="Let the Wi-Fi network of --wifi-ssid be forgotten again.")
@click.option("--may-update-devices", is_flag=True, help="Allow --ota and --mark-development.")
@click.option("--stage", "only", multiple=True, type=StageType(), help="This stage alone; repeat for more.")
@click.option("--without", multiple=True, type=StageType(), help="Leave this stage out, knowingly.")
@click.option("--no-restart", is_flag=True, help="Do not reset the board first.")
@click.option("--first-connection", is_flag=True, help="Its SIM was never in a network: 20 minutes to register.")
@click.option("--wifi-ssid", metavar="SSID", help="A network for the test, stored before and forgotten after it.")
@click.option("--wifi-password-file", type=click.Path(path_type=Path), help="File with its password; - is stdin.")
@click.option("--wifi-security", type=click.Choice(list(SECURITIES)), default="wpa2", show_default=True)
@click.option("--wifi-hidden", is_flag=True, help="The network does not tell its name.")
@click.option("--event", "event_prefix", metavar="PREFIX", help="An event that the application publishes by itself.")
@click.option("--function", type=FunctionType(), help="A function of the application to call.")
@click.option("--variable", type=VariableType(), help="A variable of the application to read.")
@click.option("--ota", "ota_version", type=int, metavar="VERSION", help="Product firmware to get over the air (A).")
@click.option("--product-version", type=int, metavar="N", help="The firmware version that the board has.")
@click.option("--device-os", metavar="RELEASE", help="The Device OS release that the board has.")
@click.option("--app-sha256", metavar="HEX", help="The hash of the application that the board has.")
@click.option("--mark-development", is_flag=True, help="Keep the cloud from flashing it during the test.")
@click.option("--limit", "limits", multiple=True, type=LimitType(), help="A limit of a measured value.")
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), help="Folder for events and report.")
@site_option
@cloud_option
@bench_option
@store_option
@json_option
def test_connectivity(
    device: str,
    strategy: str,
    product_ref: str | None,
    plan_name: str | None,
    may_connect: bool,
    may_erase: bool,
    may_update_devices: bool,
    only: tuple[str, ...],
    without: tuple[str, ...],
    no_restart: bool,
    first_connection: bool,
    wifi_ssid: str | None,
    wifi_password_file: Path | None,
    wifi_security: str,
    wifi_hidden: bool,
    event_prefix: str | None,
    function: FunctionProbe | None,
    variable: VariableProbe | None,
    ota_version: int | None,
    product_version: int | None,
    device_os: str | None,
    app_sha256: str | None,
    mark_development: bool,
    limits: tuple[tuple[str, Limit], ...],
    folder: Path | None,
    site_dir: Path | None,
    profile: str | None,
    token_file: Path | None,
    bench_spec: str,
    store_dir: Path | None,
    as_json: bool,
) -> ExitCode:
    """Test radio, network, cloud, events and updates of one board, end to end.

    DEVICE is a selector as of --device elsewhere. Strategy A tests in the unit's product and starts its billing; B in
    the account of the token; C never connects, and tests what can be tested without. Whatever happens, the board is
    disconnected and what the test has set is taken back.

    Exit status 0: every stage passed. 1: one failed. 6: nothing failed and something was not proven, or the unit is to
    be parked. 5: refused. Strategy C with --product also asks whether billing has begun: 1 when it has, 6 when that is
    unknown.
    """
    chosen = Strategy(strategy)
    if (chosen is Strategy.A) != (product_ref is not None) and chosen is not Strategy.C:
        raise click.UsageError("strategy A needs --product; B tests in the account, without one")
    if chosen is not Strategy.C and plan_name is None:
        raise click.UsageError("--plan says whose budget the test uses: free, basic or enterprise")
    options = ConnectivityOptions(
        only=tuple(Stage(name) for name in only),
        without=frozenset(Stage(name) for name in without),
        restart=not no_restart,
        first_connection=first_connection,
        wifi=wifi_of(wifi_ssid, wifi_password_file, wifi_security, wifi_hidden),
        event_prefix=event_prefix,
        function=function,
        variable=variable,
        ota_version=ota_version,
        expected_version=product_version,
        expected_device_os=device_os,
        expected_app_sha256=app_sha256,
        mark_development=mark_development,
        limits=dict(limits),
    )
    permissions = Permissions(may_connect=may_connect, may_erase=may_erase, may_update_devices=may_update_devices)
    site = site_folder(site_dir)
    with ended_as_by_ctrl_c(), bench_for(bench_spec, store_dir) as bench:
        found = choose_device(bench, device)
        plan = make_plan(found.platform, chosen, options)
        require_permissions(plan, permissions)
        with ExitStack() as opened:
            scope = opened.enter_context(_scope(plan, product_ref, profile, token_file))
            if ota_version is not None and scope is not None:
                # What it costs goes by the size of the file.
                size_bytes = len(ProductFirmwares(scope.api, scope.product_ref or "").binary(ota_version))
                plan = make_plan(found.platform, chosen, replace(options, ota_size_bytes=size_bytes))
            opened.enter_context(board_leases(bench, found.usb.port_path, "`particle-dev test connectivity`"))
            board = opened.enter_context(Board(bench.host, found, permissions))
            output = opened.enter_context(_Output(plan, found, bench.name, board, folder, site, as_json))
            books = _books(site, plan, scope, plan_name)
            result = output.run(scope, books, permissions)
    return _exit_code(result, scope is not None)


def _exit_code(result: ConnectivityResult, cloud_asked: bool) -> ExitCode:
    """Strategy C with a product also asks whether billing has begun, and there an unknown is no pass."""
    found = _EXIT_CODES[result.verdict]
    if found is not ExitCode.OK or result.strategy is not Strategy.C:
        return found
    if result.gate.verdict is BillingVerdict.STARTED:
        return ExitCode.FAILED
    return ExitCode.INCOMPLETE if cloud_asked and result.gate.verdict is BillingVerdict.UNKNOWN else ExitCode.OK


@contextmanager
def _scope(
    plan: ConnectivityPlan, product_ref: str | None, profile: str | None, token_file: Path | None
) -> Iterator[CloudScope | None]:
    """Where the cloud is asked; None: strategy C without a product."""
    if not plan.connects and product_ref is None:
        yield None
        return
    with opened_cloud(profile, token_file) as api:
        yield cloud_scope(api, product_ref)


def _books(site: Path, plan: ConnectivityPlan, scope: CloudScope | None, plan_name: str | None) -> SiteBooks:
    billing = PLANS[PlanName(plan_name)] if plan_name else None
    budget = None
    if scope is not None and billing is not None and plan.connects:
        whose = str(scope.product.id) if scope.product else f"account-{scope.api.account}"
        organization = scope.product.organization if scope.product else None
        usage = AccountUsage(scope.api, organization, budget_of(billing))
        budget = BudgetBook(site / f"budget-{whose}.json", budget_of(billing), usage=usage)
    return SiteBooks(DeviceStates(site / DEVICES_NAME), budget, billing)


class _Output:
    """Runs the test and shows it: to a person, as JSON lines, and in a folder."""

    def __init__(
        self,
        plan: ConnectivityPlan,
        device: Device,
        bench: str,
        board: Board,
        folder: Path | None,
        site: Path,
        as_json: bool,
    ) -> None:
        self._plan = plan
        self._site = site
        self._board = board
        self._folder = folder
        self._as_json = as_json
        self._stack = ExitStack()
        self._file = self._open(folder) if folder else None
        self._run_id = uuid.uuid4().hex[:12]
        self._events = ConnectivityEvents(
            self._run_id, device.usb.port_path, device.device_id, board.clock.utc_now, self._emit
        )
        self._events.begin(plan, bench, device.platform.name, {"particle-dev": __version__})
        self._view = None if as_json else self._stack.enter_context(ConnectivityView(plan))

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, scope: CloudScope | None, books: SiteBooks, permissions: Permissions) -> ConnectivityResult:
        """The test, told from its beginning to its end."""
        try:
            with ExitStack() as streams:
                cloud = None
                if scope is not None:
                    feed = None
                    if self._plan.connects:
                        feed = streams.enter_context(SiteStream(scope, self._site)).feed(self._board.device_id)
                    cloud = CloudLink(scope, self._board.device_id, feed)
                result = run_booked(
                    self._board,
                    cloud,
                    self._plan,
                    books,
                    run_id=self._run_id,
                    permissions=permissions,
                    on_event=self._handle,
                    on_budget=self._tell_budget,
                )
        except ParticleDevError as error:
            self._events.refuse(error)
            raise
        report = self._write_report(result)
        self._events.finish(result, report)
        self._stack.close()
        if not self._as_json:
            print_result(result, report, cloud_asked=scope is not None)
        return result

    def _handle(self, event: StageEvent) -> None:
        self._events.handle(event)
        if self._view is not None:
            self._view.handle(event)

    def _tell_budget(self, budget: Budget) -> None:
        if self._as_json:
            return
        cost = self._plan.cost
        limit = budget.max_operations
        left = "" if limit is None else f"; booked this month: {budget.spent.operations} of {limit}"
        click.echo(
            f"costs at most {cost.operations} data operations and {cost.cellular_bytes} bytes of cellular data{left}",
            err=True,
        )

    def _emit(self, event: StationEvent) -> None:
        line = event.to_json()
        if self._as_json:
            click.echo(line)
        if self._file is not None:
            try:
                self._file.write(f"{line}\n")
                self._file.flush()
            except OSError as error:
                # Closing writes once more what the file could not take; what follows is told without it.
                file, self._file = self._file, None
                with suppress(OSError):
                    file.close()
                raise JournalError(
                    f"cannot write {file.name}: {error.strerror}",
                    path=file.name,
                    hint="make room, then run it again with a new --out",
                ) from error

    def _open(self, folder: Path) -> TextIO:
        path = folder / EVENTS_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return self._stack.enter_context(path.open("x", encoding="ascii"))
        except OSError as error:
            raise JournalError(
                f"cannot write {path}: {error.strerror}", path=str(path), hint="give a new folder of yours with --out"
            ) from error

    def _write_report(self, result: ConnectivityResult) -> str | None:
        if self._folder is None:
            return None
        path = self._folder / REPORT_NAME
        write_file(path, render_report(result, self._plan).encode("utf-8", errors="replace"), replace=True)
        return str(path)
