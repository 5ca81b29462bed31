"""Microcontrollers as a debug probe sees them: identity, memories, times."""

from __future__ import annotations

from dataclasses import dataclass

from particle_dev.catalog.platforms import Platform

KIB = 1024


@dataclass(frozen=True, slots=True)
class SectorRun:
    """``count`` equal sectors, one behind the other."""

    count: int
    size_bytes: int
    erase_s: float


@dataclass(frozen=True, slots=True)
class Chip:
    """One kind of microcontroller.

    ``identity_address``/``identity_mask``/``identity_value``: a word that tells it from others. ``unique_id_*``: where
    the maker's number of the single chip lies. ``device_id_prefix`` goes before it to make a Device ID. Times are
    typical values, for estimates.
    """

    name: str
    flash_start_address: int
    sectors: tuple[SectorRun, ...]
    word_program_s: float
    mass_erase_s: float
    ram_start_address: int
    ram_size_bytes: int
    identity_address: int
    identity_mask: int
    identity_value: int
    unique_id_address: int
    unique_id_size_bytes: int
    device_id_prefix: bytes
    source: str

    @property
    def flash_size_bytes(self) -> int:
        """Bytes of internal flash."""
        return sum(run.count * run.size_bytes for run in self.sectors)

    @property
    def sector_addresses(self) -> tuple[int, ...]:
        """Where each sector begins."""
        addresses, address = [], self.flash_start_address
        for run in self.sectors:
            for _ in range(run.count):
                addresses.append(address)
                address += run.size_bytes
        return tuple(addresses)

    def sector(self, address: int) -> tuple[int, int, float]:
        """Start, size in bytes and erase time of the sector that holds an address of flash. Raises ValueError."""
        start = self.flash_start_address
        for run in self.sectors:
            run_size_bytes = run.count * run.size_bytes
            if start <= address < start + run_size_bytes:
                return address - (address - start) % run.size_bytes, run.size_bytes, run.erase_s
            start += run_size_bytes
        raise ValueError(f"0x{address:08x} is outside the flash of {self.name}")

    def device_id(self, unique_id: bytes) -> str:
        """The Device ID that Device OS makes of the chip's number: 24 hex digits."""
        return (self.device_id_prefix + unique_id).hex()


NRF52840 = Chip(
    name="nrf52840",
    flash_start_address=0,
    sectors=(SectorRun(256, 4 * KIB, 0.085),),
    word_program_s=41e-6,
    mass_erase_s=0.169,
    ram_start_address=0x20000000,
    ram_size_bytes=256 * KIB,
    identity_address=0x10000100,
    identity_mask=0xFFFFFFFF,
    identity_value=0x52840,
    unique_id_address=0x10000060,
    unique_id_size_bytes=8,
    device_id_prefix=bytes.fromhex("e00fce68"),
    source="Nordic nRF52840 Product Specification v1.7 (NVMC, FICR); device-os v6.2.0 "
    "hal/src/nRF52840/deviceid_hal.cpp",
)
STM32F205 = Chip(
    name="stm32f205",
    flash_start_address=0x08000000,
    sectors=(SectorRun(4, 16 * KIB, 0.25), SectorRun(1, 64 * KIB, 0.55), SectorRun(7, 128 * KIB, 1.0)),
    word_program_s=16e-6,
    mass_erase_s=8.0,
    ram_start_address=0x20000000,
    ram_size_bytes=128 * KIB,
    identity_address=0xE0042000,
    identity_mask=0xFFF,
    identity_value=0x411,
    unique_id_address=0x1FFF7A10,
    unique_id_size_bytes=12,
    device_id_prefix=b"",
    source="ST RM0033 (DBGMCU, unique id), PM0059 (sectors), DS6329 (times, x32); device-os v3.3.1 "
    "hal/src/stm32f2xx/deviceid_hal.cpp",
)
_BY_FAMILY = {"nrf52840": NRF52840, "stm32f2xx": STM32F205}


def chip_of(platform: Platform) -> Chip | None:
    """The chip of a platform; None for those that no probe of ours programs."""
    return _BY_FAMILY.get(platform.family)
