"""The few bytes of a firmware module that a bootloader looks at: prefix and CRC.

Written apart from particle_dev's parser, so that a shared mistake would show.
Source: device-os v2.1.0 dynalib/inc/module_info.h (24-byte prefix); platform/MCU/nRF52840/src/flash_mal.c and
platform/MCU/STM32F2xx/SPARK_Firmware_Driver/src/flash_mal.c FLASH_ModuleInfo (where it lies), FLASH_VerifyCRC32.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from particle_harness.nor_flash import Reader

PREFIX = struct.Struct("<IIBBHHBBBBHBBH")
PREFIX_SIZE_BYTES = PREFIX.size
CRC_SIZE_BYTES = 4
DROP_MODULE_INFO, COMPRESSED, COMBINED, ENCRYPTED = 0x01, 0x02, 0x04, 0x08
"""Flags of a prefix."""


@dataclass(frozen=True, slots=True)
class Mcu:
    """Where a chip's code looks for a prefix: after ``head_size_bytes`` if the image begins like one with such a head.

    Heads are vector tables, told by a stack pointer in the first word, or vendor headers with a ``signature``.
    """

    head_size_bytes: int
    stack_pointer_mask: int = 0
    signature: bytes = b""

    def prefix_offset(self, read: Reader, address: int) -> int:
        """Bytes between the module at ``address`` and its prefix. IndexError where there is no memory."""
        if self.signature:
            return self.head_size_bytes if read(address, len(self.signature)) == self.signature else 0
        first_word = int.from_bytes(read(address, 4), "little")
        return self.head_size_bytes if first_word & self.stack_pointer_mask == 0x20000000 else 0


NRF52840_MCU = Mcu(0x200, 0x2FFC0000)
STM32F2_MCU = Mcu(0x184, 0x2FF10000)
RTL872X_MCU = Mcu(0x20, signature=bytes.fromhex("999996963fcc66fc"))
"""Source: device-os v6.2.0 platform/MCU/rtl872x/inc/rtl_header.h, src/flash_mal.c FLASH_ModuleInfo."""


@dataclass(frozen=True, slots=True)
class Need:
    """A dependency of a module: at least ``version`` of that part."""

    function: int
    index: int
    version: int


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prefix as it lies in flash, checked by nobody."""

    start_address: int
    end_address: int
    mcu_target: int
    flags: int
    version: int
    platform_id: int
    function: int
    index: int
    need1: Need
    need2: Need

    @property
    def length(self) -> int:
        """Bytes before the CRC."""
        return self.end_address - self.start_address


def read_prefix(read: Reader, address: int, mcu: Mcu) -> Prefix | None:
    """The prefix of the module at ``address``, or None where there is no memory."""
    try:
        return prefix_from(read(address + mcu.prefix_offset(read, address), PREFIX_SIZE_BYTES))
    except IndexError:
        return None


def prefix_from(data: bytes) -> Prefix:
    """The prefix in 24 bytes."""
    fields = PREFIX.unpack(data)
    start, end, mcu_target, flags, version, platform_id, function, index, *needs = fields
    return Prefix(
        start, end, mcu_target, flags, version, platform_id, function, index, Need(*needs[:3]), Need(*needs[3:])
    )


def crc_is_good(read: Reader, address: int, length: int) -> bool:
    """Whether the big-endian CRC-32 after ``length`` bytes fits them."""
    if length <= 0:
        return False
    try:
        stored = int.from_bytes(read(address + length, CRC_SIZE_BYTES), "big")
        return stored == zlib.crc32(read(address, length))
    except IndexError:
        return False


def reader_of(module: bytes) -> Reader:
    """A module file as memory from address 0."""

    def read(address: int, size_bytes: int) -> bytes:
        if address + size_bytes > len(module):
            raise IndexError(address)
        return module[address : address + size_bytes]

    return read
