"""Memories behind the alternate settings of DFU mode: which addresses they take and how.

Source: device-os v2.1.0 bootloader/src/nRF52840/usbd_dfu_mal.cpp, hal/src/nRF52840/flash_hal.c (Gen 3);
usbd_dfu_mal.c, usbd_flash_if.c, usbd_dct_if.c of the STM32 driver, bootloader/src/photon/bootloader_dct.c (Gen 2).
"""

from __future__ import annotations

from collections.abc import Callable

from particle_harness.dct import DCT_SIZE_BYTES, Dct
from particle_harness.nor_flash import NorFlash
from particle_harness.usb.dfu_terms import CrashError

_WORD = 4
_MBR_END = 0x1000


class InternalFlashGen3:
    """nRF52840 flash: reads everywhere, writes and erases everywhere but in the master boot record."""

    def __init__(self, flash: NorFlash) -> None:
        self._flash = flash

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Bytes, also of the bootloader."""
        return self._flash.read(address, size_bytes) if self._inside(address, size_bytes) else None

    def write(self, address: int, data: bytes) -> bool:
        """Whole words: missing bytes are 0xFF, which changes nothing."""
        # nrf_fstorage is set up for 0x1000 to 0x100000; validate() alone would let the first page through.
        if not self._inside(address, len(data)) or address < _MBR_END:
            return False
        head = address % _WORD
        padded = b"\xff" * head + data
        padded += b"\xff" * (-len(padded) % _WORD)
        self._flash.program(address - head, padded)
        return True

    def erase(self, address: int) -> bool:
        """One page."""
        if not _MBR_END <= address < self._flash.end_address:
            return False
        self._flash.erase_sector(address)
        return True

    def poll_timeout_ms(self, command_is_erase: bool, address: int) -> int | None:  # noqa: ARG002
        """Always 0."""
        return 0

    def _inside(self, address: int, size_bytes: int) -> bool:
        return address + size_bytes <= self._flash.end_address


class ExternalFlashGen3:
    """Serial flash, whose addresses count from 0x80000000."""

    OFFSET = 0x80000000

    def __init__(self, flash: NorFlash) -> None:
        self._flash = flash

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Bytes of the chip."""
        return self._flash.read(address - self.OFFSET, size_bytes) if self._inside(address, size_bytes) else None

    def write(self, address: int, data: bytes) -> bool:
        """Program bytes."""
        if not self._inside(address, len(data)):
            return False
        self._flash.program(address - self.OFFSET, data)
        return True

    def erase(self, address: int) -> bool:
        """One 4 KiB sector. The address just behind the chip is taken and wraps to its start."""
        size_bytes = self._flash.chip.size_bytes
        offset = address - self.OFFSET
        if not 0 <= offset <= size_bytes:
            return False
        self._flash.erase_sector(offset % size_bytes)
        return True

    def poll_timeout_ms(self, command_is_erase: bool, address: int) -> int | None:  # noqa: ARG002
        """Always 0."""
        return 0

    def _inside(self, address: int, size_bytes: int) -> bool:
        return address >= self.OFFSET and address - self.OFFSET + size_bytes <= self._flash.end_address


class DctGen3:
    """Device configuration: read and write at once, erase does nothing."""

    def __init__(self, dct: Dct) -> None:
        self._dct = dct

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Bytes of the configuration, up to the end of its file."""
        if address + size_bytes > DCT_SIZE_BYTES:
            return None
        return self._dct.read(address, max(0, min(size_bytes, self._dct.file_size_bytes - address)))

    def write(self, address: int, data: bytes) -> bool:
        """Replace bytes. The file grows as far as it must, and what lies between is 0 then."""
        if address + len(data) > DCT_SIZE_BYTES:
            return False
        end = self._dct.file_size_bytes
        if address > end:
            self._dct.write(end, bytes(address - end))
        self._dct.write(address, data)
        self._dct.file_size_bytes = max(end, address + len(data))
        return True

    def erase(self, address: int) -> bool:  # noqa: ARG002
        """Nothing to do."""
        return True

    def poll_timeout_ms(self, command_is_erase: bool, address: int) -> int | None:  # noqa: ARG002
        """Always 0."""
        return 0


class InternalFlashGen2:
    """STM32F2 flash: erased by sectors of 16 to 128 KiB; bootloader and configuration are protected."""

    PROTECTED_END = 0x08020000

    def __init__(self, flash: NorFlash) -> None:
        self._flash = flash

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Bytes, also of the bootloader. Only the first address is checked: CrashError behind the end."""
        if not self._inside(address):
            return None
        if address + size_bytes > self._flash.end_address:
            raise CrashError
        return self._flash.read(address, size_bytes)

    def write(self, address: int, data: bytes) -> bool:
        """Whole words, verified and tried again as the bootloader does.

        At an address that is not a multiple of four, the core splits its stores, and the flash interface, set up for
        words, refuses the pieces. CrashError when it runs over the end of the flash.
        """
        if not self._inside(address) or address < self.PROTECTED_END or address % _WORD:
            return False
        padded = data + b"\xff" * (-len(data) % _WORD)
        room = self._flash.end_address - address
        if len(padded) > room:
            self._flash.program(address, padded[:room])
            raise CrashError
        for _ in range(3):
            self._flash.program(address, padded)
            if self._flash.read(address, len(padded)) == padded:
                return True
        return False

    def erase(self, address: int) -> bool:
        """The sector that holds the address."""
        if not self._inside(address) or address < self.PROTECTED_END:
            return False
        self._flash.erase_sector(address)
        return True

    def poll_timeout_ms(self, command_is_erase: bool, address: int) -> int | None:  # noqa: ARG002
        """0 for addresses in flash."""
        return 0 if self._inside(address) else None

    def _inside(self, address: int) -> bool:
        return self._flash.base_address <= address < self._flash.end_address


class DctGen2:
    """Device configuration of a Photon: reached through code in the system parts, so only while they are intact."""

    SYSTEM_PARTS_END = 8836
    """Where the configuration ends for the code in the system parts, which writes nothing behind it.

    Source: Device OS 2.1.0 of a Photon, run on an emulated chip.
    """

    def __init__(self, dct: Dct, reachable: Callable[[], bool], *, end_address: int = DCT_SIZE_BYTES) -> None:
        self._dct = dct
        self._reachable = reachable
        self._end_address = end_address

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Bytes of the configuration; None (the host sees zeros) while the system parts are broken."""
        inside = address + size_bytes <= DCT_SIZE_BYTES
        return self._dct.read(address, size_bytes) if inside and self._reachable() else None

    def write(self, address: int, data: bytes) -> bool:
        """Replace bytes, with the same condition."""
        if address + len(data) > self._end_address or not self._reachable():
            return False
        self._dct.write(address, data)
        return True

    def erase(self, address: int) -> bool:
        """Nothing to do."""
        return address < DCT_SIZE_BYTES

    def poll_timeout_ms(self, command_is_erase: bool, address: int) -> int | None:
        """500 ms for an erase and 1 ms for a write, as the firmware's table has them."""
        if address >= DCT_SIZE_BYTES:
            return None
        return 500 if command_is_erase else 1


class SerialFlashGen2:
    """The P1's serial flash, counted from 0."""

    def __init__(self, flash: NorFlash) -> None:
        self._flash = flash

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Bytes of the chip."""
        return self._flash.read(address, size_bytes) if address + size_bytes <= self._flash.end_address else None

    def write(self, address: int, data: bytes) -> bool:
        """Program bytes."""
        if address + len(data) > self._flash.end_address:
            return False
        self._flash.program(address, data)
        return True

    def erase(self, address: int) -> bool:
        """One 4 KiB sector."""
        if address >= self._flash.end_address:
            return False
        self._flash.erase_sector(address)
        return True

    def poll_timeout_ms(self, command_is_erase: bool, address: int) -> int | None:  # noqa: ARG002
        """0 for addresses in the chip."""
        return 0 if address < self._flash.end_address else None
