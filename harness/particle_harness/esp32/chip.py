"""A virtual ESP32: registers, fuses, flash, and what runs in it.

Source: Espressif, ESP32 Technical Reference Manual (SPI user commands, eFuse block 0, strapping pins).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from particle_dev.catalog.flash_chips import FlashChip, SectorRun
from particle_harness.clock import Clock, RealClock
from particle_harness.esp32.image import ARGON_PARTITIONS, TABLE_ADDRESS, boot_choice, esp_image, partition_table
from particle_harness.nor_flash import NorFlash

KIB = 1024
FLASH = FlashChip("esp32 flash", 0, (SectorRun(1024, 4 * KIB, 0.045),), 1, 2e-6, "Winbond W25Q32JV data sheet, typical")
MAGIC_OF = {"ESP32": 0x00F01D83, "ESP32-S2": 0x000007C6, "ESP8266": 0xFFF0C101}
"""What stands at 0x40001000 of each chip. Source: esptool documentation, chip detection."""
_MAGIC_REG = 0x40001000
_SPI = 0x3FF42000
_SPI_COMMAND, _SPI_USER2, _SPI_DATA = _SPI, _SPI + 0x24, _SPI + 0x80
_SPI_USER = 1 << 18
_FUSES = 0x3FF5A000
_UART_DIVIDER = 0x3FF40014
_RTC_CALIBRATION = 0x3FF5F06C
_READ_ID = 0x9F
_FLASH_ID = 0x1640EF
"""Winbond, 4 MiB: the bytes EF 40 16 as they come."""
_CRYSTAL_HZ = 40_000_000
_BAUD = 115_200
_PACKAGE_D0WD = 1


class Runs(StrEnum):
    """What the chip executes."""

    LOADER = "ROM loader"
    STUB = "flasher stub"
    APPLICATION = "application"
    NOTHING = "nothing"


@dataclass(slots=True)
class ChipFaults:
    """What is wrong with a chip. ``kind``: another chip than the one expected. ``worn_address``: the bit that a write
    there leaves as it was."""

    kind: str = "ESP32"
    worn_address: int | None = None


class VirtualEsp32:
    """One chip. ``reset`` starts it, with GPIO0 low into its ROM loader, else into the application that its boot choice
    names. ``blank``: as the chip came, without partition table and applications."""

    def __init__(
        self,
        *,
        mac: bytes = bytes.fromhex("240ac4112233"),
        blank: bool = False,
        faults: ChipFaults | None = None,
        clock: Clock | None = None,
        delays: bool = False,
    ) -> None:
        self.mac = mac
        self.faults = faults or ChipFaults()
        self.flash = NorFlash(FLASH, clock or RealClock(), delays=delays)
        self.flash.on_program = self._wear
        self.runs = Runs.NOTHING
        self.resets = 0
        self._registers: dict[int, int] = {}
        if not blank:
            self.flash.load(TABLE_ADDRESS, partition_table())
            self.flash.load(0x10000, boot_choice(2))
            self.flash.load(0x280000, esp_image(0x10000, seed="factory", version="0.0.5"))

    def reset(self, *, into_loader: bool) -> None:
        """Start it."""
        self.resets += 1
        self._registers.clear()
        self.runs = Runs.LOADER if into_loader else Runs.APPLICATION if self.boots() else Runs.NOTHING

    def boots(self) -> str | None:
        """The partition whose application starts, None when none can."""
        partitions = {label: (offset, size) for label, _, _, offset, size in ARGON_PARTITIONS}
        if self.flash.read(TABLE_ADDRESS, 0xC00) != partition_table():
            return None
        newest = max(self._sequence(0x10000), self._sequence(0x11000))
        chosen = f"ota_{(newest - 1) % 2}" if newest else "ota_0"
        return chosen if self.flash.read(partitions[chosen][0], 1) == b"\xe9" else None

    def _sequence(self, address: int) -> int:
        """Of a sector of the boot choice, 0 when it is not valid."""
        sector = self.flash.read(address, 32)
        number, crc = struct.unpack("<I24xI", sector)
        return int(number) if crc == zlib.crc32(sector[:4], 0xFFFFFFFF) and number != 0xFFFFFFFF else 0

    def read_register(self, address: int) -> int:
        """A word of the bus. Registers that nobody wrote are 0."""
        fixed: dict[int, Callable[[], int]] = {
            _MAGIC_REG: lambda: MAGIC_OF[self.faults.kind],
            _FUSES + 4: lambda: int.from_bytes(self.mac[2:], "big"),
            _FUSES + 8: lambda: int.from_bytes(self.mac[:2], "big"),
            _FUSES + 12: lambda: _PACKAGE_D0WD << 9,
            _FUSES + 16: lambda: 200,
            _RTC_CALIBRATION: lambda: 512 << 7,
            _UART_DIVIDER: lambda: _CRYSTAL_HZ // _BAUD,
        }
        return fixed[address]() if address in fixed else self._registers.get(address, 0)

    def write_register(self, address: int, value: int, mask: int) -> None:
        """Change the bits of ``mask``; a user command of the SPI controller is carried out at once."""
        value = (self.read_register(address) & ~mask) | (value & mask)
        if address == _SPI_COMMAND and value & _SPI_USER:
            command = self.read_register(_SPI_USER2) & 0xFF
            self._registers[_SPI_DATA] = _FLASH_ID if command == _READ_ID else 0
            value &= ~_SPI_USER
        self._registers[address] = value

    def erase(self, address: int, size_bytes: int) -> None:
        """The sectors that hold these bytes. IndexError outside of the flash."""
        self.flash.read(address, size_bytes)
        for sector in range(address & -FLASH.sectors[0].size_bytes, address + size_bytes, FLASH.sectors[0].size_bytes):
            self.flash.erase_sector(sector)

    def _wear(self, address: int, data: bytes) -> bytes:
        worn = self.faults.worn_address
        if worn is None or not address <= worn < address + len(data):
            return data
        changed = bytearray(data)
        changed[worn - address] ^= 1
        return bytes(changed)
