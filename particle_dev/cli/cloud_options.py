"""Options of the commands that talk to the cloud, and how they open it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.profiles import load_profile
from particle_dev.cloud.session import open_cloud
from particle_dev.errors import ConfigError
from particle_dev.protocol.secret import Secret

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def cloud_option(command: CommandT) -> CommandT:
    """``--profile`` and ``--token-file``."""
    token = click.option(
        "--token-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File with an access token, instead of the profile's.",
    )
    profile = click.option("--profile", metavar="NAME", help="Profile of particle-cli; default: the one it uses now.")
    return profile(token(command))


@contextmanager
def opened_cloud(profile: str | None, token_file: Path | None) -> Iterator[CloudApi]:
    """The cloud that the options name. Raises ConfigError, CloudAuthError."""
    # Tests bring theirs as the context's object.
    given = click.get_current_context().find_object(CloudApi)
    if given is not None:
        yield given
        return
    api = open_cloud(load_profile(profile), token=read_secret(token_file) if token_file else None)
    try:
        yield api
    finally:
        api.link.close()


def read_secret(file: Path) -> Secret[str]:
    """The secret in a file, ``-`` for standard input, without the end of its line. Raises ConfigError."""
    try:
        with click.open_file(str(file), encoding="utf-8") as stream:
            return Secret(stream.read().strip("\r\n"))
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        hint = "give a file that holds the secret alone"
        raise ConfigError(f"{file}: cannot be read: {reason}", file=str(file), hint=hint) from error
