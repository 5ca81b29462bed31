"""Flash of Photon, P1 and Electron.

Source: device-os v2.1.0 hal/src/{photon,electron}/ota_module_bounds.c; v3.3.1
platform/MCU/STM32F2xx/SPARK_Firmware_Driver/inc/flash_mal.h CORE_FW_ADDRESS.
"""

from __future__ import annotations

from dataclasses import dataclass

from particle_dev.catalog.flash_chips import STM32F205_FLASH, FlashChip
from particle_dev.catalog.modules import ModuleStore
from particle_harness.layout import BOOTLOADER, SYSTEM, USER, AssetRegion, Bounds, OtaRegion
from particle_harness.module_reader import STM32F2_MCU, Mcu
from particle_harness.nor_flash import Reader


@dataclass(frozen=True, slots=True)
class Stm32f2Layout:
    """The bootloader jumps to part 1, which jumps to part 2: that one checks the others."""

    places: tuple[Bounds, ...]
    ota: OtaRegion
    mcu: Mcu = STM32F2_MCU
    chip: FlashChip = STM32F205_FLASH
    device_id_prefix: str = ""
    modules_end: int = 0x08100000
    bootloader_address: int = 0x08000000
    main_system_index: int = 2

    @property
    def factory_address(self) -> int:
        """In internal flash."""
        return self.places[-1].start_address

    def system_addresses(self, bootloader_version: int) -> tuple[int, ...]:  # noqa: ARG002
        """Always the same."""
        return (0x08020000,)

    def bounds(self, version: int, internal: Reader) -> tuple[Bounds, ...]:  # noqa: ARG002
        """The same in all releases."""
        return self.places

    def ota_region(self, version: int, internal: Reader) -> OtaRegion:  # noqa: ARG002
        """The same in all releases."""
        return self.ota

    def asset_region(self, version: int) -> AssetRegion | None:  # noqa: ARG002
        """None in any release."""
        return None


_BOOTLOADER = Bounds(BOOTLOADER, 0, 0x08000000, 0x08004000)
PHOTON = Stm32f2Layout(
    (
        _BOOTLOADER,
        Bounds(SYSTEM, 1, 0x08020000, 0x08060000),
        Bounds(SYSTEM, 2, 0x08060000, 0x080A0000),
        Bounds(USER, 1, 0x080A0000, 0x080C0000),
        Bounds(USER, 1, 0x080E0000, 0x08100000, ModuleStore.FACTORY),
    ),
    OtaRegion(0x080C0000, 0x40000),
)
ELECTRON = Stm32f2Layout(
    (
        _BOOTLOADER,
        Bounds(SYSTEM, 1, 0x08020000, 0x08040000),
        Bounds(SYSTEM, 2, 0x08040000, 0x08060000),
        Bounds(SYSTEM, 3, 0x08060000, 0x08080000),
        Bounds(USER, 1, 0x08080000, 0x080A0000),
        Bounds(USER, 1, 0x080A0000, 0x080C0000, ModuleStore.FACTORY),
    ),
    OtaRegion(0x080C0000, 0x20000),
)
