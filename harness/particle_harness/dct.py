"""Device configuration: 8391 bytes that survive everything but a settings reset.

On nRF52840 it is a file in the external flash that bootloader and system both reach; on the Photon it lies in two
internal pages behind functions of the system parts. Both look the same through DFU setting 1, so one store serves.
On RTL872x it is a file in the chip that DFU setting 0 reaches: a board loses it when its file system is erased.
Source: device-os v2.1.0 platform/MCU/nRF52840/inc/dct.h (offsets), services/inc/dct_file.h (size, 0xFF fill).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from mmap import mmap

DCT_SIZE_BYTES = 0x4000
"""Window of DFU setting 1."""
FACTORY_RESET_FLAG_OFFSET = 12
FACTORY_RESET_REQUESTED = 0xAAAA
OTA_UPDATE_FLAG_OFFSET = 1753
OTA_UPDATE_REQUESTED = 0xA5
CLAIMED_OFFSET = 1825
SETUP_DONE_OFFSET = 8134


_MODULES_OFFSET, _MODULE_COUNT = 2852, 5
_ENTERED, _FREE = 0xABCD, 0xFFFF
_SLOT = struct.Struct("<HBBIIIBB2x")


@dataclass(frozen=True, slots=True)
class ModuleSlot:
    """A module that the bootloader is to copy. Source: platform_flash_modules.h platform_flash_modules_t."""

    source_device: int
    destination_device: int
    source_address: int
    destination_address: int
    length: int
    flags: int
    function: int


class Dct:
    """Read and write by offset; no erase is needed."""

    file_size_bytes = 8391
    """Of the file that holds it on an nRF52840, as the bootloader makes it; it grows when something is written behind
    its end. Not kept beyond the process."""

    def __init__(self, backing: bytearray | mmap | None = None) -> None:
        self._cells = bytearray(b"\xff" * DCT_SIZE_BYTES) if backing is None else backing

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Bytes at ``offset``; IndexError outside the window."""
        if offset < 0 or offset + size_bytes > DCT_SIZE_BYTES:
            raise IndexError(f"DCT: {offset}+{size_bytes} is outside the window")
        return bytes(self._cells[offset : offset + size_bytes])

    def write(self, offset: int, data: bytes) -> None:
        """Replace bytes at ``offset``; IndexError outside the window."""
        self.read(offset, len(data))
        self._cells[offset : offset + len(data)] = data

    def clear(self) -> None:
        """As on a board that was never configured."""
        self.write(0, b"\xff" * DCT_SIZE_BYTES)

    @property
    def setup_done(self) -> bool:
        """The flag that Gen 3 asks before it connects (Device OS before 4.0)."""
        return self.read(SETUP_DONE_OFFSET, 1) not in (b"\x00", b"\xff")

    def mark_setup_done(self) -> None:
        """What the setup app does at the end."""
        self.write(SETUP_DONE_OFFSET, b"\x01")

    @property
    def claimed(self) -> bool:
        """Whether a user has claimed the device."""
        return self.read(CLAIMED_OFFSET, 1) == b"1"

    def modules(self) -> list[tuple[int, ModuleSlot]]:
        """Modules that wait for the bootloader, with their slot's number. Slot 0 belongs to the factory reset."""
        found = []
        for number in range(1, _MODULE_COUNT):
            magic, *values = _SLOT.unpack(self.read(self._slot_offset(number), _SLOT.size))
            if magic == _ENTERED:
                found.append((number, ModuleSlot(*values)))
        return found

    def add_module(self, slot: ModuleSlot) -> bool:
        """Enter a module in the next free slot; False when there is none."""
        taken = [number for number, _ in self.modules()]
        free = [number for number in range(1, _MODULE_COUNT) if number not in taken]
        if free:
            values = (getattr(slot, name) for name in slot.__slots__)
            self.write(self._slot_offset(free[0]), _SLOT.pack(_ENTERED, *values))
        return bool(free)

    def clear_module(self, number: int) -> None:
        """The module of a slot is done."""
        self.write(self._slot_offset(number), _FREE.to_bytes(2, "little"))

    @staticmethod
    def _slot_offset(number: int) -> int:
        return _MODULES_OFFSET + number * _SLOT.size

    @property
    def factory_reset_requested(self) -> bool:
        """Whether the bootloader is to restore the factory application."""
        return self.read(FACTORY_RESET_FLAG_OFFSET, 2) == FACTORY_RESET_REQUESTED.to_bytes(2, "little")

    @factory_reset_requested.setter
    def factory_reset_requested(self, wanted: bool) -> None:
        self.write(FACTORY_RESET_FLAG_OFFSET, (FACTORY_RESET_REQUESTED if wanted else 0xFFFF).to_bytes(2, "little"))

    @property
    def ota_update_requested(self) -> bool:
        """Whether a module in the OTA region is to be applied at the next boot of the system."""
        return self.read(OTA_UPDATE_FLAG_OFFSET, 1) == bytes([OTA_UPDATE_REQUESTED])

    def clear_ota_update(self) -> None:
        """Forget the request."""
        self.write(OTA_UPDATE_FLAG_OFFSET, b"\xff")
