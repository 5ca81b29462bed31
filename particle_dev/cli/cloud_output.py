"""How records of the cloud are printed: JSON from the same values as the tables, secrets in neither."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

import click
import msgspec

from particle_dev.cli.escape import escaped
from particle_dev.protocol.secret import HIDDEN, Secret


def plain(value: Any) -> Any:
    """``value`` as JSON has it: records become objects, times ISO-8601, secrets ``***``."""
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in (sorted(value) if isinstance(value, set | frozenset) else value)]
    return value


def print_json(value: Any) -> None:
    """One line of JSON."""
    click.echo(json.dumps(plain(value)))


def print_done(what: str, as_json: bool) -> None:
    """Say that an act is done."""
    print_json({"ok": True, "done": what}) if as_json else click.echo(what)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Columns as wide as their content; ``empty`` on standard error when there are no rows."""
    texts = [[cell_text(cell) for cell in row] for row in rows]
    if not texts:
        click.echo(empty, err=True)
        return
    widths = [max(len(line[n]) for line in [list(columns), *texts]) for n in range(len(columns))]
    for line in [list(columns), *texts]:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def print_fields(value: Any) -> None:
    """A record, a line for each field that the cloud told."""
    told = {k: v for k, v in plain(value).items() if v is not None and v != []}
    width = max(map(len, told), default=0)
    for name, field in told.items():
        click.echo(f"{name.ljust(width)}  {cell_text(field)}")


def cell_text(value: object) -> str:
    """A value in a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, list | tuple):
        return ", ".join(cell_text(v) for v in value) or "-"
    if isinstance(value, Mapping):
        return escaped(json.dumps(value))
    return escaped(str(value))
