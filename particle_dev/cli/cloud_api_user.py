"""``particle-dev cloud api-user``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from particle_dev.cli.cloud_common import (
    cloud_command,
    need_yes,
    new_secret_file,
    organization_option,
    product_option,
    yes_option,
)
from particle_dev.cli.cloud_options import opened_cloud
from particle_dev.cli.output import print_json, print_table
from particle_dev.cloud.tokens import (
    JOB_SCOPES,
    ApiUser,
    change_scopes,
    create_api_user,
    remove_api_user,
    scopes_for,
    team,
)


@click.group("api-user")
def api_user() -> None:
    """API users: accounts for stations, whose token may do no more than its scopes say. For administrators."""


def _owner_options(command: Callable[..., Any]) -> Callable[..., Any]:
    return product_option(required=False)(organization_option(cloud_command(command)))


def _scope_options(command: Callable[..., Any]) -> Callable[..., Any]:
    job = click.option(
        "--job",
        "jobs",
        multiple=True,
        type=click.Choice(list(JOB_SCOPES)),
        help="The least scopes for this; repeat for more.",
    )
    scope = click.option("--scope", "scopes", multiple=True, metavar="NAME", help="A scope, such as devices:list.")
    out = click.option(
        "--out",
        "out_file",
        required=True,
        type=click.Path(path_type=Path),
        help="New file for the token; told once only.",
    )
    return job(scope(out(command)))


def _check_owner(product_ref: str | None, organization: str | None) -> None:
    if (product_ref is None) == (organization is None):
        raise click.UsageError("Say whose team: --product or --org.")


def _wanted(jobs: tuple[str, ...], scopes: tuple[str, ...]) -> frozenset[str]:
    wanted = (scopes_for(jobs) if jobs else frozenset()) | frozenset(scopes)
    if not wanted:
        raise click.UsageError("Say what it may do: --job or --scope.")
    return wanted


def _told(user: ApiUser, out_file: Path, as_json: bool) -> None:
    if as_json:
        print_json(user)
    else:
        click.echo(
            f"{user.username}: token in {out_file}" if user.token else f"{user.username}: the cloud told no token"
        )


@api_user.command("list")
@_owner_options
def list_users(
    product_ref: str | None, organization: str | None, profile: str | None, token_file: Path | None, as_json: bool
) -> None:
    """Show the team of a product or organization, people and API users."""
    _check_owner(product_ref, organization)
    with opened_cloud(profile, token_file) as api:
        members = team(api, product=product_ref, organization=organization)
    if as_json:
        print_json(members)
        return
    rows = [("API user" if m.is_programmatic else "person", m.username, m.friendly_name, m.scopes) for m in members]
    print_table(("kind", "user name", "name", "scopes"), rows, empty="nobody is in this team")


@api_user.command("create")
@click.argument("name")
@_scope_options
@_owner_options
def create(
    name: str,
    jobs: tuple[str, ...],
    scopes: tuple[str, ...],
    out_file: Path,
    product_ref: str | None,
    organization: str | None,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Create an API user with the least scopes for its jobs, and keep its token in a new file.

    NAME is for people to read, such as "Line 1".
    """
    _check_owner(product_ref, organization)
    wanted = _wanted(jobs, scopes)
    with opened_cloud(profile, token_file) as api, new_secret_file(out_file) as keep:
        user = create_api_user(api, name, wanted, product=product_ref, organization=organization)
        if user.token is not None:
            keep(user.token)
    _told(user, out_file, as_json)


@api_user.command("update")
@click.argument("username")
@yes_option
@_scope_options
@_owner_options
def update(
    username: str,
    yes: bool,
    jobs: tuple[str, ...],
    scopes: tuple[str, ...],
    out_file: Path,
    product_ref: str | None,
    organization: str | None,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Give an API user other scopes. Its old token dies at once; the new one goes into a new file."""
    _check_owner(product_ref, organization)
    wanted = _wanted(jobs, scopes)
    need_yes(yes, f"makes the present token of {username} worthless")
    with opened_cloud(profile, token_file) as api, new_secret_file(out_file) as keep:
        user = change_scopes(api, username, wanted, product=product_ref, organization=organization)
        if user.token is not None:
            keep(user.token)
    _told(user, out_file, as_json)


@api_user.command("remove")
@click.argument("username")
@yes_option
@_owner_options
def remove(
    username: str,
    yes: bool,
    product_ref: str | None,
    organization: str | None,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Remove a member of the team; the token of an API user dies."""
    _check_owner(product_ref, organization)
    need_yes(yes, f"removes {username} from the team")
    with opened_cloud(profile, token_file) as api:
        remove_api_user(api, username, product=product_ref, organization=organization)
    print_json({"ok": True}) if as_json else click.echo(f"{username} is removed")
