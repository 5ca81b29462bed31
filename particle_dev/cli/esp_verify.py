"""``particle-dev esp verify``."""

from __future__ import annotations

import json
from typing import Any

import click

from particle_dev.cli.escape import escaped
from particle_dev.cli.esp_flash import region_object
from particle_dev.cli.esp_options import esp_files, files_argument, opened_tool, port_options
from particle_dev.cli.options import json_option
from particle_dev.flash.esp_flash import verify_esp


@click.command("verify")
@files_argument
@port_options
@json_option
def esp_verify(names: tuple[str, ...], as_json: bool, **port: Any) -> None:
    """Compare files with the ESP32's flash. Nothing is changed.

    FILE: a network processor module, or an application image, which must be in the slot that starts. ADDRESS:FILE:
    anything else. The first difference is an error, exit status 1.
    """
    files = esp_files(names)
    regions = verify_esp(opened_tool(**port), files)
    if as_json:
        click.echo(json.dumps({"port": port["port"], "regions": [region_object(r) for r in regions]}))
        return
    for region in regions:
        click.echo(f"the same  0x{region.address:06X}  {len(region.data)} bytes  {escaped(region.title)}")
