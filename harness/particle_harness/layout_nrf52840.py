"""Flash of nRF52840 boards, internal and serial.

Source: device-os v2.1.0, v3.3.1, v6.2.0 hal/src/nRF52840/ota_module_bounds.c; platform/MCU/nRF52840/inc/flash_mal.h at
v3.0.0, v3.1.0 and v5.5.0; v6.2.0 bootloader/src/nRF52840/dfu_usb.c.
"""

from __future__ import annotations

from dataclasses import dataclass

from particle_dev.catalog.flash_chips import NRF52840_FLASH, FlashChip
from particle_dev.catalog.modules import ModuleStore
from particle_harness.layout import BOOTLOADER, NCP, RADIO, SYSTEM, USER, AssetRegion, Bounds, OtaRegion
from particle_harness.module_reader import NRF52840_MCU, Mcu
from particle_harness.nor_flash import Reader

FIRST_TWO_USER_SLOTS = 3100
"""System version that has the 256 KiB slot and the older 128 KiB one (Device OS 3.1.0-rc.1)."""
FIRST_LOW_SYSTEM = 6102
"""System version that starts at 0x28000 (Device OS 6.1.2)."""
FIRST_SECOND_HEADER = 6200
"""System version that has a second header at 0x30000, for bootloaders that look only there (Device OS 6.2.0)."""
FIRST_LOW_SYSTEM_BOOTLOADER = 3002
"""Bootloader version that looks for the system part at 0x28000 first (Device OS 6.1.2)."""
FIRST_WITH_ASSETS = 5500
"""System version that gave part of a 4 MiB chip to assets and moved the OTA region down (Device OS 5.5.0-rc.1)."""
_OTA_SIZE_BYTES = 1500 * 1024


@dataclass(frozen=True, slots=True)
class Nrf52840Layout:
    """``big``: the serial flash has 8 MiB instead of 4. ``first_with_ncp``: system version from
    which it programs a network processor."""

    big: bool
    first_with_ncp: int | None = None
    mcu: Mcu = NRF52840_MCU
    chip: FlashChip = NRF52840_FLASH
    device_id_prefix: str = "e00fce68"
    """Source: device-os v2.1.0 hal/src/nRF52840/deviceid_hal.cpp."""
    modules_end: int = 0x100000
    bootloader_address: int = 0xF4000
    main_system_index: int = 1

    @property
    def factory_address(self) -> int:
        """In serial flash."""
        return 0x600000 if self.big else 0x200000

    def system_addresses(self, bootloader_version: int) -> tuple[int, ...]:
        """The low address first, if the bootloader knows it."""
        return (0x28000, 0x30000) if FIRST_LOW_SYSTEM_BOOTLOADER <= bootloader_version < 0xFFFF else (0x30000,)

    def bounds(self, version: int, internal: Reader) -> tuple[Bounds, ...]:  # noqa: ARG002
        """One user slot or two; system part low or high."""
        two_slots = version >= FIRST_TWO_USER_SLOTS
        system_start = 0x28000 if version >= FIRST_LOW_SYSTEM else 0x30000
        small_user = Bounds(USER, 1, 0xD4000, 0xF4000)
        user = (small_user, Bounds(USER, 2, 0xB4000, 0xF4000)) if two_slots else (small_user,)
        has_ncp = self.first_with_ncp is not None and version >= self.first_with_ncp
        factory_end = self.factory_address + (0x40000 if two_slots else 0x20000)
        return (
            Bounds(BOOTLOADER, 0, 0xF4000, 0x100000),
            Bounds(SYSTEM, 1, system_start, 0xB4000 if two_slots else 0xD4000),
            *user,
            Bounds(USER, 1, self.factory_address, factory_end, ModuleStore.FACTORY, external=True),
            *((Bounds(NCP, 0, 0, _OTA_SIZE_BYTES),) if has_ncp else ()),
            Bounds(RADIO, 0, 0x1000, system_start),
        )

    def ota_region(self, version: int, internal: Reader) -> OtaRegion:  # noqa: ARG002
        """In serial flash. On 4 MiB chips with assets only the first 592 KiB are free, and nobody checks that."""
        if self.big:
            return OtaRegion(0x689000, _OTA_SIZE_BYTES)
        return OtaRegion(0x24C000 if version >= FIRST_WITH_ASSETS else 0x289000, _OTA_SIZE_BYTES)

    def asset_region(self, version: int) -> AssetRegion | None:
        """In serial flash: in front of the factory slot of a big chip, at the end of a small one."""
        if version < FIRST_WITH_ASSETS:
            return None
        return AssetRegion(0x400000, 512) if self.big else AssetRegion(0x2E0000, 288)
