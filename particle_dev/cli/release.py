"""``particle-dev release``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from particle_dev.cli.file_types import NAMED_FILE, force_option
from particle_dev.cli.options import json_option, open_store, store_option
from particle_dev.cli.output import print_json, print_table
from particle_dev.cli.records_option import site_folder, site_option
from particle_dev.cli.station_release import TRUSTED_FOLDER, trust_option, trusted_keys
from particle_dev.flash.file_io import require_new_file, write_file


@click.group()
def release() -> None:
    """Signed files with recipe and firmware for stations.

    A release holds limits and texts too, and needs no network.
    """


@release.command()
@click.argument("file", type=NAMED_FILE)
@json_option
def key(file: Path, as_json: bool) -> None:
    """Make a key for signing releases: FILE (private, mode 0600), and FILE.pem to give to stations."""
    from particle_dev.station.station_key import SigningKey  # noqa: PLC0415

    public = file.with_name(f"{file.name}.pem")
    require_new_file(file)
    require_new_file(public)
    made = SigningKey.make(file)
    write_file(public, made.public_pem().encode("ascii"))
    if as_json:
        print_json({"key": str(file), "public_key": str(public)})
    else:
        click.echo(f"{file}: keep it secret; {public}: for stations, --trust or SITE/{TRUSTED_FOLDER}/")


@release.command()
@click.option("--recipe", "recipe_path", required=True, type=click.Path(path_type=Path), help="Recipe (TOML).")
@click.option("--key", "key_path", required=True, type=click.Path(path_type=Path), help="Key of 'release key'.")
@click.option("--name", required=True, help="Of the product, or whatever is released.")
@click.option("--version", "release_version", required=True, help="Of this release.")
@click.option("--limits", multiple=True, type=click.Path(exists=True, path_type=Path), help="Self-test plan; repeated.")
@click.option("--texts", multiple=True, type=click.Path(exists=True, path_type=Path), help="File or folder; repeated.")
@click.option("--out", "out", required=True, type=NAMED_FILE, metavar="FILE", help="The release (zip).")
@force_option
@store_option
@json_option
def make(
    recipe_path: Path,
    key_path: Path,
    name: str,
    release_version: str,
    limits: tuple[Path, ...],
    texts: tuple[Path, ...],
    out: Path,
    force: bool,
    store_dir: Path | None,
    as_json: bool,
) -> None:
    """Put a recipe, all firmware that it needs from the store, limits and texts into one signed file."""
    from particle_dev.station.release import make_release, read_release  # noqa: PLC0415
    from particle_dev.station.station_key import SigningKey  # noqa: PLC0415

    require_new_file(out, replace=force)
    own = SigningKey.read(key_path)
    data = make_release(
        recipe_path,
        open_store(store_dir),
        own,
        name=name,
        version=release_version,
        made_at=datetime.now(UTC),
        limits=limits,
        texts=texts,
    )
    write_file(out, data, made_from=[recipe_path, key_path], replace=force)
    made = read_release(out, [own.public_key])
    if as_json:
        print_json(
            {
                "file": str(out),
                "name": name,
                "version": release_version,
                "sha256": made.sha256,
                "files": len(made.files),
            }
        )
    else:
        click.echo(f"{out}: {name} {release_version}, {len(made.files)} files, {len(data)} bytes")


@release.command()
@click.argument("file", type=NAMED_FILE)
@trust_option
@site_option
@json_option
def verify(file: Path, trust: tuple[Path, ...], site_dir: Path | None, as_json: bool) -> None:
    """Check every byte of a release, and that a trusted key signed it; list what it holds."""
    from particle_dev.station.release import read_release  # noqa: PLC0415

    found = read_release(file, trusted_keys(trust, site_folder(site_dir)))
    if as_json:
        print_json(
            {
                "name": found.name,
                "version": found.version,
                "made_at": found.made_at,
                "sha256": found.sha256,
                "signed_by": found.signed_by,
                "files": [{"name": name, "size_bytes": len(data)} for name, data in found.files.items()],
            }
        )
        return
    click.echo(f"{found.name} {found.version} of {found.made_at}, signed by {found.signed_by}")
    print_table(("File", "Bytes"), [(name, len(data)) for name, data in found.files.items()], empty="no files")


@release.command()
@click.argument("file", type=NAMED_FILE)
@click.option("--into", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="New folder.")
@trust_option
@site_option
@store_option
@json_option
def install(
    file: Path, folder: Path, trust: tuple[Path, ...], site_dir: Path | None, store_dir: Path | None, as_json: bool
) -> None:
    """Unpack a verified release: recipe, limits and texts into a new folder, firmware into the store.

    A station in production takes the file itself: particle-dev station run --production --release FILE.
    """
    from particle_dev.station.release import read_release, unpack  # noqa: PLC0415

    found = read_release(file, trusted_keys(trust, site_folder(site_dir)))
    recipe = unpack(found, folder, open_store(store_dir))
    if as_json:
        print_json({"name": found.name, "version": found.version, "recipe": str(recipe)})
    else:
        click.echo(f"{found.name} {found.version}: the recipe is {recipe}")
