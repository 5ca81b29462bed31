"""``particle-dev cloud login|logout|whoami``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import click

from particle_dev.cli.cloud_common import cloud_command, new_secret_file
from particle_dev.cli.cloud_options import opened_cloud, read_secret
from particle_dev.cli.options import json_option
from particle_dev.cli.output import print_fields, print_json
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.profiles import load_profile, save_login
from particle_dev.cloud.session import open_cloud
from particle_dev.cloud.tokens import (
    JOB_SCOPES,
    log_in,
    require_scopes,
    revoke_current,
    scopes_for,
    token_info,
    user_name,
)
from particle_dev.errors import CloudDeniedError
from particle_dev.protocol.secret import Secret


@click.command()
@click.option("--username", required=True, metavar="MAIL", help="Whose account.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, readable=False),
    help="File with the password, - for standard input; default: asked for.",
)
@click.option(
    "--otp-file",
    type=click.Path(path_type=Path, readable=False),
    help="File with the one-time password, for accounts with multi-factor authentication, - for standard input; "
    "default: asked for when the cloud wants it.",
)
@click.option(
    "--days", type=click.IntRange(0, 3650), default=90, show_default=True, help="Life of the token; 0: for ever."
)
@click.option("--save", is_flag=True, help="Keep the login in particle-cli's profile, for both programs.")
@click.option(
    "--out", "out_file", type=click.Path(path_type=Path), metavar="FILE", help="Put the token into this new file."
)
@click.option("--profile", metavar="NAME", help="Profile of particle-cli; default: the one it uses now.")
@json_option
def login(
    username: str,
    password_file: Path | None,
    otp_file: Path | None,
    days: int,
    save: bool,
    out_file: Path | None,
    profile: str | None,
    as_json: bool,
) -> None:
    """Get an access token with user name and password.

    The token is kept in the profile that particle-cli uses (--save) or in a file for --token-file (--out), and never
    printed. After nine wrong passwords nothing more is sent for half an hour: the cloud would block the whole address.
    """
    if not save and out_file is None:
        raise click.UsageError("Say where the token goes: --save, or --out FILE.")
    if password_file == otp_file == Path("-"):
        raise click.UsageError("Only one of --password-file and --otp-file can be standard input.")
    chosen = load_profile(profile)
    if not as_json:
        click.echo(f"logging in to {chosen.api_url} (profile {chosen.name})", err=True)
    password = _secret(password_file, "Password", "--password-file")
    given = click.get_current_context().find_object(CloudApi)
    api = given or open_cloud(chosen)
    try:
        with new_secret_file(out_file) if out_file is not None else nullcontext() as keep:
            got = log_in(api, username, password, otp=_one_time_password(otp_file), lifetime_s=days * 86400)
            if keep is not None:
                keep(got.access_token)
    finally:
        if given is None:
            api.link.close()
    if save:
        save_login(chosen, got.access_token, username)
    told = {
        "username": username,
        "expires_at": got.expires_at,
        "profile": chosen.name if save else None,
        "file": str(out_file) if out_file else None,
    }
    print_json(told) if as_json else print_fields(told)


def _secret(file: Path | None, what: str, option: str) -> Secret[str]:
    if file is not None:
        return read_secret(file)
    if not sys.stdin.isatty():
        raise click.UsageError(f"Give the {what.lower()} with {option}.")
    return Secret(click.prompt(what, hide_input=True, err=True))


def _one_time_password(file: Path | None) -> Callable[[], Secret[str]] | None:
    """What asks for it; None: nobody could be asked."""
    if file is None and not sys.stdin.isatty():
        return None
    return lambda: _secret(file, "One-time password", "--otp-file")


@click.command()
@cloud_command
def logout(profile: str | None, token_file: Path | None, as_json: bool) -> None:
    """Make the access token in use worthless, and forget the profile's login.

    With --token-file that token dies and the profile stays as it is.
    """
    with opened_cloud(profile, token_file) as api:
        revoke_current(api)
    if token_file is None:
        save_login(load_profile(profile), None, None)
    print_json({"ok": True}) if as_json else click.echo("logged out")


@click.command()
@click.option(
    "--job",
    "jobs",
    multiple=True,
    type=click.Choice(list(JOB_SCOPES)),
    help="Check that an API user's scopes are enough for this; repeat for more.",
)
@cloud_command
def whoami(jobs: tuple[str, ...], profile: str | None, token_file: Path | None, as_json: bool) -> None:
    """Show whose token is in use, until when, and what it may do.

    An API user has scopes, a person has none and may do everything. --job fails with exit status 5 when scopes are
    missing, and names them.
    """
    with opened_cloud(profile, token_file) as api:
        info = require_scopes(api, scopes_for(jobs), " and ".join(jobs)) if jobs else token_info(api)
        try:
            username: str | None = user_name(api)
        except CloudDeniedError:
            username = None
        told = {
            "username": username,
            "api_user": bool(info.scopes),
            "cloud": api.link.where,
            "expires_at": info.expires_at,
            "client": info.client,
            "scopes": info.scopes,
            "jobs": jobs,
            "organizations": info.organizations,
        }
    if as_json:
        print_json(told)
        return
    enough = "its scopes are enough" if info.scopes else "a person may do everything"
    for_jobs = f"{', '.join(jobs)}: {enough}" if jobs else None
    print_fields(told | {"expires_at": info.expires_at or "never", "jobs": for_jobs})
