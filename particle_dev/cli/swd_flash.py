"""``particle-dev swd flash``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from particle_dev.catalog.platforms import Platform
from particle_dev.cli.command_type import CommandT
from particle_dev.cli.escape import escaped
from particle_dev.cli.options import json_option, open_store, store_option
from particle_dev.cli.swd_carry_out import carry_out_told
from particle_dev.cli.swd_options import (
    act_journal,
    backup_folder,
    journal_option,
    may_erase_option,
    may_lock_option,
    opened_board,
    park_option,
    probe_options,
)
from particle_dev.cli.swd_view import Left, SwdView
from particle_dev.device.swd import Park
from particle_dev.errors import DeviceNotFoundError
from particle_dev.flash.hex_file import read_hex
from particle_dev.flash.offers import Offer, release_offer
from particle_dev.flash.store import FirmwareStore
from particle_dev.flash.swd_backup import SwdBackup
from particle_dev.flash.swd_image import Segment, merge, module_segments, named_segments, out_of_reach
from particle_dev.flash.swd_inventory import chip_state, interrupted_pages
from particle_dev.flash.swd_plan import make_swd_plan
from particle_dev.permissions import Permissions

NOTHING_GIVEN = "Nothing to flash: give FILE, --device-os, --app or --restore."


def offer_options(command: CommandT) -> CommandT:
    """FILE, ``--device-os``, ``--app``, ``--restore``."""
    for option in (
        click.option(
            "--restore",
            "restore_file",
            type=click.Path(path_type=Path),
            metavar="HEX",
            help="Restore file (Intel-HEX): MBR, UICR, and modules for which no other is given.",
        ),
        click.option(
            "--app", metavar="FILE|NAME", help="With it an application: its name in the firmware store, or ./FILE."
        ),
        click.option("--device-os", "release", metavar="RELEASE", help="A whole release from the store."),
        click.argument("files", nargs=-1, type=click.Path(path_type=Path, readable=False), metavar="[FILE]..."),
    ):
        command = option(command)
    return command


@click.command("flash")
@probe_options
@offer_options
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--read-back", is_flag=True, help="Read every byte, besides the CRC that the chip computes.")
@park_option
@may_erase_option
@may_lock_option
@click.option("--may-connect", is_flag=True, help="Run the application at the end, which may start billing.")
@store_option
@journal_option
@json_option
def flash(
    files: tuple[Path, ...],
    release: str | None,
    app: str | None,
    restore_file: Path | None,
    dry_run: bool,
    read_back: bool,
    park_name: str,
    may_erase: bool,
    may_lock: bool,
    may_connect: bool,
    store_dir: Path | None,
    journal_file: Path | None,
    as_json: bool,
    **board: Any,
) -> None:
    """Put modules into the board's flash through a debug probe, and prove them. Exit status 6 when some of them lie
    where a probe does not write: firmware of network processors, assets.

    FILE: module, folder or archive of a release. Pages that are right stay, and so does what is not in the set. The
    application does not run meanwhile, nor at the end without --may-connect. Run it again after an
    interruption, which the journal shows.
    """
    if not (files or release or app or restore_file):
        raise click.UsageError(NOTHING_GIVEN)
    permissions = Permissions(may_connect=may_connect, may_erase=may_erase, may_lock=may_lock)
    store, journal = open_store(store_dir), act_journal(journal_file)
    with opened_board(**board) as session:
        identity = session.identity()
        backup = SwdBackup(backup_folder(), identity)
        session.missing_pages = interrupted_pages(session, backup.load())
        if session.missing_pages:
            identity = session.identity()
        if identity.platform is None:
            raise DeviceNotFoundError(
                f"{identity.device_id}: its flash does not say which board it is", hint="name it: --platform boron"
            )
        segments, left_out = wanted_segments(identity.platform, files, release, app, restore_file, store)
        replaced = {s.part.key for s in segments if s.part}
        state = chip_state(session, identity, identity.platform, replaced=replaced)
        plan = make_swd_plan(
            state,
            segments,
            permissions,
            frequency_hz=board["frequency_hz"],
            missing_pages=session.missing_pages,
        )
        view = SwdView(plan, as_json=as_json, left_out=left_out)
        if dry_run:
            view.print_plan()
            return
        carry_out_told(
            session,
            plan,
            permissions,
            act="flash",
            journal=journal,
            backup=backup,
            view=view,
            read_back=read_back,
        )
        left = Left.of(session, plan, Park(park_name), permissions if may_connect else None)
    view.print_result(left)


def wanted_segments(
    platform: Platform,
    files: tuple[Path, ...],
    release: str | None,
    app: str | None,
    restore_file: Path | None,
    store: FirmwareStore,
) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """What files, release, application and restore file make together, and the modules among them that a probe does not
    reach. Raises click.UsageError when none is given, and what reading them raises."""
    if not (files or release or app or restore_file):
        raise click.UsageError(NOTHING_GIVEN)
    offer = Offer()
    offer.add_paths(files, platform)
    if release:
        release_offer(store, platform, release, offer)
    if app:
        offer.add_application(app, store, platform)
    for text in offer.skipped:
        click.echo(f"skipped: {escaped(text)}", err=True)
    unreached = out_of_reach(offer.files)
    reached = [f for f in offer.files if f not in unreached] or offer.files
    modules = module_segments(platform, reached, offer.contents.__getitem__)
    if restore_file is not None:
        modules = merge(named_segments(platform, read_hex(restore_file), restore_file.name), modules)
    return modules, tuple(f.title for f in unreached)
