"""Device configuration: 8391 bytes that survive everything but a settings reset.

On nRF52840 it is a file in the external flash that bootloader and system both reach; on the Photon it lies in two
internal pages behind functions of the system parts. Both look the same through DFU setting 1, so one store serves.
Source: device-os v2.1.0 platform/MCU/nRF52840/inc/dct.h (offsets), services/inc/dct_file.h (size, 0xFF fill).
"""

from __future__ import annotations

from mmap import mmap

DCT_SIZE_BYTES = 0x4000
"""Window of DFU setting 1."""
FACTORY_RESET_FLAG_OFFSET = 12
FACTORY_RESET_REQUESTED = 0xAAAA
OTA_UPDATE_FLAG_OFFSET = 1753
OTA_UPDATE_REQUESTED = 0xA5
CLAIMED_OFFSET = 1825
SETUP_DONE_OFFSET = 8134


class Dct:
    """Read and write by offset; no erase is needed."""

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
        return self.read(CLAIMED_OFFSET, 1) == b"\x01"

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
