"""``particle-dev swd dump`` and ``restore``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import click

from particle_dev.catalog.uicr import UICR_SIZE_BYTES, UICR_START
from particle_dev.cli.options import json_option
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
from particle_dev.cli.swd_rtl872x import dump_board, rtl872x_platform
from particle_dev.cli.swd_view import Left, SwdView
from particle_dev.device.swd import Park, SwdIdentity
from particle_dev.errors import DeviceNotFoundError, WrongDeviceError
from particle_dev.flash.swd_archive import Archive, read_archive, write_archive
from particle_dev.flash.swd_backup import SwdBackup
from particle_dev.flash.swd_inventory import chip_state
from particle_dev.flash.swd_plan import make_restore_plan
from particle_dev.permissions import Permissions
from particle_dev.station.swd_acts import memories


@click.command("dump")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@probe_options
@json_option
def dump(file: Path, as_json: bool, **board: Any) -> None:
    """Read the whole internal flash and UICR into FILE, with checksums. Writes nothing to the board.

    A dump of a Gen 2 board holds its private keys: keep it as secret as they are.
    """
    rtl872x = rtl872x_platform(board)
    if rtl872x is not None:
        dump_board(rtl872x, file, board, as_json=as_json)
        return
    with opened_board(**board) as session:
        identity = session.identity()
        archive = memories(session, identity)
    write_archive(file, archive)
    if as_json:
        listed = [
            {"address": a, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for a, data in archive.regions.items()
        ]
        click.echo(json.dumps({"device_id": identity.device_id, "file": str(file), "regions": listed}))
        return
    for address, data in archive.regions.items():
        click.echo(f"0x{address:08x}  {len(data)} bytes\n  SHA-256 {hashlib.sha256(data).hexdigest()}")
    click.echo(f"{identity.device_id}: written to {file}")


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@probe_options
@click.option("--other-board", is_flag=True, help="Allow a dump of another board of the same kind.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@park_option
@may_erase_option
@may_lock_option
@journal_option
@json_option
def restore(
    file: Path,
    other_board: bool,
    dry_run: bool,
    park_name: str,
    may_erase: bool,
    may_lock: bool,
    journal_file: Path | None,
    as_json: bool,
    **board: Any,
) -> None:
    """Make flash and UICR what they were when FILE was dumped. What is on the board now is lost: needs --may-erase."""
    archive, journal = read_archive(file), act_journal(journal_file)
    permissions = Permissions(may_erase=may_erase, may_lock=may_lock)
    with opened_board(**{**board, "platform_name": board["platform_name"] or archive.platform}) as session:
        identity = session.identity()
        _require_same(archive, identity, other_board=other_board)
        if identity.platform is None:
            raise DeviceNotFoundError(
                "neither the dump nor the board says which platform it is", hint="--platform NAME"
            )
        state = chip_state(session, identity, identity.platform, replaced=_every_key(identity))
        pages = {a: data for a, data in archive.pages.items() if a in state.page_crcs}
        plan = make_restore_plan(state, pages, _uicr(archive), permissions, board["frequency_hz"])
        view = SwdView(plan, as_json=as_json)
        if dry_run:
            view.print_plan()
            return
        backup = SwdBackup(backup_folder(), identity)
        carry_out_told(session, plan, permissions, act="restore", journal=journal, backup=backup, view=view)
        left = Left.of(session, plan, Park(park_name), None)
    view.print_result(left)


def _every_key(identity: SwdIdentity) -> set[tuple[int, int]]:
    return {(slot.function, slot.index) for slot, _ in identity.prefixes}


def _uicr(archive: Archive) -> dict[int, int]:
    data = archive.regions.get(UICR_START, b"")[:UICR_SIZE_BYTES]
    return {UICR_START + n: int.from_bytes(data[n : n + 4], "little") for n in range(0, len(data), 4)}


def _require_same(archive: Archive, identity: SwdIdentity, *, other_board: bool) -> None:
    same_kind = archive.chip == identity.chip.name
    if archive.device_id == identity.device_id or (other_board and same_kind):
        return
    raise WrongDeviceError(
        f"the dump is of {archive.device_id} ({archive.chip}), the board is {identity.device_id}",
        expected=archive.device_id,
        actual=identity.device_id,
        hint="nothing was written; --other-board allows a board of the same kind"
        if same_kind
        else "nothing was written",
    )
