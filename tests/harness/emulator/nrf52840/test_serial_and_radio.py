"""UARTE, SPIM, TWIM, PWM, SAADC, RNG, ECB, RADIO."""

import pytest
from particle_harness.emulator.nrf52840.analog import AnalogInputs, EcbCipher, RandomNumbers, Temperature
from particle_harness.emulator.nrf52840.counters import Timer
from particle_harness.emulator.nrf52840.light import Pwm
from particle_harness.emulator.nrf52840.radio import RadioPeripheral
from particle_harness.emulator.nrf52840.serial_buses import SerialMaster
from particle_harness.emulator.nrf52840.uarte import Uarte

from .rig import INTENSET, RAM, SHORTS, Rig

BAUD_115200 = 0x01D60000
KEY = bytes(range(16))


@pytest.fixture
def rig():
    return Rig()


class TestUart:
    @pytest.fixture
    def block(self, rig):
        return Uarte(0x40002000, rig.timeline, rig.line, rig.wires, "UARTE0", rig.bus)

    @pytest.fixture
    def uart(self, rig, block):
        registers = rig.add(block)
        registers[0x524] = BAUD_115200
        return registers

    def test_bytes_go_out_at_their_speed(self, rig, block, uart):
        rig.bus.write(RAM, b"AT\r\n")
        uart[0x544], uart[0x548] = RAM, 4
        uart.trigger(0x008)
        rig.pass_s(0.00034)
        assert not uart[0x120]
        rig.pass_s(0.00001)
        assert uart.take(0x120)
        assert block.sent == b"AT\r\n"
        assert uart[0x54C] == 4

    def test_a_peer_answers(self, rig, block, uart):
        class Echo:
            def receive(self, data):
                block.feed(data[::-1])

        block.peer = Echo()
        uart[0x534], uart[0x538] = RAM + 0x100, 16
        uart.trigger(0x000)
        rig.bus.write(RAM, b"abc")
        uart[0x544], uart[0x548] = RAM, 3
        uart.trigger(0x008)
        rig.pass_s(0.01)
        assert rig.bus.read(RAM + 0x100, 4) == b"cba\0"
        assert not uart[0x110]
        uart.trigger(0x004)
        assert not uart[0x110]
        rig.pass_s(0.001)
        assert uart.take(0x110)
        assert uart.take(0x144)
        assert uart[0x53C] == 3

    def test_each_byte_is_an_event_that_a_timer_counts(self, rig, block, uart):
        timer = rig.add(Timer(0x4001B000, rig.timeline, rig.line, rig.wires, "TIMER4", 6))
        timer[0x504] = 2
        rig.wires.write(0x510, 4, 0x40002108)
        rig.wires.write(0x514, 4, 0x4001B008)
        rig.wires.write(0x504, 4, 1)
        uart[0x534], uart[0x538] = RAM, 64
        uart.trigger(0x000)
        block.feed(b"twelve bytes")
        rig.pass_s(0.0005)
        timer.trigger(0x040)
        assert timer[0x540] == 5
        rig.pass_s(0.001)
        timer.trigger(0x040)
        assert timer[0x540] == 12

    def test_a_full_buffer_ends_reception_and_the_rest_waits(self, rig, block, uart):
        block.feed(b"abcdef")
        rig.pass_s(0.001)
        uart[0x534], uart[0x538] = RAM, 4
        uart.trigger(0x000)
        rig.pass_s(0.001)
        assert uart.take(0x110)
        assert rig.bus.read(RAM, 6) == b"abcd\0\0"
        uart[0x534] = RAM + 8
        uart.trigger(0x000)
        rig.pass_s(0.001)
        assert rig.bus.read(RAM + 8, 3) == b"ef\0"


class Register0:
    """An I2C device with one pointer and 256 registers."""

    def __init__(self):
        self.cells = bytearray(range(256))
        self.at = 0

    def write(self, data):
        self.at, rest = data[0], data[1:]
        self.cells[self.at : self.at + len(rest)] = rest

    def read(self, size_bytes):
        return bytes(self.cells[self.at : self.at + size_bytes])


class TestSerialMaster:
    @pytest.fixture
    def block(self, rig):
        return SerialMaster(0x40003000, rig.timeline, rig.line, rig.wires, "SPIM/TWIM0", rig.bus)

    @pytest.fixture
    def registers(self, rig, block):
        return rig.add(block)

    def test_nothing_on_spi_reads_as_ones(self, rig, registers):
        registers[0x500], registers[0x534], registers[0x538] = 7, RAM, 4
        registers.trigger(0x010)
        assert rig.bus.read(RAM, 5) == b"\xff\xff\xff\xff\0"
        assert registers.take(0x118)

    def test_an_spi_device_exchanges_bytes(self, rig, block, registers):
        class Inverter:
            def exchange(self, data, size_bytes):
                return bytes(value ^ 0xFF for value in data).ljust(size_bytes, b"\0")

        block.spi_device = Inverter()
        rig.bus.write(RAM, b"\x01\x02")
        registers[0x500], registers[0x544], registers[0x548] = 7, RAM, 2
        registers[0x534], registers[0x538] = RAM + 16, 3
        registers.trigger(0x010)
        assert rig.bus.read(RAM + 16, 3) == b"\xfe\xfd\0"

    def test_an_address_that_nobody_has_is_not_acknowledged(self, rig, registers):
        registers[0x500], registers[0x588], registers[0x548] = 6, 0x6B, 1
        registers.trigger(0x008)
        rig.pass_s(0.001)
        assert registers.take(0x124)
        assert registers[0x4C4] == 2
        registers[0x4C4] = 2
        assert registers[0x4C4] == 0

    def test_a_register_is_read_with_a_repeated_start(self, rig, block, registers):
        block.i2c_devices[0x36] = Register0()
        rig.bus.write(RAM, b"\x20")
        registers[0x500], registers[0x588], registers[SHORTS] = 6, 0x36, 1 << 7 | 1 << 12
        registers[0x544], registers[0x548] = RAM, 1
        registers[0x534], registers[0x538] = RAM + 16, 3
        registers.trigger(0x008)
        assert not registers[0x104]
        rig.pass_s(0.001)
        assert registers.take(0x104)
        assert rig.bus.read(RAM + 16, 3) == b"\x20\x21\x22"
        assert registers[0x53C] == 3


def test_pwm_shows_how_long_each_pin_is_high(rig):
    block = Pwm(0x4001C000, rig.timeline, rig.line, rig.wires, "PWM0", rig.bus)
    pwm = rig.add(block)
    for channel, pin in enumerate((13, 14, 0x20 | 5)):
        pwm[0x560 + 4 * channel] = pin
    rig.bus.write(RAM, b"".join(value.to_bytes(2, "little") for value in (25, 0x8000 | 75, 0, 0)))
    pwm[0x500], pwm[0x508], pwm[0x510], pwm[0x520], pwm[0x524] = 1, 100, 2, RAM, 4
    pwm.trigger(0x008)
    assert block.levels() == {13: 0.75, 14: 0.75, 37: 1.0}
    assert pwm.take(0x110)
    pwm[0x500] = 0
    assert block.levels() == {}


def test_saadc_fills_its_buffer(rig):
    block = AnalogInputs(rig.timeline, rig.line, rig.wires, rig.bus)
    saadc = rig.add(block)
    block.value = 0x234
    saadc[0x510], saadc[0x62C], saadc[0x630] = 3, RAM, 2
    saadc.trigger(0x000)
    saadc.trigger(0x004)
    assert not saadc[0x104]
    saadc.trigger(0x004)
    assert saadc.take(0x104)
    assert rig.bus.read(RAM, 6) == b"\x34\x02\x34\x02\0\0"


def test_temperature(rig):
    temperature = rig.add(Temperature(0x4000C000, rig.timeline, rig.line, rig.wires))
    temperature.trigger(0)
    assert temperature.take(0x100)
    assert temperature[0x508] == 100


def random_bytes(rig, seed):
    rng = rig.add(RandomNumbers(rig.timeline, rig.line, rig.wires, seed))
    rng.trigger(0)
    values = []
    while len(values) < 20:
        rig.pass_s(0.00001)
        if rng.take(0x100):
            values.append(rng[0x508])
    rng.trigger(4)
    rig.pass_s(0.001)
    assert not rng[0x100]
    return values


def test_random_numbers_come_from_a_seed_and_take_time(rig):
    first = random_bytes(rig, 1)
    assert rig.timeline.now_s >= 20 * 0.00003
    assert first == random_bytes(Rig(), 1)
    assert first != random_bytes(Rig(), 2)


def test_ecb_encrypts_a_block(rig):
    ecb = rig.add(EcbCipher(rig.timeline, rig.line, rig.wires, rig.bus))
    # FIPS 197, appendix C.1
    rig.bus.write(RAM, KEY + bytes.fromhex("00112233445566778899aabbccddeeff"))
    ecb[0x504] = RAM
    ecb.trigger(0)
    assert ecb.take(0x100)
    assert rig.bus.read(RAM + 32, 16).hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


def test_the_radio_sends_and_switches_itself_off(rig):
    block = RadioPeripheral(rig.timeline, rig.line, rig.wires)
    radio = rig.add(block)
    radio[SHORTS], radio[INTENSET] = 1 | 2, 1 << 4
    radio.trigger(0x000)
    rig.pass_s(0.000139)
    assert not radio[0x100]
    rig.pass_s(0.0005)
    assert all(radio[offset] for offset in (0x100, 0x104, 0x108, 0x10C, 0x110))
    assert rig.line.level
    assert (block.packets, radio[0x550]) == (1, 0)


def test_the_radio_hears_nothing_until_it_is_stopped(rig):
    radio = rig.add(RadioPeripheral(rig.timeline, rig.line, rig.wires))
    radio[SHORTS] = 1
    radio.trigger(0x004)
    rig.pass_s(1)
    assert radio[0x100]
    assert radio[0x550] == 3
    assert not radio[0x104]
    radio.trigger(0x010)
    rig.pass_s(0.001)
    assert radio[0x110]
