"""The picture of a module's byte map, for the report and for ``inspect --svg``."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

from particle_dev.protocol.byte_map import Region, RegionKind, byte_map
from particle_dev.protocol.module import Module

# Colours that people with colour blindness can tell apart (Okabe and Ito), light enough for black text.
_COLOURS = {
    RegionKind.HEAD: "#999999",
    RegionKind.PREFIX: "#56b4e9",
    RegionKind.EXTENSION: "#e69f00",
    RegionKind.BODY: "#dddddd",
    RegionKind.PRODUCT: "#f0e442",
    RegionKind.SUFFIX: "#009e73",
    RegionKind.CRC: "#cc79a7",
    RegionKind.TRAILING: "#d55e00",
}


class Picture(NamedTuple):
    """SVG elements and the size that they need."""

    width: int
    height: int
    body: str


def byte_map_svg(module: Module, data: bytes | memoryview, *, title: str) -> str:
    """The byte map as an SVG file. ``title`` is escaped."""
    width, height, body = draw_byte_map(module, data, title=title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="sans-serif" font-size="13">\n{body}\n</svg>\n'
    )


def draw_byte_map(module: Module, data: bytes | memoryview, *, title: str) -> Picture:
    """The byte map as SVG elements.

    Widths are to scale, except that no region is too narrow to be seen. ``title`` is escaped.
    """
    regions = byte_map(module, data)
    width, bar_height, row_height, top = 960, 56, 20, 34
    height = top + bar_height + 16 + row_height * (len(regions) + 1)
    lines = [
        f"<title>Byte map of {html.escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="0" y="20" font-weight="bold">{html.escape(title)}: {module.file_size_bytes} bytes</text>',
    ]
    x = 0.0
    for region, region_width in zip(regions, _widths(regions, width), strict=True):
        lines.append(
            f'<rect x="{x:.1f}" y="{top}" width="{region_width:.1f}" height="{bar_height}" '
            f'fill="{_COLOURS[region.kind]}" stroke="#ffffff"><title>{html.escape(_sentence(region))}</title></rect>'
        )
        x += region_width
    y = top + bar_height + 16 + row_height
    columns = (0, 24, 330, 460, 600)
    headings = ("", "region", "file offset", "address", "size")
    lines += [_svg_text(x, y - row_height + 10, text) for x, text in zip(columns, headings, strict=True) if text]
    for region in regions:
        lines.append(f'<rect x="0" y="{y - 3}" width="14" height="14" fill="{_COLOURS[region.kind]}"/>')
        cells = (region.label, f"0x{region.offset:X}", address_text(region), f"{region.size_bytes} bytes")
        lines += [_svg_text(x, y + 9, text) for x, text in zip(columns[1:], cells, strict=True)]
        y += row_height
    return Picture(width, height, "\n".join(lines))


def address_text(region: Region) -> str:
    """The region's address in hex, a dash when it has none."""
    return "-" if region.address is None else f"0x{region.address:08X}"


def _widths(regions: Sequence[Region], width: int) -> list[float]:
    least = min(14, width / len(regions))
    total = sum(region.size_bytes for region in regions)
    spare = width - least * len(regions)
    return [least + spare * region.size_bytes / total for region in regions]


def _sentence(region: Region) -> str:
    return (
        f"{region.label}: {region.size_bytes} bytes at file offset 0x{region.offset:X}, address {address_text(region)}"
    )


def _svg_text(x: float, y: float, text: str) -> str:
    return f'<text x="{x}" y="{y}">{html.escape(text)}</text>'
