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
from particle_dev.flash.board_modules import Inventory, module_title
from particle_dev.flash.boot_outcome import BootEnd, boot_outcome
from particle_dev.flash.inventory import DFU_READ, pending_updates, read_inventory
from particle_dev.protocol.messages import InstalledModule
from particle_dev.transport.base import Host


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
    and no --device it lists them and stops.
    """
    with bench_for(bench_spec, store_dir) as bench:
        chosen = choose_device(bench, device)
        identity = identity_object(bench.host, chosen)
    if as_json:
        click.echo(json.dumps(identity))
        return
    click.echo(f"Device ID      {identity['device_id']}")
    click.echo(f"Platform       {chosen.platform.display_name} ({chosen.platform.id})")
    click.echo(f"Serial number  {identity['serial_number'] or identity['serial_number_state']}")
    click.echo(f"Device OS      {identity['device_os'] or 'none'}")
    click.echo(f"Mode           {identity['device_mode'] or identity['mode']}, port {identity['port']}")
    modules = identity["modules"]
    assert isinstance(modules, list)
    for module in modules:
        size = f"{module['size_bytes']} bytes" if module["size_bytes"] else "size unknown"
        click.echo(f"  {module['title']:<28}{size:>14}  {_verdict(module)}")
    if identity["boots_into"] != BootEnd.APPLICATION:
        connects = ", which connects" if identity["boots_into"] == BootEnd.SAFE_MODE else ""
        click.echo(f"Boots into     {identity['boots_into']}{connects}")
        findings = identity["boot_findings"]
        assert isinstance(findings, list)
        for finding in findings:
            click.echo(f"  {finding}")
    waiting = identity["installed_first"]
    assert waiting is None or isinstance(waiting, tuple)
    for update in waiting or ():
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
