"""NVMC: programs and erases the chip's own flash and its user information (UICR)."""

from __future__ import annotations

from typing import ClassVar

from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import Bus
from particle_harness.user_information import Uicr

_CONFIG = 0x504
_WRITE_ENABLED, _ERASE_ENABLED = 1, 2


class MemoryController(RegisterBlock):
    """Stores reach flash only while CONFIG enables writing, erases only while it enables erasing; others are dropped.

    Firmware never sees it busy: the core stands still while flash that it runs from is written. How long that takes is
    the flash's business.
    """

    registers: ClassVar[RegisterMap] = RegisterMap(
        "NVMC",
        "nRF52840 PS v1.7, 4.3 NVMC",
        Register("READY", 0x400, reset=1, access="r"),
        Register("READYNEXT", 0x408, reset=1, access="r"),
        Register("CONFIG", _CONFIG),
        Register("ERASEPAGE", 0x508, access="w"),
        Register("ERASEALL", 0x50C, access="w"),
        Register("ERASEPAGEPARTIAL", 0x510, access="w"),
        Register("ERASEUICR", 0x514, access="w"),
        Register("ERASEPAGEPARTIALCFG", 0x518, reset=0xA),
        Register("ICACHECNF", 0x540),
        Register("IHIT", 0x548),
        Register("IMISS", 0x54C),
    )

    def __init__(self, bus: Bus, flash: NorFlash, uicr: Uicr) -> None:
        self.bus = bus
        self.flash = flash
        self.uicr = uicr
        super().__init__("NVMC")

    @property
    def writes(self) -> bool:
        """CONFIG enables writing."""
        return self.stored[_CONFIG] & 3 == _WRITE_ENABLED

    @property
    def erases(self) -> bool:
        """CONFIG enables erasing."""
        return self.stored[_CONFIG] & 3 == _ERASE_ENABLED

    def store_flash(self, offset: int, data: bytes) -> bool:
        """A store to flash."""
        if not self.writes:
            return False
        self.flash.program(offset, data)
        return True

    def store_uicr(self, offset: int, data: bytes) -> bool:
        """A store to UICR."""
        if not self.writes:
            return False
        old = int.from_bytes(self.uicr[offset : offset + len(data)], "little")
        new = old & int.from_bytes(data, "little")
        self.uicr[offset : offset + len(data)] = new.to_bytes(len(data), "little")
        return True

    def write_erasepage(self, address: int) -> None:
        """One page; an address outside does nothing."""
        if self.erases and address < self.flash.end_address:
            self.flash.erase_sector(address)
            self.bus.code_changed = True

    def write_erasepagepartial(self, address: int) -> None:
        """A partial erase counts as a whole one."""
        self.write_erasepage(address)

    def write_eraseall(self, value: int) -> None:
        """Flash and UICR."""
        if self.erases and value & 1:
            self.flash.erase_chip()
            self.uicr[:] = b"\xff" * len(self.uicr)
            self.bus.code_changed = True

    def write_eraseuicr(self, value: int) -> None:
        """UICR alone."""
        if self.erases and value & 1:
            self.uicr[:] = b"\xff" * len(self.uicr)
