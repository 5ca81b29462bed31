"""``particle-dev cloud ping|call|get|signal|publish|vitals``: talk to a device that is online."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from particle_dev.cli.cloud_common import cloud_command, devices_of, product_option
from particle_dev.cli.cloud_options import opened_cloud
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.output import cell_text, print_fields, print_json
from particle_dev.cloud.devices import AccountDevices
from particle_dev.cloud.diagnostics import Vitals, last_vitals, refresh_vitals, vitals_between
from particle_dev.cloud.product_devices import ProductDevices


@click.command()
@click.argument("device")
@product_option(required=False)
@cloud_command
def ping(device: str, product_ref: str | None, profile: str | None, token_file: Path | None, as_json: bool) -> ExitCode:
    """Ask whether a device answers the cloud now. Exit status 6 when it does not."""
    with opened_cloud(profile, token_file) as api:
        online = devices_of(api, product_ref).ping(device)
    print_json({"device": device, "online": online}) if as_json else click.echo("online" if online else "offline")
    return ExitCode.OK if online else ExitCode.INCOMPLETE


@click.command()
@click.argument("device")
@click.argument("function")
@click.argument("argument", default="")
@product_option(required=False)
@cloud_command
def call(
    device: str,
    function: str,
    argument: str,
    product_ref: str | None,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Call a function of an online device, and print what it returns. One data operation or more."""
    with opened_cloud(profile, token_file) as api:
        value = devices_of(api, product_ref).call_function(device, function, argument)
    print_json({"device": device, "function": function, "return_value": value}) if as_json else click.echo(value)


@click.command()
@click.argument("device")
@click.argument("variable")
@product_option(required=False)
@cloud_command
def get(
    device: str, variable: str, product_ref: str | None, profile: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Read a variable of an online device. One data operation or more."""
    with opened_cloud(profile, token_file) as api:
        value = devices_of(api, product_ref).variable(device, variable)
    print_json({"device": device, "variable": variable, "value": value}) if as_json else click.echo(cell_text(value))


@click.command()
@click.argument("device")
@click.option("--off", is_flag=True, help="Stop it.")
@product_option(required=False)
@cloud_command
def signal(
    device: str, off: bool, product_ref: str | None, profile: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Let the status LED of an online device shout rainbows, to find it on the desk."""
    with opened_cloud(profile, token_file) as api:
        devices_of(api, product_ref).signal(device, not off)
    print_json({"device": device, "signal": not off}) if as_json else click.echo("off" if off else "on")


@click.command()
@click.argument("name")
@click.argument("data", default="")
@click.option("--ttl", "ttl_s", type=click.IntRange(0), default=60, show_default=True, metavar="SECONDS")
@product_option(required=False)
@cloud_command
def publish(
    name: str,
    data: str,
    ttl_s: int,
    product_ref: str | None,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Publish a private event to the product or account. Each device that subscribes to it costs a data operation."""
    with opened_cloud(profile, token_file) as api:
        if product_ref is None:
            AccountDevices(api).publish(name, data, ttl_s=ttl_s)
        else:
            ProductDevices(api, product_ref).publish(name, data, ttl_s=ttl_s)
    print_json({"ok": True}) if as_json else click.echo("published")


@click.command()
@click.argument("device")
@click.option("--refresh", is_flag=True, help="Ask an online device for a new report; it comes as an event.")
@click.option("--days", type=click.IntRange(1, 30), help="All reports of so many days, not only the newest.")
@product_option(required=False)
@cloud_command
def vitals(
    device: str,
    refresh: bool,
    days: int | None,
    product_ref: str | None,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> ExitCode:
    """Show the newest device vitals: signal, session, memory, power. Exit status 6 when there are none."""
    with opened_cloud(profile, token_file) as api:
        if refresh:
            refresh_vitals(api, device, product_ref)
        if days is not None:
            now = api.clock.utc_now()
            return _show_reports(vitals_between(api, device, now - timedelta(days=days), now, product_ref), as_json)
        report = last_vitals(api, device, product_ref)
    if as_json:
        print_json(report)
    elif report is None:
        click.echo("the cloud has no report of this device", err=True)
    else:
        print_fields(report)
    return ExitCode.OK if report is not None else ExitCode.INCOMPLETE


def _show_reports(reports: Sequence[Vitals], as_json: bool) -> ExitCode:
    if as_json:
        print_json(reports)
    elif not reports:
        click.echo("the cloud has no report of this device in that time", err=True)
    for report in () if as_json else reports:
        print_fields(report)
    return ExitCode.OK if reports else ExitCode.INCOMPLETE
