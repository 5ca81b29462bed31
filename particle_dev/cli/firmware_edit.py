"""``particle-dev firmware compress|expand|set-product``: make another module file of one."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import click

from particle_dev.cli.file_types import MODULE_FILE, NAMED_FILE, force_option
from particle_dev.cli.options import json_option
from particle_dev.cloud.product_firmware import MAX_PRODUCT_VERSION, check_product_version
from particle_dev.flash.file_io import write_file
from particle_dev.flash.files import about_file, read_module_file
from particle_dev.protocol.compressed import compress, expand
from particle_dev.protocol.module import Product, describe, parse
from particle_dev.protocol.module_edit import set_product

_EXISTING = re.compile(r"(\d{1,9})(?::([0-9a-fA-F]{64}))?", re.ASCII)
_NO_PRODUCT = Product(0xFFFF, 0xFFFF)


class _Number(click.IntRange):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value).lstrip("-").isdecimal():
            self.fail(f"{value!r} is no number from {self.min} to {self.max}.", param, ctx)
        return super().convert(value, param, ctx)


class _ExistingVersion(click.ParamType["tuple[int, str | None]"]):
    name = "PRODUCT_VERSION[:SHA256]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, str | None]:
        match = _EXISTING.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is not PRODUCT_VERSION or PRODUCT_VERSION:SHA256 (64 hex digits).", param, ctx)
        if not 1 <= int(match[1]) <= MAX_PRODUCT_VERSION:
            self.fail(f"{match[1]} is no product version: they go from 1 to {MAX_PRODUCT_VERSION}.", param, ctx)
        return int(match[1]), match[2]


@click.command("compress")
@click.argument("source", metavar="IN", type=MODULE_FILE)
@click.argument("target", metavar="OUT", type=NAMED_FILE)
@force_option
@json_option
def compress_file(source: Path, target: Path, force: bool, as_json: bool) -> None:
    """Compress a module, for updates over the air or USB. DFU needs the plain file. IN may be - (standard input)."""
    data = read_module_file(source)
    with about_file(str(source)):
        changed = compress(data)
    _write(source, target, changed, len(data), force, as_json)


@click.command("expand")
@click.argument("source", metavar="IN", type=MODULE_FILE)
@click.argument("target", metavar="OUT", type=NAMED_FILE)
@force_option
@json_option
def expand_file(source: Path, target: Path, force: bool, as_json: bool) -> None:
    """Expand a compressed module as a device does, and check the result. IN may be - (standard input)."""
    data = read_module_file(source)
    with about_file(str(source)):
        changed = expand(data)
    _write(source, target, changed, len(data), force, as_json)


@click.command("set-product")
@click.argument("product_id", metavar="PRODUCT_ID", type=_Number(0, 0xFFFF))
@click.argument("product_version", metavar="PRODUCT_VERSION", type=_Number(1, MAX_PRODUCT_VERSION))
@click.argument("source", metavar="IN", type=MODULE_FILE)
@click.argument("target", metavar="OUT", type=NAMED_FILE)
@click.option(
    "--existing",
    type=_ExistingVersion(),
    multiple=True,
    help="A version that the product has, with the SHA-256 of its file or suffix if known. May be repeated.",
)
@force_option
@json_option
def set_product_file(
    product_id: int,
    product_version: int,
    source: Path,
    target: Path,
    existing: tuple[tuple[int, str | None], ...],
    force: bool,
    as_json: bool,
) -> None:
    """Give an application another product id and version. IN may be - (standard input).

    The exit code is 5, and nothing is written, when --existing names a version that is as high or higher, unless it is
    this same firmware; 3 when IN is no application or damaged.
    """
    product = Product(product_id, product_version)
    if product == _NO_PRODUCT:
        raise click.UsageError(
            f"Product id {product.id} with version {product.version} is how firmware says that it belongs to no "
            "product: choose a lower PRODUCT_VERSION."
        )
    data = read_module_file(source)
    with about_file(str(source)):
        changed = set_product(data, product)
    # Consoles and people hash files, devices and cloud name the suffix: either tells that it is this firmware.
    of_file, module = hashlib.sha256(changed).hexdigest(), parse(changed)
    of_suffix = module.sha256.stored.hex() if module.sha256 else None
    known = [(v, of_suffix if digest and digest.lower() == of_file else digest) for v, digest in existing]
    check_product_version(module, known)
    write_file(target, changed, made_from=[source], replace=force)
    before = parse(data).product
    if as_json:
        click.echo(
            json.dumps(describe(changed, file=str(target)) | {"product_before": before._asdict() if before else None})
        )
    else:
        old = f"{before.id} version {before.version}" if before else "none"
        click.echo(
            f"{click.format_filename(target)}: product {old} -> {product.id} version {product.version}, "
            "SHA-256 and CRC-32 made anew"
        )


def _write(source: Path, target: Path, data: bytes, size_before: int, force: bool, as_json: bool) -> None:
    write_file(target, data, made_from=[source], replace=force)
    if as_json:
        click.echo(json.dumps(describe(data, file=str(target)) | {"size_bytes_before": size_before}))
    else:
        click.echo(f"{click.format_filename(target)}: {len(data)} bytes, before {size_before}")
