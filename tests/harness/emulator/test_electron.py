"""An Electron's modem, by the registers of pins and serial line."""

import pytest
from particle_harness.boards import hardware
from particle_harness.clock import VirtualClock
from particle_harness.emulator.boards.chips import emulated_chip
from particle_harness.nor_flash import NorFlash

from particle_dev.catalog.flash_chips import STM32F205_FLASH

GPIO_B, USART3 = 0x40020400, 0x40004800
MODER, IDR, BSRR, SR, DR, CONTROL_1 = 0x00, 0x10, 0x18, 0x00, 0x04, 0x0C
POWER, SENSE, READY = 2, 12, 13
RXNE, RXNE_INTERRUPT = 1 << 5, 1 << 5


def new_chip():
    flash = NorFlash(STM32F205_FLASH, VirtualClock(), delays=False)
    # A loop at its reset vector, with the stack at the end of RAM.
    flash.load(0x08000000, bytes.fromhex("00000220 09000008 fee7"))
    return emulated_chip(hardware("electron"), bytes(12), flash, None, None)


@pytest.fixture
def chip():
    chip = new_chip()
    chip.power_on()
    return chip


def write(chip, address, value):
    chip.bus.write(address, value.to_bytes(4, "little"))


def level(chip, pin):
    return chip.bus.read_word(GPIO_B + IDR) >> pin & 1


def switch_on(chip):
    write(chip, GPIO_B + BSRR, 1 << POWER)
    write(chip, GPIO_B + MODER, 1 << 2 * POWER)
    write(chip, GPIO_B + BSRR, 1 << POWER + 16)
    assert not level(chip, SENSE)
    write(chip, GPIO_B + BSRR, 1 << POWER)


def say(chip, text):
    for byte in text:
        write(chip, USART3 + DR, byte)
    chip.timeline.pass_until(chip.timeline.cycles + chip.timeline.cycles_of(0.01))
    heard = bytearray()
    while chip.bus.read_word(USART3 + SR) & RXNE:
        heard.append(chip.bus.read_word(USART3 + DR))
    return bytes(heard)


def test_a_reset_of_the_controller_does_not_stop_the_modem(chip):
    switch_on(chip)
    for byte in b"AT+CPWROFF\r\n":
        write(chip, USART3 + DR, byte)
    assert level(chip, SENSE)
    chip.pin_reset()
    chip.timeline.pass_until(chip.timeline.cycles + chip.timeline.cycles_of(0.01))
    assert not level(chip, SENSE)


def test_a_pulse_on_its_power_pin_switches_it_on(chip):
    assert (level(chip, SENSE), level(chip, READY)) == (0, 0)
    assert say(chip, b"AT\r\n") == b""
    switch_on(chip)
    assert (level(chip, SENSE), level(chip, READY)) == (1, 0)
    assert [asked.what for asked in chip.modem.asked] == ["power on"]
    assert say(chip, b"AT\r\n") == b"AT\r\r\nOK\r\n"


def test_levels_of_a_pin_that_is_an_input_are_no_pulse(chip):
    write(chip, GPIO_B + BSRR, 1 << POWER + 16)
    write(chip, GPIO_B + BSRR, 1 << POWER)
    assert not level(chip, SENSE)


def test_its_answers_interrupt(chip):
    switch_on(chip)
    write(chip, USART3 + CONTROL_1, RXNE_INTERRUPT)
    line = chip.processor.interrupt_line(39)
    for byte in b"AT\r\n":
        write(chip, USART3 + DR, byte)
    assert not line.level
    chip.timeline.pass_until(chip.timeline.cycles + chip.timeline.cycles_of(0.01))
    assert line.level


def test_a_loss_of_power_takes_it_along_and_a_reset_does_not(chip):
    switch_on(chip)
    chip.pin_reset()
    assert level(chip, SENSE)
    chip.power_off()
    chip.power_on()
    assert not level(chip, SENSE)


def test_a_snapshot_holds_it(chip):
    switch_on(chip)
    snapshot = chip.snapshot()
    say(chip, b"AT+CPWROFF\r\n")
    assert not level(chip, SENSE)
    chip.restore(snapshot)
    assert level(chip, SENSE)
    assert say(chip, b"AT\r\n") == b"AT\r\r\nOK\r\n"


def test_a_chip_of_another_process_goes_on_from_a_snapshot(chip):
    switch_on(chip)
    chip.charger.write(bytes((0x02, 0x44)))
    successor = new_chip()
    successor.restore(chip.snapshot())
    assert successor.runs
    assert level(successor, SENSE)
    successor.charger.write(b"\x02")
    assert successor.charger.read(1) == b"\x44"
