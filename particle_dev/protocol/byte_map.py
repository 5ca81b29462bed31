"""A module's layout as regions and as a picture: vector table, prefix, extensions, body, suffix, CRC."""

from __future__ import annotations

import html
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.protocol.module import Module, extension_name

_PREFIX_SIZE = 24
_SUFFIX_BASE_SIZE = 36
_CRC_SIZE = 4
_TLV_HEADER_SIZE = 4
_RTL_PREFIX_OFFSET = 0x20
_COMPRESSED_HEADER_SIZE = 8


class RegionKind(StrEnum):
    """What a region is; one colour each."""

    HEAD = "head"
    PREFIX = "prefix"
    EXTENSION = "extension"
    BODY = "body"
    PRODUCT = "product"
    SUFFIX = "suffix"
    CRC = "crc"
    TRAILING = "trailing"


class Region(NamedTuple):
    """Bytes [offset, offset + size_bytes) of a file. ``address`` is where the first of them lies on the device, None
    for bytes that do not get there as they are (dropped prefix, compressed data, assets)."""

    kind: RegionKind
    label: str
    offset: int
    size_bytes: int
    address: int | None


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


def byte_map(module: Module, data: bytes | memoryview) -> tuple[Region, ...]:
    """The regions of the file ``data``, which ``module`` was parsed from: in order, without gap or overlap."""
    regions: list[Region] = []
    position = 0
    for kind, label, offset, size_bytes in sorted(_known(module, memoryview(data)), key=lambda known: known[2]):
        if offset > position:
            body = "compressed data" if ModuleFlag.COMPRESSED in module.flags else "body"
            regions.append(_region(module, RegionKind.BODY, body, position, offset - position))
        regions.append(_region(module, kind, label, offset, size_bytes))
        position = offset + size_bytes
    return tuple(regions)


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


def _known(module: Module, data: memoryview) -> list[tuple[RegionKind, str, int, int]]:
    """Every region but the body: kind, label, offset, size."""
    crc_offset = module.size_bytes - _CRC_SIZE
    suffix_start = crc_offset - module.suffix_size_bytes
    base = crc_offset - _SUFFIX_BASE_SIZE
    known = [
        (RegionKind.PREFIX, "prefix", module.prefix_offset, _PREFIX_SIZE),
        (RegionKind.CRC, "CRC-32", crc_offset, _CRC_SIZE),
    ]
    if module.prefix_offset:
        head = "vendor header" if module.prefix_offset == _RTL_PREFIX_OFFSET else "vector table"
        known.append((RegionKind.HEAD, head, 0, module.prefix_offset))
    if module.file_size_bytes > module.size_bytes:
        extra = module.file_size_bytes - module.size_bytes
        known.append((RegionKind.TRAILING, "behind the module", module.size_bytes, extra))
    for extension in module.extensions:
        label = f"extension {extension_name(extension.type) or f'0x{extension.type:04X}'}"
        known.append((RegionKind.EXTENSION, label, extension.offset, extension.length_bytes))
    prefix_end = module.prefix_offset + _PREFIX_SIZE
    if ModuleFlag.PREFIX_EXTENSIONS in module.flags:
        prefix_end = _add_end(known, data, prefix_end, suffix_start)
    if ModuleFlag.COMPRESSED in module.flags and prefix_end + _COMPRESSED_HEADER_SIZE <= suffix_start:
        known.append((RegionKind.EXTENSION, "compression header", prefix_end, _COMPRESSED_HEADER_SIZE))
    if module.suffix_size_bytes:
        known.append((RegionKind.SUFFIX, "suffix with SHA-256", base, _SUFFIX_BASE_SIZE))
        product_start = suffix_start
        if base - suffix_start not in (0, 4, 6):
            product_start = _add_end(known, data, suffix_start, base)
        if product_start < base:
            known.append((RegionKind.PRODUCT, "product id and version", product_start, base - product_start))
    return known


def _add_end(known: list[tuple[RegionKind, str, int, int]], data: memoryview, start: int, limit: int) -> int:
    """Add the END TLV of the area that begins at ``start``, if it has one; returns where the area's TLVs end."""
    position = max(
        [start, *(o + size for kind, _, o, size in known if kind is RegionKind.EXTENSION and start <= o < limit)]
    )
    header = data[position : position + _TLV_HEADER_SIZE]
    size = int.from_bytes(header[2:4], "little")
    if (
        len(header) < _TLV_HEADER_SIZE
        or bytes(header[:2]) != b"\0\0"
        or not _TLV_HEADER_SIZE <= size <= limit - position
    ):
        return position
    known.append((RegionKind.EXTENSION, "END of extensions", position, size))
    return position + size


def _region(module: Module, kind: RegionKind, label: str, offset: int, size_bytes: int) -> Region:
    not_stored = ModuleFlag.COMPRESSED in module.flags or module.function == ModuleFunction.ASSET
    if not_stored or kind is RegionKind.TRAILING or offset < module.payload_offset:
        return Region(kind, label, offset, size_bytes, None)
    return Region(kind, label, offset, size_bytes, module.start_address + offset - module.payload_offset)


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
