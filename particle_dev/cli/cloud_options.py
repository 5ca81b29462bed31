"""Options of the commands that talk to the cloud, and how they open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from particle_dev.cli.command_type import CommandT
from particle_dev.cloud.api import CloudApi, can_be_sent
from particle_dev.cloud.limits import default_limit_place
from particle_dev.cloud.profiles import load_profile, require_login
from particle_dev.cloud.session import open_cloud
from particle_dev.errors import ConfigError
from particle_dev.protocol.secret import Secret

_ALONE = "give a file that holds the secret alone"


def cloud_option(command: CommandT) -> CommandT:
    """``--profile`` and ``--token-file``."""
    token = click.option(
        "--token-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Access token; default: the profile's.",
    )
    profile = click.option("--profile", metavar="NAME", help="Profile of particle-cli.")
    return profile(token(command))


@contextmanager
def opened_cloud(profile: str | None, token_file: Path | None, records: str | None = None) -> Iterator[CloudApi]:
    """The cloud that the options name, with requests counted where the ``records`` are, if on PostgreSQL.

    Raises ConfigError, CloudAuthError.
    """
    # Tests bring theirs as the context's object.
    given = click.get_current_context().find_object(CloudApi)
    if given is not None:
        yield given
        return
    chosen = load_profile(profile)
    token = _read_token(token_file) if token_file else require_login(chosen)
    api = open_cloud(chosen, token=token, limit_place=default_limit_place(records))
    try:
        yield api
    finally:
        api.link.close()


def _read_token(file: Path) -> Secret[str]:
    """The access token in a file. Raises ConfigError, also for what cannot be a token."""
    token = read_secret(file)
    if not can_be_sent(token):
        raise ConfigError(
            f"{file}: this is no access token: it holds characters that no token has.",
            file=str(file),
            hint="give a file with the 40 characters alone, without quotes or spaces",
        )
    return token


def read_secret(file: Path) -> Secret[str]:
    """The secret in a file, ``-`` for standard input, without the end of its line. Raises ConfigError."""
    try:
        with click.open_file(str(file), encoding="utf-8") as stream:
            secret = Secret(stream.read().strip("\r\n"))
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{file}: cannot be read: {reason}", file=str(file), hint=_ALONE) from error
    if not secret.reveal():
        raise ConfigError(f"{file}: the file is empty.", file=str(file), hint=_ALONE)
    return secret
