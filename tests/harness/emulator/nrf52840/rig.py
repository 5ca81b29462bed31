"""Peripherals on a bus with RAM, poked as firmware would, without a core."""

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.nrf52840.peripheral import CORE_HZ
from particle_harness.emulator.nrf52840.ppi import Interconnect
from particle_harness.swd.bus import Bus, Memory

RAM = 0x20000000
INTENSET, INTENCLR, SHORTS = 0x304, 0x308, 0x200


class Rig:
    def __init__(self):
        self.timeline = Timeline(CORE_HZ)
        self.bus = Bus()
        self.bus.add_memory(Memory(RAM, bytearray(0x1000)))
        self.wires = Interconnect()
        self.bus.add_peripheral(0x4001F000, self.wires)
        self.rises = []
        self.line = InterruptLine(0, self.rises.append)

    def add(self, peripheral, address=None):
        address = peripheral.start_address if address is None else address
        self.bus.add_peripheral(address, peripheral)
        if hasattr(peripheral, "run_task"):
            self.wires.peripherals[address] = peripheral
        return Registers(self.bus, address)

    def pass_s(self, duration_s):
        self.pass_cycles(self.timeline.cycles_of(duration_s))

    def pass_cycles(self, cycles):
        self.timeline.pass_until(self.timeline.cycles + cycles)


class Registers:
    """Words of one peripheral by offset."""

    def __init__(self, bus, address):
        self._bus = bus
        self.address = address

    def __getitem__(self, offset):
        return self._bus.read_word(self.address + offset)

    def __setitem__(self, offset, value):
        self._bus.write(self.address + offset, value.to_bytes(4, "little"))

    def trigger(self, offset):
        self[offset] = 1

    def take(self, offset):
        """Whether an event was there; it is cleared."""
        raised = self[offset]
        self[offset] = 0
        return bool(raised)
