"""``particle-dev firmware diff``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from particle_dev.cli.options import json_option
from particle_dev.flash.firmware_sources import read_file
from particle_dev.protocol.module_diff import FieldDifference, RangeDifference, diff_modules

_MAX_RANGES = 40
_ADDRESS_FIELDS = ("start_address", "end_address", "prefix_offset", "crc32.stored", "crc32.computed")


@click.command()
@click.argument("a", metavar="A", type=click.Path(path_type=Path))
@click.argument("b", metavar="B", type=click.Path(path_type=Path))
@json_option
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Show what differs between two modules: fields, and ranges of bytes with their addresses.

    The exit code is 0 whether they differ or not, 3 when one is no firmware module.
    """
    difference = diff_modules(read_file(a), read_file(b))
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
    click.echo(f"{sum(r.size_bytes for r in difference.ranges)} bytes in {len(difference.ranges)} ranges differ")
    for found in difference.ranges[:_MAX_RANGES]:
        click.echo(_range_line(found))
    if len(difference.ranges) > _MAX_RANGES:
        click.echo(f"  and {len(difference.ranges) - _MAX_RANGES} more (see --json)")


def _field_line(field: FieldDifference) -> str:
    a, b = (_value_text(field.name, value) for value in (field.a, field.b))
    return f"{field.name}:\n  A  {a}\n  B  {b}"


def _value_text(name: str, value: object) -> str:
    if name in _ADDRESS_FIELDS and isinstance(value, int):
        return f"0x{value:08X}"
    return "none" if value is None else str(value)


def _range_line(found: RangeDifference) -> str:
    address = "" if found.address is None else f", address 0x{found.address:08X}"
    only = f", only in {found.only_in}" if found.only_in else ""
    return f"  0x{found.offset:06X} to 0x{found.offset + found.size_bytes - 1:06X}{address}: {found.region}{only}"
