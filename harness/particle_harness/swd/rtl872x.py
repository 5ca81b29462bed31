"""RTL872x as a debug probe sees it: two cores behind access ports 1 and 2, and flash that is mapped for reading.

Not a model of the chip: of what OpenOCD needs to attach, read and halt. Whether flash is mapped while no firmware has
set it up, what the ROM holds, and how the chip is reset are not known here.

Source: openocd tcl/target/rtl872xd.cfg (debug port, access ports); device-os v6.2.0 build/arm/linker/rtl872x,
hal/inc/syshealth_hal.h (backup register).
"""

from __future__ import annotations

import threading

from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import Bus, Memory
from particle_harness.swd.core import Core, Idle
from particle_harness.swd.debug_port import AccessPort, DebugPort, MemoryAccessPort

DPIDR = 0x6BA02477
RETAINED_WORD = 0xD8
"""Offset in retention RAM."""
_KM0, _KM4 = 23, 33
_ROM_LOOP = bytes.fromhex("0008001009000000fee7fee7")
"""A stack, an entry point and an endless loop."""


class Rtl872x:
    """The chip around ``flash``, which it shares with whoever else holds it."""

    name = "rtl872x"
    reset_pin_works = True
    debug_port_was_opened = False

    def __init__(self, flash: NorFlash) -> None:
        self.flash = flash
        self.lock = threading.RLock()
        self.ram, self.retention = bytearray(0x80000), bytearray(0x1000)
        self._rom = bytearray(_ROM_LOOP.ljust(0x1000, b"\0"))
        self.km0, self.core = self._core(_KM0), self._core(_KM4)
        self.km0.firmware = Idle()
        self.core.firmware = Idle()
        ports: dict[int, AccessPort] = {
            1: MemoryAccessPort(self.km0, lambda: False),
            2: MemoryAccessPort(self.core, lambda: False),
        }
        self.debug_port = DebugPort(ports, DPIDR)
        self.power_on()

    def _core(self, cortex: int) -> Core:
        bus = Bus()
        bus.add_memory(Memory(0x00000000, self._rom, lambda _offset, _data: False))
        bus.add_memory(Memory(0x08000000, self.flash.cells, lambda _offset, _data: False))
        bus.add_memory(Memory(0x10000000, self.ram))
        bus.add_memory(Memory(0x000C0000, self.retention))
        core = Core(bus, cortex, lambda: None)
        core.cpu.map_bus()
        return core

    def power_on(self) -> None:
        """Power comes: RAM has lost its contents."""
        self.ram[:] = bytes(len(self.ram))
        self.retention[:] = bytes(len(self.retention))
        self.debug_port.power_on()
        self.km0.power_on()
        self.core.power_on()

    def power_off(self) -> None:
        """Power goes."""
        self.km0.power_off()
        self.core.power_off()

    def pin_reset(self) -> None:
        """The reset line."""
        self.km0.reset()
        self.core.reset()

    def open_debug_port(self) -> None:
        """It is always open here."""

    @property
    def retained_word(self) -> int:
        """Backup register 1 of Device OS."""
        return int.from_bytes(self.retention[RETAINED_WORD : RETAINED_WORD + 4], "little")

    @retained_word.setter
    def retained_word(self, value: int) -> None:
        self.retention[RETAINED_WORD : RETAINED_WORD + 4] = value.to_bytes(4, "little")

    def set_wire_clock(self, _frequency_hz: float) -> None:
        """No time is modelled."""
