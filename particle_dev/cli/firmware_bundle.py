"""``particle-dev firmware build-bundle``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from particle_dev.cli.file_types import NAMED_FILE, force_option
from particle_dev.cli.options import json_option
from particle_dev.errors import FirmwareStoreError
from particle_dev.flash.bundle_files import collect_assets, pack_zip
from particle_dev.flash.file_io import write_file
from particle_dev.flash.files import about_file, read_module_file
from particle_dev.protocol.bundle import make_bundle


@click.command("build-bundle")
@click.argument("application", metavar="APP", type=NAMED_FILE)
@click.argument("assets", metavar="ASSET...", nargs=-1, required=True, type=NAMED_FILE)
@click.option("--out", "target", type=NAMED_FILE, help="The bundle; else APP with .zip.")
@force_option
@json_option
def build_bundle(application: Path, assets: tuple[Path, ...], target: Path | None, force: bool, as_json: bool) -> None:
    """Put an application and its assets into one zip.

    ASSET is a file or a folder of files. Names count, so - (standard input) is not taken. The application gets
    dependencies on exactly these assets; size limits are those of its platform. The exit code is 3, and nothing is
    written, when a device would not take the bundle.
    """
    target = target or application.with_suffix(".zip")
    found = collect_assets(assets)
    if not found:
        raise FirmwareStoreError(
            f"no file in {', '.join(map(str, assets))}",
            path=str(assets[0]),
            hint="give at least one file to carry along",
        )
    data = read_module_file(application)
    with about_file(str(application)):
        members = make_bundle(data, found, application_name=application.name)
    write_file(target, pack_zip(members), made_from=[application, *assets], replace=force)
    if as_json:
        contents = [{"name": a.name, "size_bytes": len(a.data), "sha256": a.sha256.hex()} for a in found]
        click.echo(json.dumps({"bundle": str(target), "application": application.name, "assets": contents}))
    else:
        click.echo(
            f"{click.format_filename(target)}: {application.name} with {len(found)} asset{'s' * (len(found) != 1)}"
        )
