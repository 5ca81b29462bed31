"""``particle-dev list``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from particle_dev.cli.options import (
    bench_option,
    json_option,
    newest_factory_modules,
    open_store,
    opened_bench,
    read_bench,
    store_option,
)
from particle_dev.device.discovery import list_devices as find_devices
from particle_dev.device.model import Device


def device_object(device: Device) -> dict[str, object]:
    """A device for ``--json``."""
    return {
        "device_id": device.device_id or None,
        "platform": {"id": device.platform.id, "name": device.platform.name},
        "mode": str(device.mode),
        "port": device.usb.port_path,
        "usb": {
            "vid": device.usb.vid,
            "pid": device.usb.pid,
            "serial_number": device.usb.serial_number,
            "product": device.usb.product,
        },
    }


@click.command("list")
@bench_option
@store_option
@json_option
def list_devices(bench_spec: str, store_dir: Path | None, as_json: bool) -> None:
    """List the Particle devices that are plugged in.

    With --json one object a line. Sends nothing but the reading of USB descriptors.
    """
    with opened_bench(read_bench(bench_spec), newest_factory_modules(open_store(store_dir))) as bench:
        devices = find_devices(bench.host)
    for device in devices:
        if as_json:
            click.echo(json.dumps(device_object(device)))
        else:
            name = device.device_id or f"({device.usb.serial_number})"
            click.echo(f"{name:<26}{device.platform.display_name:<29}{device.mode:<8}{device.usb.port_path}")
    if not devices and not as_json:
        click.echo("no Particle device is connected", err=True)
