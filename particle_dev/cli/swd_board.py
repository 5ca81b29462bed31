"""``particle-dev swd list``, ``id``, ``park``, ``recover``, ``lock``."""

from __future__ import annotations

import json
from typing import Any

import click

from particle_dev.catalog.uicr import UICR_NAMES
from particle_dev.cli.options import json_option
from particle_dev.cli.swd_options import may_erase_option, may_lock_option, opened_board, probe_options
from particle_dev.device.swd import Park, SwdIdentity, require_pyocd
from particle_dev.flash.board_modules import module_title
from particle_dev.permissions import Permissions

_ERASED_WORD = 0xFFFFFFFF


@click.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List debug probes that are plugged in. None of them is opened for a board."""
    require_pyocd()
    from particle_dev.transport.swd_probes import list_probes  # noqa: PLC0415  pyOCD is slow to import

    probes = list_probes()
    if as_json:
        names = ("unique_id", "vendor", "product", "usb_path")
        click.echo(json.dumps({"probes": [{name: getattr(p, name) for name in names} for p in probes]}))
        return
    for probe in probes:
        click.echo(f"{probe.unique_id:<34}{probe.usb_path or '-':<12}{probe.vendor} {probe.product}")
    if not probes:
        click.echo("no debug probe is plugged in")


@click.command("id")
@probe_options
@json_option
def identify(as_json: bool, **board: Any) -> None:
    """Show who is behind the probe: Device ID, chip, protection, and what the modules in flash call themselves.

    Halts the core and leaves it halted. Writes nothing.
    """
    with opened_board(**board) as session:
        identity = session.identity()
    if as_json:
        click.echo(json.dumps(identity_object(identity)))
        return
    platform = identity.platform.display_name if identity.platform else "unknown board"
    click.echo(f"{identity.device_id}  {platform}, {identity.chip.name} {identity.variant}".rstrip())
    click.echo(f"debug port: {identity.protection}")
    for slot, prefix in identity.prefixes:
        title = module_title(prefix.function, prefix.index, prefix.version)
        click.echo(f"0x{slot.start_address:08x}  {title}, {prefix.size_bytes} bytes (by its prefix; not checked)")
    if identity.softdevice is not None:
        click.echo(f"0x00001000  radio stack 0 v{identity.softdevice} (not checked)")
    for address, name in UICR_NAMES.items() if identity.uicr else ():
        if identity.uicr_word(address) != _ERASED_WORD:
            click.echo(f"UICR {name} = 0x{identity.uicr_word(address):08x}")


def identity_object(identity: SwdIdentity) -> dict[str, object]:
    """An identity for ``--json``."""
    platform = identity.platform
    return {
        "device_id": identity.device_id,
        "chip": identity.chip.name,
        "variant": identity.variant or None,
        "platform": {"id": platform.id, "name": platform.name} if platform else None,
        "protection": str(identity.protection),
        "prefixes": [
            {
                "function": p.function,
                "index": p.index,
                "version": p.version,
                "start_address": p.start_address,
                "size_bytes": p.size_bytes,
            }
            for _, p in identity.prefixes
        ],
        "softdevice": identity.softdevice,
        "uicr": {f"0x{a:08x}": identity.uicr_word(a) for a in UICR_NAMES} if identity.uicr else None,
    }


@click.command("park")
@click.argument("how", type=click.Choice([str(Park.HALTED), str(Park.DFU)]))
@probe_options
@json_option
def park(how: str, as_json: bool, **board: Any) -> None:
    """Reset the board so that no application runs: HALTED at its first instruction, or in DFU mode.

    DFU holds for one start: write it again before every further reset.
    """
    with opened_board(**board) as session:
        device_id = session.identity().device_id
        proves = session.park(Park(how))
    if as_json:
        click.echo(json.dumps({"device_id": device_id, "parked": how, "proves": proves}))
    else:
        click.echo(f"{device_id}: {how}; {proves}")


@click.command("recover")
@probe_options
@may_erase_option
@json_option
def recover(may_erase: bool, as_json: bool, **board: Any) -> None:
    """Open a locked nRF52840 by erasing its flash and UICR. The application, bootloader and MBR are gone then.

    Keys and settings of Gen 3 boards lie in external flash and stay. Do not take power away before the board is
    flashed again: newer chips close with the next power-up. Needs --may-erase.
    """
    with opened_board(**board, recover=True, permissions=Permissions(may_erase=may_erase)) as session:
        identity = session.identity()
    if as_json:
        click.echo(json.dumps({"recovered": True, **identity_object(identity)}))
        return
    click.echo(f"{identity.device_id}: flash and UICR are erased; debug port: {identity.protection}")
    click.echo("now flash it with a restore file: particle-dev swd flash --platform NAME --restore FILE")


@click.command("lock")
@probe_options
@may_lock_option
@json_option
def lock(may_lock: bool, as_json: bool, **board: Any) -> None:
    """Close the debug port of an nRF52840 from the next reset on. Only erasing everything opens it again.

    Needs --may-lock.
    """
    with opened_board(**board) as session:
        identity = session.identity()
        session.lock(Permissions(may_lock=may_lock))
    if as_json:
        click.echo(json.dumps({"device_id": identity.device_id, "locked": "at the next reset"}))
    else:
        click.echo(f"{identity.device_id}: the debug port closes at the next reset")
