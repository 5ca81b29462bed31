"""The flash controllers, driven from outside through their registers: erasing, and the words of UICR.

Programming runs on the chip (pyOCD's flash algorithm), for which the wire is too slow; an erase takes one store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from particle_dev.catalog.chips import NRF52840, Chip
from particle_dev.errors import FlashRangeError, LinkTimeoutError, TransportError
from particle_dev.transport.base import Clock

UICR_START_ADDRESS, UICR_SIZE_BYTES = 0x10001000, 0x400
_SLEPT_SHARE = 0.95
"""Of the typical time; asking all the time would keep the host busy for nothing."""
_ERASE_TIMEOUT_S = 10.0
"""For one act; a sector of 128 KiB takes at most 4 s. Source: ST DS6329, flash memory programming, x8."""


class Registers(Protocol):
    """Words of memory through a debug probe."""

    def read_word(self, address: int) -> int:
        """The word."""
        ...

    def write_word(self, address: int, value: int) -> None:
        """Store the word."""
        ...


class FlashController(Protocol):
    """What erases a chip's flash."""

    def erase_sector(self, address: int) -> None:
        """Erase the sector that begins there."""
        ...

    def erase_everything(self) -> None:
        """Erase flash and what goes with it, in one act."""
        ...

    def erase_user_information(self) -> None:
        """Erase UICR."""
        ...

    def write_user_information(self, words: Mapping[int, int]) -> None:
        """Clear bits in UICR, so that words (by address) become what they are to be."""
        ...


def controller_of(chip: Chip, registers: Registers, where: str, clock: Clock) -> FlashController:
    """The controller of that chip."""
    kind = NvmController if chip == NRF52840 else Stm32f2Controller
    return kind(chip, registers, where, clock)


def _wait(is_done: Callable[[], bool], where: str, what: str, clock: Clock, typical_s: float = 0.0) -> None:
    """Sleep most of the typical time, then ask. The deadline is on the wall: a chip that hangs has no time."""
    if is_done():
        return
    clock.sleep(_SLEPT_SHARE * typical_s)
    end_s = time.monotonic() + _ERASE_TIMEOUT_S
    while not is_done():
        if time.monotonic() > end_s:
            raise LinkTimeoutError(f"{what} took longer than {_ERASE_TIMEOUT_S:g} s", where=where, hint="power-cycle")


class NvmController:
    """NVMC of nRF52840. Source: Nordic nRF52840 Product Specification v1.7, NVMC."""

    _READY, _CONFIG, _ERASEPAGE, _ERASEALL, _ERASEUICR = 0x4001E400, 0x4001E504, 0x4001E508, 0x4001E50C, 0x4001E514
    _READ_ONLY, _WRITE, _ERASE = 0, 1, 2

    def __init__(self, chip: Chip, registers: Registers, where: str, clock: Clock) -> None:
        self._chip = chip
        self._registers = registers
        self._where = where
        self._clock = clock

    def erase_sector(self, address: int) -> None:
        """Erase one page of 4096 bytes."""
        self._erase(self._ERASEPAGE, address, self._chip.sector(address)[2])

    def erase_everything(self) -> None:
        """**Erase flash and UICR.**"""
        self._erase(self._ERASEALL, 1, self._chip.mass_erase_s)

    def erase_user_information(self) -> None:
        """**Erase UICR**: bootloader address, reset pin, protection, customer words."""
        self._erase(self._ERASEUICR, 1, self._chip.sectors[0].erase_s)

    def write_user_information(self, words: Mapping[int, int]) -> None:
        """Bits can only be cleared. Raises FlashRangeError for an address outside UICR."""
        for address in words:
            if not UICR_START_ADDRESS <= address < UICR_START_ADDRESS + UICR_SIZE_BYTES:
                raise FlashRangeError(
                    f"0x{address:08x} is outside UICR",
                    address=address,
                    size_bytes=4,
                    hint="UICR is what may be written here; the flash is written in pages",
                )
        self._registers.write_word(self._CONFIG, self._WRITE)
        for address, value in words.items():
            self._registers.write_word(address, value)
            self._wait("a store into UICR")
        self._registers.write_word(self._CONFIG, self._READ_ONLY)

    def _erase(self, register: int, value: int, typical_s: float) -> None:
        self._registers.write_word(self._CONFIG, self._ERASE)
        self._registers.write_word(register, value)
        self._wait("the erase", typical_s)
        self._registers.write_word(self._CONFIG, self._READ_ONLY)

    def _wait(self, what: str, typical_s: float = 0.0) -> None:
        _wait(lambda: self._registers.read_word(self._READY) & 1 == 1, self._where, what, self._clock, typical_s)


class Stm32f2Controller:
    """Flash interface of STM32F2 with x32 parallelism. Source: ST PM0059, flash interface registers."""

    _KEYR, _SR, _CR = 0x40023C04, 0x40023C0C, 0x40023C10
    _KEYS = 0x45670123, 0xCDEF89AB
    _SER, _X32, _STRT, _LOCK = 1 << 1, 2 << 8, 1 << 16, 1 << 31
    _BSY, _ERRORS, _WRPERR = 1 << 16, 0xF0, 1 << 4

    def __init__(self, chip: Chip, registers: Registers, where: str, clock: Clock) -> None:
        self._chip = chip
        self._registers = registers
        self._where = where
        self._clock = clock
        self._numbers: Sequence[int] = chip.sector_addresses

    def erase_sector(self, address: int) -> None:
        """Erase one sector of 16, 64 or 128 KiB. Raises TransportError when it is write-protected."""
        registers, number = self._registers, self._numbers.index(address)
        if registers.read_word(self._CR) & self._LOCK:
            for key in self._KEYS:
                registers.write_word(self._KEYR, key)
        registers.write_word(self._SR, self._ERRORS)
        select = self._SER | self._X32 | number << 3
        registers.write_word(self._CR, select)
        registers.write_word(self._CR, select | self._STRT)
        erase_s = self._chip.sector(address)[2]
        _wait(lambda: registers.read_word(self._SR) & self._BSY == 0, self._where, "the erase", self._clock, erase_s)
        status = registers.read_word(self._SR)
        registers.write_word(self._CR, self._LOCK)
        if status & self._ERRORS:
            protected = " (write-protected)" if status & self._WRPERR else ""
            raise TransportError(
                f"sector {number} at 0x{address:08x} was not erased: status 0x{status:08x}{protected}",
                where=self._where,
                hint="its write protection is in the option bytes" if protected else "",
            )

    def erase_everything(self) -> None:
        """Refused: device keys lie in the same flash. Raises FlashRangeError."""
        raise FlashRangeError(
            "an STM32F2 is never erased as a whole: its device keys lie in sectors 1 and 2",
            address=self._numbers[0],
            size_bytes=0,
            hint="erase sectors",
        )

    def erase_user_information(self) -> None:
        """There is none. Raises FlashRangeError."""
        raise FlashRangeError(
            "an STM32F2 has no UICR",
            address=UICR_START_ADDRESS,
            size_bytes=UICR_SIZE_BYTES,
            hint="leave UICR out for this chip",
        )

    def write_user_information(self, words: Mapping[int, int]) -> None:
        """There is none. Raises FlashRangeError."""
        raise FlashRangeError(
            "an STM32F2 has no UICR", address=min(words), size_bytes=4, hint="leave UICR out for this chip"
        )
