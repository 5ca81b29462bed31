"""``particle-dev station page-user``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from particle_dev.cli.command_type import CommandT
from particle_dev.cli.options import json_option
from particle_dev.cli.records_option import site_folder, site_option

if TYPE_CHECKING:
    from particle_dev.station.web.users import UserFile

_ROLES = ("operator", "engineer", "admin")


@click.group("page-user")
def page_user() -> None:
    """Who may use the page of stations from other computers."""


def _file_options(command: CommandT) -> CommandT:
    option = click.option(
        "--users",
        "users_path",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Default: page-users.json in --site.",
    )
    return option(site_option(json_option(command)))


def _file(users_path: Path | None, site_dir: Path | None) -> UserFile:
    from particle_dev.station.web.users import USERS_NAME, UserFile  # noqa: PLC0415  only these commands need it

    return UserFile(users_path or site_folder(site_dir) / USERS_NAME)


@page_user.command()
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), default="operator", show_default=True, help="What they may do.")
@_file_options
def add(name: str, role: str, users_path: Path | None, site_dir: Path | None, as_json: bool) -> None:
    """Take a person in, or give one a new token and role. The token is printed this once; print a badge of it.

    Operators start units, scan and search; engineers unlock slots, end runs and see statistics; admins may do all.
    """
    from particle_dev.station.web.access import Role  # noqa: PLC0415

    token = _file(users_path, site_dir).add(name, Role[role.upper()])
    click.echo(json.dumps({"name": name, "role": role, "token": token}) if as_json else token)


@page_user.command("list")
@_file_options
def list_users(users_path: Path | None, site_dir: Path | None, as_json: bool) -> None:
    """Who there is, and what they may do."""
    for name, user in sorted(_file(users_path, site_dir).users().items()):
        click.echo(json.dumps({"name": name, "role": user.role.word}) if as_json else f"{name:<24}{user.role.word}")


@page_user.command()
@click.argument("name")
@_file_options
def remove(name: str, users_path: Path | None, site_dir: Path | None, as_json: bool) -> None:
    """Shut a person out, at once: pages that are open end, too."""
    _file(users_path, site_dir).remove(name)
    click.echo(json.dumps({"removed": name}) if as_json else f"{name} is shut out")
