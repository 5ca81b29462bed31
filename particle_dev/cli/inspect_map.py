"""A module's byte map in the terminal and as an SVG file."""

from __future__ import annotations

from pathlib import Path

import click

from particle_dev.cli.inspect_files import Inspected
from particle_dev.flash.file_io import write_file
from particle_dev.protocol.byte_map import Region, RegionKind, byte_map
from particle_dev.protocol.module import parse
from particle_dev.station.byte_map_svg import address_text, byte_map_svg

_COLUMNS = 64
_MAX_ROWS = 16
# Letters say the same as colours: for pipes, and for people who see no colours.
_STYLES = {
    RegionKind.HEAD: ("V", "white"),
    RegionKind.PREFIX: ("P", "bright_blue"),
    RegionKind.EXTENSION: ("T", "yellow"),
    RegionKind.BODY: ("#", None),
    RegionKind.PRODUCT: ("N", "bright_yellow"),
    RegionKind.SUFFIX: ("S", "green"),
    RegionKind.CRC: ("C", "magenta"),
    RegionKind.TRAILING: ("!", "red"),
}


def render_map(item: Inspected) -> str:
    """A grid in which each cell is a stretch of the file, and the list of its regions.

    Each region has a cell at least. Body cells: ``#`` data, ``-`` all 0xFF, ``0`` all zero.
    """
    data = item.data or b""
    regions = byte_map(parse(data), data)
    base = item.description["module_offset"]
    cell_size = max(1, -(-len(data) // (_COLUMNS * _MAX_ROWS)))
    cells = [
        (start, _cell(region, data[start : min(start + cell_size, end)]))
        for region in regions
        for end in (region.offset + region.size_bytes,)
        for start in range(region.offset, end, cell_size)
    ]
    rows = [cells[i : i + _COLUMNS] for i in range(0, len(cells), _COLUMNS)]
    grid = [f"  0x{base + row[0][0]:06X}  {''.join(cell for _, cell in row)}" for row in rows]
    size = f"{cell_size} bytes, or what is left of a region" if cell_size > 1 else "1 byte"
    legend = [f"  one cell is {size}; - is erased (FF), 0 is zero"]
    for region in regions:
        letter, colour = _STYLES[region.kind]
        mark = click.style(letter, bg=colour, fg="black" if colour else None)
        where = f"0x{base + region.offset:06X}  {address_text(region):>10}"
        label = f"{region.label:<28} {where}  {region.size_bytes:>8} bytes"
        legend.append(f"  {mark} {label}")
    return "\n".join([*grid, *legend])


def write_svg(item: Inspected, path: Path, *, replace: bool) -> None:
    """Write the map as SVG. Raises ModuleFormatError for a file that is no module, FirmwareStoreError."""
    data = item.data or b""
    title = Path(item.description["file"]).name
    svg = byte_map_svg(parse(data), data, title=title).encode()
    write_file(path, svg, made_from=[Path(item.description["file"])], replace=replace)


def _cell(region: Region, piece: bytes) -> str:
    letter, colour = _STYLES[region.kind]
    if region.kind is RegionKind.BODY:
        return "-" if not piece.strip(b"\xff") else "0" if not piece.strip(b"\0") else letter
    return click.style(letter, bg=colour, fg="black")
