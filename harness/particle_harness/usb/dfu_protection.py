"""What device protection changes in DFU mode: strings, which commands pass, and where service mode writes.

Source: device-os v6.0.0 and v6.2.0 bootloader/src/nRF52840/{usbd_dfu.cpp,usbd_dfu_mal.cpp,usbd_device.cpp}; the same in
bootloader/src/rtl872x.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from particle_harness.layout import OtaRegion
from particle_harness.module_reader import Mcu, read_prefix, reader_of
from particle_harness.protection import Protection
from particle_harness.usb.dfu_terms import DfuMemory

REFUSED_TEXT = "Device is in protected mode"
STATE_STRING_INDEX, _STATE_STRING_LENGTH = 0xFA, 8
FIRST_ALLOWED_SYSTEM_VERSION = 6000
_VECTOR_TABLE_AND_PREFIX = 0x200 + 24
_PAGE_SIZE_BYTES = 4096
_LETTER = re.compile(r"(\d+K)[a-g]")


class ProtectedError(Exception):
    """Service mode does not allow this write."""


def state_text(protection: Protection | None) -> str:
    """``sm=p`` protected, ``sm=s`` service mode, ``sm=o`` open."""
    letter = "o"
    if protection is not None:
        letter = "p" if protection.locked else "s" if protection.overridden else "o"
    return f"sm={letter}".ljust(_STATE_STRING_LENGTH, "\0")


def closed_name(alternate_name: str) -> str:
    """The string of an alternate setting on a locked board: every letter is ``b``."""
    return _LETTER.sub(r"\1b", alternate_name)


class SystemPlace(NamedTuple):
    """Where the system part begins, old and new, and where its room ends."""

    starts: tuple[int, ...]
    end: int


class GuardedSystem:
    """Internal flash of a board in service mode: erasing the system part does nothing, its pages are erased as they
    are written, and the first block must hold a Device OS that heeds protection."""

    def __init__(self, memory: DfuMemory, protection: Protection, mcu: Mcu, place: SystemPlace) -> None:
        self._memory = memory
        self._protection = protection
        self._mcu = mcu
        self._place = place
        self._refuses_the_rest = False

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Bytes at a DFU address."""
        return self._memory.read(address, size_bytes)

    def write(self, address: int, data: bytes) -> bool:
        """Program bytes. Raises ProtectedError."""
        if not self._guards(address):
            return self._memory.write(address, data)
        if address in self._place.starts:
            self._refuses_the_rest = not self._heeds_protection(data)
        if self._refuses_the_rest:
            raise ProtectedError
        if address % _PAGE_SIZE_BYTES == 0:
            for page in range(address, address + len(data), _PAGE_SIZE_BYTES):
                self._memory.erase(page)
        return self._memory.write(address, data)

    def erase(self, address: int) -> bool:
        """Erase the sector that holds the address, or only say so."""
        return True if self._guards(address) else self._memory.erase(address)

    def poll_timeout_ms(self, command_is_erase: bool, address: int) -> int | None:
        """bwPollTimeout before such work."""
        return self._memory.poll_timeout_ms(command_is_erase, address)

    def _guards(self, address: int) -> bool:
        return self._protection.overridden and min(self._place.starts) <= address < self._place.end

    def _heeds_protection(self, first_block: bytes) -> bool:
        if len(first_block) < _VECTOR_TABLE_AND_PREFIX:
            return False
        prefix = read_prefix(reader_of(first_block), 0, self._mcu)
        return prefix is not None and prefix.version >= FIRST_ALLOWED_SYSTEM_VERSION


class GuardedUpdates:
    """Flash with the region of updates, which is out of bounds in service mode."""

    def __init__(self, memory: DfuMemory, protection: Protection, offset: int, region: OtaRegion) -> None:
        self._memory = memory
        self._protection = protection
        start = offset + region.start_address
        self._region = range(start, start + region.size_bytes)

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Bytes at a DFU address."""
        return None if self._refuses(address) else self._memory.read(address, size_bytes)

    def write(self, address: int, data: bytes) -> bool:
        """Program bytes."""
        return not self._refuses(address) and self._memory.write(address, data)

    def erase(self, address: int) -> bool:
        """Erase the sector that holds the address."""
        return not self._refuses(address) and self._memory.erase(address)

    def poll_timeout_ms(self, command_is_erase: bool, address: int) -> int | None:
        """bwPollTimeout before such work."""
        return self._memory.poll_timeout_ms(command_is_erase, address)

    def _refuses(self, address: int) -> bool:
        return self._protection.overridden and address in self._region
