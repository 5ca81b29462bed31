"""Flash memories: geometry and typical times at 3.3 V, for estimates and for virtual boards."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True, slots=True)
class SectorRun:
    """``count`` sectors of ``size_bytes`` each, one behind the other, that take ``erase_s`` seconds each to erase."""

    count: int
    size_bytes: int
    erase_s: float


@dataclass(frozen=True, slots=True)
class FlashChip:
    """One flash memory; ``program_s`` per ``program_unit_bytes``. ``mass_erase_s`` 0: nobody erases it in one go."""

    name: str
    base_address: int
    sectors: tuple[SectorRun, ...]
    program_unit_bytes: int
    program_s: float
    source: str
    mass_erase_s: float = 0.0

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole chip."""
        return sum(run.count * run.size_bytes for run in self.sectors)

    @property
    def sector_addresses(self) -> tuple[int, ...]:
        """Where each sector begins."""
        addresses: list[int] = []
        address = self.base_address
        for run in self.sectors:
            addresses += range(address, address + run.count * run.size_bytes, run.size_bytes)
            address += run.count * run.size_bytes
        return tuple(addresses)

    def sector(self, address: int) -> tuple[int, int, float]:
        """Start address, size in bytes and erase time of the sector that holds ``address``. Raises ValueError for an
        address outside."""
        start = self.base_address
        for run in self.sectors:
            run_size_bytes = run.count * run.size_bytes
            if start <= address < start + run_size_bytes:
                return address - (address - start) % run.size_bytes, run.size_bytes, run.erase_s
            start += run_size_bytes
        raise ValueError(f"0x{address:08x} is outside the flash of {self.name}")


NRF52840_FLASH = FlashChip(
    "nrf52840",
    0,
    (SectorRun(256, 4 * KIB, 0.085),),
    4,
    41e-6,
    "Nordic nRF52840 Product Specification v1.7, NVMC electrical specification: tERASEPAGE 85 ms, tWRITE 41 us, "
    "tERASEALL 169 ms",
    0.169,
)
STM32F205_FLASH = FlashChip(
    "stm32f205",
    0x08000000,
    (SectorRun(4, 16 * KIB, 0.25), SectorRun(1, 64 * KIB, 0.55), SectorRun(7, 128 * KIB, 1.0)),
    4,
    16e-6,
    "ST PM0059 (sectors); STM32F205xx data sheet DS6329, flash memory programming, x32 parallelism, typical values",
    8.0,
)
_MACRONIX = "Macronix MX25L3233F / MX25R6435F data sheets: sector erase tSE 40 ms, page program tPP 0.4 ms typical"
RTL872X_FLASH = FlashChip(
    "rtl872x",
    0x08000000,
    (SectorRun(2048, 4 * KIB, 0.040),),
    256,
    0.4e-3,
    f"device-os v6.2.0 hal/src/tron/hal_platform_config.h HAL_PLATFORM_FLASH_MX25R6435FZNIL0; {_MACRONIX}",
)
FLASH_BY_FAMILY = {"nrf52840": NRF52840_FLASH, "stm32f2xx": STM32F205_FLASH, "rtl872x": RTL872X_FLASH}
"""What the system's modules lie in, by the platform's family."""


def qspi_flash(size_bytes: int) -> FlashChip:
    """The serial NOR chip beside an nRF52840 or in a P1."""
    return FlashChip("QSPI NOR", 0, (SectorRun(size_bytes // (4 * KIB), 4 * KIB, 0.040),), 256, 0.4e-3, _MACRONIX)
