"""Partition table and boot choice of an ESP32's flash.

The table, at 0x8000, has rows of 32 bytes (magic AA 50, type, subtype, offset, size, label, flags), then a row that
begins with EB EB and holds the MD5 of those before. The boot choice (partition ``otadata``) is two sectors; the valid
one with the higher sequence number n means application slot (n - 1) modulo the number of slots; none, the first.

Source: Espressif, ESP-IDF Programming Guide, Partition Tables; Over The Air Updates (OTA).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from particle_dev.errors import FormatError

TABLE_ADDRESS, TABLE_SIZE_BYTES = 0x8000, 0xC00
SECTOR_SIZE_BYTES = 0x1000
_ROW = struct.Struct("<HBBII16sI")
_ROW_MAGIC, _MD5_MAGIC = 0x50AA, 0xEBEB
_APPLICATION, _DATA = 0, 1
_FIRST_OTA, _LAST_OTA, _OTA_DATA = 0x10, 0x1F, 0
_ERASED = 0xFFFFFFFF
_HINT = "write bootloader, partition table and application: a whole image at 0x0, or each at its address"


class Partition(NamedTuple):
    """A row of the table; ``type`` 0 are applications, 1 data."""

    label: str
    type: int
    subtype: int
    address: int
    size_bytes: int


def read_table(data: bytes) -> tuple[Partition, ...]:
    """The rows of a partition table. Raises FormatError ``esp_table`` for what is none, or is damaged."""
    partitions: list[Partition] = []
    for offset in range(0, len(data) - _ROW.size + 1, _ROW.size):
        magic, kind, subtype, address, size_bytes, label, _ = _ROW.unpack_from(data, offset)
        if magic == _ROW_MAGIC:
            text = label.partition(b"\0")[0].decode("utf-8", "replace")
            partitions.append(Partition(text, kind, subtype, address, size_bytes))
            continue
        # MD5 is the format's own.
        if magic == _MD5_MAGIC and data[offset + 16 : offset + 32] != hashlib.md5(data[:offset]).digest():  # noqa: S324
            raise FormatError("the MD5 of the partition table is wrong", code="esp_table", offset=offset, hint=_HINT)
        break
    if not partitions:
        raise FormatError("there is no partition table", code="esp_table", offset=0, hint=_HINT)
    return tuple(partitions)


def application_slots(partitions: Sequence[Partition]) -> tuple[Partition, ...]:
    """The partitions that updates alternate between: ota_0, ota_1 …"""
    found = [p for p in partitions if p.type == _APPLICATION and _FIRST_OTA <= p.subtype <= _LAST_OTA]
    return tuple(sorted(found, key=lambda p: p.subtype))


def boot_choice_partition(partitions: Sequence[Partition]) -> Partition | None:
    """Where the boot choice is kept."""
    return next((p for p in partitions if (p.type, p.subtype) == (_DATA, _OTA_DATA)), None)


def booted_slot(partitions: Sequence[Partition], boot_choice: bytes) -> Partition | None:
    """The application slot that the bootloader starts when its image is intact; None without slots."""
    slots = application_slots(partitions)
    if not slots:
        return None
    newest = max(_sequence(boot_choice[:SECTOR_SIZE_BYTES]), _sequence(boot_choice[SECTOR_SIZE_BYTES:]))
    return slots[(newest - 1) % len(slots)] if newest else slots[0]


def _sequence(sector: bytes) -> int:
    """Of one sector; 0 when it is blank or damaged."""
    if len(sector) < 32:
        return 0
    number, crc = struct.unpack_from("<I24xI", sector)
    return int(number) if number != _ERASED and crc == zlib.crc32(sector[:4], _ERASED) else 0
