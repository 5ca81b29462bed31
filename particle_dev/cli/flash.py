"""``particle-dev flash``."""

from __future__ import annotations

from pathlib import Path

import click

from particle_dev.catalog.platforms import UsbMode
from particle_dev.cli.devices import choose_device
from particle_dev.cli.flash_view import FlashView
from particle_dev.cli.options import (
    bench_option,
    device_option,
    json_option,
    newest_factory_modules,
    open_store,
    opened_bench,
    read_bench,
    store_option,
)
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.model import Device
from particle_dev.device.modes import DfuEntry
from particle_dev.errors import RequestRefusedError
from particle_dev.flash.board_modules import Inventory
from particle_dev.flash.carry_out import carry_out
from particle_dev.flash.inventory import inventory_by_control, inventory_by_dfu
from particle_dev.flash.offers import Offer, release_if_stored, release_offer
from particle_dev.flash.store import FirmwareStore
from particle_dev.flash.update_plan import make_update_plan
from particle_dev.permissions import Permissions
from particle_dev.protocol.messages import AssetInfo
from particle_dev.transport.base import Host

_ENTRIES = {"control": DfuEntry.CONTROL_REQUEST, "touch": DfuEntry.SERIAL_TOUCH}


@click.command("flash")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, readable=False), metavar="[FILE]...")
@device_option
@click.option("--device-os", "release", metavar="VERSION", help="A whole Device OS release from the firmware store.")
@click.option("--app", metavar="FILE|NAME", help="With it an application: a file, or a name in the firmware store.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option(
    "--enter-dfu-by",
    type=click.Choice(sorted(_ENTRIES)),
    help="Way into DFU mode; default: control, then touch.",
)
@click.option("--leave", is_flag=True, help="Boot the application at the end; needs --may-connect.")
@click.option("--may-connect", is_flag=True, help="Allow what can bring the device online and start billing.")
@bench_option
@store_option
@json_option
def flash(
    files: tuple[Path, ...],
    device: str | None,
    release: str | None,
    app: str | None,
    dry_run: bool,
    enter_dfu_by: str | None,
    leave: bool,
    may_connect: bool,
    bench_spec: str,
    store_dir: Path | None,
    as_json: bool,
) -> None:
    """Install modules on one device, each by the way that suits it, and prove them.

    FILE: module, folder or archive of a release, bundle. What is there stays. A set that the device would answer with
    safe mode is refused before anything is erased. The device ends in DFU mode, offline, unless --leave --may-connect.
    Run it again after an interruption: it goes on.
    """
    if not (files or release or app):
        raise click.UsageError("Nothing to flash: give FILE, --device-os or --app.")
    permissions = Permissions(may_connect=may_connect)
    store = open_store(store_dir)
    with opened_bench(read_bench(bench_spec), newest_factory_modules(store)) as bench:
        chosen = choose_device(bench.host, device)
        platform = chosen.platform
        offer = Offer()
        offer.add_paths(files, platform)
        if release:
            release_offer(store, platform, release, offer)
        if app:
            _add_application(offer, app, store, chosen)
        inventory, assets = _look(bench.host, chosen)
        plan = make_update_plan(
            inventory,
            list(offer.files),
            mode=chosen.mode,
            leave=leave,
            assets=assets,
            fetch_release=lambda name: release_if_stored(store, platform, name, offer),
        )
        view = FlashView(plan, as_json=as_json)
        if dry_run or not plan.phases:
            view.print_plan()
            return
        for event in carry_out(
            bench.host,
            chosen,
            plan,
            offer.contents.__getitem__,
            permissions=permissions,
            dfu_entry=_ENTRIES[enter_dfu_by] if enter_dfu_by else None,
            control_progress=lambda _name, sent, total: view.progress("send", sent, total),
        ):
            view.take(event)
    view.print_result()


def _add_application(offer: Offer, app: str, store: FirmwareStore, device: Device) -> None:
    path = Path(app)
    if path.exists():
        offer.add_paths([path], device.platform)
    else:
        offer.add_stored(store, [store.app(device.platform.name, app)])


def _look(host: Host, device: Device) -> tuple[Inventory, AssetInfo | None]:
    """What is on the board; None for assets that cannot be asked for."""
    if device.mode is UsbMode.DFU:
        with DfuSession(host, device) as dfu_session:
            return inventory_by_dfu(dfu_session), None
    with ControlSession(host, device) as session:
        inventory = inventory_by_control(session)
        try:
            return inventory, session.asset_info()
        except RequestRefusedError:
            return inventory, None
