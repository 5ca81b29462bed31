"""``particle-dev cloud firmware`` and ``cloud device-os``."""

from __future__ import annotations

from pathlib import Path

import click

from particle_dev.catalog.platforms import PLATFORMS, platform_by_name
from particle_dev.cli.cloud_common import cloud_command, may_update_option, need_yes, product_option, yes_option
from particle_dev.cli.cloud_options import opened_cloud
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.file_types import NAMED_FILE, force_option
from particle_dev.cli.options import open_store, store_option
from particle_dev.cli.output import count, plain, print_fields, print_json, print_table
from particle_dev.cloud import device_os
from particle_dev.cloud.firmware import ProductFirmwares
from particle_dev.cloud.products import product
from particle_dev.errors import FormatError
from particle_dev.flash.device_os_download import download_release
from particle_dev.flash.file_io import require_new_file, write_file
from particle_dev.permissions import Permissions


@click.group("firmware")
def firmware() -> None:
    """Firmware of a product: its versions, and what is released to whom."""


@firmware.command("list")
@product_option(required=True)
@cloud_command
def list_versions(product_ref: str, profile: str | None, token_file: Path | None, as_json: bool) -> None:
    """List the versions, the highest first."""
    with opened_cloud(profile, token_file) as api:
        found = ProductFirmwares(api, product_ref).list()
    if as_json:
        print_json(found)
        return
    rows = [
        (f.version, f.title, f.product_default, f.groups, f.device_count, f.size_bytes, f.uploaded_on) for f in found
    ]
    columns = ("version", "title", "default", "groups", "devices", "bytes", "uploaded")
    print_table(columns, rows, empty="the product has no firmware")


@firmware.command("upload")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@product_option(required=True)
@click.option("--title", required=True, help="What people call it.")
@click.option("--description", default="", help="What is new.")
@cloud_command
def upload(
    file: Path,
    product_ref: str,
    title: str,
    description: str,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Add a binary under the product version that it states. Nothing is released by that.

    The file is checked before: intact, of this product, and its version new and higher than all others.
    """
    with opened_cloud(profile, token_file) as api:
        product_id = product(api, product_ref).id
        try:
            added = ProductFirmwares(api, product_id).upload(
                file.read_bytes(), title, description, product_id=product_id
            )
        except FormatError as error:
            error.name_file(str(file))
            raise
    print_json(added) if as_json else click.echo(f"version {added.version} is there")


@firmware.command("download")
@click.argument("version", type=click.IntRange(1, 0xFFFF))
@click.argument("out", type=NAMED_FILE)
@product_option(required=True)
@force_option
@cloud_command
def download(
    version: int, out: Path, product_ref: str, force: bool, profile: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Write the binary of a version to a file."""
    require_new_file(out, replace=force)
    with opened_cloud(profile, token_file) as api:
        data = ProductFirmwares(api, product_ref).binary(version)
    write_file(out, data, replace=force)
    print_json({"file": str(out), "size_bytes": len(data)}) if as_json else click.echo(f"{out}: {len(data)} bytes")


@firmware.command("remove")
@click.argument("version", type=click.IntRange(1, 0xFFFF))
@product_option(required=True)
@yes_option
@cloud_command
def remove(
    version: int, product_ref: str, yes: bool, profile: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Remove a version that was never released."""
    need_yes(yes, f"removes version {version}")
    with opened_cloud(profile, token_file) as api:
        ProductFirmwares(api, product_ref).remove(version)
    print_json({"ok": True}) if as_json else click.echo(f"version {version} is removed")


@firmware.command("release")
@click.argument("version", type=click.IntRange(1, 0xFFFF))
@product_option(required=True)
@click.option("--group", "groups", multiple=True, help="To the members of this group; repeat for more.")
@click.option("--default", "product_default", is_flag=True, help="To all others.")
@click.option("--now", "flash_now", is_flag=True, help="Flash devices that are online at once.")
@click.option("--dry-run", is_flag=True, help="Only tell how many devices would be flashed.")
@may_update_option
@cloud_command
def release(
    version: int,
    product_ref: str,
    groups: tuple[str, ...],
    product_default: bool,
    flash_now: bool,
    dry_run: bool,
    may_update_devices: bool,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Let the cloud flash a version to groups or to the whole product. Needs --may-update-devices.

    The impact is read and printed first. Devices are flashed at their next connection, also down to a lower version;
    locked and development devices are left alone. A version must have run on a device of the product before.
    """
    if not groups and not product_default:
        raise click.UsageError("Say to whom: --group or --default.")
    with opened_cloud(profile, token_file) as api:
        of = ProductFirmwares(api, product_ref)
        of.require(version, groups=groups)
        impact = of.impact(version, groups=groups, product_default=product_default)
        if not as_json:
            reached = "an unknown number of devices" if impact.affected is None else count(impact.affected, "device")
            click.echo(f"version {version} would be flashed to {reached}")
        if not dry_run:
            permissions = Permissions(may_update_devices=may_update_devices)
            of.release(version, permissions, groups=groups, product_default=product_default, flash_now=flash_now)
    if as_json:
        print_json({"version": version, "impact": plain(impact), "released": not dry_run})
    elif not dry_run:
        click.echo("released")


@click.group("device-os")
def device_os_group() -> None:
    """Device OS releases that the cloud offers."""


_PLATFORM = click.option(
    "--platform",
    "platform_name",
    required=True,
    type=click.Choice([p.name for p in PLATFORMS]),
    metavar="NAME",
    help="Platform, such as boron.",
)


@device_os_group.command("list")
@_PLATFORM
@cloud_command
def list_releases(platform_name: str, profile: str | None, token_file: Path | None, as_json: bool) -> None:
    """List the releases for a platform."""
    platform = platform_by_name(platform_name)
    assert platform is not None
    with opened_cloud(profile, token_file) as api:
        found = device_os.releases(api, platform.id)
    if as_json:
        print_json(found)
        return
    rows = [(r.version, r.internal_version, r.release_state) for r in found]
    print_table(("release", "module version", "state"), rows, empty="the cloud offers none for this platform")


@device_os_group.command("add")
@click.argument("release_name", metavar="RELEASE")
@_PLATFORM
@store_option
@cloud_command
def add(
    release_name: str,
    platform_name: str,
    store_dir: Path | None,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> ExitCode:
    """Download a release for a platform into the firmware store; RELEASE is such as 5.8.0, or latest.

    Every module is checked as 'firmware add' does. Exit status 3 when one is damaged; the others are added.
    """
    platform = platform_by_name(platform_name)
    assert platform is not None
    store = open_store(store_dir)
    with opened_cloud(profile, token_file) as api:
        release_found, result = download_release(api, store, release_name, platform.id)
    told = {
        "release": release_found.version,
        "platform": platform_name,
        "added": [m.file_name for m in result.added],
        "present": [m.file_name for m in result.present],
        "refused": [{"name": r.name, "code": r.code, "message": r.message} for r in result.refused],
    }
    print_json(told) if as_json else print_fields(told)
    return ExitCode.OK if result.ok else ExitCode.BAD_INPUT
