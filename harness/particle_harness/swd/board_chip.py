"""The chip of a virtual board: its memories are the board's own."""

from __future__ import annotations

from particle_harness.boards import Hardware, serial_number_of
from particle_harness.faults import FaultScript
from particle_harness.memories import Memories
from particle_harness.swd.chip import Chip
from particle_harness.swd.nrf52840 import Nrf52840, Silicon
from particle_harness.swd.rtl872x import Rtl872x
from particle_harness.swd.stm32f205 import Stm32f205

_FICR_AFTER_PREFIX = 4
"""The Device ID of an nRF52840 board is a fixed prefix and FICR.DEVICEID. Source: device-os v2.1.0
hal/src/nRF52840/deviceid_hal.cpp."""


def make_chip(hardware: Hardware, device_id: str, variant: str, memories: Memories, faults: FaultScript) -> Chip:
    """A chip that agrees with the board: Device ID, flash, UICR, faults."""
    identity = bytes.fromhex(device_id)
    if hardware.is_gen2:
        return Stm32f205(identity, memories.internal, serial_number=serial_number_of(hardware, device_id))
    if hardware.is_rtl872x:
        return Rtl872x(memories.internal)
    assert memories.uicr is not None
    silicon = Silicon(identity[_FICR_AFTER_PREFIX:], variant)
    chip = Nrf52840(silicon, memories.internal, memories.uicr, on_board=True)
    chip.control_access_port.misreads = lambda: faults.count("protection_reading") is not None
    return chip
