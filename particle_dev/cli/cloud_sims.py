"""``particle-dev cloud sims``."""

from __future__ import annotations

from pathlib import Path

import click

from particle_dev.cli.cloud_common import cloud_command, may_bill_option, need_yes, product_option, yes_option
from particle_dev.cli.cloud_options import opened_cloud
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.output import count, plain, print_done, print_fields, print_json, print_table
from particle_dev.cloud.sims import Sims
from particle_dev.permissions import Permissions


@click.group("sims")
def sims() -> None:
    """SIMs of a product or of the account. An active SIM is billed, and lets its device connect at any boot."""


@sims.command("list")
@product_option(required=False)
@click.option("--iccid", metavar="PART", help="Only ICCIDs that hold this.")
@click.option("--device", metavar="PART", help="Only SIMs last seen in a device whose id holds this.")
@cloud_command
def list_sims(
    product_ref: str | None,
    iccid: str | None,
    device: str | None,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """List the SIMs. With --json one object a line, as the pages arrive. The filters go with --product."""
    if product_ref is None and (iccid or device):
        raise click.UsageError("Filters go with --product.")
    with opened_cloud(profile, token_file) as api:
        found = Sims(api, product_ref).list(iccid=iccid, device_id=device)
        if as_json:
            for record in found:
                print_json(record)
            return
        rows = [(s.iccid, s.status, s.ever_active, s.last_device_id, s.carrier, s.updated_at) for s in found]
    print_table(("iccid", "status", "ever active", "device", "carrier", "updated"), rows, empty="no SIM")


@sims.command("show")
@click.argument("iccid")
@product_option(required=False)
@click.option("--connection", is_flag=True, help="Ask the carrier too; may have to be asked again.")
@click.option("--usage", is_flag=True, help="Data used in this billing period; late by hours to days.")
@cloud_command
def show(
    iccid: str,
    product_ref: str | None,
    connection: bool,
    usage: bool,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> ExitCode:
    """Show what the cloud knows of a SIM. Exit status 6 when the carrier's answer is not there yet."""
    with opened_cloud(profile, token_file) as api:
        of = Sims(api, product_ref)
        told = plain(of.get(iccid))
        state = of.connection(iccid) if connection else None
        used = of.usage(iccid) if usage else None
    if state is not None:
        told["connection"] = plain(state)
    if used is not None:
        told["usage"] = {"total_mb": used.total_mb, "days": plain(used.days)}
    print_json(told) if as_json else print_fields(told)
    return ExitCode.INCOMPLETE if state is not None and not state.complete else ExitCode.OK


@sims.command("import")
@click.argument("iccids", metavar="ICCID...", nargs=-1, required=True)
@product_option(required=True)
@click.option("--country", default="US", show_default=True, metavar="CODE", help="Where they will be used.")
@may_bill_option
@cloud_command
def import_sims(
    iccids: tuple[str, ...],
    product_ref: str,
    country: str,
    may_bill: bool,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Put SIMs into a product and activate them. Needs --may-bill. The cloud queues it: see 'cloud sims show'."""
    with opened_cloud(profile, token_file) as api:
        Sims(api, product_ref).import_sims(iccids, Permissions(may_bill=may_bill), country=country)
    print_done(f"the cloud has queued {count(len(iccids), 'SIM')}", as_json)


@sims.command("activate")
@click.argument("iccid")
@product_option(required=False)
@click.option("--again", is_flag=True, help="It was active before.")
@may_bill_option
@cloud_command
def activate(
    iccid: str,
    product_ref: str | None,
    again: bool,
    may_bill: bool,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Activate a SIM, of the account for the first time, or --again. Needs --may-bill."""
    permissions = Permissions(may_bill=may_bill)
    with opened_cloud(profile, token_file) as api:
        of = Sims(api, product_ref)
        of.reactivate(iccid, permissions) if again else of.activate(iccid, permissions)
    print_done(f"{iccid} is being activated", as_json)


@sims.command("deactivate")
@click.argument("iccid")
@product_option(required=False)
@yes_option
@cloud_command
def deactivate(
    iccid: str, product_ref: str | None, yes: bool, profile: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Take a SIM off the network. It stays owned; older kinds take days to come back."""
    need_yes(yes, f"takes SIM {iccid} off the network")
    with opened_cloud(profile, token_file) as api:
        Sims(api, product_ref).deactivate(iccid)
    print_done(f"{iccid} is being deactivated", as_json)


@sims.command("release")
@click.argument("iccid")
@product_option(required=False)
@yes_option
@cloud_command
def release(
    iccid: str, product_ref: str | None, yes: bool, profile: str | None, token_file: Path | None, as_json: bool
) -> ExitCode:
    """Give a SIM up, which deactivates it and ends its billing. Exit status 6 while the cloud has not finished.

    Older kinds take tens of minutes to days to come back when they are imported again.
    """
    need_yes(yes, f"gives up SIM {iccid}")
    with opened_cloud(profile, token_file) as api:
        of = Sims(api, product_ref)
        of.release(iccid)
        gone = of.find(iccid) is None
    print_done(f"{iccid} is released" if gone else f"{iccid} is being released: look again with sims show", as_json)
    return ExitCode.OK if gone else ExitCode.INCOMPLETE
