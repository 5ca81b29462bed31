"""``particle-dev id``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from particle_dev.catalog.device_os import releases_by_system_version
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.cli.devices import choose_device
from particle_dev.cli.json_objects import device_object
from particle_dev.cli.options import (
    bench_for,
    bench_option,
    device_option,
    json_option,
    store_option,
)
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.model import Device
from particle_dev.errors import LinkTimeoutError
from particle_dev.flash.board_modules import Inventory, module_title
from particle_dev.flash.boot_outcome import BootEnd, boot_outcome
from particle_dev.flash.inventory import DFU_READ, pending_updates, read_inventory
from particle_dev.protocol.messages import InstalledModule
from particle_dev.transport.base import Host

_NOT_TOLD = "not told"
_HINT_ELECTRON = (
    "its only thread waits for the modem while it registers: hold MODE for three seconds, for listening mode, and ask "
    "again, or `particle-dev mode dfu`, where its flash tells"
)


def identity_object(host: Host, device: Device) -> dict[str, object]:
    """Identity and modules of a device for ``--json``; in DFU mode what its flash shows."""
    identity: dict[str, object] = {
        **device_object(device),
        "serial_number": None,
        "serial_number_state": "not readable in DFU mode",
        "device_os": None,
        "device_mode": None,
    }
    inventory = read_inventory(host, device)
    waiting: tuple[str, ...] | None = None
    if device.mode is UsbMode.DFU:
        identity["device_os"] = inventory.device_os
        with DfuSession(host, device) as session:
            waiting = pending_updates(session)
    else:
        with ControlSession(host, device) as session:
            identity["device_id"] = session.device_id()
            identity["serial_number"] = session.serial_number()
            identity["serial_number_state"] = "stored" if identity["serial_number"] else "not stored"
            identity["device_os"] = session.system_version()
            identity["device_mode"] = str(session.device_mode())
    boot = boot_outcome(device.platform, inventory.parts)
    return identity | {
        "read_over": inventory.read_over,
        "boots_into": str(boot.end),
        "boot_findings": [finding.message for finding in boot.findings],
        "installed_first": waiting,
        "modules": _module_objects(inventory),
    }


def _what_a_busy_device_tells(host: Host, device: Device, error: LinkTimeoutError) -> dict[str, object]:
    """The same object of a device that answers no control request: what USB and raw requests tell. ``error`` again from
    one that answers none of these either."""
    with ControlSession(host, device) as session:
        device_os = session.device_os
    if device_os is None:
        raise error
    return {
        **device_object(device),
        "serial_number": None,
        "serial_number_state": _NOT_TOLD,
        "device_os": device_os,
        "device_mode": None,
        "read_over": "raw request",
        "boots_into": None,
        "boot_findings": [],
        "installed_first": None,
        "modules": None,
    }


def _module_objects(inventory: Inventory) -> list[dict[str, object]]:
    return [
        {
            "function": m.function,
            "index": m.index,
            "version": m.version,
            "store": m.store,
            "dependencies": m.dependencies,
            "size_bytes": m.size_bytes or None,  # a radio stack in flash has lost its prefix, which tells it
            "sha256": m.sha256.hex() if m.sha256 else None,  # as its suffix has it; None: the device tells none
            "valid": None if _only_version(inventory, m) else m.valid,  # None: not checked
            "failed_checks": [flag.name for flag in m.failed],
            "title": module_title(m.function, m.index, m.version),
        }
        for m in inventory.modules
    ]


@click.command("id")
@device_option
@bench_option
@store_option
@json_option
def identify(device: str | None, bench_spec: str, store_dir: Path | None, as_json: bool) -> None:
    """Identify one device: Device ID, serial number, Device OS, modules.

    Asks by control requests, or reads the flash when the device is in DFU mode. Changes nothing. With several devices
    and no --device it lists them and stops. Of a device whose system is too busy to answer it tells what there is, and
    ends as after any time-out.
    """
    unanswered = None
    with bench_for(bench_spec, store_dir) as bench:
        chosen = choose_device(bench, device)
        try:
            identity = identity_object(bench.host, chosen)
        except LinkTimeoutError as error:
            if chosen.mode is UsbMode.DFU:
                raise
            identity = _what_a_busy_device_tells(bench.host, chosen, error)
            unanswered = error
    _show(identity, chosen, as_json=as_json)
    if unanswered is not None:
        raise LinkTimeoutError(
            f"{chosen} tells neither modules nor mode nor serial number: {unanswered.message}",
            hint=_HINT_ELECTRON if chosen.platform.name == "electron" else unanswered.hint,
        ) from unanswered


def _show(identity: Mapping[str, Any], chosen: Device, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(identity))
        return
    click.echo(f"Device ID      {identity['device_id']}")
    click.echo(f"Platform       {chosen.platform.display_name} ({chosen.platform.id})")
    click.echo(f"Serial number  {identity['serial_number'] or identity['serial_number_state']}")
    click.echo(f"Device OS      {identity['device_os'] or 'none'}")
    click.echo(f"Mode           {identity['device_mode'] or identity['mode']}, port {identity['port']}")
    for module in identity["modules"] or ():
        size = f"{module['size_bytes']} bytes" if module["size_bytes"] else "size unknown"
        click.echo(f"  {module['title']:<28}{size:>14}  {_verdict(module)}")
    if identity["boots_into"] not in (None, BootEnd.APPLICATION):
        connects = ", which connects" if identity["boots_into"] == BootEnd.SAFE_MODE else ""
        click.echo(f"Boots into     {identity['boots_into']}{connects}")
        for finding in identity["boot_findings"]:
            click.echo(f"  {finding}")
    for update in identity["installed_first"] or ():
        click.echo(f"Before that    {update}, and what it starts then may connect")


def _only_version(inventory: Inventory, module: InstalledModule) -> bool:
    """A radio stack in flash has neither prefix nor CRC."""
    return inventory.read_over == DFU_READ and not module.size_bytes


def _verdict(module: Mapping[str, Any]) -> str:
    """What was found of a module, and the release of a system part."""
    if module["valid"] is None:
        return "not checked: only its version is there"
    if not module["valid"]:
        return f"failed: {', '.join(module['failed_checks'])}"
    known = module["function"] == ModuleFunction.SYSTEM_PART and releases_by_system_version(module["version"])
    return f"ok  Device OS {known[-1].name}" if known else "ok"
