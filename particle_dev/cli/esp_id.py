"""``particle-dev esp id``."""

from __future__ import annotations

import json
from typing import Any

import click

from particle_dev.cli.escape import escaped
from particle_dev.cli.esp_options import opened_tool, port_options
from particle_dev.cli.options import json_option
from particle_dev.flash.esp_flash import EspState, esp_state
from particle_dev.transport.esptool import EspIdentity


@click.command("id")
@port_options
@json_option
def esp_id(as_json: bool, **port: Any) -> None:
    """Which chip it is, its MAC address and flash, and the firmware that it would start."""
    state = esp_state(opened_tool(**port))
    if as_json:
        click.echo(json.dumps(_state_object(port["port"], state)))
        return
    identity, about = state.identity, state.application
    click.echo(f"{identity.chip}, {identity.crystal_mhz} MHz crystal: {', '.join(identity.features)}")
    click.echo(f"  MAC address   {identity.mac}")
    click.echo(
        f"  flash         {identity.flash_size_bytes >> 20} MiB, "
        f"JEDEC {identity.flash_manufacturer} {identity.flash_device}"
    )
    for partition in state.partitions:
        mark = "  (starts)" if partition == state.booted else ""
        click.echo(
            f"  partition     {escaped(partition.label):14} 0x{partition.address:06X}, "
            f"{partition.size_bytes >> 10} KiB{mark}"
        )
    if not state.partitions:
        click.echo("  partitions    no valid table")
    if about:
        click.echo(f"  firmware      {escaped(about.project)} {escaped(about.version)}, built {escaped(about.built)}")


def identity_object(identity: EspIdentity) -> dict[str, object]:
    """A chip for JSON."""
    return {
        "chip": identity.chip,
        "features": list(identity.features),
        "crystal_mhz": identity.crystal_mhz,
        "mac": identity.mac,
        "flash": {
            "manufacturer": identity.flash_manufacturer,
            "device": identity.flash_device,
            "size_bytes": identity.flash_size_bytes,
        },
    }


def _state_object(port: str, state: EspState) -> dict[str, object]:
    about = state.application
    return {
        "port": port,
        **identity_object(state.identity),
        "partitions": [
            {"label": p.label, "type": p.type, "subtype": p.subtype, "address": p.address, "size_bytes": p.size_bytes}
            for p in state.partitions
        ],
        "starts": state.booted and state.booted.label,
        "application": about
        and {"project": about.project, "version": about.version, "built": about.built, "idf": about.idf},
    }
