"""A module's layout as regions: vector table, prefix, extensions, body, suffix, CRC."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from particle_dev.catalog.modules import APPLICATIONS, ModuleFlag, ModuleFunction
from particle_dev.protocol.module import Module, extension_name
from particle_dev.protocol.module_prefix import CRC_SIZE_BYTES, PREFIX_SIZE_BYTES, SUFFIX_BASE_SIZE_BYTES

_TLV_HEADER_SIZE_BYTES = 4
_RTL_PREFIX_OFFSET = 0x20
_COMPRESSED_HEADER_SIZE_BYTES = 8


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


def _known(module: Module, data: memoryview) -> list[tuple[RegionKind, str, int, int]]:
    """Every region but the body: kind, label, offset, size."""
    crc_offset = module.size_bytes - CRC_SIZE_BYTES
    suffix_start = crc_offset - module.suffix_size_bytes
    base = crc_offset - SUFFIX_BASE_SIZE_BYTES
    known = [
        (RegionKind.PREFIX, "prefix", module.prefix_offset, PREFIX_SIZE_BYTES),
        (RegionKind.CRC, "CRC-32", crc_offset, CRC_SIZE_BYTES),
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
    prefix_end = module.prefix_offset + PREFIX_SIZE_BYTES
    if ModuleFlag.PREFIX_EXTENSIONS in module.flags:
        prefix_end = _add_end(known, data, prefix_end, suffix_start)
    if ModuleFlag.COMPRESSED in module.flags and prefix_end + _COMPRESSED_HEADER_SIZE_BYTES <= suffix_start:
        known.append((RegionKind.EXTENSION, "compression header", prefix_end, _COMPRESSED_HEADER_SIZE_BYTES))
    if module.suffix_size_bytes:
        known.append((RegionKind.SUFFIX, "suffix with SHA-256", base, SUFFIX_BASE_SIZE_BYTES))
        product_start = suffix_start
        if base - suffix_start not in (0, 4, 6):
            product_start = _add_end(known, data, suffix_start, base)
        if product_start < base:
            label = "product id and version" if module.function in APPLICATIONS else "suffix data"
            known.append((RegionKind.PRODUCT, label, product_start, base - product_start))
    return known


def _add_end(known: list[tuple[RegionKind, str, int, int]], data: memoryview, start: int, limit: int) -> int:
    """Add the END TLV of the area that begins at ``start``, if it has one; returns where the area's TLVs end."""
    position = max(
        [start, *(o + size for kind, _, o, size in known if kind is RegionKind.EXTENSION and start <= o < limit)]
    )
    header = data[position : position + _TLV_HEADER_SIZE_BYTES]
    size = int.from_bytes(header[2:4], "little")
    if (
        len(header) < _TLV_HEADER_SIZE_BYTES
        or bytes(header[:2]) != b"\0\0"
        or not _TLV_HEADER_SIZE_BYTES <= size <= limit - position
    ):
        return position
    known.append((RegionKind.EXTENSION, "END of extensions", position, size))
    return position + size


def _region(module: Module, kind: RegionKind, label: str, offset: int, size_bytes: int) -> Region:
    not_stored = ModuleFlag.COMPRESSED in module.flags or module.function == ModuleFunction.ASSET
    if not_stored or kind is RegionKind.TRAILING or offset < module.payload_offset:
        return Region(kind, label, offset, size_bytes, None)
    return Region(kind, label, offset, size_bytes, module.start_address + offset - module.payload_offset)
