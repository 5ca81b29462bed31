"""What the datasheet calls the register at an address of a chip's bus."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from particle_harness.emulator.peripherals.registers import RegisterBlock
from particle_harness.swd.bus import PAGE_SIZE_BYTES, Bus
from particle_harness.swd.coresight import ComponentPage


@runtime_checkable
class Divided(Protocol):
    """A mapping in which several peripherals lie, or which stands for registers elsewhere."""

    def register_name(self, offset: int) -> str | None:
        """Name of the register there, None where no table has it."""
        ...


def register_name(bus: Bus, address: int) -> str:
    """``PERIPHERAL.REGISTER``, or the address."""
    found = bus.peripherals.get(address // PAGE_SIZE_BYTES)
    if found is None:
        return f"0x{address:08X}"
    start, peripheral = found
    offset = address - start
    if isinstance(peripheral, RegisterBlock):
        return f"{peripheral.name}.{peripheral.registers.name_at(offset)}"
    if isinstance(peripheral, Divided):
        return peripheral.register_name(offset) or f"0x{address:08X}"
    if isinstance(peripheral, ComponentPage) and address >> 12 == 0xE0001:
        return {0: "DWT.CTRL", 4: "DWT.CYCCNT"}.get(offset, f"DWT.0x{offset:03X}")
    return f"0x{address:08X}"
