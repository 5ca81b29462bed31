"""``particle-dev cloud devices``: devices of a product or of the account."""

from __future__ import annotations

from pathlib import Path

import click

from particle_dev.cli.cloud_common import (
    cloud_command,
    devices_of,
    may_bill_option,
    may_update_option,
    need_yes,
    product_option,
    yes_option,
)
from particle_dev.cli.cloud_grace import grace
from particle_dev.cli.cloud_options import opened_cloud
from particle_dev.cli.cloud_retire import retire
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.output import plain, print_done, print_fields, print_json, print_table
from particle_dev.cloud.devices import AccountDevices
from particle_dev.cloud.firmware import ProductFirmwares
from particle_dev.cloud.groups import check_group_name
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.records import DeviceRecord, ImportResult
from particle_dev.cloud.serial_numbers import SerialNumbers, default_cache
from particle_dev.errors import CloudNotFoundError
from particle_dev.permissions import Effect, Permissions


@click.group("devices")
def devices() -> None:
    """Devices as the cloud knows them. DEVICE is a Device ID; without --product also the name of one of yours."""


devices.add_command(grace)
devices.add_command(retire)


def _state(record: DeviceRecord) -> str:
    marks = [name for name in ("quarantined", "denied", "development") if getattr(record, name)]
    return ", ".join(marks)


@devices.command("list")
@product_option(required=False)
@click.option("--id", "device_id", metavar="PART", help="Only ids that hold this.")
@click.option("--name", metavar="PART", help="Only names that hold this.")
@click.option("--serial", metavar="PART", help="Only serial numbers that hold this.")
@click.option("--group", "groups", multiple=True, help="Only members of this group; repeat for more.")
@click.option("--quarantined", is_flag=True, help="Only devices in quarantine.")
@cloud_command
def list_devices(
    product_ref: str | None,
    device_id: str | None,
    name: str | None,
    serial: str | None,
    groups: tuple[str, ...],
    quarantined: bool,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """List the members of a product, or the devices claimed to the account.

    With --json one object a line, as the pages arrive. The filters go with --product.
    """
    filtered = any((device_id, name, serial, groups, quarantined))
    if product_ref is None and filtered:
        raise click.UsageError("Filters go with --product.")
    with opened_cloud(profile, token_file) as api:
        if product_ref is None:
            found = iter(AccountDevices(api).list())
        else:
            found = ProductDevices(api, product_ref).list(
                device_id=device_id,
                name=name,
                serial_number=serial,
                groups=groups,
                quarantined=quarantined or None,
                sort="deviceId",
                descending=False,
            )
        if as_json:
            for record in found:
                print_json(record)
            return
        rows = [
            (r.id, r.name, r.online, r.last_heard, r.firmware_version, r.system_firmware_version, r.owner, _state(r))
            for r in found
        ]
    columns = ("device", "name", "online", "last heard", "firmware", "Device OS", "owner", "state")
    print_table(columns, rows, empty="no device")


@devices.command("show")
@click.argument("device")
@product_option(required=False)
@cloud_command
def show(device: str, product_ref: str | None, profile: str | None, token_file: Path | None, as_json: bool) -> None:
    """Show everything that the cloud knows of a device. Mobile secrets are hidden."""
    with opened_cloud(profile, token_file) as api:
        record = devices_of(api, product_ref).get(device)
    print_json(record) if as_json else print_fields(record)


def _print_import(result: ImportResult, as_json: bool) -> ExitCode:
    if as_json:
        print_json(plain(result) | {"complete": result.complete})
    else:
        for name, told in (
            ("added", "added"),
            ("present", "was a member before"),
            ("invalid", "refused: unknown, of another platform, or in another product"),
            ("not_member", "refused: not of this account"),
            ("protected", "refused: device protection is on"),
            ("unexplained", "the answer does not mention it: look with devices show"),
        ):
            for identifier in getattr(result, name):
                click.echo(f"{identifier}: {told}")
        for identifier in result.unasked:
            click.echo(f"{identifier}: added under another identifier")
    refused = result.invalid or result.not_member or result.protected
    return ExitCode.FAILED if refused else ExitCode.OK if result.complete else ExitCode.INCOMPLETE


@devices.command("add")
@click.argument("identifiers", metavar="ID...", nargs=-1, required=True)
@product_option(required=True)
@may_bill_option
@cloud_command
def add(
    identifiers: tuple[str, ...],
    product_ref: str,
    may_bill: bool,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> ExitCode:
    """Put devices into a product, and say what became of each. For whole orders there is 'cloud import'.

    ID is a Device ID, serial number, IMEI or ICCID. Needs --may-bill: on the free plan they count at once, and embedded
    SIMs are activated. Exit status 1 when one is refused, 6 when the answer does not say.
    """
    with opened_cloud(profile, token_file) as api:
        result = ProductDevices(api, product_ref).import_devices(
            tuple(dict.fromkeys(identifiers)), Permissions(may_bill=may_bill)
        )
    return _print_import(result, as_json)


@devices.command("approve")
@click.argument("device")
@product_option(required=True)
@may_bill_option
@cloud_command
def approve(
    device: str, product_ref: str, may_bill: bool, profile: str | None, token_file: Path | None, as_json: bool
) -> ExitCode:
    """Let a quarantined device into the product. Needs --may-bill: it counts from then on."""
    with opened_cloud(profile, token_file) as api:
        result = ProductDevices(api, product_ref).approve(device, Permissions(may_bill=may_bill))
    return _print_import(result, as_json)


@devices.command("deny")
@click.argument("device")
@product_option(required=True)
@yes_option
@cloud_command
def deny(device: str, product_ref: str, yes: bool, profile: str | None, token_file: Path | None, as_json: bool) -> None:
    """Keep a quarantined device out of the product. It can be added later all the same."""
    need_yes(yes, f"denies {device}")
    with opened_cloud(profile, token_file) as api:
        ProductDevices(api, product_ref).deny(device)
    print_done(f"{device} is denied", as_json)


@devices.command("remove")
@click.argument("device")
@product_option(required=True)
@yes_option
@cloud_command
def remove(
    device: str, product_ref: str, yes: bool, profile: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Take a device out of the product. Its SIM stays active and is billed until 'cloud sims release'."""
    need_yes(yes, f"removes {device} from product {product_ref}")
    with opened_cloud(profile, token_file) as api:
        ProductDevices(api, product_ref).remove(device)
    print_done(f"{device} is removed; its SIM is still active", as_json)


@devices.command("claim")
@click.argument("device")
@may_bill_option
@click.option("--request-transfer", is_flag=True, help="Ask the present owner by mail.")
@cloud_command
def claim(
    device: str, may_bill: bool, request_transfer: bool, profile: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Make a device one of this account. Needs --may-bill: it counts against the free plan."""
    with opened_cloud(profile, token_file) as api:
        AccountDevices(api).claim(device, Permissions(may_bill=may_bill), request_transfer=request_transfer)
    print_done(f"the transfer of {device} is requested" if request_transfer else f"{device} is claimed", as_json)


@devices.command("unclaim")
@click.argument("device")
@product_option(required=False)
@yes_option
@cloud_command
def unclaim(
    device: str, product_ref: str | None, yes: bool, profile: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Take a device from its owner; with --product from whoever owns it. Membership and SIM stay."""
    need_yes(yes, f"takes {device} from its owner")
    with opened_cloud(profile, token_file) as api:
        done = f"{device} is unclaimed"
        if product_ref is None:
            AccountDevices(api).unclaim(device)
        elif ProductDevices(api, product_ref).get(device).owner is None:
            done = f"{device} has no owner: nothing was changed"
        else:
            ProductDevices(api, product_ref).unclaim(device)
    print_done(done, as_json)


@devices.command("set")
@click.argument("device")
@product_option(required=False)
@click.option("--name", help="Its name.")
@click.option("--notes", help="Notes, which replace those that are there.")
@click.option(
    "--group", "groups", multiple=True, metavar="NAME", help="The groups it is in from now on; repeat for more."
)
@click.option("--no-groups", is_flag=True, help="Take it out of all groups.")
@click.option("--development/--no-development", default=None, help="Mark: the cloud leaves its firmware alone.")
@may_update_option
@cloud_command
def set_fields(
    device: str,
    product_ref: str | None,
    name: str | None,
    notes: str | None,
    groups: tuple[str, ...],
    no_groups: bool,
    development: bool | None,
    may_update_devices: bool,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Change name, notes, groups or the development mark of a device.

    Groups and mark go with --product. Other groups, or no mark, need --may-update-devices: what is released to them is
    flashed at the next connection.
    """
    of_product = bool(groups) or no_groups or development is not None
    if not (of_product or name is not None or notes is not None):
        raise click.UsageError("Say what to change.")
    if groups and no_groups:
        raise click.UsageError("--group and --no-groups exclude each other.")
    if of_product and product_ref is None:
        raise click.UsageError("Groups and the development mark go with --product.")
    for group in groups:
        check_group_name(group)
    with opened_cloud(profile, token_file) as api:
        of = devices_of(api, product_ref)
        permissions = Permissions(may_update_devices=may_update_devices)
        # First what can be refused. The mark is put on before that: it holds back what other groups would flash.
        if isinstance(of, ProductDevices):
            if development:
                of.set_development(device, True)
            if groups or no_groups:
                of.set_groups(device, groups, permissions)
            if development is False:
                of.set_development(device, False, permissions)
        if name is not None:
            of.rename(device, name)
        if notes is not None:
            of.set_notes(device, notes)
    print_done(f"{device} is changed", as_json)


@devices.command("lock")
@click.argument("device")
@click.argument("version", type=click.IntRange(1, 0xFFFF))
@product_option(required=True)
@click.option("--now", "flash_now", is_flag=True, help="Flash it at once when it is online.")
@may_update_option
@cloud_command
def lock(
    device: str,
    version: int,
    product_ref: str,
    flash_now: bool,
    may_update_devices: bool,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Bind a device to a version of the product firmware. Needs --may-update-devices."""
    with opened_cloud(profile, token_file) as api:
        permissions = Permissions(may_update_devices=may_update_devices)
        permissions.require(Effect.UPDATE, f"locking {device} to version {version}")
        ProductFirmwares(api, product_ref).require(version)
        ProductDevices(api, product_ref).lock_firmware(device, version, permissions, flash_now=flash_now)
    print_done(f"{device} is locked to version {version}", as_json)


@devices.command("unlock")
@click.argument("device")
@product_option(required=True)
@may_update_option
@cloud_command
def unlock(
    device: str,
    product_ref: str,
    may_update_devices: bool,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Let a device follow the product's releases again, from its next connection on. Needs --may-update-devices."""
    with opened_cloud(profile, token_file) as api:
        ProductDevices(api, product_ref).unlock_firmware(device, Permissions(may_update_devices=may_update_devices))
    print_done(f"{device} is unlocked", as_json)


@devices.command("flash")
@click.argument("device")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@product_option(required=False)
@may_update_option
@cloud_command
def flash(
    device: str,
    file: Path,
    product_ref: str | None,
    may_update_devices: bool,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Send a binary to an online device over the air. Needs --may-update-devices.

    A member of a product must be marked for development, or the cloud replaces it at the next connection.
    """
    with opened_cloud(profile, token_file) as api:
        said = devices_of(api, product_ref).update_over_the_air(
            device, file.read_bytes(), Permissions(may_update_devices=may_update_devices)
        )
    print_done(said or "the cloud has taken it", as_json)


@click.command()
@click.argument("serial_numbers", metavar="SERIAL...", nargs=-1, required=True)
@cloud_command
def lookup(serial_numbers: tuple[str, ...], profile: str | None, token_file: Path | None, as_json: bool) -> ExitCode:
    """Tell the Device IDs of serial numbers. The cloud allows 50 look-ups an hour; what it answered is kept.

    Members of a product are found without a limit by 'cloud devices list --serial'. Exit status 4 when the cloud does
    not know one; the others are told.
    """
    rows: list[tuple[str, str | None, int | None]] = []
    with opened_cloud(profile, token_file) as api:
        known = SerialNumbers(api, default_cache(api))
        for serial_number in serial_numbers:
            try:
                rows.append((serial_number, *known.look_up(serial_number)))
            except CloudNotFoundError:
                rows.append((serial_number, None, None))
    if as_json:
        print_json([{"serial_number": s, "device_id": d, "platform_id": p} for s, d, p in rows])
    else:
        print_table(("serial number", "device", "platform"), rows, empty="")
    return ExitCode.NO_DEVICE if any(d is None for _, d, _ in rows) else ExitCode.OK
