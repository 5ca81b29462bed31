"""Microcontrollers as a debug probe sees them: identity and memories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from particle_dev.catalog.flash_chips import KIB, NRF52840_FLASH, STM32F205_FLASH, FlashChip, SectorRun
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import ModuleSlot, Platform


@dataclass(frozen=True, slots=True)
class Chip:
    """One kind of microcontroller.

    ``identity_address``/``identity_mask``/``identity_value``: a word that tells it from others. ``unique_id_*``: where
    the maker's number of the single chip lies; ``device_id_prefix`` goes before it to make a Device ID.
    """

    flash: FlashChip
    ram_start_address: int
    ram_size_bytes: int
    identity_address: int
    identity_mask: int
    identity_value: int
    unique_id_address: int
    unique_id_size_bytes: int
    device_id_prefix: str
    backup_register_address: int
    """Register 1 of those that outlive a reset; what Device OS puts there tells its bootloader what to start."""
    source: str

    @property
    def name(self) -> str:
        """Such as ``nrf52840``."""
        return self.flash.name

    @property
    def flash_start_address(self) -> int:
        """Where internal flash begins."""
        return self.flash.base_address

    @property
    def flash_size_bytes(self) -> int:
        """Bytes of internal flash."""
        return self.flash.size_bytes

    @property
    def sectors(self) -> tuple[SectorRun, ...]:
        """Runs of equal sectors, in the order of addresses."""
        return self.flash.sectors

    @property
    def sector_addresses(self) -> tuple[int, ...]:
        """Where each sector begins."""
        return self.flash.sector_addresses

    @property
    def word_program_s(self) -> float:
        """Typical time to program four bytes."""
        return self.flash.program_s * 4 / self.flash.program_unit_bytes

    @property
    def mass_erase_s(self) -> float:
        """Typical time to erase all of the flash at once."""
        return self.flash.mass_erase_s

    def sector(self, address: int) -> tuple[int, int, float]:
        """Start, size in bytes and erase time of the sector that holds an address of flash. Raises ValueError."""
        return self.flash.sector(address)

    def device_id(self, unique_id: bytes) -> str:
        """The Device ID that Device OS makes of the chip's number: 24 hex digits."""
        return self.device_id_prefix + unique_id.hex()


NRF52840 = Chip(
    flash=NRF52840_FLASH,
    ram_start_address=0x20000000,
    ram_size_bytes=256 * KIB,
    identity_address=0x10000100,
    identity_mask=0xFFFFFFFF,
    identity_value=0x52840,
    unique_id_address=0x10000060,
    unique_id_size_bytes=8,
    device_id_prefix="e00fce68",
    backup_register_address=0x2003F380,
    source="Nordic nRF52840 Product Specification v1.7 (FICR); device-os v6.2.0 hal/src/nRF52840/deviceid_hal.cpp, "
    "core_hal.c backup_register",
)
STM32F205 = Chip(
    flash=STM32F205_FLASH,
    ram_start_address=0x20000000,
    ram_size_bytes=128 * KIB,
    identity_address=0xE0042000,
    identity_mask=0xFFF,
    identity_value=0x411,
    unique_id_address=0x1FFF7A10,
    unique_id_size_bytes=12,
    device_id_prefix="",
    backup_register_address=0x40002854,
    source="ST RM0033 (DBGMCU, unique id, RTC_BKP_DR1); device-os v3.3.1 hal/src/stm32f2xx/deviceid_hal.cpp",
)
CHIPS = (NRF52840, STM32F205)
_BY_FAMILY = {"nrf52840": NRF52840, "stm32f2xx": STM32F205}


def chip_of(platform: Platform) -> Chip | None:
    """The chip of a platform; None for those that no probe of ours programs."""
    return _BY_FAMILY.get(platform.family)


def flash_slots(platform: Platform) -> Iterator[ModuleSlot]:
    """Slots in the flash that a probe sees, of modules that begin with a prefix there."""
    for slot in platform.module_slots:
        is_kept = slot.storage == "internal_flash" and slot.start_address is not None and not slot.drop_module_info
        if is_kept and slot.function != ModuleFunction.MONO_FIRMWARE:
            yield slot
