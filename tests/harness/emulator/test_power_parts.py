"""Charger and fuel gauge, by the bytes that come over I2C, and behind the buses of both chips."""

import pytest
from particle_harness.boards import hardware
from particle_harness.clock import VirtualClock
from particle_harness.emulator.boards.chips import emulated_chip
from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.parts.power import Charger, FuelGauge, wire_power_parts
from particle_harness.emulator.stm32f205.i2c import I2c
from particle_harness.nor_flash import NorFlash
from particle_harness.user_information import UICR_SIZE_BYTES

from particle_dev.catalog.flash_chips import NRF52840_FLASH, STM32F205_FLASH, qspi_flash

CR1, CR2, DR, SR1, SR2 = 0x00, 0x04, 0x10, 0x14, 0x18
PE, START, STOP, ACK, POS, SWRST = 1, 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 15
SB, ADDR, BTF, RXNE, TXE, AF = 1, 2, 4, 1 << 6, 1 << 7, 1 << 10


def register(part, number, size_bytes=1):
    part.write(bytes((number,)))
    return part.read(size_bytes)


class TestCharger:
    @pytest.fixture
    def charger(self):
        return Charger()

    def test_registers_after_a_reset(self, charger):
        # TI SLUSB97A, tables 10 to 20
        assert register(charger, 0, 11) == bytes.fromhex("30 1b 60 11 b2 9a 03 4b 00 00 23")

    def test_what_is_written_stays_and_status_cannot_be_written(self, charger):
        charger.write(bytes((0x02, 0x44)))
        charger.write(bytes((0x08, 0xFF, 0xFF, 0xFF)))
        assert register(charger, 0x02) == b"\x44"
        assert register(charger, 0x08, 3) == bytes((0, 0, 0x23))

    def test_bits_that_do_something_read_0_again(self, charger):
        charger.write(bytes((0x01, 0x5B)))
        assert register(charger, 0x01) == b"\x1b"
        charger.write(bytes((0x02, 0x44)))
        charger.write(bytes((0x01, 0x9B)))
        assert register(charger, 0x01, 2) == b"\x1b\x60"

    def test_an_input_is_seen_and_its_limit_is_found_when_asked_for(self, charger):
        charger.write(bytes((0x07, 0xCB)))
        assert (register(charger, 0x00), register(charger, 0x07)) == (b"\x30", b"\x4b")
        charger.has_input = True
        assert register(charger, 0x08)[0] == 0x74
        charger.write(bytes((0x07, 0xCB)))
        assert (register(charger, 0x00), register(charger, 0x07)) == (b"\x32", b"\x4b")


class TestFuelGauge:
    @pytest.fixture
    def gauge(self):
        return FuelGauge()

    def test_words_come_with_the_high_byte_first(self, gauge):
        high, low = register(gauge, 0x02, 2)
        assert (high << 4 | low >> 4) / 800 == 4.1
        assert register(gauge, 0x04, 2) == bytes((95, 0))
        assert register(gauge, 0x08, 2) == b"\0\3"
        assert register(gauge, 0x08, 6) == bytes.fromhex("0003 0000 971c")

    def test_configuration_is_kept_until_the_command_to_start_anew(self, gauge):
        gauge.write(bytes((0x0C, 0x97, 0x5C)))
        assert register(gauge, 0x0C, 2) == b"\x97\x5c"
        gauge.write(bytes((0xFE, 0x00, 0x54)))
        assert register(gauge, 0x0C, 2) == b"\x97\x5c"
        gauge.write(bytes((0xFE, 0x54, 0x00)))
        assert register(gauge, 0x0C, 2) == b"\x97\x1c"


class Bus:
    """The I2C of an STM32F2, driven by its registers as ST's AN2824 says."""

    def __init__(self):
        self.rises = []
        self.block = I2c("I2C3", InterruptLine(72, self.rises.append), InterruptLine(73, self.rises.append))
        self.charger = wire_power_parts(self.block.devices)
        self.set(CR1, PE)

    def set(self, offset, value):
        self.block.write(offset, 4, value)

    def get(self, offset):
        return self.block.read(offset, 4)

    def address(self, byte):
        """START and an address; whether it was acknowledged."""
        self.set(CR1, self.get(CR1) | START)
        assert self.get(SR1) & 0xFFF == SB
        assert self.get(SR2) == 3
        self.set(DR, byte)
        return bool(self.get(SR1) & ADDR)

    def stop(self):
        self.set(CR1, self.get(CR1) | STOP)
        assert not self.get(CR1) & STOP
        assert self.get(SR2) == 0

    def write_bytes(self, address, data, *, stop=True):
        assert self.address(address << 1)
        assert not self.get(SR1) & TXE
        assert self.get(SR2) == 7
        for byte in data:
            assert self.get(SR1) & TXE
            self.set(DR, byte)
            assert self.get(SR1) & BTF
        if stop:
            self.stop()

    def read_bytes(self, address, count):
        control = PE | ACK | (POS if count == 2 else 0)
        self.set(CR1, control)
        assert self.address(address << 1 | 1)
        data = []
        if count == 1:
            self.set(CR1, PE)
        self.get(SR2)
        if count <= 2:
            self.set(CR1, control & ~ACK)
            assert self.get(SR1) & (RXNE | BTF) == (RXNE if count == 1 else RXNE | BTF)
            self.stop()
        else:
            for left in range(count, 2, -1):
                assert self.get(SR1) & BTF
                if left == 3:
                    self.set(CR1, PE)
                data.append(self.get(DR))
            assert self.get(SR1) & BTF
            self.stop()
        while self.get(SR1) & RXNE:
            data.append(self.get(DR))
        return bytes(data)


class TestBusOfAnStm32F2:
    @pytest.fixture
    def bus(self):
        return Bus()

    def test_an_address_that_nobody_has_is_refused_until_cleared(self, bus):
        bus.set(CR2, 1 << 8)
        assert not bus.address(0x50 << 1)
        assert bus.rises == [73]
        assert bus.get(SR1) & AF
        bus.stop()
        bus.set(SR1, ~AF & 0xFFFF)
        assert bus.get(SR1) == 0
        assert bus.address(0x6B << 1)

    @pytest.mark.parametrize("count", [1, 2, 3, 5])
    def test_so_many_registers_are_read(self, bus, count):
        bus.write_bytes(0x6B, b"\1")
        assert bus.read_bytes(0x6B, count) == bytes.fromhex("1b 60 11 b2 9a")[:count]
        bus.write_bytes(0x36, b"\x0c")
        assert bus.read_bytes(0x36, 2) == b"\x97\x1c"

    def test_a_write_reaches_the_part_at_its_end(self, bus):
        bus.write_bytes(0x6B, b"\2\x44\x22", stop=False)
        assert bus.charger.stored[2] == 0x60
        bus.stop()
        assert (bus.charger.stored[2], bus.charger.stored[3]) == (0x44, 0x22)

    def test_a_repeated_start_turns_the_bus_around(self, bus):
        bus.write_bytes(0x6B, b"\x0a", stop=False)
        assert bus.read_bytes(0x6B, 1) == b"\x23"

    def test_a_software_reset_forgets_a_transfer(self, bus):
        bus.write_bytes(0x6B, b"\2\x44", stop=False)
        bus.set(CR1, SWRST)
        bus.set(CR1, 0)
        assert (bus.get(SR1), bus.get(SR2)) == (0, 0)
        assert bus.charger.stored[2] == 0x60

    def test_events_interrupt_where_they_are_let(self, bus):
        bus.set(CR2, 1 << 9 | 1 << 10)
        bus.write_bytes(0x6B, b"\2", stop=False)
        assert bus.rises == [72]
        bus.set(CR1, bus.get(CR1) | STOP)
        bus.address(0x6B << 1)
        assert bus.rises == [72, 72]


@pytest.mark.parametrize("name", ["boron", "tracker", "bsom", "b5som", "electron"])
def test_boards_have_them_and_the_cable_is_the_chargers_input(name):
    kind = hardware(name)
    clock = VirtualClock()
    internal = NorFlash(NRF52840_FLASH if kind.is_gen3 else STM32F205_FLASH, clock, delays=False)
    external = NorFlash(qspi_flash(4 << 20), clock, delays=False) if kind.is_gen3 else None
    uicr = bytearray(b"\xff" * UICR_SIZE_BYTES) if kind.is_gen3 else None
    chip = emulated_chip(kind, bytes(12), internal, external, uicr)
    buses = [m.i2c_devices for m in chip.serial_masters] if kind.is_gen3 else [b.devices for b in chip.i2cs.values()]
    (bus,) = [devices for devices in buses if devices]
    assert bus.keys() >= {0x6B, 0x36}
    chip.power_on()
    assert register(bus[0x6B], 0x08) == b"\0"
    chip.attach_vbus()
    assert register(bus[0x6B], 0x08) == b"\x74"
    chip.detach_vbus()
    assert register(bus[0x6B], 0x08) == b"\0"
    assert chip.snapshot()
