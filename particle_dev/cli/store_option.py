"""``--store``, for commands that need nothing else of a bench."""

from __future__ import annotations

from pathlib import Path

import click
import platformdirs

from particle_dev.cli.command_type import CommandT
from particle_dev.flash.store import FirmwareStore


def store_option(command: CommandT) -> CommandT:
    """``--store``, or the environment's PARTICLE_DEV_STORE."""
    return click.option(
        "--store",
        "store_dir",
        envvar="PARTICLE_DEV_STORE",
        type=click.Path(path_type=Path, readable=False),
        help="Folder of the firmware store [env: PARTICLE_DEV_STORE].",
    )(command)


def open_store(store_dir: Path | None) -> FirmwareStore:
    """The firmware store at ``store_dir``, or the user's own."""
    root = store_dir or platformdirs.user_data_path("particle-dev") / "firmware"
    return FirmwareStore(root, is_default=store_dir is None)
