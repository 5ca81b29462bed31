"""The device configuration table (DCT) as far as flashing must know it.

Alternate setting 1 of the bootloaders shows it as 16 KiB from address 0. Source: device-os v6.2.0
platform/MCU/nRF52840/inc/dct.h (static assertions on the offsets), platform_flash_modules.h (update slots); the
offsets are the same on STM32F2 (v3.3.1 platform/MCU/STM32F2xx/SPARK_Firmware_Driver/inc/dct.h).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

OTA_UPDATE_FLAG_OFFSET = 1753
OTA_UPDATE_PENDING = 0xA5
MODULE_SLOTS_OFFSET = 2852
MODULE_SLOT_SIZE_BYTES = 20
MODULE_SLOT_COUNT = 5
MODULE_SLOT_PENDING = 0xABCD
SIZE_NEEDED_BYTES = MODULE_SLOTS_OFFSET + MODULE_SLOT_COUNT * MODULE_SLOT_SIZE_BYTES


@dataclass(frozen=True, slots=True)
class PendingUpdate:
    """A module copy that the bootloader would carry out at the next boot outside DFU mode."""

    slot: int
    source_address: int
    destination_address: int
    size_bytes: int


def pending_updates(dct: bytes) -> tuple[PendingUpdate, ...]:
    """Update slots 1–4 that are armed. Slot 0 belongs to the factory reset. ``dct`` starts at offset 0.

    Slot layout, 20 bytes LE: magic u16, source device u8, destination device u8, source address u32, destination
    address u32, length u32, flags u8, function u8, 2 reserved.
    """
    found = []
    for slot in range(1, MODULE_SLOT_COUNT):
        offset = MODULE_SLOTS_OFFSET + slot * MODULE_SLOT_SIZE_BYTES
        magic, _source, _destination, source_address, destination_address, size_bytes = struct.unpack_from(
            "<HBBIII", dct, offset
        )
        if magic == MODULE_SLOT_PENDING:
            found.append(PendingUpdate(slot, source_address, destination_address, size_bytes))
    return tuple(found)


def ota_update_pending(dct: bytes) -> bool:
    """True when the next application boot would install what lies in the OTA region."""
    return dct[OTA_UPDATE_FLAG_OFFSET] == OTA_UPDATE_PENDING
