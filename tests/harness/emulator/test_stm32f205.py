"""Peripherals of the STM32F205, by their registers."""

import zlib

import pytest
from particle_harness.clock import VirtualClock
from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.core.timeline import Timeline
from particle_harness.emulator.parts.serial_flash import SerialFlash
from particle_harness.emulator.stm32f205.arithmetic import RandomNumbers
from particle_harness.emulator.stm32f205.chip import CORE_HZ, EmulatedStm32f205
from particle_harness.emulator.stm32f205.clocks import (
    PIN_RESET,
    POWER_ON_RESET,
    SOFTWARE_RESET,
    WATCHDOG_RESET,
)
from particle_harness.emulator.stm32f205.timers import Timer
from particle_harness.nor_flash import NorFlash

from particle_dev.catalog.flash_chips import STM32F205_FLASH, qspi_flash

from .machine import assemble

UNIQUE_ID = bytes.fromhex("3a0037000f47343638323034")
RCC, PWR, RTC, IWDG, FLASH, CRC = 0x40023800, 0x40007000, 0x40002800, 0x40003000, 0x40023C00, 0x40023000
TIM2, GPIOC, SYSCFG, EXTI = 0x40000000, 0x40020800, 0x40013800, 0x40013C00


@pytest.fixture
def external():
    return NorFlash(qspi_flash(0x100000), VirtualClock(), delays=False)


def new_chip(external=None):
    flash = NorFlash(STM32F205_FLASH, VirtualClock(), delays=False)
    # A loop at its reset vector, with the stack at the end of RAM.
    flash.load(0x08000000, bytes.fromhex("00000220 09000008 fee7"))
    external = external or NorFlash(qspi_flash(0x100000), VirtualClock(), delays=False)
    return EmulatedStm32f205(UNIQUE_ID, flash, external, on_full_speed_port=True, serial_number="P1X")


@pytest.fixture
def chip(external):
    chip = new_chip(external)
    chip.power_on()
    return chip


def write(chip, address, value, size=4):
    chip.bus.write(address, value.to_bytes(size, "little"))


def let_pass(chip, duration_s):
    chip.processor.run(chip.timeline.cycles + chip.timeline.cycles_of(duration_s))


def test_identity_and_aliases(chip):
    assert chip.bus.read(0x1FFF7A10, 12) == UNIQUE_ID
    assert chip.bus.read(0x1FFF7800, 3) == b"P1X"
    assert chip.bus.read(0, 16) == chip.bus.read(0x08000000, 16)


def test_it_has_81_interrupts(chip):
    assert chip.bus.read_word(0xE000E004) == 2
    write(chip, 0xE000E108, 0xFFFFFFFF)
    assert chip.bus.read_word(0xE000E108) == 0x1FFFF


def test_serial_lines_are_called_as_in_the_manual(chip):
    assert [line.name for line in chip.uarts.values()] == ["USART1", "USART2", "USART3", "UART4", "UART5", "USART6"]


def test_what_was_put_into_flash_without_power_runs_when_power_comes(chip):
    let_pass(chip, 0.001)
    chip.power_off()
    # In place of the loop: movs r0, #7 before it.
    chip.flash.load(0x08000008, bytes.fromhex("0720 fee7"))
    chip.power_on()
    let_pass(chip, 0.001)
    assert chip.processor.register(0) == 7


def test_clocks_are_ready_as_soon_as_they_are_on(chip):
    write(chip, RCC, 0x01010083)
    assert chip.bus.read_word(RCC) == 0x03030083
    write(chip, RCC + 0x08, 2)
    assert chip.bus.read_word(RCC + 0x08) >> 2 & 3 == 2
    # The alias of bit 24 of RCC_CR: PLLON.
    write(chip, 0x42000000 + (RCC - 0x40000000) * 32 + 24 * 4, 0)
    assert chip.bus.read_word(RCC) == 0x00030083


def test_why_it_was_reset(chip):
    assert chip.clocks.reset_flags & POWER_ON_RESET
    write(chip, RCC + 0x74, 1 << 24)
    chip.pin_reset()
    assert chip.bus.read_word(RCC + 0x74) & 0xFE000000 == PIN_RESET
    chip.processor.request_reset()
    assert chip.bus.read_word(RCC + 0x74) & SOFTWARE_RESET


@pytest.mark.parametrize("flags_removed", [False, True])
def test_after_a_loss_of_power_the_reasons_of_earlier_resets_are_gone(chip, flags_removed):
    chip.processor.request_reset()
    if flags_removed:
        write(chip, RCC + 0x74, 1 << 24)
    chip.power_off()
    chip.power_on()
    assert chip.bus.read_word(RCC + 0x74) & 0xFE000000 == 0x0E000000


def test_the_backup_regulator_is_ready_when_it_is_asked_for(chip):
    assert chip.bus.read_word(PWR + 4) == 0
    write(chip, PWR + 4, 1 << 9)
    assert chip.bus.read_word(PWR + 4) == 1 << 9 | 1 << 3


def open_backup_domain(chip):
    write(chip, RCC + 0x40, 1 << 28)
    write(chip, PWR, 1 << 8)


def test_backup_registers_survive_resets_and_not_the_loss_of_power(chip):
    write(chip, RTC + 0x54, 0xEDFA)
    assert chip.bus.read_word(RTC + 0x54) == 0
    open_backup_domain(chip)
    write(chip, RTC + 0x54, 0xEDFA)
    chip.pin_reset()
    assert chip.bus.read_word(RTC + 0x54) == 0xEDFA
    chip.power_off()
    chip.power_on()
    assert chip.bus.read_word(RTC + 0x54) == 0


def test_the_calendar_counts_seconds(chip):
    open_backup_domain(chip)
    write(chip, RTC, 0x235958)
    chip.timeline.cycles += 3 * CORE_HZ
    assert chip.bus.read_word(RTC) == 0x000001


def test_a_watchdog_that_nobody_feeds_resets_the_chip(chip):
    for register, value in ((0x00, 0x5555), (0x04, 0), (0x08, 32), (0x00, 0xCCCC)):
        write(chip, IWDG + register, value)
    # 33 counts of 4 periods of 32 kHz: 4.125 ms.
    let_pass(chip, 0.004)
    write(chip, IWDG, 0xAAAA)
    let_pass(chip, 0.004)
    assert not chip.clocks.reset_flags & WATCHDOG_RESET
    let_pass(chip, 0.0002)
    assert chip.clocks.reset_flags & WATCHDOG_RESET
    assert chip.watchdog.alarm is None


def test_flash_needs_keys_width_and_alignment(chip):
    write(chip, 0x08020000, 0)
    assert chip.flash.programs == 0
    write(chip, FLASH + 0x04, 0x45670123)
    write(chip, FLASH + 0x04, 0xCDEF89AB)
    write(chip, FLASH + 0x10, 0x201)
    before = chip.timeline.cycles
    write(chip, 0x08020000, 0x12345678)
    assert chip.bus.read_word(0x08020000) == 0x12345678
    assert chip.timeline.cycles - before == round(16e-6 * CORE_HZ)
    write(chip, 0x08020005, 0)
    assert chip.bus.read_word(FLASH + 0x0C) & 1 << 6
    assert chip.bus.read(0x08020004, 8) == b"\xff" * 8
    write(chip, FLASH + 0x10, 0x2 | 5 << 3 | 1 << 16)
    assert chip.bus.read_word(0x08020000) == 0xFFFFFFFF


def test_the_button_is_a_pin_and_an_interrupt(chip):
    assert chip.bus.read_word(GPIOC + 0x10) >> 7 & 1
    write(chip, SYSCFG + 0x0C, 2 << 12)
    write(chip, EXTI + 0x0C, 1 << 7)
    write(chip, EXTI, 1 << 7)
    line = chip.processor.interrupt_line(23)
    chip.hold_mode_button(True)
    assert not chip.bus.read_word(GPIOC + 0x10) >> 7 & 1
    assert line.level
    write(chip, EXTI + 0x14, 1 << 7)
    assert not line.level
    chip.hold_mode_button(False)
    assert not line.level


def test_what_the_light_shows(chip):
    write(chip, TIM2 + 0x2C, 9999)
    for register, value in ((0x38, 10000), (0x3C, 5000), (0x40, 0)):
        write(chip, TIM2 + register, value)
    assert chip.lights == (1.0, 0.5, 0.0)


@pytest.fixture
def timer():
    timeline = Timeline(CORE_HZ)
    rises = []
    line = InterruptLine(28, rises.append)
    return timeline, Timer("TIM2", timeline, 60_000_000, {"update": line, "compare": line}, bits=32), rises


def advance(timeline, duration_s):
    timeline.pass_until(timeline.cycles + timeline.cycles_of(duration_s))


def test_a_timer_counts_wraps_and_interrupts(timer):
    timeline, timer, rises = timer
    timer.write(0x28, 4, 59)
    timer.write(0x2C, 4, 9999)
    timer.write(0x0C, 4, 1)
    timer.write(0x00, 4, 1)
    advance(timeline, 0.005)
    assert timer.read(0x24, 4) == 5000
    assert rises == []
    advance(timeline, 0.0051)
    assert timer.read(0x10, 4) & 1
    assert rises == [28]
    timer.write(0x10, 4, 0)
    advance(timeline, 0.01)
    assert rises == [28, 28]


def test_a_timer_compares(timer):
    timeline, timer, rises = timer
    timer.write(0x28, 4, 59)
    timer.write(0x2C, 4, 9999)
    timer.write(0x34, 4, 2500)
    timer.write(0x0C, 4, 2)
    timer.write(0x00, 4, 1)
    advance(timeline, 0.0024)
    assert rises == []
    advance(timeline, 0.0002)
    assert timer.read(0x10, 4) == 2
    assert rises == [28]
    timer.write(0x00, 4, 0)
    count = timer.read(0x24, 4)
    advance(timeline, 0.01)
    assert timer.read(0x24, 4) == count


TIM_CR1, TIM_DIER, TIM_SR, TIM_EGR, TIM_CNT, TIM_PSC, TIM_ARR = 0x00, 0x0C, 0x10, 0x14, 0x24, 0x28, 0x2C
CEN, UDIS, URS, OPM = 1, 1 << 1, 1 << 2, 1 << 3


@pytest.fixture
def stopped(timer):
    """A timer of 1 ms that is started when some of its periods would have passed."""
    timeline, timer, _ = timer
    timer.write(TIM_PSC, 4, 59)
    timer.write(TIM_ARR, 4, 999)
    timer.write(TIM_EGR, 4, 1)
    timer.write(TIM_SR, 4, 0)
    advance(timeline, 0.0055)
    return timeline, timer


def test_nothing_has_happened_in_a_timer_that_has_just_been_started(stopped):
    timeline, timer = stopped
    timer.write(TIM_CR1, 4, CEN)
    assert (timer.read(TIM_SR, 4), timer.read(TIM_CNT, 4)) == (0, 0)
    advance(timeline, 0.0009)
    assert not timer.read(TIM_SR, 4) & 1
    advance(timeline, 0.0002)
    assert timer.read(TIM_SR, 4) & 1


def test_a_timer_of_one_pulse_runs_for_one_period(stopped):
    timeline, timer = stopped
    timer.write(TIM_CR1, 4, CEN | OPM)
    advance(timeline, 0.0009)
    assert (timer.read(TIM_CR1, 4), timer.read(TIM_SR, 4) & 1) == (CEN | OPM, 0)
    advance(timeline, 0.0002)
    assert timer.read(TIM_SR, 4) & 1
    assert timer.read(TIM_CR1, 4) == OPM


def test_what_happened_before_a_timer_was_stopped_is_told(stopped):
    timeline, timer = stopped
    timer.write(TIM_CR1, 4, CEN)
    advance(timeline, 0.0035)
    timer.write(TIM_CR1, 4, 0)
    assert timer.read(TIM_SR, 4) & 1
    assert timer.read(TIM_CNT, 4) == 500


@pytest.mark.parametrize(("register", "value"), [(TIM_PSC, 0), (TIM_ARR, 99), (TIM_CNT, 0)])
def test_what_is_written_to_a_running_timer_concerns_what_comes(stopped, register, value):
    timeline, timer = stopped
    timer.write(TIM_CR1, 4, CEN)
    advance(timeline, 0.0008)
    timer.write(register, 4, value)
    assert not timer.read(TIM_SR, 4) & 1


@pytest.mark.parametrize(("control", "flagged"), [(0, 1), (URS, 0), (UDIS, 0)])
def test_whether_an_update_that_firmware_asks_for_is_flagged(stopped, control, flagged):
    _, timer = stopped
    timer.write(TIM_CR1, 4, control)
    timer.write(TIM_EGR, 4, 1)
    assert timer.read(TIM_SR, 4) & 1 == flagged


@pytest.mark.parametrize(("control", "flagged"), [(URS, 1), (UDIS, 0)])
def test_whether_an_overflow_is_flagged(stopped, control, flagged):
    timeline, timer = stopped
    timer.write(TIM_CR1, 4, CEN | control)
    advance(timeline, 0.0011)
    assert timer.read(TIM_SR, 4) & 1 == flagged


def test_a_line_of_two_timers_is_high_while_one_of_them_wants_service(chip):
    tim_1, tim_10, line = 0x40010000, 0x40014400, chip.processor.interrupt_line(25)
    for timer in (tim_1, tim_10):
        write(chip, timer + TIM_DIER, 1)
    write(chip, tim_1 + TIM_EGR, 1)
    write(chip, tim_10 + TIM_SR, 0)
    assert line.level
    write(chip, tim_10 + TIM_EGR, 1)
    restored = new_chip()
    restored.restore(chip.snapshot())
    write(restored, tim_1 + TIM_SR, 0)
    line = restored.processor.interrupt_line(25)
    assert line.level
    write(restored, tim_10 + TIM_SR, 0)
    assert not line.level


def turned_around(word):
    return int(f"{word:032b}"[::-1], 2)


def test_crc_is_the_one_of_zlib_turned_around(chip):
    data = bytes(range(64))
    for start in range(0, len(data), 4):
        chip.crc.write(0, 4, turned_around(int.from_bytes(data[start : start + 4], "little")))
    assert turned_around(chip.crc.read(0, 4)) ^ 0xFFFFFFFF == zlib.crc32(data)
    restored = new_chip()
    restored.restore(chip.snapshot())
    assert restored.crc.read(0, 4) == chip.crc.read(0, 4)
    chip.crc.write(8, 4, 1)
    assert chip.crc.read(0, 4) == 0xFFFFFFFF


@pytest.mark.parametrize("traced", [False, True])
def test_crc_of_what_firmware_writes(chip, traced):
    words = [turned_around(0x01020304), turned_around(0x05060708)]
    code = assemble(
        f"""
        function _start
        ldr r0, =0x40023000
        str r0, [r0]
        movs r1, #1
        str r1, [r0, #8]
        movs r1, #0
        str r1, [r0, #8]
        ldr r1, ={words[0]}
        str r1, [r0]
        ldr r1, ={words[1]}
        str r1, [r0]
        ldr r2, [r0]
        ldr r3, =0x20000000
        str r2, [r3]
        b .
        .ltorg
        """,
        3,
    )
    chip.flash.load(0x08000000, code)
    seen = []
    if traced:
        chip.processor.trace = lambda kind, address, *_: seen.append((kind, address))
    chip.power_on()
    chip.processor.run(1000)
    written = bytes([4, 3, 2, 1, 8, 7, 6, 5])
    assert turned_around(int.from_bytes(chip.ram[:4], "little")) ^ 0xFFFFFFFF == zlib.crc32(written)
    written_to = [CRC, CRC + 8, CRC + 8, CRC, CRC]
    assert seen == [*(("W", address) for address in written_to), ("R", CRC)] * traced


def test_random_numbers_differ_and_repeat():
    first, second = RandomNumbers(), RandomNumbers()
    numbers = [first.read(8, 4) for _ in range(100)]
    assert len(set(numbers)) == 100
    assert numbers == [second.read(8, 4) for _ in range(100)]


def talk(flash, *message):
    flash.select(low=True)
    reply = bytes(flash.exchange(byte) for byte in message)
    flash.select(low=False)
    return reply


def test_serial_flash_programs_when_enabled_and_wraps_in_its_page(external):
    flash = SerialFlash(external)
    assert talk(flash, 0x9F, 0, 0, 0)[1:] == b"\xc2\x20\x14"
    talk(flash, 0x02, 0, 0, 0xFE, 1, 2, 3)
    assert external.programs == 0
    talk(flash, 0x06)
    assert talk(flash, 0x05, 0)[1] == 2
    talk(flash, 0x02, 0, 0, 0xFE, 1, 2, 3)
    assert external.read(0xFE, 4) == b"\x01\x02\xff\xff"
    assert external.read(0, 2) == b"\x03\xff"
    assert talk(flash, 0x05, 0)[1] == 0
    assert talk(flash, 0x03, 0, 0, 0xFD, 0, 0, 0)[4:] == b"\xff\x01\x02"
    talk(flash, 0x06)
    talk(flash, 0x20, 0, 0, 0x80)
    assert external.read(0xFE, 2) == b"\xff\xff"


def test_of_more_than_a_page_each_byte_lies_where_the_address_had_come_to(external):
    flash = SerialFlash(external)
    talk(flash, 0x06)
    talk(flash, 0x02, 0, 0, 0x10, *range(256), 0x77)
    assert external.read(0x0E, 4) == bytes((254, 255, 0x77, 1))
    assert external.read(0xFF, 2) == bytes((239, 0xFF))


def lower_flash_select(chip):
    write(chip, 0x40020400 + 0x18, 1 << 12 + 16)


def raise_flash_select(chip):
    write(chip, 0x40020400 + 0x18, 1 << 12)


def begin_page_program(chip):
    for message in ((0x06,), (0x02, 0, 0, 0, 0x12, 0x34)):
        raise_flash_select(chip)
        lower_flash_select(chip)
        for byte in message:
            write(chip, 0x40003800 + 0x0C, byte)


def test_a_command_to_the_serial_flash_does_not_survive_a_loss_of_power(chip, external):
    begin_page_program(chip)
    chip.power_off()
    chip.power_on()
    raise_flash_select(chip)
    assert external.read(0, 2) == b"\xff\xff"
    assert chip.serial_flash.status == 0


def test_a_reset_ends_a_command_to_the_serial_flash(chip, external):
    begin_page_program(chip)
    chip.pin_reset()
    assert external.read(0, 2) == b"\x12\x34"
    assert not chip.serial_flash.selected


def test_the_p1_reaches_its_serial_flash_by_spi(chip):
    spi, gpio_b = 0x40003800, 0x40020400
    write(chip, gpio_b + 0x18, 1 << (12 + 16))
    write(chip, spi + 0x0C, 0x9F)
    reply = []
    for _ in range(4):
        assert chip.bus.read_word(spi + 0x08) & 3 == 3
        reply.append(chip.bus.read_word(spi + 0x0C))
        write(chip, spi + 0x0C, 0)
    assert bytes(reply[1:]) == b"\xc2\x20\x14"
    write(chip, gpio_b + 0x18, 1 << 12)
    assert not chip.serial_flash.selected
