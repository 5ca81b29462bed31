"""``particle-dev cloud devices retire``."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import click
import platformdirs

from particle_dev.catalog.skus import sim_class_by_serial_number
from particle_dev.cli.cloud_common import cloud_command, product_option
from particle_dev.cli.cloud_options import opened_cloud
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.output import count, print_json, print_text
from particle_dev.cli.wrap import wrapped
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.products import product
from particle_dev.cloud.removal import PATIENCE_S, removal_warning, undo
from particle_dev.cloud.removal_client import ApiRemoval
from particle_dev.cloud.retire import RemovalFile, begin_removal
from particle_dev.errors import CloudNotFoundError, RemovalIncompleteError
from particle_dev.finite_range import FiniteRange
from particle_dev.permissions import Effect, Permissions


@click.command("retire")
@click.argument("device_ids", metavar="ID...", nargs=-1, required=True)
@product_option(required=True)
@click.option("--may-release", is_flag=True, help="Allow taking devices out and giving their SIMs away.")
@click.option(
    "--wait",
    "wait_s",
    type=FiniteRange(0),
    default=PATIENCE_S,
    show_default=True,
    metavar="SECONDS",
    help="How long pending releases are waited for, all together.",
)
@cloud_command
def retire(
    device_ids: tuple[str, ...],
    product_ref: str,
    may_release: bool,
    wait_s: float,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> ExitCode:
    """End the billing of devices: out of the product, SIM released, both read back. Needs --may-release.

    A device is unclaimed, removed, and its SIM given back; some kinds take days to return. Only both together end
    billing, from the next period on. Exit status 6 when the cloud has not finished, which may take a day, or something
    came back: run the same again, it goes on where it stopped. 4 when one is no member; the others are done.
    """
    permissions = Permissions(may_release=may_release)
    permissions.require(Effect.RELEASE, f"removing {count(len(device_ids), 'device')} from product {product_ref}")
    told, missing, unfinished = [], False, False
    with opened_cloud(profile, token_file) as api:
        number = str(product(api, product_ref).id)
        until_s = api.clock.monotonic_s() + wait_s
        for device_id in dict.fromkeys(i.lower() for i in device_ids):
            file = RemovalFile(_state_file(api.link.where, number, device_id))
            state: dict[str, object] = {"device_id": device_id, "iccid": None, "complete": False, "remaining": []}
            try:
                _warn(api, number, device_id)
                removal = begin_removal(api, number, device_id, file)
                state["iccid"] = removal.iccid
                left_s = max(0.0, until_s - api.clock.monotonic_s())
                undo(ApiRemoval(api), removal, permissions, file.save, api.clock, left_s)
                told.append(state | {"complete": True, "error": None})
            except RemovalIncompleteError as error:
                unfinished = True
                told.append(state | {"remaining": error.remaining, "error": str(error)})
            except CloudNotFoundError as error:
                missing = True
                told.append(state | {"error": str(error)})
            if not as_json:
                print_text(f"{device_id}: {told[-1]['error'] or 'out of the product, no SIM left in it'}")
    if as_json:
        print_json(told)
    return ExitCode.NO_DEVICE if missing else ExitCode.INCOMPLETE if unfinished else ExitCode.OK


def _warn(api: CloudApi, product_number: str, device_id: str) -> None:
    """Tell of a SIM that comes back slowly, should it be wanted again."""
    with suppress(CloudNotFoundError):  # On its second run it may be out already.
        record = ProductDevices(api, product_number).get(device_id)
        warning = removal_warning(sim_class_by_serial_number(record.serial_number or "")) if record.iccid else None
        if warning is not None:
            click.echo(wrapped(f"{device_id}: {warning}", sys.stderr), err=True)


def _state_file(where: str, product_number: str, device_id: str) -> Path:
    host = urlsplit(where).netloc.replace(":", "-") or "cloud"
    name = "".join(c if c.isalnum() else "_" for c in device_id)
    return platformdirs.user_data_path("particle-dev") / "removals" / f"{host}-{product_number}-{name}.json"
