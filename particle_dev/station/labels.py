"""Labels of units: Data Matrix or QR code with text beside it, as SVG and for ZPL printers; and what is scanned back.

What is coded is what Particle's own labels hold: the serial number, a space and the mobile secret; or the Device ID, or
the serial number alone. The printer gets the code as a picture, so what was checked here is what is printed, whatever
its firmware makes of special characters. A mobile secret is in the picture only, never in text.

Source: particle-iot/docs, serial number labels (serial number, space, mobile secret); Zebra, ZPL II Programming Guide
(^GFA, ^FH, ^A0, ^PW, ^LL).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias
from xml.sax.saxutils import escape

from particle_dev.errors import ConfigError, FormatError
from particle_dev.protocol.identifiers import Identifier, IdentifierKind, identify, parse_label, visible
from particle_dev.protocol.secret import Secret

Grid: TypeAlias = tuple[tuple[bool, ...], ...]
"""Rows of modules; True is dark. Without the quiet zone."""

_MM_PER_INCH = 25.4
_TEXT_MM = 2.2
_CHARACTER_WIDTH = 0.6
"""Of a character's height, in the fonts that labels use."""


class Symbology(StrEnum):
    """The kind of code."""

    DATA_MATRIX = "datamatrix"
    QR = "qr"


_QUIET_MODULES = {Symbology.DATA_MATRIX: 1, Symbology.QR: 4}
"""The light border that the standards ask for (ISO/IEC 16022 and 18004)."""


@dataclass(frozen=True, slots=True)
class LabelContent:
    """What a label says: ``identifier`` (Device ID or serial number), with the mobile secret or without; ``lines``
    stand beside the code, for people."""

    identifier: Identifier
    mobile_secret: Secret[str] | None = None
    lines: tuple[str, ...] = ()

    def coded(self) -> Secret[str]:
        """What the code holds."""
        words = [self.identifier.value, *([self.mobile_secret.reveal()] if self.mobile_secret else [])]
        return Secret(" ".join(words))


@dataclass(frozen=True, slots=True)
class LabelLayout:
    """How a label looks. ``module_mm`` is the size of one dark square; 0.33 mm is what cheap scanners still read."""

    symbology: Symbology = Symbology.DATA_MATRIX
    module_mm: float = 0.4
    dpi: int = 203


@dataclass(frozen=True, slots=True)
class ScanResult:
    """Whether a scan is what the label should say; ``message`` tells, without any secret. ``scanned``: the name of a
    device that it says, None: it says none."""

    matches: bool
    message: str
    scanned: str | None = None


def encode(text: Secret[str], symbology: Symbology) -> Grid:
    """The modules of a code. ConfigError: the libraries are not installed, or the text is not plain ASCII."""
    plain = text.reveal()
    if not plain or not plain.isascii() or not plain.isprintable():
        raise ConfigError("a label holds plain characters only", hint="give what stands on the device's own label")
    try:
        if symbology is Symbology.QR:
            import segno  # noqa: PLC0415  an extra

            return _grid(segno.make_qr(plain, error="m", boost_error=False).matrix)
        from ppf.datamatrix import DataMatrix  # noqa: PLC0415  an extra

        return _grid(DataMatrix(plain, rect=False).matrix)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"labels need the library {error.name}", hint="install it: pip install 'particle-dev[labels]'"
        ) from error


def _grid(rows: Sequence[Sequence[object]]) -> Grid:
    return tuple(tuple(bool(module) for module in row) for row in rows)


def label_svg(content: LabelContent, layout: LabelLayout) -> str:
    """The label as an SVG drawing of its true size, with the quiet zone."""
    grid = encode(content.coded(), layout.symbology)
    module, quiet = layout.module_mm, _QUIET_MODULES[layout.symbology] * layout.module_mm
    code_mm = len(grid) * module + 2 * quiet
    lines = _texts(content)
    width = code_mm + (max(map(len, lines)) * _CHARACTER_WIDTH + 1) * _TEXT_MM
    height = max(code_mm, (len(lines) * 1.3 + 0.6) * _TEXT_MM)
    runs = "".join(
        f"M{quiet + x * module:.3f} {quiet + y * module:.3f}h{length * module:.3f}v{module:.3f}h{-length * module:.3f}z"
        for y, row in enumerate(grid)
        for x, length in _dark_runs(row)
    )
    texts = "".join(
        f'<text x="{code_mm + 0.3 * _TEXT_MM:.3f}" y="{(number + 1) * 1.3 * _TEXT_MM:.3f}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.3f}mm" height="{height:.3f}mm" '
        f'viewBox="0 0 {width:.3f} {height:.3f}"><rect width="100%" height="100%" fill="#fff"/>'
        f'<path d="{runs}" fill="#000" shape-rendering="crispEdges"/>'
        f'<g font-family="DejaVu Sans Mono, monospace" font-size="{_TEXT_MM}" fill="#000">{texts}</g></svg>\n'
    )


def _dark_runs(row: Sequence[bool]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for x, dark in enumerate(row):
        if dark and runs and sum(runs[-1]) == x:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        elif dark:
            runs.append((x, 1))
    return runs


def label_zpl(content: LabelContent, layout: LabelLayout) -> str:
    """The label for a ZPL printer of ``dpi``: the code as a graphic field, the lines beside it.

    ConfigError: a module would be less than two dots, which prints unreadably.
    """
    grid = encode(content.coded(), layout.symbology)
    dots = round(layout.module_mm * layout.dpi / _MM_PER_INCH)
    if dots < 2:
        raise ConfigError(
            f"a module of {layout.module_mm} mm is {dots} dots of a {layout.dpi} dpi printer",
            hint="give larger modules, or a printer of higher resolution",
        )
    quiet = _QUIET_MODULES[layout.symbology] * dots
    row_bytes = (len(grid) * dots + 7) // 8
    rows = "".join(_row_hex(row, dots, row_bytes) * dots for row in grid)
    size_bytes = row_bytes * len(grid) * dots
    code_dots = len(grid) * dots + 2 * quiet
    text_dots = round(_TEXT_MM * layout.dpi / _MM_PER_INCH)
    lines = _texts(content)
    width = code_dots + round((max(map(len, lines)) * _CHARACTER_WIDTH + 1) * text_dots)
    height = max(code_dots, round((len(lines) * 1.3 + 0.6) * text_dots))
    texts = "".join(
        f"^FO{code_dots + text_dots // 3},{round((n + 0.3) * 1.3 * text_dots)}^A0N,{text_dots},{text_dots}"
        f"^FH^FD{_zpl_text(line)}^FS\n"
        for n, line in enumerate(lines)
    )
    graphic = f"^FO{quiet},{quiet}^GFA,{size_bytes},{size_bytes},{row_bytes},{rows}^FS\n"
    return f"^XA\n^CI28\n^PW{width}\n^LL{height}\n{graphic}{texts}^XZ\n"


def _row_hex(row: Sequence[bool], dots: int, row_bytes: int) -> str:
    bits = "".join(("1" if dark else "0") * dots for dark in row).ljust(row_bytes * 8, "0")
    return f"{int(bits, 2):0{row_bytes * 2}X}"


def _zpl_text(text: str) -> str:
    """Everything that could be a command, or is not plain, as hex of its UTF-8."""
    return "".join(
        c
        if c.isascii() and c.isprintable() and c not in "^~_"
        else "".join(f"_{byte:02X}" for byte in c.encode("utf-8"))
        for c in text
    )


def _texts(content: LabelContent) -> tuple[str, ...]:
    return (content.identifier.value, *content.lines)


def compare_scan(content: LabelContent, scanned: str) -> ScanResult:
    """Hold what a scanner read against what the label should say. Space around it, and line ends, do not count."""
    text = visible(scanned).strip()
    if Secret(text) == content.coded():
        return ScanResult(True, f"the label says {content.identifier.value}", content.identifier.value)
    if not text:
        return ScanResult(False, "nothing was scanned")
    found = _read(text)
    if found is None:
        return ScanResult(False, f"this is another code, of {len(text)} characters")
    identifier, has_secret = found
    if identifier != content.identifier:
        message = f"the label says {identifier.value}, the unit is {content.identifier.value}"
        return ScanResult(False, message, identifier.value)
    name = identifier.value
    if content.mobile_secret is None:
        what = "and holds more than it should" if has_secret else "but spells it differently"
        return ScanResult(False, f"the label says {name}, {what}", name)
    what = "but its mobile secret differs" if has_secret else "but lacks the mobile secret"
    return ScanResult(False, f"the label says {name}, {what}", name)


def _read(text: str) -> tuple[Identifier, bool] | None:
    words = text.split()
    first = identify(words[0])
    if isinstance(first, Identifier) and first.kind is IdentifierKind.DEVICE_ID and len(words) == 1:
        return first, False
    try:
        label = parse_label(text)
    except FormatError:
        return None
    return label.identifier, label.mobile_secret is not None
