"""``particle-dev cloud import``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import click
import platformdirs

from particle_dev.catalog.platforms import platform_by_id
from particle_dev.cli.cloud_common import may_update_option
from particle_dev.cli.cloud_import_view import ImportView
from particle_dev.cli.cloud_options import cloud_option, opened_cloud
from particle_dev.cli.exit_codes import ExitCode, exit_code_of
from particle_dev.cli.options import json_option
from particle_dev.cloud.account import Whereabouts, read_account
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.groups import check_group_name
from particle_dev.cloud.import_plan import ImportPlan, plan_import, takes_plastic_sims
from particle_dev.cloud.import_run import OrderImport, read_roll
from particle_dev.cloud.import_state import ImportState
from particle_dev.cloud.order_file import LineProblem, Order, read_order
from particle_dev.cloud.plans import PlanName
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.products import product as get_product
from particle_dev.cloud.sims import Sims
from particle_dev.errors import CapacityError, FormatError
from particle_dev.permissions import Permissions

_EXIT_CODES = {"done": ExitCode.OK, "incomplete": ExitCode.INCOMPLETE, "failed": ExitCode.FAILED}
ORDER_FILE = click.Path(path_type=Path, readable=False)
"""An order file; ``-`` is standard input."""


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=ORDER_FILE)
@click.option("--product", "product_ref", required=True, metavar="ID|SLUG", help="Where the devices go.")
@click.option("--dry-run", is_flag=True, help="Tell what would change, and change nothing.")
@click.option("--may-bill", is_flag=True, help="Allow what counts against the plan and activates SIMs.")
@click.option("--skip-bad-lines", is_flag=True, help="Import the other lines of files that have bad ones.")
@click.option("--wait", "patient", is_flag=True, help="Wait for slow SIMs too, up to a day.")
@click.option(
    "--plan", "plan_name", type=click.Choice([str(p) for p in PlanName]), help="The owner's plan, if it is told."
)
@click.option(
    "--claim-user", metavar="USER", help="Claim the devices to this member of the team; by default they are not."
)
@click.option(
    "--group", "groups", multiple=True, metavar="NAME", help="Add the devices to this group; repeat for more."
)
@may_update_option
@click.option(
    "--state", "state_file", type=click.Path(dir_okay=False, path_type=Path), help="What is remembered between runs."
)
@cloud_option
@json_option
def import_order(
    files: tuple[Path, ...],
    product_ref: str,
    dry_run: bool,
    may_bill: bool,
    skip_bad_lines: bool,
    patient: bool,
    plan_name: str | None,
    claim_user: str | None,
    groups: tuple[str, ...],
    may_update_devices: bool,
    state_file: Path | None,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Import the devices of an order into a product, and wait for their SIMs.

    FILE is the list that came with the order, as text or CSV: Device IDs, serial numbers, IMEIs or ICCIDs, in
    columns or not; scanned labels; or what `list --json` and `id --json` print. - is standard input. A file with a
    bad line is not imported at all without --skip-bad-lines. The same command again goes on where the last one
    ended, and asks for nothing twice. --group needs --may-update-devices, since a group can have a release of its
    own. Exit status 6 when SIMs are slow (SIM-PEND): run it again later.
    """
    order = read_files(files)
    for name in groups:
        check_group_name(name)
    permissions = Permissions(may_bill=may_bill, may_update_devices=may_update_devices)
    view = ImportView(as_json=as_json)
    with opened_cloud(profile, token_file) as api, closing(view):
        plan = _plan(api, product_ref, order, view, PlanName(plan_name) if plan_name else None)
        view.print_plan(plan)
        if dry_run:
            refusal = _refusal(plan)
            view.print_dry_run(plan, refusal)
            raise SystemExit(_dry_run_status(plan, refusal, skip_bad_lines=skip_bad_lines))
        if plan.problems and not skip_bad_lines:
            raise _bad_lines(plan.problems, told=not as_json)
        state_file = state_file or default_state_file(api.link.where, plan.product.id)
        with ImportState(state_file, plan.product.id) as state:
            devices, sims = ProductDevices(api, plan.product.id), Sims(api, plan.product.id)
            job = OrderImport(devices, sims, state, api.clock, view.take, Whereabouts(api, plan.product).explain)
            try:
                report = job.run(plan, permissions, claim_user=claim_user, patient=patient, groups=groups)
            except KeyboardInterrupt:
                view.close()
                click.echo("stopped; the same command goes on where this one ended", err=True)
                raise
    view.print_end(plan, report, state_file)
    raise SystemExit(_EXIT_CODES[report.verdict])


def _plan(api: CloudApi, product_ref: str, order: Order, view: ImportView, plan_name: PlanName | None) -> ImportPlan:
    """What the order would change. Reads the product, and its SIMs where some come on cards."""
    product = get_product(api, product_ref)
    roll = read_roll(ProductDevices(api, product.id), product, order, view.take)
    account = read_account(api, product, plan_name)
    has_cards = takes_plastic_sims(platform_by_id(product.platform_id))
    cards = [sim.iccid for sim in Sims(api, product.id).list()] if has_cards else []
    return plan_import(product, account, order, roll, cards)


def _dry_run_status(plan: ImportPlan, refusal: CapacityError | None, *, skip_bad_lines: bool) -> ExitCode:
    """What the import itself would end with, if all its SIMs were active at once."""
    if plan.problems and not skip_bad_lines:
        return ExitCode.BAD_INPUT
    if refusal is not None:
        return exit_code_of(refusal)
    return ExitCode.INCOMPLETE if plan.problems else ExitCode.OK


def _refusal(plan: ImportPlan) -> CapacityError | None:
    """Why the import would be refused as a whole."""
    try:
        plan.require_room()
    except CapacityError as error:
        return error
    return None


def read_files(files: tuple[Path, ...]) -> Order:
    """The order in these files. Raises FormatError; a file that cannot be read is one too."""
    contents = []
    for file in files:
        try:
            contents.append((str(file), sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()))
        except OSError as error:
            hint = "check path and permissions"
            raise FormatError(
                f"{file}: cannot be read: {error.strerror}", code="unreadable", file=str(file), hint=hint
            ) from error
    return read_order(contents)


def _bad_lines(problems: Sequence[LineProblem], *, told: bool) -> FormatError:
    """The error about lines that were ``told`` before, or the first of them."""
    first, count = problems[0], len(problems)
    which = "" if told else f", the first is line {first.line}: {first.message}"
    return FormatError(
        f"{first.file}: {count} bad line{'s' if count != 1 else ''}{which}; nothing was changed",
        code="bad_lines",
        file=first.file,
        hint="mend them (--dry-run lists all), or leave them out with --skip-bad-lines",
    )


def default_state_file(where: str, product_id: int) -> Path:
    """The file that remembers imports into this product of this cloud."""
    host = urlsplit(where).netloc.replace(":", "-") or "cloud"
    return platformdirs.user_data_path("particle-dev") / "imports" / f"{host}-{product_id}.jsonl"
