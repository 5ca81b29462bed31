"""Lines of an order file as words: which character parts columns, what a heading calls them, what a column holds."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from particle_dev.protocol.identifiers import IdentifierKind, identify

_DELIMITERS = ",;\t|"
_SAMPLE = 200
"""Lines that decide about the delimiter."""


class OtherColumn(StrEnum):
    """Columns that hold no identifier, but are known."""

    SKU = "sku"
    SECRET = "secret"  # noqa: S105  the name of a column
    """Mobile secrets: never kept."""


Column: TypeAlias = IdentifierKind | OtherColumn
_HEADINGS: Mapping[str, Column] = {
    **dict.fromkeys(
        ("deviceid", "deviceids", "id", "device", "devices", "coreid", "particleid"), IdentifierKind.DEVICE_ID
    ),
    **dict.fromkeys(("serialnumber", "serialnumbers", "serial", "serialno", "sn"), IdentifierKind.SERIAL_NUMBER),
    **dict.fromkeys(("imei", "imeis"), IdentifierKind.IMEI),
    **dict.fromkeys(("iccid", "iccids", "ccid", "sim", "simiccid", "simcard", "simid"), IdentifierKind.ICCID),
    **dict.fromkeys(("sku", "partnumber", "part", "product", "model", "item"), OtherColumn.SKU),
    **dict.fromkeys(("mobilesecret", "secret", "setupcode", "devicesecret"), OtherColumn.SECRET),
}


@dataclass(frozen=True, slots=True)
class Table:
    """How the lines of a file are divided. ``delimiter`` is None where white space parts words; ``columns`` holds what
    the heading says of each column, None for a column of other things, and is empty without a heading."""

    delimiter: str | None
    columns: tuple[Column | None, ...] = ()
    heading: tuple[str, ...] = ()

    def cells(self, line: str) -> Sequence[str] | None:
        """The cells of a line without the space around them; None when its quotation marks do not pair up."""
        if self.delimiter is None:
            return line.split()
        if '"' not in line:
            return [cell.strip() for cell in line.split(self.delimiter)]
        if line.count('"') % 2:
            return None
        row = next(csv.reader([line], delimiter=self.delimiter, skipinitialspace=True), [])
        return [cell.strip() for cell in row]

    def is_heading(self, cells: Sequence[str]) -> bool:
        """Whether these cells are the heading, which files that were joined repeat."""
        return bool(self.heading) and tuple(cells) == self.heading


def find_table(lines: Sequence[str]) -> Table:
    """The division of a file, from its first lines that hold anything."""
    sample = [line for line in lines[: 2 * _SAMPLE] if line.strip()][:_SAMPLE]
    table = Table(_delimiter(sample))
    for line in sample:
        cells = table.cells(line)
        columns = _columns(cells or (), together=table.delimiter is None)
        if columns:
            return Table(table.delimiter, columns, tuple(cells or ()))
        if cells and any(identify(cell) is not None for cell in cells):
            break
    return table


def _delimiter(lines: Sequence[str]) -> str | None:
    """The character that is in at least half of the lines: the one that parts most cells."""
    counts = {d: sum(d in line for line in lines) for d in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda d: counts[d])
    return best if counts[best] and 2 * counts[best] >= len(lines) else None


def _columns(cells: Sequence[str], *, together: bool) -> tuple[Column | None, ...]:
    """What these cells as a heading say; empty when they are none. ``together``: the words are the name of one column,
    since white space does not tell where another begins."""
    names = [re.sub(r"[^a-z]", "", cell.lower()) for cell in cells]
    columns = (_HEADINGS.get("".join(names)),) if together else tuple(map(_HEADINGS.get, names))
    if not any(isinstance(column, IdentifierKind) for column in columns):
        return ()
    return columns if all(identify(cell) is None for cell in cells) else ()
