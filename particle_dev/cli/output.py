"""How values are printed: JSON from the same values as the tables, secrets in neither."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

import click
import msgspec

from particle_dev.cli.escape import escaped
from particle_dev.cli.wrap import width_of, wrapped
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


def print_text(text: str, indent: int = 4) -> None:
    """A line, in as many as a terminal needs; control characters made visible."""
    click.echo(wrapped(escaped(text), sys.stdout, indent))


def count(number: int, noun: str) -> str:
    """``1 device``, ``2 devices``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_done(what: str, as_json: bool) -> None:
    """Say that an act is done."""
    print_json({"ok": True, "done": what}) if as_json else print_text(what)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Columns as wide as their content; ``empty`` on standard error when there are no rows.

    On a terminal that is too narrow, columns go on in a second line of each row, indented.
    """
    texts = [[cell_text(cell) for cell in row] for row in rows]
    if not texts:
        click.echo(empty, err=True)
        return
    widths = [max(len(line[n]) for line in [list(columns), *texts]) for n in range(len(columns))]
    folds = _folds(widths, width_of(sys.stdout))
    for line in [list(columns), *texts]:
        for first, last in folds:
            cells = zip(line[first:last], widths[first:last], strict=True)
            part = "  ".join(text.ljust(width) for text, width in cells).rstrip()
            print_text(_FOLD * bool(first) + part, len(_FOLD) + 2)


_FOLD = "    "


def _folds(widths: Sequence[int], columns: int | None) -> list[tuple[int, int]]:
    """Which cells of a row go into which line: first one, and the one behind the last."""
    if columns is None:
        return [(0, len(widths))]
    folds, first, used = [], 0, 0
    for n, width in enumerate(widths):
        if n > first and used + 2 + width >= columns:
            folds.append((first, n))
            first, used = n, len(_FOLD) + width
        else:
            used += width + 2 * (n > first)
    return [*folds, (first, len(widths))]


def print_fields(value: Any) -> None:
    """A record, a line for each field that the cloud told; a field of a field as ``outer.inner``."""
    told = dict(_fields(plain(value), ""))
    width = max(map(len, told), default=0)
    for name, field in told.items():
        print_text(f"{name.ljust(width)}  {field}", width + 2)


def _fields(told: Mapping[str, Any], outer: str) -> Iterator[tuple[str, str]]:
    for name, value in told.items():
        if isinstance(value, Mapping):
            yield from _fields(value, f"{outer}{name}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value, 1):
                yield from _fields(item if isinstance(item, Mapping) else {"": item}, f"{outer}{name}.{number}.")
        elif value is not None and value != []:
            yield f"{outer}{name}", cell_text(value)


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
