"""What commands of `particle-dev cloud` share: which product, which device, and how sure one must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from particle_dev.cli.cloud_options import cloud_option
from particle_dev.cli.command_type import CommandT
from particle_dev.cli.options import json_option
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.devices import AccountDevices, Devices
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.errors import ConfigError
from particle_dev.protocol.secret import Secret


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


@contextmanager
def new_secret_file(file: Path) -> Iterator[Callable[[Secret[str]], None]]:
    """A new file for a secret that only its owner can read, made before the secret is asked for: tokens are told once.

    Gives what puts the secret into it; the file is removed when nothing was put. Raises ConfigError, also when the file
    is there.
    """
    import os  # noqa: PLC0415

    put_in = False

    def put(secret: Secret[str]) -> None:
        nonlocal put_in
        try:
            stream.write(secret.reveal() + "\n")
            stream.flush()
        except OSError as e:
            raise _unwritable(file, e) from e
        put_in = True

    try:
        stream = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
    except OSError as e:
        raise _unwritable(file, e) from e
    try:
        yield put
    finally:
        # What a full disk did not take would be tried again here.
        with suppress(OSError):
            stream.close()
        if not put_in:
            file.unlink(missing_ok=True)


def _unwritable(file: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{file} cannot be written: {error.strerror}", file=str(file), hint="name a file that is not there yet"
    )
