"""What differs between two module files: fields by name, bytes by range and address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from particle_dev.protocol.byte_map import Region, byte_map
from particle_dev.protocol.module import describe, parse

_CHUNK = 4096
_MERGE_GAP_BYTES = 16
"""Equal bytes between two differences that are not worth a range of their own."""


class FieldDifference(NamedTuple):
    """A value of ``describe``; a dotted name stands for a value inside another."""

    name: str
    a: object
    b: object


class RangeDifference(NamedTuple):
    """Bytes [offset, offset + size_bytes) differ, or only the longer file has them. ``address``: in the module of file
    A, or of B where only B has the bytes. A range ends where its ``region`` does."""

    offset: int
    size_bytes: int
    address: int | None
    region: str
    only_in: str | None


class ModuleDifference(NamedTuple):
    """Everything that differs; both tuples are empty for equal files."""

    fields: tuple[FieldDifference, ...]
    ranges: tuple[RangeDifference, ...]

    @property
    def identical(self) -> bool:
        """Whether the files are equal byte for byte."""
        return not self.ranges


def diff_modules(a: bytes, b: bytes) -> ModuleDifference:
    """Compare two module files, damaged ones included. Bytes are compared at equal file offsets.

    Raises ModuleFormatError when one is no readable module.
    """
    map_a, map_b = (byte_map(parse(data), data) for data in (a, b))
    shorter, longer = sorted((len(a), len(b)))
    ranges = []
    for region in map_a:
        area = slice(region.offset, min(region.offset + region.size_bytes, shorter))
        for start, end in _differing(a[area], b[area]):
            ranges.append(_range(region, region.offset + start, region.offset + end, None))
    if shorter < longer:
        only_in, regions = ("A", map_a) if len(a) > len(b) else ("B", map_b)
        for region in regions:
            start, end = max(shorter, region.offset), region.offset + region.size_bytes
            if start < end:
                ranges.append(_range(region, start, end, only_in))
    fields_a, fields_b = (dict(_flat(describe(data, file=""))) for data in (a, b))
    names = dict.fromkeys([*fields_a, *fields_b])
    fields = (FieldDifference(name, fields_a.get(name), fields_b.get(name)) for name in names)
    return ModuleDifference(tuple(field for field in fields if field.a != field.b), tuple(ranges))


def _differing(a: bytes, b: bytes) -> Iterator[tuple[int, int]]:
    """Ranges in which two strings of one length differ."""
    start: int | None = None
    end = 0
    for chunk in range(0, len(a), _CHUNK):
        piece_a, piece_b = a[chunk : chunk + _CHUNK], b[chunk : chunk + _CHUNK]
        if piece_a == piece_b:
            continue
        for position, (byte_a, byte_b) in enumerate(zip(piece_a, piece_b, strict=True), start=chunk):
            if byte_a == byte_b:
                continue
            if start is not None and position - end > _MERGE_GAP_BYTES:
                yield start, end
                start = None
            start = position if start is None else start
            end = position + 1
    if start is not None:
        yield start, end


def _range(region: Region, start: int, end: int, only_in: str | None) -> RangeDifference:
    address = None if region.address is None else region.address + start - region.offset
    return RangeDifference(start, end - start, address, region.label, only_in)


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """The leaves of a description; its file name is no property of the module, problems have their own. A product is
    one value: a version means nothing without its id."""
    for key, item in value.items():
        if prefix == "" and key in ("file", "problems"):
            continue
        if isinstance(item, dict) and key != "product":
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item
