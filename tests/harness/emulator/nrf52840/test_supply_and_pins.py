"""CLOCK, POWER, GPIO, GPIOTE, WDT."""

import pytest
from particle_harness.emulator.nrf52840.pins import Gpio, Gpiote
from particle_harness.emulator.nrf52840.power import RESET_PIN, RESET_SOFTWARE, ClockPower
from particle_harness.emulator.nrf52840.watchdog import Watchdog

from .rig import INTENSET, Rig

GPIO = 0x50000000
USBDETECTED, USBREMOVED, USBPWRRDY, USBREGSTATUS, RESETREAS = 0x11C, 0x120, 0x124, 0x438, 0x400


@pytest.fixture
def rig():
    return Rig()


@pytest.fixture
def block(rig):
    return ClockPower(rig.timeline, rig.line, rig.wires)


@pytest.fixture
def power(rig, block):
    return rig.add(block)


@pytest.fixture
def gpio_block():
    return Gpio()


@pytest.fixture
def gpio(rig, gpio_block):
    return rig.add(gpio_block, GPIO)


@pytest.fixture
def gpiote(rig, gpio_block):
    block = Gpiote(rig.timeline, rig.line, rig.wires, gpio_block)
    gpio_block.on_change = block.pin_changed
    return rig.add(block)


def test_the_usb_supply_is_detected_before_its_regulator_is_ready(rig, block, power):
    block.attach_vbus()
    assert (power[USBREGSTATUS], power[USBDETECTED], power[USBPWRRDY]) == (1, 1, 0)
    rig.pass_s(0.0031)
    assert (power[USBREGSTATUS], power[USBPWRRDY]) == (3, 1)
    block.detach_vbus()
    assert (power[USBREGSTATUS], power[USBREMOVED]) == (0, 1)


def test_a_supply_that_was_there_before_is_detected_again_after_a_reset(rig, block, power):
    block.attach_vbus()
    rig.pass_s(0.01)
    block.reset()
    assert (power[USBREGSTATUS], power[USBDETECTED]) == (1, 1)
    rig.pass_s(0.01)
    assert power[USBPWRRDY]


def test_reasons_of_resets_collect_until_firmware_clears_them(block, power):
    block.note_reset(RESET_PIN)
    block.reset()
    power[0x51C] = 0x57
    block.note_reset(RESET_SOFTWARE)
    block.reset()
    assert power[RESETREAS] == RESET_PIN | RESET_SOFTWARE
    assert power[0x51C] == 0x57
    power[RESETREAS] = RESET_PIN
    assert power[RESETREAS] == RESET_SOFTWARE
    block.lose_power()
    assert power[RESETREAS] == power[0x51C] == 0


def test_clocks_run_when_they_are_started(power):
    assert power[0x40C] == 1 << 16
    power.trigger(0x000)
    assert power[0x40C] == 1 << 16 | 1
    assert power.take(0x100)
    power[0x518] = 1
    power.trigger(0x008)
    assert power[0x418] == 1 << 16 | 1


def test_system_off_is_told(rig):
    told = []
    power = rig.add(ClockPower(rig.timeline, rig.line, rig.wires, lambda: told.append("off")))
    power[0x500] = 1
    assert told == ["off"]


def test_an_input_follows_its_pull_and_whoever_drives_it(gpio, gpio_block):
    gpio[0x700 + 4 * 11] = 1 << 2
    assert gpio[0x510] >> 11 & 1 == 0
    gpio[0x700 + 4 * 11] = 3 << 2
    assert gpio[0x510] >> 11 & 1 == 1
    gpio_block.drive(11, False)
    assert gpio[0x510] >> 11 & 1 == 0
    gpio_block.drive(11, None)
    assert gpio[0x510] >> 11 & 1 == 1


def test_outputs_of_both_ports(gpio, gpio_block):
    for base, pin in ((0, 13), (0x300, 32 + 5)):
        bit = 1 << pin % 32
        gpio[base + 0x518] = bit
        gpio[base + 0x508] = bit
        assert gpio_block.output(pin) is True
        assert gpio[base + 0x510] & bit
        assert gpio[base + 0x700 + 4 * (pin % 32)] & 1
        gpio[base + 0x50C] = bit
        assert gpio_block.output(pin) is False
        gpio[base + 0x51C] = bit
        assert gpio_block.output(pin) is None


def test_an_edge_raises_the_event_of_its_channel(rig, gpio, gpio_block, gpiote):
    gpio[0x700 + 4 * 11] = 3 << 2
    gpiote[0x510] = 1 | 11 << 8 | 2 << 16
    gpiote[INTENSET] = 1
    gpio_block.drive(11, False)
    assert rig.line.level
    assert gpiote.take(0x100)
    gpio_block.drive(11, True)
    assert not gpiote[0x100]


def test_a_sensed_level_raises_the_port_event(gpio, gpio_block, gpiote):
    gpio[0xA00 + 4 * 13] = 3 << 2 | 3 << 16
    gpio_block.drive(45, False)
    assert gpiote.take(0x17C)


def test_tasks_of_a_channel_drive_its_pin(gpio, gpio_block, gpiote):
    gpio[0x518] = 1 << 7
    gpiote[0x510] = 3 | 7 << 8 | 3 << 16
    gpiote.trigger(0x030)
    assert gpio_block.output(7) is True
    gpiote.trigger(0x000)
    assert gpio_block.output(7) is False
    gpiote.trigger(0x000)
    gpiote.trigger(0x060)
    assert gpio_block.output(7) is False


class TestWatchdog:
    @pytest.fixture
    def bites(self):
        return []

    @pytest.fixture
    def watchdog(self, rig, bites):
        watchdog = rig.add(Watchdog(rig.timeline, rig.line, rig.wires, lambda: bites.append(rig.timeline.now_s)))
        watchdog[0x504] = 32768 * 2 - 1
        watchdog[0x508] = 3
        return watchdog

    def test_it_bites_when_nobody_feeds_it(self, rig, watchdog, bites):
        rig.pass_s(5)
        watchdog.trigger(0)
        assert watchdog[0x400] == 1
        rig.pass_s(5)
        assert bites == [7.0]

    def test_it_wants_all_its_reload_registers_written(self, rig, watchdog, bites):
        watchdog.trigger(0)
        for _ in range(5):
            rig.pass_s(1.5)
            watchdog[0x600] = 0x6E524635
            assert watchdog[0x404] == 2
            watchdog[0x604] = 0x6E524635
            assert watchdog[0x404] == 3
        rig.pass_s(1.5)
        watchdog[0x600] = 0x6E524635
        watchdog[0x604] = 0x12345678
        rig.pass_s(1.0)
        assert bites == [9.5]

    def test_its_period_is_fixed_once_it_runs(self, watchdog):
        watchdog.trigger(0)
        watchdog[0x504] = 1
        watchdog[0x508] = 1
        assert (watchdog[0x504], watchdog[0x508]) == (65535, 3)
