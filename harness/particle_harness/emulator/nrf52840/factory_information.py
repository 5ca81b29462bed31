"""FICR and what else the factory wrote into a chip."""

from __future__ import annotations

import struct

from particle_harness.emulator.peripherals.registers import RegisterBlock, RegisterMap
from particle_harness.swd.bus import PAGE_SIZE_BYTES
from particle_harness.swd.nrf52840 import Silicon

FLASH_PAGES = 256
_DEVICE_ADDRESS_AT, _ROOTS_AT = 0xA4, 0x80
_REVISION = {0xFE0: 0x08, 0xFE4: 0x00, 0xFE8: 0x30, 0xFEC: 0x00}


def factory_information(silicon: Silicon) -> bytearray:
    """The page. Source: 4.4 FICR; words 0x130 and 0x134 are what Nordic's workarounds of errata look at: this is a chip
    that needs none of those for USB."""
    page = bytearray(b"\xff" * PAGE_SIZE_BYTES)
    page[0x60:0x68] = silicon.device_id
    page[_ROOTS_AT : _ROOTS_AT + 0x20] = (silicon.device_id * 4)[::-1]
    page[_DEVICE_ADDRESS_AT : _DEVICE_ADDRESS_AT + 8] = silicon.device_id
    words = {0x10: PAGE_SIZE_BYTES, 0x14: FLASH_PAGES, 0xA0: 1, 0x100: 0x52840, 0x108: 0x2004}
    words |= {0x104: int.from_bytes(silicon.variant.encode(), "big"), 0x10C: 256, 0x110: 1024, 0x130: 8, 0x134: 3}
    for offset, value in words.items():
        struct.pack_into("<I", page, offset, value)
    return page


class RevisionPage(RegisterBlock):
    """The identification words that workarounds of errata read at 0xF0000FE0; the rest of the page is empty."""

    registers = RegisterMap("REVISION", "nRF52840 Errata v1.7 (PAN 028 and others)")

    def read(self, offset: int, size_bytes: int) -> int:
        """As the bus asks."""
        return _REVISION.get(offset & ~3, 0) >> 8 * (offset & 3) & (1 << 8 * size_bytes) - 1
