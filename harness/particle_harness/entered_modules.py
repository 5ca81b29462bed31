"""Modules that wait for the bootloader: what it checks, expands and copies before it starts the system.

Source: device-os v6.2.0 platform/MCU/nRF52840/src/flash_mal.c and platform/MCU/rtl872x/src/flash_mal.c
(FLASH_UpdateModules, verify_module, FLASH_CopyMemory, flash_decompress);
bootloader/prebootloader/src/rtl872x/mbr/bootloader_update.c (encrypted KM0 firmware, and its fuse).
"""

from __future__ import annotations

import struct
import zlib

from particle_dev.catalog.modules import ModuleFunction
from particle_harness.boot_view import BootView
from particle_harness.dct import Dct, ModuleSlot
from particle_harness.extensions import prefix_size
from particle_harness.layout_rtl872x import KM0_FIRMWARE_START
from particle_harness.module_reader import CRC_SIZE_BYTES, PREFIX_SIZE_BYTES, crc_is_good, read_prefix
from particle_harness.nor_flash import NorFlash, Reader
from particle_harness.state import BoardState

INTERNAL_FLASH, SERIAL_FLASH = 0, 1
_VERIFY_CRC, _VERIFY_DESTINATION, _VERIFY_FUNCTION = 0x02, 0x04, 0x08
VERIFY = _VERIFY_CRC | _VERIFY_DESTINATION | _VERIFY_FUNCTION
DROP, COMPRESSED, ENCRYPTED = 0x10, 0x20, 0x40
"""Flags of a slot. Source: hal/shared/module_info_hal.h."""
MBR_PICKUP_ADDRESS = 0xD4000
"""Where an nRF52840 bootloader lays its successor for the master boot record; what was there comes back afterwards."""
_NEW_USER_ADDRESS, _OLD_USER_ADDRESS = 0xB4000, 0xD4000
_FIRST_THAT_EXPANDS = 1001
"""Bootloader version of Device OS 2.0.0-rc.1."""
_FIRST_WITH_NEW_USER_SLOT = 1100
"""Bootloader version of Device OS 3.1.0."""
_COMPRESSION = struct.Struct("<HBBI")


def install_entered_modules(view: BootView, internal: NorFlash, dct: Dct, state: BoardState) -> int:
    """Copy the modules that were entered. Returns how many."""
    return sum(_install(view, internal, dct, number, slot, state) for number, slot in dct.modules())


def _install(view: BootView, internal: NorFlash, dct: Dct, number: int, slot: ModuleSlot, state: BoardState) -> bool:
    read = view.external if slot.source_device == SERIAL_FLASH else view.internal
    dct.clear_module(number)
    if read is None or not _is_verified(view, slot, read):
        return False
    version = _bootloader_version(view)
    if slot.flags & COMPRESSED and not (view.hardware.is_gen3 and version < _FIRST_THAT_EXPANDS):
        return _expand(view, internal, slot, read)
    is_bootloader = slot.function == ModuleFunction.BOOTLOADER
    if view.hardware.is_rtl872x and slot.destination_address == KM0_FIRMWARE_START:
        if state.km0_encrypted and not slot.flags & ENCRYPTED:
            return False
        state.km0_encrypted |= bool(slot.flags & ENCRYPTED)
        state.km0_prefix = read(slot.source_address, PREFIX_SIZE_BYTES).hex() if slot.flags & ENCRYPTED else ""
    # That of an RTL872x drops prefixes only of bootloaders.
    drops = slot.flags & DROP and (is_bootloader or not view.hardware.is_rtl872x)
    dropped = PREFIX_SIZE_BYTES if drops else 0
    image = read(slot.source_address + dropped, slot.length - dropped)
    if view.hardware.is_gen3 and version >= _FIRST_WITH_NEW_USER_SLOT:
        _forget_old_application(internal, slot)
    by_mbr = is_bootloader and view.hardware.is_gen3
    internal.load(view.hardware.bootloader_address if by_mbr else slot.destination_address, image)
    return True


def _is_verified(view: BootView, slot: ModuleSlot, read: Reader) -> bool:
    """verify_module() with the flags of a slot: platform, function, destination and CRC as the prefix has them."""
    if not slot.flags & VERIFY:
        return True
    prefix = read_prefix(read, slot.source_address, view.hardware.mcu)
    if prefix is None or prefix.platform_id != view.hardware.platform_id:
        return False
    fits = prefix.start_address == slot.destination_address
    by_mbr = slot.function == ModuleFunction.BOOTLOADER and slot.destination_address == MBR_PICKUP_ADDRESS
    return (
        prefix.length + CRC_SIZE_BYTES <= slot.length
        and (not slot.flags & _VERIFY_FUNCTION or prefix.function == slot.function)
        and (not slot.flags & _VERIFY_DESTINATION or fits or by_mbr)
        and (not slot.flags & _VERIFY_CRC or crc_is_good(read, slot.source_address, prefix.length))
    )


def _expand(view: BootView, internal: NorFlash, slot: ModuleSlot, read: Reader) -> bool:
    """Erase the place, expand into it. What cannot be expanded leaves it erased, or half-written."""
    prefix = read_prefix(read, slot.source_address, view.hardware.mcu)
    assert prefix is not None
    # Only that of an RTL872x knows of extensions in a prefix.
    start = prefix_size(read, slot.source_address, prefix) if view.hardware.is_rtl872x else PREFIX_SIZE_BYTES
    header_bytes, method, _, size_bytes = _COMPRESSION.unpack(read(slot.source_address + start, _COMPRESSION.size))
    address = slot.destination_address
    if method != 0 or address + size_bytes > internal.end_address:
        return False
    if view.hardware.is_gen3 and _bootloader_version(view) >= _FIRST_WITH_NEW_USER_SLOT:
        _forget_old_application(internal, slot)
    end = slot.length - CRC_SIZE_BYTES
    suffix_bytes = int.from_bytes(read(slot.source_address + end - 2, 2), "little")
    stream = read(slot.source_address + start + header_bytes, max(0, end - suffix_bytes - start - header_bytes))
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        image = inflate.decompress(stream, size_bytes + 1)
    except zlib.error:
        image = b""
    pages = -(-size_bytes // 4096) * 4096
    internal.load(address, image[:size_bytes].ljust(min(pages, internal.end_address - address), b"\xff"))
    return len(image) == int(size_bytes)


def _forget_old_application(internal: NorFlash, slot: ModuleSlot) -> None:
    """An application in the old slot would win over the new one."""
    if (slot.function, slot.destination_address) == (ModuleFunction.USER_PART, _NEW_USER_ADDRESS):
        internal.load(_OLD_USER_ADDRESS, b"\xff" * 4096)


def _bootloader_version(view: BootView) -> int:
    prefix = read_prefix(view.internal, view.hardware.bootloader_address, view.hardware.mcu)
    return prefix.version if prefix else 0
