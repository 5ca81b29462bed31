"""``particle-dev flash``."""

from __future__ import annotations

from pathlib import Path

import click

from particle_dev.cli.devices import taken_device
from particle_dev.cli.flash_view import FlashView
from particle_dev.cli.options import (
    bench_for,
    bench_option,
    device_option,
    json_option,
    open_store,
    store_option,
)
from particle_dev.device.modes import WAYS_INTO_DFU, Way
from particle_dev.errors import ParticleDevError
from particle_dev.flash.carry_out import carry_out
from particle_dev.flash.inventory import read_assets, read_inventory
from particle_dev.flash.offers import Offer, release_if_stored, release_offer
from particle_dev.flash.update_plan import make_update_plan
from particle_dev.permissions import Permissions


@click.command("flash")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, readable=False), metavar="[FILE]...")
@device_option
@click.option("--device-os", "release", metavar="RELEASE", help="A whole release from the store.")
@click.option("--app", metavar="FILE|NAME", help="With it an application: its name in the firmware store, or ./FILE.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option(
    "--by",
    type=click.Choice([way.value for way in WAYS_INTO_DFU]),
    help="Way into DFU mode; default: control, and touch when unanswered.",
)
@click.option("--leave", is_flag=True, help="Boot the application at the end; needs --may-connect.")
@click.option("--may-connect", is_flag=True, help="Allow what can bring the device online and start billing.")
@click.option("--may-lock", is_flag=True, help="Allow a bootloader that protects the device: closes USB and debuggers.")
@bench_option
@store_option
@json_option
def flash(
    files: tuple[Path, ...],
    device: str | None,
    release: str | None,
    app: str | None,
    dry_run: bool,
    by: str | None,
    leave: bool,
    may_connect: bool,
    may_lock: bool,
    bench_spec: str,
    store_dir: Path | None,
    as_json: bool,
) -> None:
    """Install modules on one device, and prove them.

    FILE: module, folder or archive of a release, bundle. What is there stays. A set that the device would answer with
    safe mode is refused before anything is erased. The device ends in DFU mode, offline, unless --leave --may-connect.
    Run it again after an interruption: it goes on.
    """
    if not (files or release or app):
        raise click.UsageError("Nothing to flash: give FILE, --device-os or --app.")
    permissions = Permissions(may_connect=may_connect, may_lock=may_lock)
    if leave and not dry_run:
        permissions.require_connect("--leave, which boots the application,")
    store = open_store(store_dir)
    with bench_for(bench_spec, store_dir) as bench, taken_device(bench, device, "flash") as chosen:
        platform = chosen.platform
        offer = Offer()
        offer.add_paths(files, platform)
        if release:
            release_offer(store, platform, release, offer)
        if app:
            offer.add_application(app, store, platform)
        inventory = read_inventory(bench.host, chosen)
        assets, why_no_assets = read_assets(bench.host, chosen)
        plan = make_update_plan(
            inventory,
            list(offer.files),
            mode=chosen.mode,
            leave=leave,
            assets=assets,
            why_no_assets=why_no_assets,
            fetch_release=lambda name: release_if_stored(store, platform, name, offer),
        )
        view = FlashView(plan, offer.skipped, as_json=as_json)
        if dry_run:
            view.print_plan()
            return
        events = carry_out(
            bench.host,
            chosen,
            plan,
            offer.contents.__getitem__,
            permissions=permissions,
            dfu_way=Way(by) if by else None,
            control_progress=lambda _name, sent, total: view.progress("send", sent, total),
        )
        try:
            for event in events:
                view.take(event)
        except (ParticleDevError, KeyboardInterrupt):
            view.end_progress()
            view.print_where_it_stands()
            raise
    view.print_result()
