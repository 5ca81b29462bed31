"""Flash of P2, Photon 2, Tracker-M and M-SoM: one chip for modules, updates, assets and the file system.

Source: device-os v5.4.1 and v6.2.0 hal/src/rtl872x/ota_module_bounds.c, hal/src/rtl872x/core_hal.c (start-up: user part
by its dynamic location, OTA region), platform/MCU/rtl872x/src/flash_mal.c FLASH_isUserModuleInfoValid.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from particle_dev.catalog.flash_chips import RTL872X_FLASH, FlashChip
from particle_harness.layout import BOOTLOADER, SYSTEM, USER, AssetRegion, Bounds, OtaRegion
from particle_harness.module_reader import CRC_SIZE_BYTES, RTL872X_MCU, Mcu, read_prefix
from particle_harness.nor_flash import Reader

FIRST_WITH_ASSETS = 5500
"""System version from which assets lie behind the system part (Device OS 5.5.0-rc.1)."""
SYSTEM_START, USER_END = 0x08060000, 0x08600000
FILE_SYSTEM_START = USER_END
KM0_FIRMWARE_START = 0x08014000
MANUFACTURING_START = 0x081E0000
"""A combined image that the factory left, until the asset storage is formatted: MFG_COMBINED_FW_START_ADDRESS."""
DYNAMIC_LOCATION = 2
"""Type of the extension that tells where a user part starts."""
_DYNAMIC = struct.Struct("<HHIII")
_SUFFIX_BASE_BYTES = 36
_PAGE = 0x1000
_LARGEST, _LARGEST_BEFORE_ASSETS = 0x180000, 0x200000
_ASSET_BLOCKS = 288
"""Source: device-os v6.2.0 platform/MCU/rtl872x/inc/flash_mal.h EXTERNAL_FLASH_ASSET_STORAGE_PAGE_COUNT."""


@dataclass(frozen=True, slots=True)
class Rtl872xLayout:
    """KM4's bootloader has index 0, KM0's boot record 1, KM0's firmware 2."""

    mcu: Mcu = RTL872X_MCU
    chip: FlashChip = RTL872X_FLASH
    device_id_prefix: str = "0a10aced2021"
    """Source: device-os v6.2.0 hal/src/rtl872x/deviceid_hal.cpp."""
    modules_end: int = USER_END
    bootloader_address: int = 0x08004000
    main_system_index: int = 1
    factory_address: None = None

    def system_addresses(self, bootloader_version: int) -> tuple[int, ...]:  # noqa: ARG002
        """Always the same."""
        return (SYSTEM_START,)

    def bounds(self, version: int, internal: Reader) -> tuple[Bounds, ...]:
        """The user part starts where the one in place says."""
        room = _LARGEST if version >= FIRST_WITH_ASSETS else _LARGEST_BEFORE_ASSETS
        user_start = self._user_start(version, internal)
        return (
            Bounds(BOOTLOADER, 0, 0x08004000, 0x08014000),
            Bounds(BOOTLOADER, 1, 0x08000000, 0x08002000),
            Bounds(BOOTLOADER, 2, KM0_FIRMWARE_START, 0x0805E000),
            Bounds(SYSTEM, 1, SYSTEM_START, SYSTEM_START + room),
            Bounds(USER, 1, user_start, USER_END, room_bytes=room),
        )

    def ota_region(self, version: int, internal: Reader) -> OtaRegion:
        """Behind the assets; before there were any, right behind the system part in place."""
        if version >= FIRST_WITH_ASSETS:
            return OtaRegion(SYSTEM_START + _LARGEST + _ASSET_BLOCKS * _PAGE, _LARGEST)
        system = read_prefix(internal, SYSTEM_START, self.mcu)
        crc_end = system.end_address + CRC_SIZE_BYTES if system else SYSTEM_START
        return OtaRegion(crc_end // _PAGE * _PAGE + _PAGE, _LARGEST_BEFORE_ASSETS)

    def asset_region(self, version: int) -> AssetRegion | None:
        """Behind the system part."""
        return AssetRegion(SYSTEM_START + _LARGEST, _ASSET_BLOCKS) if version >= FIRST_WITH_ASSETS else None

    def _user_start(self, version: int, internal: Reader) -> int:
        """Start of the user part in place, or ``USER_END``: none, or too long to leave room for an update.

        Only the first extension of its suffix is looked at; the firmware's loop never gets to a second one.
        """
        end = USER_END - CRC_SIZE_BYTES
        suffix_size = int.from_bytes(internal(end - 2, 2), "little")
        if suffix_size <= _SUFFIX_BASE_BYTES or suffix_size > _PAGE:
            return USER_END
        kind, length, start, _, _ = _DYNAMIC.unpack(internal(end - suffix_size, _DYNAMIC.size))
        if kind != DYNAMIC_LOCATION or length < _DYNAMIC.size:
            return USER_END
        ota = self.ota_region(version, internal)
        return start if ota.start_address + ota.size_bytes <= start // _PAGE * _PAGE and start < USER_END else USER_END
