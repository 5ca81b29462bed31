"""``particle-dev esp flash``."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import click

from particle_dev.cli.escape import escaped
from particle_dev.cli.esp_id import identity_object
from particle_dev.cli.esp_options import esp_files, files_argument, opened_tool, port_options
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.options import json_option
from particle_dev.flash.esp_flash import flash_esp, plan_esp
from particle_dev.permissions import Permissions
from particle_dev.protocol.esp_image import EspRegion

_PROGRESS_STEP_PERCENT = 10


@click.command("flash")
@files_argument
@port_options
@click.option("--may-erase", is_flag=True, help="Allow to erase what is in the ESP32's flash at those places.")
@click.option("--dry-run", is_flag=True, help="Print what would be written where, and stop.")
@json_option
def esp_flash(names: tuple[str, ...], may_erase: bool, dry_run: bool, as_json: bool, **port: Any) -> ExitCode:
    """Write firmware into the ESP32, and have the chip prove it.

    FILE: a network processor module, or an application image, for the first application slot, which is then the one
    that starts. ADDRESS:FILE: anything else: 0x1000 bootloader, 0x8000 partition table, 0 a whole image.

    Exit status 6: all is written and proven, but the port cannot restart the chip.
    """
    files = esp_files(names)
    tool = opened_tool(**port)
    if dry_run:
        plan = plan_esp(tool, files)
        if as_json:
            click.echo(json.dumps({"port": port["port"], "regions": [region_object(r) for r in plan.regions]}))
        else:
            for region in plan.regions:
                click.echo(_line("would write", region))
        return ExitCode.OK
    done = flash_esp(
        tool,
        files,
        permissions=Permissions(may_erase=may_erase),
        progress=None if as_json else _Progress().take,
    )
    regions = done.plan.regions
    if as_json:
        print_object = {
            "port": port["port"],
            **identity_object(done.identity),
            "regions": [region_object(r) for r in regions],
            "restarted": done.restarted,
        }
        click.echo(json.dumps(print_object))
    else:
        for region in regions:
            click.echo(_line("proven", region))
        click.echo("restarted" if done.restarted else "NOT RESTARTED: reset the chip, or take its power away")
    return ExitCode.OK if done.restarted else ExitCode.INCOMPLETE


def region_object(region: EspRegion) -> dict[str, object]:
    """A region for JSON."""
    return {
        "title": region.title,
        "address": region.address,
        "size_bytes": len(region.data),
        "sha256": hashlib.sha256(region.data).hexdigest(),
    }


def _line(word: str, region: EspRegion) -> str:
    return f"{word}  0x{region.address:06X}  {len(region.data)} bytes  {escaped(region.title)}"


class _Progress:
    """Percent on standard error, a line for each ten."""

    def __init__(self) -> None:
        self._next_percent = _PROGRESS_STEP_PERCENT

    def take(self, done_bytes: int, total_bytes: int) -> None:
        percent = 100 * done_bytes // total_bytes
        if percent >= self._next_percent:
            self._next_percent = percent - percent % _PROGRESS_STEP_PERCENT + _PROGRESS_STEP_PERCENT
            click.echo(f"{percent} %", err=True)
