"""A Tracker's clock and pin expander, by the bytes that come over their buses."""

import pytest
from particle_harness.emulator.nrf52840.pins import Gpio
from particle_harness.emulator.nrf52840.serial_buses import SerialMaster
from particle_harness.emulator.nrf52840.tracker_parts import ExpanderOnSpi, ExternalClock

from .rig import RAM, Rig

OUTPUTS_OF_PORT_1, SET_PORT_1, CLEAR_PORT_1 = 0x300 + 0x514, 0x300 + 0x508, 0x300 + 0x50C
SELECTION = 7 << 10


@pytest.fixture
def rig():
    return Rig()


class TestClock:
    @pytest.fixture
    def clock(self, rig):
        return ExternalClock(rig.timeline)

    @staticmethod
    def read(clock, number, count=1):
        clock.write(bytes((number,)))
        return clock.read(count).hex(" ")

    def test_it_says_what_it_is(self, clock):
        assert self.read(clock, 0x28, 2) == "18 05"
        clock.write(b"\x28\x00")
        assert self.read(clock, 0x28) == "18"

    def test_it_begins_with_the_century_and_goes_on(self, rig, clock):
        assert self.read(clock, 0, 8) == "00 00 00 00 01 01 00 00"
        rig.pass_s(3600 + 120 + 3.45)
        assert self.read(clock, 0, 8) == "45 03 02 01 01 01 00 00"

    def test_it_goes_on_from_what_it_was_set_to_over_the_end_of_a_year(self, rig, clock):
        clock.write(bytes.fromhex("00 50 58 59 23 31 12 26 04"))
        rig.pass_s(1)
        assert self.read(clock, 0, 8) == "50 59 59 23 31 12 26 04"
        rig.pass_s(1)
        assert self.read(clock, 0, 8) == "50 00 00 00 01 01 27 05"

    def test_one_field_can_be_set(self, rig, clock):
        rig.pass_s(5)
        clock.write(b"\x03\x17")
        assert self.read(clock, 1, 3) == "05 00 17"

    def test_what_is_no_date_stands_still(self, rig, clock):
        clock.write(b"\x05\x00")
        rig.pass_s(5)
        assert self.read(clock, 1) == "00"
        clock.write(b"\x05\x02")
        rig.pass_s(5)
        assert self.read(clock, 1) == "05"

    def test_other_registers_keep_what_is_written(self, clock):
        assert self.read(clock, 0x10) == "13"
        clock.write(b"\x10\x17")
        assert self.read(clock, 0x10) == "17"


class TestExpander:
    @pytest.fixture
    def gpio(self, rig):
        rig.bus.add_peripheral(0x50000000, gpio := Gpio())
        # Watchers are told of changes only where somebody listens to the pins.
        gpio.on_change = lambda _pin, _level: None
        gpio.write(OUTPUTS_OF_PORT_1, 4, SELECTION)
        return gpio

    @pytest.fixture
    def master(self, rig, gpio):
        block = SerialMaster(0x40023000, rig.timeline, rig.line, rig.wires, "SPIM2", rig.bus)
        block.spi_device = ExpanderOnSpi(gpio)
        return rig.add(block)

    @staticmethod
    def exchange(rig, master, *message):
        """As Device OS does: one byte in each transfer."""
        reply = bytearray()
        for byte in message:
            rig.bus.write(RAM, bytes((byte,)))
            master[0x500], master[0x544], master[0x548] = 7, RAM, 1
            master[0x534], master[0x538] = RAM + 16, 1
            master.trigger(0x010)
            reply += rig.bus.read(RAM + 16, 1)
        return bytes(reply)

    def talk(self, rig, gpio, master, *message):
        gpio.write(SET_PORT_1, 4, 6 << 10)
        reply = self.exchange(rig, master, *message)
        gpio.write(CLEAR_PORT_1, 4, SELECTION)
        return reply[2:]

    def test_registers_after_a_reset(self, rig, gpio, master):
        first = self.talk(rig, gpio, master, 0x41, 0x00, *[0xFF] * 22)
        assert first[:16] == b"\xff\xff" + bytes(14)
        assert first[20:] == b"\0\0"

    def test_values_are_kept_until_its_reset_pin_is_low(self, rig, gpio, master):
        self.talk(rig, gpio, master, 0x40, 0x0C, 0x11, 0x22)
        assert self.talk(rig, gpio, master, 0x41, 0x0C, 0, 0) == b"\x11\x22"
        gpio.drive(25, False)
        gpio.drive(25, None)
        assert self.talk(rig, gpio, master, 0x41, 0x0C, 0, 0) == b"\0\0"

    def test_inputs_are_high_and_outputs_what_is_written(self, rig, gpio, master):
        self.talk(rig, gpio, master, 0x40, 0x00, 0xF0)
        self.talk(rig, gpio, master, 0x40, 0x12, 0x35)
        assert self.talk(rig, gpio, master, 0x41, 0x14, 0) == b"\x35"
        assert self.talk(rig, gpio, master, 0x41, 0x12, 0) == b"\xf5"
        self.talk(rig, gpio, master, 0x40, 0x02, 0x80)
        assert self.talk(rig, gpio, master, 0x41, 0x12, 0) == b"\x75"

    @pytest.mark.parametrize("output", [0, 2, 7])
    def test_it_hears_only_what_is_for_it(self, rig, gpio, master, output):
        gpio.write(SET_PORT_1, 4, output << 10)
        assert self.exchange(rig, master, 0x40, 0x0C, 0x11) == b"\xff\xff\xff"
        gpio.write(CLEAR_PORT_1, 4, SELECTION)
        assert self.talk(rig, gpio, master, 0x41, 0x0C, 0) == b"\0"
        assert self.talk(rig, gpio, master, 0x43, 0x00, 0) == b"\xff"
