"""``particle-dev flash``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from particle_dev.catalog.platforms import UsbMode
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
from particle_dev.device.discovery import list_devices, select_device
from particle_dev.device.modes import DfuEntry, enter_dfu
from particle_dev.errors import PlanRefusedError
from particle_dev.flash.execute import flash as flash_modules
from particle_dev.flash.execute import verify
from particle_dev.flash.files import read_module_files
from particle_dev.flash.inventory import inventory_by_control, inventory_by_dfu, pending_updates
from particle_dev.flash.plan import FlashPlan, make_plan
from particle_dev.flash.progress import BlockWritten, ModuleVerified
from particle_dev.permissions import Permissions

_ENTRIES = {"control": DfuEntry.CONTROL_REQUEST, "touch": DfuEntry.SERIAL_TOUCH}


@click.command("flash")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False), metavar="FILE...")
@device_option
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
    dry_run: bool,
    enter_dfu_by: str | None,
    leave: bool,
    may_connect: bool,
    bench_spec: str,
    store_dir: Path | None,
    as_json: bool,
) -> None:
    """Write Device OS parts and applications to one device over DFU, and read them back.

    Dependencies are checked first; a set that the device would answer with safe mode is refused before anything is
    erased. The device ends in DFU mode, offline, unless --leave --may-connect. Running it again after an interruption
    goes on at the first block that is not proven.
    """
    permissions = Permissions(may_connect=may_connect)
    modules, contents = read_module_files(files)
    with opened_bench(read_bench(bench_spec), newest_factory_modules(open_store(store_dir))) as bench:
        chosen = select_device(list_devices(bench.host), device)
        if chosen.mode is UsbMode.NORMAL:
            with ControlSession(bench.host, chosen) as session:
                inventory = inventory_by_control(session)
        else:
            with DfuSession(bench.host, chosen) as dfu_session:
                inventory = inventory_by_dfu(dfu_session)
        plan = make_plan(inventory, modules, leave=leave, permissions=permissions)
        if dry_run or not plan.writes:
            _print_plan(plan, as_json)
            return
        if chosen.mode is UsbMode.NORMAL:
            chosen, _ = enter_dfu(bench.host, chosen, _ENTRIES[enter_dfu_by] if enter_dfu_by else None)
        with DfuSession(bench.host, chosen) as dfu_session:
            pending = pending_updates(dfu_session)
            if pending:
                raise PlanRefusedError(
                    f"{chosen} would install by itself: {'; '.join(pending)}",
                    reasons=pending,
                    hint="nothing was erased; let the device finish its update first",
                )
            for event in flash_modules(plan, dfu_session, contents.__getitem__):
                if isinstance(event, BlockWritten):
                    _progress("write", event.done_bytes, event.total_bytes)
            verified = []
            for proof in verify(plan, dfu_session, contents.__getitem__):
                verified.append(proof)
                _progress("verify", proof.done_bytes, proof.total_bytes)
            if plan.leave:
                dfu_session.leave()
    _print_result(plan, verified, as_json)


def _progress(activity: str, done_bytes: int, total_bytes: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done_bytes == total_bytes else ""
        click.echo(f"\r{activity:<7}{done_bytes * 100 // total_bytes:3d} %  {done_bytes} bytes ", err=True, nl=False)
        click.echo(end, err=True, nl=False)


def _print_plan(plan: FlashPlan, as_json: bool) -> None:
    if as_json:
        plan_object = {
            "device_id": plan.device_id,
            "platform": plan.platform.name,
            "steps": plan.lines(),
            "size_bytes": plan.size_bytes,
            "expected_duration_s": round(plan.expected_duration_s, 1),
            "may_connect": plan.leave,
            "harmless_if_interrupted": plan.harmless_if_interrupted,
        }
        click.echo(json.dumps(plan_object))
        return
    for number, line in enumerate(plan.lines(), 1):
        click.echo(f"{number}. {line}")
    if not plan.writes:
        click.echo("nothing to write; the device was left as it is")
        return
    billing = "cannot bill" if plan.harmless_if_interrupted else "cannot bill unless it loses power meanwhile"
    click.echo(f"about {plan.expected_duration_s:.0f} s; {'may bill' if plan.leave else billing}")


def _print_result(plan: FlashPlan, verified: list[ModuleVerified], as_json: bool) -> None:
    if as_json:
        modules = [
            {
                "file": v.file_name,
                "address": v.address,
                "size_bytes": v.size_bytes,
                "read_back_sha256": v.sha256,
            }
            for v in verified
        ]
        click.echo(json.dumps({"device_id": plan.device_id, "modules": modules, "left_dfu_mode": plan.leave}))
        return
    for file in plan.satisfied:
        click.echo(f"{file.title}: already there, not written")
    for v in verified:
        click.echo(f"{v.file_name}: {v.size_bytes} bytes at 0x{v.address:08x} read back and equal")
    if plan.leave:
        click.echo("left DFU mode: the application boots now")
    else:
        click.echo("stays in DFU mode; unplug it to keep it offline (a reset boots the application)")
