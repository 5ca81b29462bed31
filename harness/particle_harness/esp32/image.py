"""Stand-ins for what an ESP32's flash holds: intact images without code, partition table, boot choice.

Source: Espressif, esptool documentation, Firmware Image Format; ESP-IDF Programming Guide, App Image Format, Partition
Tables and Over The Air Updates; particle-iot/esp32-ncp-firmware partition tables.
"""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from collections.abc import Sequence

ESP32 = 0
"""Chip id in an image."""
ESP32_TARGET = 0x21
"""MCU target of a module for it. Source: device-os v6.2.0 hal/shared/platform_ncp.h."""
TABLE_ADDRESS, TABLE_SIZE_BYTES = 0x8000, 0xC00
Partition = tuple[str, int, int, int, int]
"""Label, type, subtype, offset, size in bytes."""
ARGON_PARTITIONS: Sequence[Partition] = (
    ("phy_init", 1, 1, 0xF000, 0x1000),
    ("otadata", 1, 0, 0x10000, 0x2000),
    ("nvs", 1, 2, 0x12000, 0xE000),
    ("at_customize", 0x40, 0, 0x20000, 0xE0000),
    ("ota_0", 0, 0x10, 0x100000, 0x180000),
    ("ota_1", 0, 0x11, 0x280000, 0x180000),
)
"""Source: particle-iot/esp32-ncp-firmware module_config/module_argon/partitions_at.csv."""
_HEADER, _SEGMENT = struct.Struct("<BBBBI4xHBHH4xB"), struct.Struct("<II")
_ADDRESSES = (0x3F400020, 0x3FFB0000, 0x40080000, 0x400D0020)
_HASH_BYTES = 32


def esp_image(
    size_bytes: int = 0x8000,
    *,
    seed: str = "",
    chip_id: int = ESP32,
    project: str = "esp32-ncp",
    version: str = "0.0.8",
    with_hash: bool = True,
) -> bytes:
    """An image of that size, a multiple of 16 of at least 1 KiB, with four segments of random bytes, a description,
    a right checksum and a right hash."""
    if size_bytes % 16 or size_bytes < 1024:
        raise ValueError(f"no image has {size_bytes} bytes")
    dice = random.Random(f"{seed} {size_bytes} {chip_id}")
    room = size_bytes - (_HASH_BYTES if with_hash else 0) - 24 - len(_ADDRESSES) * _SEGMENT.size - 1
    sizes = [room // len(_ADDRESSES) & ~3] * len(_ADDRESSES)
    sizes[-1] += room - sum(sizes) & ~3
    image = bytearray(_HEADER.pack(0xE9, len(_ADDRESSES), 2, 0x20, 0x40080F50, chip_id, 0, 0, 0xFFFF, with_hash))
    checksum = 0xEF
    for number, (address, size) in enumerate(zip(_ADDRESSES, sizes, strict=True)):
        body = dice.randbytes(size)
        if number == 0:
            about = _description(project, version)
            body = about + body[len(about) :]
        for byte in body:
            checksum ^= byte
        image += _SEGMENT.pack(address, size) + body
    image += bytes(-(len(image) + 1) % 16) + bytes([checksum])
    return bytes(image + hashlib.sha256(image).digest() if with_hash else image)


def _description(project: str, version: str) -> bytes:
    """esp_app_desc_t."""
    texts = (version, 32), (project, 32), ("12:00:00", 16), ("Jan  1 2026", 16), ("v3.2", 32)
    return struct.pack("<II8x", 0xABCD5432, 0) + b"".join(text.encode().ljust(size, b"\0") for text, size in texts)


def partition_table(partitions: Sequence[Partition] = ARGON_PARTITIONS) -> bytes:
    """The table as it stands in flash, with its MD5."""
    rows = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, label.encode(), 0)
        for label, kind, subtype, offset, size in partitions
    )
    # MD5 is the format's own.
    rows += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(rows).digest()
    return rows.ljust(TABLE_SIZE_BYTES, b"\xff")


def boot_choice(sequence: int) -> bytes:
    """One sector of otadata: ``sequence`` 1 boots ota_0, 2 ota_1, 3 ota_0 …; the other sector lies behind it."""
    number = struct.pack("<I", sequence)
    crc = zlib.crc32(number, 0xFFFFFFFF)
    return (number + b"\xff" * 24 + struct.pack("<I", crc)).ljust(0x1000, b"\xff")
