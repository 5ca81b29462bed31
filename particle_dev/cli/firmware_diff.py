"""``particle-dev firmware diff``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.file_types import MODULE_FILE
from particle_dev.cli.options import json_option
from particle_dev.flash.files import about_file, read_module_bytes
from particle_dev.protocol.module import parse
from particle_dev.protocol.module_diff import FieldDifference, RangeDifference, diff_modules

_MAX_RANGES = 40
_WIDTH = 80
_ADDRESS_FIELDS = ("start_address", "end_address", "prefix_offset", "crc32.stored", "crc32.computed")


@click.command()
@click.argument("a", metavar="A", type=MODULE_FILE)
@click.argument("b", metavar="B", type=MODULE_FILE)
@json_option
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Show what differs between two modules: fields, and ranges of bytes with their addresses.

    Damaged modules can be compared too; - is standard input. The exit code is 0 whether they differ or not, 3 when one
    is no firmware module.
    """
    if a == b == Path("-"):
        raise click.UsageError("Standard input (-) can be one of the two files.")
    contents = [read_module_bytes(path) for path in (a, b)]
    for path, data in zip((a, b), contents, strict=True):
        with about_file(str(path)):
            parse(data, check_sha256=False)
    difference = diff_modules(*contents)
    if as_json:
        document = {
            "identical": difference.identical,
            "fields": [field._asdict() for field in difference.fields],
            "ranges": [found._asdict() for found in difference.ranges],
        }
        click.echo(json.dumps(document))
        return
    if difference.identical:
        click.echo("The files are equal.")
        return
    for field in difference.fields:
        click.echo(_field_line(field))
    size_bytes = sum(r.size_bytes for r in difference.ranges)
    verb = "differs" if size_bytes == 1 else "differ"
    click.echo(f"{_count(size_bytes, 'byte')} in {_count(len(difference.ranges), 'range')} {verb}")
    for found in difference.ranges[:_MAX_RANGES]:
        click.echo(_range_line(found))
    if len(difference.ranges) > _MAX_RANGES:
        click.echo(f"  and {len(difference.ranges) - _MAX_RANGES} more (see --json)")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _field_line(field: FieldDifference) -> str:
    a, b = (_value_text(field.name, value) for value in (field.a, field.b))
    line = f"{field.name}: {a} -> {b}"
    return line if len(line) <= _WIDTH else f"{field.name}:\n  A  {a}\n  B  {b}"


def _value_text(name: str, value: Any) -> str:
    if name in _ADDRESS_FIELDS and isinstance(value, int):
        return f"0x{value:08X}"
    if isinstance(value, list):
        return ", ".join(_item_text(name, item) for item in value) or "none"
    if name == "product" and value:
        return f"{value['id']} version {value['version']}"
    if isinstance(value, bool):
        return "ok" if value else "WRONG"
    return "none" if value is None else str(value)


def _item_text(name: str, item: Any) -> str:
    if name == "dependencies":
        return f"{ModuleFunction(item['function']).label} {item['index']} >= {item['version']}"
    if name == "extensions":
        label = item["name"] or f"type 0x{item['type']:04X}"
        return f"{label} at 0x{item['offset']:X} with {item['length']} bytes ({item['payload'][:16]}...)"
    return str(item)


def _range_line(found: RangeDifference) -> str:
    address = "" if found.address is None else f", address 0x{found.address:08X}"
    only = f", only in {found.only_in}" if found.only_in else ""
    return f"  0x{found.offset:06X} to 0x{found.offset + found.size_bytes - 1:06X}{address}: {found.region}{only}"
