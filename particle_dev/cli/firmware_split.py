"""``particle-dev firmware split``."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import platform_by_id
from particle_dev.cli.escape import escaped
from particle_dev.cli.file_types import MODULE_FILE, NAMED_FILE, force_option
from particle_dev.cli.options import json_option
from particle_dev.errors import FirmwareStoreError
from particle_dev.flash.file_io import write_file
from particle_dev.flash.files import read_module_files
from particle_dev.protocol.module import Module, describe


@click.command("split")
@click.argument("source", metavar="FILE", type=MODULE_FILE)
@click.option("--out", "folder", required=True, type=NAMED_FILE, help="Folder for the modules; made if absent.")
@force_option
@json_option
def split_file(source: Path, folder: Path, force: bool, as_json: bool) -> None:
    """Write each module of FILE (- is standard input) to a file of its own.

    The files are named PLATFORM-FUNCTIONINDEX-VERSION.bin, such as boron-system-part1-2101.bin. The exit code is 3,
    and nothing is written, when a module is damaged or one of the files exists already.
    """
    modules, contents = read_module_files([source])
    targets: dict[Path, bytes] = {}
    seen: Counter[str] = Counter()
    for file in modules:
        stem = _stem(file.module)
        seen[stem] += 1
        suffix = f"-{seen[stem]}" if seen[stem] > 1 else ""
        targets[folder / f"{stem}{suffix}.bin"] = contents[file.sha256]
    _make_room(folder, [] if force else list(targets))
    for target, data in targets.items():
        write_file(target, data, made_from=[source], replace=force)
    if as_json:
        click.echo(json.dumps({"modules": [describe(data, file=str(target)) for target, data in targets.items()]}))
        return
    for target, data in targets.items():
        click.echo(f"{escaped(str(target))}: {len(data)} bytes")


def _stem(module: Module) -> str:
    platform = platform_by_id(module.platform_id)
    name = "any" if platform is None or module.function == ModuleFunction.ASSET else platform.name
    return f"{name}-{module.function.label.replace(' ', '-')}{module.index}-{module.version}"


def _make_room(folder: Path, unwanted: list[Path]) -> None:
    """The folder must be there, the files must not."""
    for path in unwanted:
        if path.exists():
            hint = "give another folder, or --force to replace files"
            raise FirmwareStoreError(f"{path} exists already", path=str(path), hint=hint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FirmwareStoreError(
            f"{folder} cannot be made: {error.strerror}", path=str(folder), hint="give a folder of yours with --out"
        ) from error
