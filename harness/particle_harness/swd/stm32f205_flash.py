"""Flash interface of the STM32F205: keys, programming and erasing by sectors, option bytes; the memory beside it.

Source: ST PM0059 (flash programming), RM0033 (memory map).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable

from particle_harness.nor_flash import NorFlash

FLASH_START = 0x08000000
SYSTEM_MEMORY, OPTION_BYTES = 0x1FFF0000, 0x1FFFC000
_OTP = 0x7800
"""Offset in system memory. Source: device-os v3.3.1 hal/src/stm32f2xx/deviceid_hal.cpp (serial number at its start)."""
_UNIQUE_ID, _FLASH_SIZE = 0x7A10, 0x7A22
_KEYS = (0x45670123, 0xCDEF89AB)
_OPTION_KEYS = (0x08192A3B, 0x4C5D6E7F)
_ACR, _KEYR, _OPTKEYR, _SR, _CR, _OPTCR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14
_PG, _SER, _MER, _STRT, _EOPIE, _LOCK = 1 << 0, 1 << 1, 1 << 2, 1 << 16, 1 << 24, 1 << 31
_EOP, _WRPERR, _PGPERR, _PGSERR, _BSY = 1 << 0, 1 << 4, 1 << 6, 1 << 7, 1 << 16
_OPTLOCK = 1
OPTION_DEFAULT = 0x0FFFAAED
"""Read protection level 0 (0xAA), no sector write-protected."""


class FlashController:
    """Registers and rules of the flash interface. ``erase_sectors`` takes sector numbers; ``erases`` tells whether an
    erase that was started still takes time."""

    def __init__(self, erase_sectors: Callable[[list[int]], None], erases: Callable[[], bool]) -> None:
        self._erase_sectors = erase_sectors
        self._erases = erases
        self.option_control = OPTION_DEFAULT
        self.reset()

    def reset(self) -> None:
        """Registers as after a reset: locked."""
        self.access_control, self.status, self.control = 0, 0, _LOCK
        self.option_control |= _OPTLOCK
        self._keys_given = self._option_keys_given = 0

    def allows_store(self, sector: int, size_bytes: int) -> bool:
        """Whether a store of that width into that sector is programmed; sets the error flag when not."""
        if self.control & (_LOCK | _PG) != _PG:
            self.status |= _PGSERR
            return False
        if not self.option_control >> 16 + sector & 1:
            self.status |= _WRPERR
            return False
        if size_bytes != 1 << (self.control >> 8 & 3):
            self.status |= _PGPERR
            return False
        if self.control & _EOPIE:
            self.status |= _EOP
        return True

    def read(self, offset: int, _size_bytes: int) -> int:
        """A register; the keys read 0."""
        status = self.status | (_BSY if self._erases() else 0)
        registers = {_ACR: self.access_control, _SR: status, _CR: self.control, _OPTCR: self.option_control}
        return registers.get(offset & ~3, 0) >> 8 * (offset & 3)

    def write(self, offset: int, _size_bytes: int, value: int) -> None:
        """A register."""
        if offset == _ACR:
            self.access_control = value
        elif offset == _KEYR:
            self._give_key(value)
        elif offset == _OPTKEYR:
            self._give_option_key(value)
        elif offset == _SR:
            self.status &= ~(value & 0xF3)
        elif offset == _CR:
            self._write_control(value)
        elif offset == _OPTCR and not self.option_control & _OPTLOCK:
            self.option_control = value & 0x0FFFFFFF

    def _give_key(self, value: int) -> None:
        if self._keys_given < 2 and value == _KEYS[self._keys_given]:
            self._keys_given += 1
            if self._keys_given == 2:
                self.control &= ~_LOCK
                self._keys_given = 0
        else:
            # A wrong key locks the register until the next reset.
            self._keys_given = 2

    def _give_option_key(self, value: int) -> None:
        if value == _OPTION_KEYS[self._option_keys_given]:
            self._option_keys_given += 1
            if self._option_keys_given == 2:
                self.option_control &= ~_OPTLOCK
                self._option_keys_given = 0
        else:
            self._option_keys_given = 0

    def _write_control(self, value: int) -> None:
        if self.control & _LOCK:
            return
        if value & _LOCK:
            self.control |= _LOCK
            return
        self.control = value & 0x0300037F
        if not value & _STRT:
            return
        if value & _MER:
            self._erase(range(12))
        elif value & _SER:
            self._erase([value >> 3 & 0xF])
        if self.control & _EOPIE:
            self.status |= _EOP

    def _erase(self, sectors: range | list[int]) -> None:
        """A mass erase with one protected sector erases nothing."""
        if any(sector > 11 or not self.option_control >> 16 + sector & 1 for sector in sectors):
            self.status |= _WRPERR
            return
        self._erase_sectors(list(sectors))


def sector_address(flash: NorFlash, wanted: int) -> int:
    """Where a sector begins."""
    return flash.chip.sector_addresses[wanted]


def sector_number(flash: NorFlash, address: int) -> int:
    """Number of the sector that holds an address."""
    return bisect_right(flash.chip.sector_addresses, address) - 1


def system_memory(unique_id: bytes, serial_number: str) -> bytearray:
    """The pages from 0x1FFF0000 on: one-time-programmable bytes with the serial number, unique id, size of flash."""
    memory = bytearray(b"\xff" * 0x8000)
    memory[_OTP : _OTP + len(serial_number)] = serial_number.encode()
    memory[_UNIQUE_ID : _UNIQUE_ID + 12] = unique_id
    struct.pack_into("<H", memory, _FLASH_SIZE, 1024)
    return memory


def option_bytes() -> bytearray:
    """The page 0x1FFFC000."""
    page = bytearray(b"\xff" * 0x1000)
    struct.pack_into("<I", page, 0, OPTION_DEFAULT & 0xFFFF)
    return page
