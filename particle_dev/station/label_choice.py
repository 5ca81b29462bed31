"""What a recipe says of labels: table [label]. TOML::

[label]                     # optional; without it no label is made
holds = "device_id"         # or "serial_number", or "serial_number_and_mobile_secret", which needs [cloud]
symbol = "datamatrix"       # or "qr"
scan_back = true            # a unit passes when its label was scanned and says what it should
module_mm = 0.4             # size of one dark square
dpi = 203                   # of the ZPL printer
lines = ["Model X"]         # texts beside the code, below the name of the unit
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from particle_dev.station.labels import LabelLayout, Symbology
from particle_dev.toml_file import TomlTable, suggestion

MODULE_MM = (0.1, 5.0)
DPI = (100, 1200)


class LabelHolds(StrEnum):
    """What the code of a label says."""

    DEVICE_ID = "device_id"
    SERIAL_NUMBER = "serial_number"
    SERIAL_NUMBER_AND_SECRET = "serial_number_and_mobile_secret"  # noqa: S105 - a word of recipes, no password


@dataclass(frozen=True, slots=True)
class LabelChoice:
    """The labels of a recipe's units. ``scan_back``: a unit passes only when its label was scanned and is right."""

    holds: LabelHolds = LabelHolds.DEVICE_ID
    layout: LabelLayout = field(default_factory=LabelLayout)
    scan_back: bool = False
    lines: tuple[str, ...] = ()


def read_label(root: TomlTable) -> LabelChoice | None:
    """The table [label] of a recipe; None: there is none. Raises ConfigError with its line."""
    if "label" not in root.values:
        return None
    table = root.table("label")
    table.allow_only(["holds", "symbol", "scan_back", "module_mm", "dpi", "lines"])
    holds = LabelHolds(_word(table, "holds", [str(holds) for holds in LabelHolds]))
    if holds is LabelHolds.SERIAL_NUMBER_AND_SECRET and "cloud" not in root.values:
        hint = "add [cloud]; or leave the secret to the label that Particle has put on the device"
        raise table.error("holds", "the mobile secret of a unit is known from its record in the cloud", hint=hint)
    scan_back = table.values.get("scan_back", False)
    if not isinstance(scan_back, bool):
        raise table.error("scan_back", f"label.scan_back is {scan_back!r}", hint="true or false")
    lines = table.values.get("lines", [])
    if not isinstance(lines, list) or not all(isinstance(line, str) and line.isprintable() for line in lines):
        raise table.error("lines", "label.lines must be a list of texts of one line each", hint='such as ["Model X"]')
    symbology = Symbology(_word(table, "symbol", [str(symbol) for symbol in Symbology]))
    layout = LabelLayout(symbology, _number(table, "module_mm", 0.4, MODULE_MM), int(_number(table, "dpi", 203, DPI)))
    return LabelChoice(holds, layout, scan_back, tuple(lines))


def _word(table: TomlTable, key: str, words: list[str]) -> str:
    word = table.text(key, words[0])
    if word not in words:
        raise table.error(key, f"label.{key} {word!r} is not known", hint=suggestion(word, words))
    return word


def _number(table: TomlTable, key: str, default: float, limits: tuple[float, float]) -> float:
    value = table.values.get(key, default)
    kinds = (int,) if isinstance(default, int) else (int, float)
    if type(value) not in kinds or not limits[0] <= value <= limits[1]:
        hint = f"a number from {limits[0]} to {limits[1]}, such as {default}"
        raise table.error(key, f"label.{key} is {value!r}", hint=hint)
    return float(value)
