"""What commands of `particle-dev cloud` share: which product, which device, and how sure one must be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from particle_dev.cli.cloud_options import cloud_option
from particle_dev.cli.options import json_option
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.devices import AccountDevices, Devices
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.errors import ConfigError
from particle_dev.protocol.secret import Secret

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def cloud_command(command: CommandT) -> CommandT:
    """``--profile``, ``--token-file`` and ``--json``."""
    return cloud_option(json_option(command))


def product_option(*, required: bool) -> Callable[[CommandT], CommandT]:
    """``--product``."""
    told = "The product, by number or slug." if required else "A product, by number or slug; default: the account."
    return click.option("--product", "product_ref", required=required, metavar="ID|SLUG", help=told)


def organization_option(command: CommandT) -> CommandT:
    """``--org``."""
    return click.option("--org", "organization", metavar="ID|SLUG", help="An organization.")(command)


def yes_option(command: CommandT) -> CommandT:
    """``--yes``."""
    return click.option("--yes", is_flag=True, help="Do it; without this it is refused.")(command)


def may_bill_option(command: CommandT) -> CommandT:
    """``--may-bill``."""
    told = "Allow what counts against the plan or activates SIMs."
    return click.option("--may-bill", is_flag=True, help=told)(command)


def may_update_option(command: CommandT) -> CommandT:
    """``--may-update-devices``."""
    told = "Allow the cloud to flash devices over the air."
    return click.option("--may-update-devices", is_flag=True, help=told)(command)


def need_yes(yes: bool, what: str) -> None:
    """Refuse an act that can be undone, but not by accident. Raises UsageError without --yes."""
    if not yes:
        raise click.UsageError(f"This {what}. Say --yes to do it.")


def devices_of(api: CloudApi, product_ref: str | None) -> Devices:
    """Devices of the product, or of the account without one."""
    return AccountDevices(api) if product_ref is None else ProductDevices(api, product_ref)


def read_secret(file: Path) -> Secret[str]:
    """The secret in a file, ``-`` for standard input, without the end of its line. Raises ConfigError."""
    try:
        with click.open_file(str(file), encoding="utf-8") as stream:
            return Secret(stream.read().rstrip("\r\n"))
    except (OSError, UnicodeError) as e:
        reason = e.strerror if isinstance(e, OSError) else "it is no text"
        raise ConfigError(f"{file} cannot be read: {reason}", file=str(file), hint="give a readable file") from e


def write_secret(file: Path, secret: Secret[str]) -> None:
    """Put a secret into a new file that only its owner can read. Raises ConfigError, also when the file is there."""
    import os  # noqa: PLC0415

    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(secret.reveal() + "\n")
    except OSError as e:
        raise ConfigError(
            f"{file} cannot be written: {e.strerror}", file=str(file), hint="name a file that is not there yet"
        ) from e
