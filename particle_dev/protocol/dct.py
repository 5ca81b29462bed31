"""The device configuration table (DCT) as far as flashing must know it.

Alternate setting 1 of the bootloaders shows it as 16 KiB from address 0. Source: device-os v6.2.0
platform/MCU/nRF52840/inc/dct.h (static assertions on the offsets), platform_flash_modules.h (update slots),
hal/shared/module_info_hal.h (slot flags); the offsets are the same on STM32F2 (v3.3.1
platform/MCU/STM32F2xx/SPARK_Firmware_Driver/inc/dct.h).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

OTA_UPDATE_FLAG_OFFSET = 1753
OTA_UPDATE_PENDING = 0xA5
OTA_UPDATE_TITLE = "the module in the OTA region waits for installation by Device OS"
MODULE_SLOTS_OFFSET = 2852
MODULE_SLOT_SIZE_BYTES = 20
MODULE_SLOT_COUNT = 5
MODULE_SLOT_PENDING = 0xABCD
MODULE_SLOT_FREE = 0xFFFF
MAGIC_SIZE_BYTES = 2
SIZE_NEEDED_BYTES = MODULE_SLOTS_OFFSET + MODULE_SLOT_COUNT * MODULE_SLOT_SIZE_BYTES
_SLOT = struct.Struct("<HBBIIIBB2s")


class FlashDevice(IntEnum):
    """Which chip an address of a slot is in."""

    INTERNAL = 0
    SERIAL = 1


class SlotFlag(IntFlag):
    """What the bootloader checks and does when it copies."""

    VERIFY_CRC = 0x02
    VERIFY_DESTINATION = 0x04
    """The module's prefix must name the destination (a bootloader's pick-up address excepted)."""
    VERIFY_FUNCTION = 0x08
    DROP_MODULE_INFO = 0x10
    COMPRESSED = 0x20


@dataclass(frozen=True, slots=True)
class ModuleCopy:
    """A copy for the bootloader: ``size_bytes`` bytes of a module, prefix and CRC-32 included."""

    source_address: int
    destination_address: int
    size_bytes: int
    function: int
    flags: SlotFlag
    source_device: FlashDevice = FlashDevice.SERIAL
    destination_device: FlashDevice = FlashDevice.INTERNAL

    def encode(self) -> bytes:
        """The slot, 20 bytes LE, as the bootloader takes it for pending.

        Layout: magic u16, source device u8, destination device u8, source address u32, destination address u32,
        length u32, flags u8, function u8, 2 reserved.
        """
        return _SLOT.pack(
            MODULE_SLOT_PENDING,
            self.source_device,
            self.destination_device,
            self.source_address,
            self.destination_address,
            self.size_bytes,
            self.flags,
            self.function,
            b"\xff\xff",
        )


@dataclass(frozen=True, slots=True)
class PendingUpdate:
    """A module copy that the bootloader would carry out at the next boot outside DFU mode."""

    slot: int
    source_address: int
    destination_address: int
    size_bytes: int
    compressed: bool = False

    def writes(self, address: int) -> bool:
        """Whether the copy may change what lies there; how far a compressed module expands, no slot tells."""
        return self.destination_address <= address and (
            self.compressed or address < self.destination_address + self.size_bytes
        )

    @property
    def title(self) -> str:
        """``update slot 1 copies 49152 bytes to 0x000d4000``."""
        return f"update slot {self.slot} copies {self.size_bytes} bytes to 0x{self.destination_address:08x}"


def slot_offset(slot: int) -> int:
    """Where a slot lies."""
    return MODULE_SLOTS_OFFSET + slot * MODULE_SLOT_SIZE_BYTES


def slot_bytes(dct: bytes, slot: int) -> bytes:
    """One slot of a table that starts at offset 0, without its two reserved bytes."""
    return dct[slot_offset(slot) : slot_offset(slot) + MODULE_SLOT_SIZE_BYTES - 2]


def pending_updates(dct: bytes) -> tuple[PendingUpdate, ...]:
    """Update slots 1–4 that are armed. Slot 0 belongs to the factory reset. ``dct`` starts at offset 0."""
    found = []
    for slot in range(1, MODULE_SLOT_COUNT):
        magic, _source, _destination, source_address, destination_address, size_bytes, flags, *_rest = (
            _SLOT.unpack_from(dct, slot_offset(slot))
        )
        if magic == MODULE_SLOT_PENDING:
            compressed = bool(flags & SlotFlag.COMPRESSED)
            found.append(PendingUpdate(slot, source_address, destination_address, size_bytes, compressed))
    return tuple(found)


def ota_update_pending(dct: bytes) -> bool:
    """True when the next application boot would install what lies in the OTA region."""
    return dct[OTA_UPDATE_FLAG_OFFSET] == OTA_UPDATE_PENDING


def pending_titles(dct: bytes) -> tuple[str, ...]:
    """Everything that the board would install by itself, for messages. ``dct`` starts at offset 0."""
    flagged = (OTA_UPDATE_TITLE,) if ota_update_pending(dct) else ()
    return (*(update.title for update in pending_updates(dct)), *flagged)
