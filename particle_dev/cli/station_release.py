"""What a station works by: a recipe of its own, or a signed release."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import click

from particle_dev.cli.command_type import CommandT
from particle_dev.errors import FirmwareStoreError, ReleaseError
from particle_dev.flash.store import FirmwareStore
from particle_dev.station.recipe import Recipe, ReleaseMark, load_recipe

TRUSTED_FOLDER = "trusted-releases"
_UNPACKED, _FILES = "release", "files"
"""Within the folder of a run."""


def trust_option(command: CommandT) -> CommandT:
    """``--trust``."""
    return click.option(
        "--trust",
        "trust",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Public key that may sign it; repeated.",
    )(command)


def trusted_keys(trust: tuple[Path, ...], site: Path) -> list[str]:
    """Public keys (hex) that may sign releases here. JournalError: a file is no public key."""
    from particle_dev.station.station_key import read_public_key  # noqa: PLC0415  cryptography is slow to import

    return [read_public_key(path) for path in (*trust, *sorted((site / TRUSTED_FOLDER).glob("*.pem")))]


def refuse_recipe(production: bool, recipe_path: Path) -> None:
    """ReleaseError: a station in production works by signed releases alone."""
    if production:
        raise ReleaseError(
            f"{recipe_path} is refused: in production a station works by signed releases, not by recipes",
            path=str(recipe_path),
            code="unsigned",
            hint="give --release FILE, made by 'particle-dev release make'",
        )


def release_texts(folder: Path) -> Path:
    """Where the texts for operators are of the release that a run in this folder works by; it need not be there."""
    return folder / _UNPACKED / _FILES / "texts"


def from_release(path: Path, trusted: list[str], production: bool, folder: Path) -> tuple[Recipe, FirmwareStore]:
    """Recipe and firmware of a release, unpacked in the folder of the run, each time anew.

    ReleaseError: it is altered or, in production, not signed by a trusted key. FirmwareStoreError, ConfigError.
    """
    from particle_dev.station.release import read_release, unpack  # noqa: PLC0415  zip and signatures only here

    found = read_release(path, trusted, allow_unsigned=not production)
    if found.signed_by is None:
        click.echo(f"{path} is not signed by a trusted key: production would refuse it", err=True)
    unpacked = folder / _UNPACKED
    try:
        if unpacked.is_dir():
            shutil.rmtree(unpacked)
    except OSError as error:
        raise FirmwareStoreError(
            f"cannot replace {unpacked}: {error.strerror}", path=str(unpacked), hint="give another --out"
        ) from error
    store = FirmwareStore(unpacked / "store")
    recipe = load_recipe(unpack(found, unpacked / _FILES, store))
    mark = ReleaseMark(found.name, found.version, found.sha256, found.signed_by)
    return dataclasses.replace(recipe, release=mark), store
