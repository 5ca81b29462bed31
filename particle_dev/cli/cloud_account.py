"""``particle-dev cloud products|usage|groups|integrations``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from particle_dev.catalog.platforms import platform_by_id
from particle_dev.cli.cloud_common import (
    cloud_command,
    may_update_option,
    need_yes,
    organization_option,
    product_option,
    yes_option,
)
from particle_dev.cli.cloud_options import opened_cloud, read_secret
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.output import count, print_fields, print_json, print_table
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.groups import create_group, remove_group
from particle_dev.cloud.groups import groups as get_groups
from particle_dev.cloud.integrations import Integrations
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.products import organizations
from particle_dev.cloud.products import product as get_product
from particle_dev.cloud.products import products as get_products
from particle_dev.cloud.records import Product
from particle_dev.cloud.usage import (
    ServiceAgreement,
    UsageReport,
    create_usage_report,
    service_agreements,
    usage_report,
)
from particle_dev.permissions import Permissions
from particle_dev.protocol.secret import Secret

REPORT_TYPES = ("devices", "products")
REPORT_PATIENCE_S, REPORT_POLL_S = 60.0, 2.0


def _platform_name(platform_id: int) -> str:
    platform = platform_by_id(platform_id)
    return platform.name if platform else str(platform_id)


@click.command()
@click.argument("product_ref", metavar="[PRODUCT]", required=False)
@organization_option
@cloud_command
def products(
    product_ref: str | None, organization: str | None, profile: str | None, token_file: Path | None, as_json: bool
) -> None:
    """List the products of the account and of its organizations, or show one.

    With --org only those of this organization.
    """
    with opened_cloud(profile, token_file) as api:
        if product_ref is not None:
            found = get_product(api, product_ref)
            print_json(found) if as_json else print_fields(found)
            return
        owners = [organization] if organization else [*(slug or id_ for id_, slug, _ in organizations(api)), None]
        # The list of a user may hold products of the user's organizations too.
        owned: dict[int, tuple[Product, str]] = {}
        for owner in owners:
            for p in get_products(api, owner):
                owned.setdefault(p.id, (p, owner or "sandbox"))
    if as_json:
        print_json([p for p, _ in owned.values()])
        return
    rows = [(p.id, p.slug, p.name, _platform_name(p.platform_id), owner) for p, owner in owned.values()]
    print_table(("id", "slug", "name", "platform", "owner"), rows, empty="no product")


@click.command()
@click.option("--report", type=click.Choice(REPORT_TYPES), help="Have the cloud make a report for download instead.")
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help="Up to now, of the report.")
@organization_option
@cloud_command
def usage(
    report: str | None,
    days: int,
    organization: str | None,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> ExitCode:
    """Show what the account's service agreements allow, and what is used: devices, data operations, data.

    With --report the cloud makes one file per agreement. Exit status 6 while one is not there after a minute.
    """
    with opened_cloud(profile, token_file) as api:
        found = service_agreements(api, organization)
        if report is not None:
            return _show_reports(_usage_reports(api, found, report, days, organization), as_json)
    if as_json:
        print_json(found)
        return ExitCode.OK
    rows = []
    for a in found:
        used = a.used()
        rows.append(
            (
                a.agreement_type,
                a.state,
                # The cloud tells days, not times.
                a.period_end.date() if a.period_end else None,
                used.owned_devices if used else None,
                used.billable_devices if used else None,
                a.max_devices,
                used.device_messages if used else None,
                a.max_messages,
                used.device_data_mb if used else None,
                a.max_data,
            )
        )
    columns = ("type", "state", "period to", "owned", "billable", "of", "operations", "of", "data", "of")
    print_table(columns, rows, empty="no service agreement")
    return ExitCode.OK


def _usage_reports(
    api: CloudApi, agreements: Sequence[ServiceAgreement], report_type: str, days: int, organization: str | None
) -> list[UsageReport]:
    """One report for each agreement, waited for."""
    now = api.clock.utc_now()
    start = now - timedelta(days=days)
    asked = [(a.id, create_usage_report(api, a.id, report_type, start, now, organization)) for a in agreements]
    until_s = api.clock.monotonic_s() + REPORT_PATIENCE_S
    done = []
    for agreement_id, report in asked:
        seen = report
        while seen.download_url is None and api.clock.monotonic_s() < until_s:
            api.clock.sleep(REPORT_POLL_S)
            seen = usage_report(api, agreement_id, report.id, organization)
        done.append(seen)
    return done


def _show_reports(reports: Sequence[UsageReport], as_json: bool) -> ExitCode:
    if as_json:
        print_json(reports)
    else:
        print_table(
            ("report", "state", "download"), [(r.id, r.state, r.download_url) for r in reports], empty="no report"
        )
    return ExitCode.OK if reports and all(r.download_url for r in reports) else ExitCode.INCOMPLETE


@click.group("groups")
def groups() -> None:
    """Groups of a product's devices."""


@groups.command("list")
@product_option(required=True)
@cloud_command
def list_groups(product_ref: str, profile: str | None, token_file: Path | None, as_json: bool) -> None:
    """List the groups of a product."""
    with opened_cloud(profile, token_file) as api:
        found = get_groups(api, product_ref)
    if as_json:
        print_json(found)
        return
    rows = [(g.name, g.device_count, g.firmware_version, g.description) for g in found]
    print_table(("group", "devices", "firmware", "description"), rows, empty="no group")


@groups.command("create")
@click.argument("name")
@click.option("--description", default="", help="For people.")
@product_option(required=True)
@cloud_command
def create(
    name: str, description: str, product_ref: str, profile: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Create a group: lower-case letters, digits, dash, underscore."""
    with opened_cloud(profile, token_file) as api:
        create_group(api, product_ref, name, description)
    print_json({"ok": True}) if as_json else click.echo(f"group {name} is there")


@groups.command("change")
@click.argument("device_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--add", "add", multiple=True, metavar="GROUP", help="Put the devices into it; repeat for more.")
@click.option("--remove", "remove_from", multiple=True, metavar="GROUP", help="Take them out of it; repeat for more.")
@product_option(required=True)
@may_update_option
@cloud_command
def change(
    device_ids: tuple[str, ...],
    add: tuple[str, ...],
    remove_from: tuple[str, ...],
    product_ref: str,
    may_update_devices: bool,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Put devices into groups, and take them out of others. Needs --may-update-devices: a group has its own release."""
    if not add and not remove_from:
        raise click.UsageError("Say --add GROUP, --remove GROUP, or both.")
    with opened_cloud(profile, token_file) as api:
        members = ProductDevices(api, product_ref)
        permissions = Permissions(may_update_devices=may_update_devices)
        members.change_groups(device_ids, permissions, add=add, remove=remove_from)
    print_json({"ok": True}) if as_json else click.echo(f"{count(len(device_ids), 'device')} changed groups")


@groups.command("remove")
@click.argument("name")
@product_option(required=True)
@yes_option
@may_update_option
@cloud_command
def remove(
    name: str,
    product_ref: str,
    yes: bool,
    may_update_devices: bool,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Remove a group. Needs --may-update-devices: its devices stay in the product and get its default release."""
    need_yes(yes, f"removes group {name}")
    with opened_cloud(profile, token_file) as api:
        remove_group(api, product_ref, name, Permissions(may_update_devices=may_update_devices))
    print_json({"ok": True}) if as_json else click.echo(f"group {name} is removed")


@click.group("integrations")
def integrations() -> None:
    """Webhooks and other integrations, of the account, a product or an organization."""


@integrations.command("list")
@product_option(required=False)
@organization_option
@cloud_command
def list_integrations(
    product_ref: str | None, organization: str | None, profile: str | None, token_file: Path | None, as_json: bool
) -> None:
    """List the integrations. URLs are hidden, since they can hold keys."""
    with opened_cloud(profile, token_file) as api:
        found = Integrations(api, product_ref=product_ref, organization=organization).list()
    if as_json:
        print_json(found)
        return
    rows = [(i.id, i.integration_type, i.event, i.device_id, not i.disabled, i.created_at) for i in found]
    print_table(("id", "type", "event", "device", "active", "created"), rows, empty="no integration")


@integrations.command("create")
@click.argument("event")
@click.option(
    "--url-file", required=True, type=click.Path(path_type=Path), help="File with the URL, - for standard input."
)
@click.option("--key-file", type=click.Path(path_type=Path), help="File with the key for X-Particle-Dev-Key.")
@click.option("--name", help="For people.")
@product_option(required=True)
@cloud_command
def create_webhook(
    event: str,
    url_file: Path,
    key_file: Path | None,
    name: str | None,
    product_ref: str,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Create a webhook of a product for events whose names begin with EVENT, in the form that our receiver takes.

    It fires for all members, claimed or not. URL and key come from files: command lines are seen by others.
    """
    headers: dict[str, str | Secret[str]] = {"X-Particle-Dev-Key": read_secret(key_file)} if key_file else {}
    with opened_cloud(profile, token_file) as api:
        made = Integrations(api, product_ref=product_ref).create_webhook(
            event, read_secret(url_file), name=name, headers=headers
        )
    print_json(made) if as_json else click.echo(f"webhook {made.id} is there")


@integrations.command("remove")
@click.argument("integration_id")
@product_option(required=False)
@organization_option
@yes_option
@cloud_command
def remove_integration(
    integration_id: str,
    product_ref: str | None,
    organization: str | None,
    yes: bool,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Remove an integration."""
    need_yes(yes, f"removes integration {integration_id}")
    with opened_cloud(profile, token_file) as api:
        Integrations(api, product_ref=product_ref, organization=organization).remove(integration_id)
    print_json({"ok": True}) if as_json else click.echo(f"{integration_id} is removed")
