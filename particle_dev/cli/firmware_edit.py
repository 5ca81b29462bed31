"""``particle-dev firmware compress|expand|set-product``: make another module file of one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from particle_dev.cli.options import json_option
from particle_dev.cloud.product_firmware import check_product_version
from particle_dev.flash.bundle_files import write_file
from particle_dev.flash.files import read_module_files
from particle_dev.protocol.compressed import compress, expand
from particle_dev.protocol.module import Product, describe, parse
from particle_dev.protocol.module_edit import set_product

_PATH = click.Path(path_type=Path)
_EXISTING = re.compile(r"(\d{1,5})(?::([0-9a-fA-F]{64}))?", re.ASCII)


class _ExistingVersion(click.ParamType["tuple[int, str | None]"]):
    name = "VERSION[:SHA256]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, str | None]:
        match = _EXISTING.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is not VERSION or VERSION:SHA256 (64 hex digits).", param, ctx)
        return int(match[1]), match[2]


@click.command("compress")
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("target", metavar="OUT", type=_PATH)
@json_option
def compress_file(source: Path, target: Path, as_json: bool) -> None:
    """Compress a module, for updates over the air or USB. DFU needs the plain file."""
    data = _read(source)
    _write(source, target, compress(data), len(data), as_json)


@click.command("expand")
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("target", metavar="OUT", type=_PATH)
@json_option
def expand_file(source: Path, target: Path, as_json: bool) -> None:
    """Expand a compressed module as a device does, and check the result."""
    data = _read(source)
    _write(source, target, expand(data), len(data), as_json)


@click.command("set-product")
@click.argument("product_id", metavar="ID", type=click.IntRange(0, 0xFFFF))
@click.argument("version", metavar="VERSION", type=click.IntRange(1, 0xFFFF))
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("target", metavar="OUT", type=_PATH)
@click.option(
    "--existing",
    type=_ExistingVersion(),
    multiple=True,
    help="A version that the product has, with the SHA-256 of its suffix if known. May be repeated.",
)
@json_option
def set_product_file(
    product_id: int,
    version: int,
    source: Path,
    target: Path,
    existing: tuple[tuple[int, str | None], ...],
    as_json: bool,
) -> None:
    """Give an application another product id and version.

    Refused (exit code 3) when --existing names a version that is as high or higher, unless it is this same firmware.
    """
    data = _read(source)
    changed = set_product(data, Product(product_id, version))
    check_product_version(parse(changed), existing)
    _write(source, target, changed, len(data), as_json)


def _read(path: Path) -> bytes:
    """The bytes of an intact module. Raises ModuleFormatError with file and offset."""
    _modules, contents = read_module_files([path])
    (data,) = contents.values()
    return data


def _write(source: Path, target: Path, data: bytes, size_before: int, as_json: bool) -> None:
    write_file(target, data, made_from=[source])
    if as_json:
        click.echo(json.dumps(describe(data, file=str(target))))
    else:
        click.echo(f"{click.format_filename(target)}: {len(data)} bytes, before {size_before}")
